"""Shrink backgrounds before encoding (`fit.py`), and enlarge them after decoding (`decode.py`).

Enlarging is integer arithmetic, so it gives the same pixels on every CPU and GPU. Pillow does it on
a CPU, and torch on a GPU. Each doubling doubles the width, then the height. Both are filtered with
Catmull-Rom splines, that is bicubic interpolation with a = -1/2:

    pixel 2i     = (  -3 p(i-2) +  29 p(i-1) + 111 p(i) -  9 p(i+1) + 64) >> 7
    pixel 2i + 1 = (  -9 p(i-1) + 111 p(i)   + 29 p(i+1) - 3 p(i+2) + 64) >> 7

clipped to 0 to 255. Pixels beyond an edge repeat the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rinrcodec.compute.arrays import Array, empty, is_array, moved

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["enlarged", "shrunk"]

_TAPS = (-3, 29, 111, -9)  # of an even pixel; those of an odd one are mirrored
_FRACTION = 7  # bits of a tap behind the point
_EDGE = 2  # pixels that the taps reach beyond the picture


def shrunk(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Shrink a picture to a fraction of its width and height, rounded up.

    Args:
        pixels: uint8 [h, w] or [h, w, 3].
        factor: Divisor of width and height; 1 returns the picture as it is.
    """
    from PIL import Image

    if factor == 1:
        return pixels
    height, width = pixels.shape[:2]
    # Whole squares of pixels: the last line and column are repeated.
    beyond = [(0, -height % factor), (0, -width % factor), (0, 0)][: pixels.ndim]
    whole = np.pad(pixels, beyond, mode="edge")
    size = whole.shape[1] // factor, whole.shape[0] // factor
    return np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.LANCZOS))


def enlarged(pixels: Array, size: tuple[int, int], factor: int) -> Array:
    """Enlarge a shrunk picture to its full size.

    Args:
        pixels: uint8 [h, w, channels]: an array, or a tensor of any device.
        size: Width and height of the result.
        factor: By which `shrunk` divided them: 1 returns the picture as it is, 2 or 4.
    """
    if factor == 1:
        return pixels
    width, height = size
    # Channels stay planar in memory, as `to_rgb` returns them.
    planes = moved(pixels, (2, 0, 1))
    result = empty(pixels, (len(planes), height, width))
    for plane, target in zip(planes, result, strict=True):
        samples = plane
        for _ in range(factor.bit_length() - 1):
            samples = _doubled(samples) if is_array(samples) else _doubled_tensor(samples)
        target[:] = samples[:height, :width]
    return moved(result, (1, 2, 0))


def _doubled(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Double both sides of a plane [h, w], on a CPU."""
    from PIL import Image

    # At an edge, Pillow drops taps instead of repeating the last pixel.
    image = Image.fromarray(np.pad(plane, _EDGE, mode="edge"))
    doubled = image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)
    return np.asarray(doubled)[2 * _EDGE : -2 * _EDGE, 2 * _EDGE : -2 * _EDGE]


def _doubled_tensor(plane: Tensor) -> Tensor:
    """Double both sides of a plane [h, w] to the same pixels, on any device."""
    return _doubled_lines(_doubled_lines(plane).t()).t()


def _doubled_lines(plane: Tensor) -> Tensor:
    """Double the length of every line of a uint8 plane [h, w]."""
    import torch

    height, width = plane.shape
    inside = torch.arange(-_EDGE, width + _EDGE, device=plane.device).clamp(0, width - 1)
    padded = plane[:, inside].int()
    # In place: each copy of the sums takes four times the bytes of the pixels.
    sums = padded.new_full((height, 2 * width), 1 << _FRACTION - 1)
    for k, tap in enumerate(_TAPS):
        sums[:, 0::2] += tap * padded[:, k : k + width]
        mirrored = len(_TAPS) - k
        sums[:, 1::2] += tap * padded[:, mirrored : mirrored + width]
    sums >>= _FRACTION
    return sums.clamp_(0, 255).to(plane.dtype)

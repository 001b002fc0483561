"""Backgrounds that are stored smaller: made smaller before encoding, enlarged after decoding.

Enlarging is integer arithmetic, so it gives the same pixels on every CPU and GPU. Pillow does it on
a CPU, and torch on a GPU. It doubles the size, first of the lines and then of the columns, as often
as needed. Each axis is filtered with Catmull-Rom splines, that is bicubic interpolation with
a = -1/2:

    pixel 2i     = (  -3 p(i-2) +  29 p(i-1) + 111 p(i) -  9 p(i+1) + 64) >> 7
    pixel 2i + 1 = (  -9 p(i-1) + 111 p(i)   + 29 p(i+1) - 3 p(i+2) + 64) >> 7

clipped to 0 to 255. Pixels beyond an edge repeat the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """Return a picture at a fraction of its size, rounded up.

    Args:
        pixels: uint8 [h, w] or [h, w, 3].
        factor: By which width and height are divided; 1 returns the picture as it is.
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
    """Return a picture that was made smaller at its full size.

    Args:
        pixels: uint8 [h, w, channels]: an array, or a tensor of any device.
        size: Width and height of the result.
        factor: By which they were divided: a power of 2; 1 returns the picture as it is.
    """
    if factor == 1:
        return pixels
    width, height = size
    # Channel after channel in memory, as they come.
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

    # Pillow leaves out what is beyond an edge, instead of repeating the last pixel.
    image = Image.fromarray(np.pad(plane, _EDGE, mode="edge"))
    doubled = image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)
    return np.asarray(doubled)[2 * _EDGE : -2 * _EDGE, 2 * _EDGE : -2 * _EDGE]


def _doubled_tensor(plane: Tensor) -> Tensor:
    """Double both sides of a plane [h, w] to the same pixels, on any device."""
    wider = _doubled_lines(plane.int())
    return _doubled_lines(wider.t()).t().to(plane.dtype)


def _doubled_lines(plane: Tensor) -> Tensor:
    """Double the length of every line of an int32 plane [h, w]."""
    import torch

    height, width = plane.shape
    inside = torch.arange(-_EDGE, width + _EDGE, device=plane.device).clamp(0, width - 1)
    padded = plane[:, inside]

    def filtered(taps: Sequence[int], first: int) -> Tensor:
        result = torch.zeros_like(plane)
        for k, tap in enumerate(taps):
            result += tap * padded[:, first + k : first + k + width]
        return result

    even, odd = filtered(_TAPS, 0), filtered(_TAPS[::-1], 1)
    sums = torch.stack((even, odd), 2).reshape(height, 2 * width)
    return ((sums + (1 << _FRACTION - 1)) >> _FRACTION).clamp(0, 255)

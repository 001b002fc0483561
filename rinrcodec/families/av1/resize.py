"""Shrink backgrounds before encoding (`fit.py`), and enlarge them after decoding (`decode.py`).

Enlarging is integer arithmetic, so it gives the same pixels on every CPU and GPU. NumPy does it on
a CPU, and torch on a GPU. Each doubling doubles the width, then the height. Both are filtered with
Catmull-Rom splines, that is bicubic interpolation with a = -1/2:

    pixel 2i     = (  -3 p(i-2) +  29 p(i-1) + 111 p(i) -  9 p(i+1) + 64) >> 7
    pixel 2i + 1 = (  -9 p(i-1) + 111 p(i)   + 29 p(i+1) - 3 p(i+2) + 64) >> 7

clipped to 0 to 255. Pixels beyond an edge repeat the last one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rinrcodec.compute.arrays import Array, empty, is_array, moved

__all__ = ["enlarged", "shrunk"]

_TAPS = (-3, 29, 111, -9)  # of an even pixel; those of an odd one are mirrored
_FRACTION = 7  # bits of a tap behind the point
_EDGE = 2  # pixels that the taps reach beyond the picture
_MIDDLE = 128  # of the range of a pixel; sums of differences from it fit in int16
# Pixels of a band before it is enlarged, on a CPU and on a GPU.
_PIXELS_AT_ONCE, _PIXELS_OF_GPU = 1 << 15, 1 << 18


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
            samples = _doubled(samples)
        target[:] = samples[:height, :width]
    return moved(result, (1, 2, 0))


def _doubled(plane: Array) -> Array:
    """Double both sides of a uint8 plane [h, w]."""
    height, width = plane.shape
    padded = _padded(plane)
    doubled = empty(plane, (2 * height, 2 * width))
    # Some lines at a time: sums of all pixels would not fit in a cache.
    lines = max(1, (_PIXELS_AT_ONCE if is_array(plane) else _PIXELS_OF_GPU) // width)
    for top in range(0, height, lines):
        band = padded[top : top + lines + 2 * _EDGE]
        wide = empty(band, (len(band), 2 * width))
        _double_lines(band.T, wide.T)
        target = doubled[2 * top : 2 * (top + lines)]
        sums = empty(band, target.shape)
        _double_lines(wide, sums)
        sums += _MIDDLE
        target[:] = sums
    return doubled


def _padded(plane: Array) -> Array:
    """Repeat the pixels at the edges, as int16 around zero."""
    height, width = plane.shape
    samples = plane.astype(np.int16) if is_array(plane) else plane.short()
    samples -= _MIDDLE
    padded = empty(samples, (height + 2 * _EDGE, width + 2 * _EDGE))
    lines = padded[_EDGE:-_EDGE]
    lines[:, _EDGE:-_EDGE] = samples
    lines[:, :_EDGE] = samples[:, :1]
    lines[:, -_EDGE:] = samples[:, -1:]
    padded[:_EDGE] = lines[:1]
    padded[-_EDGE:] = lines[-1:]
    return padded


def _double_lines(samples: Array, doubled: Array) -> None:
    """Write twice as many lines [2n, w] as samples [n + 4, w] have without their edges."""
    n = len(samples) - 2 * _EDGE
    products = [samples * tap for tap in _TAPS]
    products[_EDGE] += 1 << _FRACTION - 1  # to round
    for odd in (0, 1):
        starts = [2 * _EDGE - k if odd else k for k in range(len(_TAPS))]
        first, second, *others = (
            product[start : start + n] for start, product in zip(starts, products, strict=True)
        )
        sums = first + second
        for one in others:
            sums += one
        sums >>= _FRACTION
        low, high = -_MIDDLE, _MIDDLE - 1
        doubled[odd::2] = sums.clip(low, high, sums) if is_array(sums) else sums.clamp_(low, high)

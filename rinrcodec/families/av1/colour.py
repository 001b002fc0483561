"""Planes of AV1 to RGB and back: BT.601 in full range.

Decoding is integer arithmetic, so a stream gives the same pixels on every CPU and GPU. A CPU needs
NumPy alone for it, and a GPU torch. With b bits
a sample, and chroma samples minus 2^(b - 1),

    k = 255 / (2^b - 1)                  R = kY             + 1.402 kV
                                         G = kY - 0.344136 kU - 0.714136 kV
                                         B = kY + 1.772 kU

where each factor is rounded to a multiple of 2^-16, and each result to the nearest integer (half
up), then clipped. Chroma of half the size is sampled at the centre of 2 x 2 pixels. On each axis, a
pixel takes 3/4 of the nearest sample and 1/4 of the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Region
from rinrcodec.compute.arrays import Array, empty, is_array, moved, on_device

if TYPE_CHECKING:
    import torch

__all__ = ["Planes", "to_planes", "to_rgb"]

Planes = Sequence[NDArray[np.uint8] | NDArray[np.uint16]]

_FRACTION = 16  # bits of a factor behind the point
_PIXELS_AT_ONCE, _PIXELS_OF_GPU = 1 << 15, 1 << 24


def to_rgb(
    planes: Planes,
    *,
    channels: int,
    bits: int,
    gpu: torch.device | None = None,
    part: Region | None = None,
) -> Array:
    """Convert the planes of a frame to pixels: uint8 [h, w, channels].

    Args:
        planes: Y, and for 3 channels U and V, as large as Y or half as large (rounded up).
        channels: 3 for RGB, 1 for grey, which is Y alone.
        bits: Bits of a sample, 8 or 10.
        gpu: Where to compute, for a tensor there; None gives a NumPy array.
        part: The pixels to convert; None converts all.
    """
    height, width = planes[0].shape
    part = part or Region(0, 0, width, height)
    # Channel after channel in memory, as the decoder returns them.
    some = on_device(np.empty(0, np.uint8), gpu)
    pixels = empty(some, (channels, part.height, part.width))
    # Some lines at a time: sums of all pixels would not fit in a cache, nor always in memory.
    lines = max(1, (_PIXELS_AT_ONCE if gpu is None else _PIXELS_OF_GPU) // part.width)
    for top in range(0, part.height, lines):
        band = Region(part.x, part.y + top, part.width, min(lines, part.height - top))
        _convert(planes, band, bits, pixels[:, top : top + lines], gpu)
    return moved(pixels, (1, 2, 0))


def _convert(
    planes: Planes, part: Region, bits: int, pixels: Array, gpu: torch.device | None
) -> None:
    """Convert a part of the planes to pixels [channels, h, w]."""
    channels = len(pixels)
    y = _on(planes[0][part.slices], gpu)
    chroma = list(planes[1:channels])
    finer = 0
    if chroma and chroma[0].shape != planes[0].shape:
        parts = [_enlarged_part(plane, part, gpu) for plane in chroma]
        finer = 4  # the bits that the weights 3 and 1 of two axes add
    else:
        parts = [_on(plane[part.slices], gpu) for plane in chroma]
    # The sums stay below 2^30. They are computed in place: new memory costs more than a sum.
    y *= _factor(1.0, bits) << finer
    y += 1 << _FRACTION + finer - 1

    def put(channel: int, sums: Array) -> None:
        sums >>= _FRACTION + finer
        pixels[channel] = sums.clip(0, 255, sums) if is_array(sums) else sums.clamp_(0, 255)

    if channels == 1:
        put(0, y)
        return
    u, v = parts
    for plane in parts:
        plane -= 1 << bits - 1 + finer
    red = v * _factor(1.402, bits)
    red += y
    put(0, red)
    v *= _factor(0.714136, bits)
    v += u * _factor(0.344136, bits)
    put(1, y - v)
    u *= _factor(1.772, bits)
    u += y
    put(2, u)


def to_planes(pixels: NDArray[np.uint8]) -> list[NDArray[np.uint16]]:
    """Convert pixels to planes Y, U, V of 10 bits, of which U and V have half the size.

    Args:
        pixels: uint8 [h, w], or RGB [h, w, 3].
    """
    scaled = pixels.astype(np.float64) * (1023 / 255)
    if pixels.ndim == 2:
        height, width = pixels.shape
        neutral = np.full(((height + 1) // 2, (width + 1) // 2), 512, np.uint16)
        return [_rounded(scaled), neutral, neutral]
    red, green, blue = scaled[..., 0], scaled[..., 1], scaled[..., 2]
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = (blue - y) / 1.772, (red - y) / 1.402
    return [_rounded(y), *(_rounded(_halved(plane) + 512) for plane in (u, v))]


def _factor(value: float, bits: int) -> int:
    return round(value * 255 / ((1 << bits) - 1) * (1 << _FRACTION))


def _on(plane: NDArray[np.uint8] | NDArray[np.uint16], gpu: torch.device | None) -> Array:
    """Copy samples as int32."""
    if gpu is None:
        return plane.astype(np.int32)
    # Samples of 10 bits are the same as int16, which every torch knows.
    plain = plane if plane.dtype == np.uint8 else plane.view(np.int16)
    return on_device(plain, gpu).int()


def _enlarged_part(
    plane: NDArray[np.uint8] | NDArray[np.uint16], part: Region, gpu: torch.device | None
) -> Array:
    """Enlarge a part of a plane of half the size, to the same values as `_enlarged`."""
    # With the samples around it, which the pixels at its edges also read.
    left, top = max(0, part.x // 2 - 1), max(0, part.y // 2 - 1)
    samples = _on(plane[top : part.bottom // 2 + 2, left : part.right // 2 + 2], gpu)
    x, y = part.x - 2 * left, part.y - 2 * top
    enlarged = _enlarged(samples, (y + part.height, x + part.width))
    return enlarged[y:, x:]


def _enlarged(plane: Array, shape: tuple[int, int]) -> Array:
    """Enlarge a plane twice on both axes and crop it to a shape.

    The values become 16 times as large.
    """
    lines = _twice_as_high(plane)[: shape[0]]
    return moved(_twice_as_high(moved(lines, (1, 0)))[: shape[1]], (1, 0))


def _twice_as_high(plane: Array) -> Array:
    """Double the lines: three times the line plus the one before, then plus the one after."""
    # In the order of the plane in memory, which may have its axes swapped.
    height, width = plane.shape
    straight = plane.strides[0] >= plane.strides[1] if is_array(plane) else plane.is_contiguous()
    room = empty(plane, (2 * height, width) if straight else (width, 2 * height))
    higher = room if straight else moved(room, (1, 0))
    before, after = higher[0::2], higher[1::2]
    before[:] = plane
    before *= 3
    after[:] = before
    before[1:] += plane[:-1]
    before[:1] += plane[:1]
    after[:-1] += plane[1:]
    after[-1:] += plane[-1:]
    return higher


def _halved(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the means of 2 x 2 samples; a row or column at an odd end is repeated."""
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    squares = even.reshape((height + 1) // 2, 2, (width + 1) // 2, 2)
    halved: NDArray[np.float64] = squares.mean((1, 3))
    return halved


def _rounded(plane: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.clip(np.round(plane), 0, 1023).astype(np.uint16)

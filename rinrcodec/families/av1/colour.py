"""Planes of AV1 to RGB and back: BT.601 in full range.

Decoding is integer arithmetic, so a stream gives the same pixels on every CPU and GPU. With b bits
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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rinrcodec.boxes import Region

__all__ = ["Planes", "to_planes", "to_rgb"]

Planes = Sequence[NDArray[np.uint8] | NDArray[np.uint16]]

_FRACTION = 16  # bits of a factor behind the point
_PIXELS_AT_ONCE = {"cpu": 1 << 18, "cuda": 1 << 24}


def to_rgb(
    planes: Planes, *, channels: int, bits: int, device: torch.device, part: Region | None = None
) -> Tensor:
    """Convert the planes of a frame to pixels: uint8 [h, w, channels] on the device.

    Args:
        planes: Y, and for 3 channels U and V, as large as Y or half as large (rounded up).
        channels: 3 for RGB, 1 for grey, which is Y alone.
        bits: Bits of a sample, 8 or 10.
        device: Where to compute.
        part: The pixels to convert; None converts all.
    """
    height, width = planes[0].shape
    part = part or Region(0, 0, width, height)
    # Channel after channel in memory, as the decoder returns them.
    pixels = torch.empty((channels, part.height, part.width), dtype=torch.uint8, device=device)
    # Some lines at a time: sums of all pixels would not fit in a cache, nor always in memory.
    lines = max(1, _PIXELS_AT_ONCE[device.type] // part.width)
    for top in range(0, part.height, lines):
        band = Region(part.x, part.y + top, part.width, min(lines, part.height - top))
        _convert(planes, band, bits, pixels[:, top : top + lines])
    return pixels.permute(1, 2, 0)


def _convert(planes: Planes, part: Region, bits: int, pixels: Tensor) -> None:
    """Convert a part of the planes to pixels [channels, h, w]."""
    channels, device = len(pixels), pixels.device
    y = _on(planes[0][part.slices], device)
    chroma = list(planes[1:channels])
    finer = 0
    if chroma and chroma[0].shape != planes[0].shape:
        parts = [_enlarged_part(plane, part, device) for plane in chroma]
        finer = 4  # the bits that the weights 3 and 1 of two axes add
    else:
        parts = [_on(plane[part.slices], device) for plane in chroma]
    # The sums stay below 2^30. They are computed in place: new memory costs more than a sum.
    luma = (y * (_factor(1.0, bits) << finer)).add_(1 << _FRACTION + finer - 1)

    def put(channel: int, sums: Tensor) -> None:
        pixels[channel] = sums.bitwise_right_shift_(_FRACTION + finer).clamp_(0, 255)

    if channels == 1:
        put(0, luma)
        return
    u, v = (plane.sub_(1 << bits - 1 + finer) for plane in parts)
    put(0, torch.add(luma, v, alpha=_factor(1.402, bits)))
    green = torch.sub(luma, u, alpha=_factor(0.344136, bits))
    put(1, green.sub_(v, alpha=_factor(0.714136, bits)))
    put(2, luma.add_(u, alpha=_factor(1.772, bits)))


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


def _on(plane: NDArray[np.uint8] | NDArray[np.uint16], device: torch.device) -> Tensor:
    # Samples of 10 bits are the same as int16, which every torch knows.
    plain = plane if plane.dtype == np.uint8 else plane.view(np.int16)
    return torch.from_numpy(plain).to(device).int()


def _enlarged_part(
    plane: NDArray[np.uint8] | NDArray[np.uint16], part: Region, device: torch.device
) -> Tensor:
    """A part of a plane that is half as large, as `_enlarged` gives all of it."""
    # With the samples around it, which the pixels at its edges also read.
    left, top = max(0, part.x // 2 - 1), max(0, part.y // 2 - 1)
    samples = _on(plane[top : part.bottom // 2 + 2, left : part.right // 2 + 2], device)
    x, y = part.x - 2 * left, part.y - 2 * top
    enlarged = _enlarged(samples, (y + part.height, x + part.width))
    return enlarged[y:, x:]


def _enlarged(plane: Tensor, shape: tuple[int, int]) -> Tensor:
    """A plane twice as large on both axes, its values 16 times as large, cut to a shape."""
    for axis in (0, 1):
        n = plane.shape[axis]
        first, last = plane.narrow(axis, 0, 1), plane.narrow(axis, n - 1, 1)
        before = torch.cat([first, plane.narrow(axis, 0, n - 1)], axis)
        after = torch.cat([plane.narrow(axis, 1, n - 1), last], axis)
        both = torch.stack([before + 3 * plane, after + 3 * plane], axis + 1)
        plane = both.flatten(axis, axis + 1).narrow(axis, 0, shape[axis])
    return plane


def _halved(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """The means of 2 x 2 samples; a row or column at an odd end is repeated."""
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    squares = even.reshape((height + 1) // 2, 2, (width + 1) // 2, 2)
    halved: NDArray[np.float64] = squares.mean((1, 3))
    return halved


def _rounded(plane: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.clip(np.round(plane), 0, 1023).astype(np.uint16)

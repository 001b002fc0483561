"""Where pixels are: the one place that owns the pixel-centre convention.

Pixel `i` of an axis of `n` pixels covers [i, i + 1) and is sampled at its centre i + 0.5. An INR
sees its own rectangle (the frame for a background INR, the box's region for an object INR) as
[-1, 1] on both axes, so its pixel centres lie at -1 + (2 i + 1) / n and never on the edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rinrcodec.errors import RinrInputError

__all__ = ["Grid", "normalize"]


def normalize(positions: Tensor, start: Tensor | float, size: Tensor | float) -> Tensor:
    """Map pixel positions in [start, start + size] to [-1, 1]."""
    return (positions - start) * 2 / size - 1


@dataclass(frozen=True, slots=True)
class Grid:
    """The positions at which a frame is decoded: `x` float64 [w] and `y` float64 [h], in pixels.

    They divide the region (x, y, w, h) in whole pixels evenly.
    """

    x: Tensor
    y: Tensor
    region: tuple[int, int, int, int]

    @classmethod
    def of_frame(
        cls,
        width: int,
        height: int,
        *,
        region: tuple[int, int, int, int] | None = None,
        scale: float = 1.0,
    ) -> Grid:
        """The pixel centres of a frame, or of its `region` (x, y, w, h), on a grid `scale` as fine.

        Raises `RinrInputError` for a region that is empty or leaves the frame, or a scale outside
        (0, 16].
        """
        if region is not None and len(region) != 4:
            raise RinrInputError(f"region {region}: want (x, y, w, h) in pixels")
        left, top, w, h = region if region is not None else (0, 0, width, height)
        if not (0 <= left < left + w <= width and 0 <= top < top + h <= height):
            raise RinrInputError(
                f"region (x, y, w, h) = {region} does not lie in the frame of {width}x{height}"
            )
        if not 0 < scale <= 16:
            raise RinrInputError(f"scale={scale}: want more than 0 and at most 16")
        return cls(_centres(left, w, scale), _centres(top, h, scale), (left, top, w, h))

    def inside(self, left: int, top: int, right: int, bottom: int) -> tuple[slice, slice]:
        """The rows and columns of the grid whose positions lie in a region: (y slice, x slice)."""
        return _between(self.y, top, bottom), _between(self.x, left, right)

    def coords(
        self, rows: slice, columns: slice, left: float, top: float, width: float, height: float
    ) -> Tensor:
        """Network input of a part of the grid: float32 [pixels, 2] as (x, y), row by row."""
        x = normalize(self.x[columns], left, width).float()
        y = normalize(self.y[rows], top, height).float()
        return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)


def _centres(start: int, size: int, scale: float) -> Tensor:
    count = max(1, round(size * scale))
    return (torch.arange(count, dtype=torch.float64) + 0.5) * (size / count) + start


def _between(positions: Tensor, start: int, end: int) -> slice:
    edges = torch.searchsorted(positions, torch.tensor([start, end], dtype=torch.float64))
    return slice(int(edges[0]), int(edges[1]))

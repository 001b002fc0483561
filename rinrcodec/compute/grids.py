"""Where pixels are: the one module that knows the pixel-centre convention.

Pixel `i` of an axis of `n` pixels covers [i, i + 1) and is sampled at its centre i + 0.5. An INR
sees its own rectangle (the frame for a background INR, the box's region for an object INR) as
[-1, 1] on both axes, so its pixel centres are at -1 + (2 i + 1) / n and never on the edge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Region
from rinrcodec.compute.arrays import Array, contiguous, is_array, torch_like
from rinrcodec.errors import RinrInputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "EVERYWHERE",
    "Grid",
    "Positions",
    "grid_shape",
    "normalize",
    "resample",
    "resample_bytes",
    "resample_part",
    "resample_region",
]

# All positions of a grid, as (slice of y, slice of x).
EVERYWHERE = (slice(None), slice(None))

_SIGNAL_BYTES = 12  # of a pixel: three channels of float32


def normalize(positions: Array, start: Array | float, size: Array | float) -> Array:
    """Map pixel positions in [start, start + size] to [-1, 1]."""
    normalized = positions - start
    normalized *= 2
    normalized /= size
    normalized -= 1
    return normalized


@dataclass(frozen=True, slots=True)
class Grid:
    """The positions at which a frame is decoded: `x` float64 [w] and `y` float64 [h], in pixels.

    They divide the region evenly.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    region: Region

    @classmethod
    def of_frame(
        cls,
        width: int,
        height: int,
        *,
        region: Region | tuple[int, int, int, int] | None = None,
        scale: float = 1.0,
    ) -> Grid:
        """Return the pixel centres of a frame, or of a region of it, on a grid `scale` as fine.

        Raises `RinrInputError` for a region that is empty or leaves the frame, or a scale outside
        (0, 16].
        """
        asked = _checked(width, height, region, scale)
        x, y = _centres(asked.x, asked.width, scale), _centres(asked.y, asked.height, scale)
        return cls(x, y, asked)

    def inside(self, region: Region) -> tuple[slice, slice]:
        """Return the positions of the grid inside a region: (slice of y, slice of x)."""
        return _between(self.y, region.y, region.bottom), _between(self.x, region.x, region.right)

    def positions(self, region: Region, part: tuple[slice, slice] = EVERYWHERE) -> Positions:
        """Compute network inputs of a part of the grid for a region's INR, when it is sliced."""
        import torch

        x = normalize(self.x[part[1]], region.x, region.width)
        y = normalize(self.y[part[0]], region.y, region.height)
        return Positions(torch.from_numpy(x).float(), torch.from_numpy(y).float())

    def coords(self, region: Region, part: tuple[slice, slice] = EVERYWHERE) -> Tensor:
        """Compute the network input of a part of the grid for the INR of a region.

        Float32 [pixels, 2] as (x, y), line by line; the region is [-1, 1] on both axes.
        """
        return self.positions(region, part)[:]


@dataclass(frozen=True, slots=True)
class Positions:
    """All (x, y) of two axes, line by line, as a tensor [pixels, 2] of which a slice is made.

    Those of a large frame would take half a gigabyte.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x) * len(self.y)

    def __getitem__(self, some: slice) -> Tensor:
        import torch

        start, stop, _ = some.indices(len(self))
        width = max(1, len(self.x))
        if width > stop - start:
            numbers = torch.arange(start, stop, device=self.x.device)
            lines = numbers.div(width, rounding_mode="floor")
            return torch.stack([self.x[numbers - lines * width], self.y[lines]], -1)
        first = start // width
        y = self.y[first : -(-stop // width)]
        whole = torch.stack(torch.meshgrid(self.x, y, indexing="xy"), -1).reshape(-1, 2)
        return whole[start - first * width : stop - first * width]

    def to(self, device: torch.device) -> Positions:
        """Return the same positions on a device."""
        return Positions(self.x.to(device), self.y.to(device))


def grid_shape(
    width: int,
    height: int,
    *,
    region: Region | tuple[int, int, int, int] | None = None,
    scale: float = 1.0,
) -> tuple[int, int]:
    """Return the height and width of `Grid.of_frame` without making it, but with its errors."""
    asked = _checked(width, height, region, scale)
    return _count(asked.height, scale), _count(asked.width, scale)


def _checked(
    width: int, height: int, region: Region | tuple[int, int, int, int] | None, scale: float
) -> Region:
    """Check that a region is inside the frame and that the scale is one; return the region."""
    if region is not None and len(region) != 4:
        raise RinrInputError(f"region {region}: expected (x, y, width, height) in pixels")
    asked = Region(0, 0, width, height) if region is None else Region(*region)
    if not (0 <= asked.x < asked.right <= width and 0 <= asked.y < asked.bottom <= height):
        raise RinrInputError(
            f"region (x, y, width, height) = {tuple(asked)} is not inside the frame of "
            f"{width}x{height}"
        )
    if not isinstance(scale, Real) or not 0 < float(scale) <= 16:
        raise RinrInputError(f"scale={scale!r}: expected more than 0 and at most 16")
    return asked


def _count(size: int, scale: float) -> int:
    return max(1, round(size * scale))


def _centres(start: int, size: int, scale: float) -> NDArray[np.float64]:
    count = _count(size, scale)
    # In place: a line may have millions of positions.
    centres = np.arange(count, dtype=np.float64)
    centres += 0.5
    centres *= size / count
    centres += start
    return centres


def _between(positions: NDArray[np.float64], start: int, end: int) -> slice:
    first, last = np.searchsorted(positions, [start, end]).tolist()
    return slice(first, last)


def resample(signal: Tensor, grid: Grid) -> Tensor:
    """Return the signal [h, w, channels] of a frame on a grid of it; a coarser one averages."""
    return resample_region(signal[grid.region.slices], grid)


def resample_region(part: Tensor, grid: Grid) -> Tensor:
    """Return the signal [h, w, channels] of the region of a grid on the grid."""
    shape = (len(grid.y), len(grid.x))
    if shape == part.shape[:2]:
        return part.contiguous()
    if shape[1] == 1:  # where torch on a CPU gives every line the values of the first
        resampled: Tensor = resample_part(part, grid.region, grid, EVERYWHERE)
        return resampled
    from torch.nn.functional import interpolate

    resized = interpolate(part.permute(2, 0, 1)[None], shape, mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).contiguous()


def resample_bytes(grid: Grid) -> int:
    """Return how many bytes `resample` has in memory at most, for three channels of float32."""
    height, width = len(grid.y), len(grid.x)
    result = _SIGNAL_BYTES * height * width
    if (height, width) == (grid.region.height, grid.region.width):
        return result
    # The region as float32, twice; then lines of the new width, or columns of the new height.
    return 2 * _SIGNAL_BYTES * max(grid.region.area, grid.region.height * width) + 2 * result


def resample_part(signal: Array, region: Region, grid: Grid, part: tuple[slice, slice]) -> Array:
    """Return the signal of a region at a part of a grid, as `resample` does for a frame.

    Args:
        signal: [h, w, channels], one value for each pixel of the region.
        region: Whole pixels of the frame.
        grid: Positions in the frame.
        part: Those of them that are inside the region, as `Grid.inside` gives them.
    """
    y, x = grid.y[part[0]] - region.y, grid.x[part[1]] - region.x
    signal = _interpolated(signal, y, grid.region.height / len(grid.y), axis=0)
    return contiguous(_interpolated(signal, x, grid.region.width / len(grid.x), axis=1))


def _interpolated(
    signal: Array, positions: NDArray[np.float64], step: float, *, axis: int
) -> Array:
    """Interpolate the signal on one axis; positions farther apart than pixels get averages."""
    if step == 1:
        some = slice(int(positions[0]), int(positions[0]) + len(positions))
        return signal[some] if axis == 0 else signal[:, some]
    reach = max(1.0, step)
    centres = positions - 0.5
    first = np.floor(centres - reach).astype(np.int64) + 1
    shape = [1] * signal.ndim
    shape[axis] = len(positions)
    total: Array = 0.0
    weights = np.zeros(shape, np.float32)
    for k in range(math.ceil(2 * reach)):
        index = first + k
        inside = (index >= 0) & (index < signal.shape[axis])
        weight = (1 - np.abs(index - centres) / reach).clip(min=0) * inside
        weight = weight.astype(np.float32).reshape(shape)
        index = index.clip(0, signal.shape[axis] - 1)
        if is_array(signal):
            total = total + weight * signal.take(index, axis)
        else:
            there = torch_like(signal, weight), torch_like(signal, index)
            total = total + there[0] * signal.index_select(axis, there[1])
        weights += weight
    return total / (weights if is_array(signal) else torch_like(signal, weights))

"""`resample_part` gives a region of a grid what `resample` gives a frame there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.boxes import Region
from rinrcodec.compute.grids import Grid, resample, resample_part

SCALES = (0.1, 0.25, 0.5, 0.77, 1.0, 1.5, 2.0, 3.3)


def noise(width: int, height: int, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(width * height)
    return torch.rand(height, width, channels, generator=generator) * 2 - 1


def part_of(signal: torch.Tensor, region: Region, grid: Grid) -> torch.Tensor:
    return resample_part(signal[region.slices], region, grid, grid.inside(region))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(40, 30), (41, 33), (7, 5), (1, 9), (1, 1)])
def test_a_region_of_the_whole_frame_is_the_frame(size: tuple[int, int], scale: float) -> None:
    signal = noise(*size)
    grid = Grid.of_frame(*size, scale=scale)
    assert torch.allclose(
        part_of(signal, Region(0, 0, *size), grid), resample(signal, grid), atol=1e-5
    )


@pytest.mark.parametrize("scale", SCALES)
def test_pixels_far_from_the_edges_are_those_of_the_frame(scale: float) -> None:
    signal, region = noise(60, 50), Region(7, 5, 41, 37)
    grid = Grid.of_frame(60, 50, scale=scale)
    got, wanted = part_of(signal, region, grid), resample(signal, grid)[grid.inside(region)]
    assert got.shape == wanted.shape
    reach = max(1.0, 60 / len(grid.x), 50 / len(grid.y)) + 0.5
    y, x = grid.y[grid.inside(region)[0]], grid.x[grid.inside(region)[1]]
    rows = (y - region.y >= reach) & (region.bottom - y >= reach)
    columns = (x - region.x >= reach) & (region.right - x >= reach)
    assert rows.any()
    assert columns.any()
    assert torch.allclose(got[rows][:, columns], wanted[rows][:, columns], atol=1e-5)


@given(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 19), st.integers(1, 19)),
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 19), st.integers(1, 19)),
    st.sampled_from(SCALES),
)
def test_a_constant_stays_one_anywhere(
    inside: tuple[int, int, int, int], seen: tuple[int, int, int, int], scale: float
) -> None:
    region, grid = Region(*inside), Grid.of_frame(40, 40, region=seen, scale=scale)
    part = grid.inside(region)
    if all(axis.start < axis.stop for axis in part):
        got = resample_part(torch.full((region.height, region.width, 1), 0.25), region, grid, part)
        assert got.shape == (part[0].stop - part[0].start, part[1].stop - part[1].start, 1)
        assert torch.allclose(got, torch.tensor(0.25))
        assert got.is_contiguous()


@pytest.mark.parametrize("scale", SCALES)
def test_arrays_and_tensors_give_the_same(scale: float) -> None:
    signal, region = noise(40, 30), Region(7, 5, 21, 19)
    grid = Grid.of_frame(40, 30, scale=scale)
    array = resample_part(signal.numpy()[region.slices], region, grid, grid.inside(region))
    assert np.array_equal(array, part_of(signal, region, grid).numpy())


def test_at_full_size_the_pixels_are_exact() -> None:
    signal, region = noise(30, 20), Region(3, 4, 11, 9)
    for seen in (None, (0, 0, 8, 8), (5, 6, 20, 3), (13, 12, 1, 1)):
        grid = Grid.of_frame(30, 20, region=seen)
        wanted = resample(signal, grid)[grid.inside(region)]
        assert torch.equal(part_of(signal, region, grid), wanted)


def test_a_seen_part_is_a_part_of_the_whole() -> None:
    signal, region = noise(30, 20), Region(3, 5, 17, 11)
    whole, half = (
        Grid.of_frame(30, 20, scale=0.5),
        Grid.of_frame(30, 20, region=(8, 4, 20, 10), scale=0.5),
    )
    whole_lines, whole_columns = whole.inside(region)
    lines, columns = half.inside(region)
    got, all_of_it = part_of(signal, region, half), part_of(signal, region, whole)
    top = lines.start + 2 - whole_lines.start
    left = columns.start + 4 - whole_columns.start
    assert torch.allclose(
        got, all_of_it[top : top + got.shape[0], left : left + got.shape[1]], atol=1e-6
    )

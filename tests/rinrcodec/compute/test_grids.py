from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rinrcodec.boxes import Region
from rinrcodec.compute.grids import Grid
from rinrcodec.errors import RinrInputError


def test_pixel_centres_are_symmetric_and_never_on_the_edge() -> None:
    coords = Grid.of_frame(4, 2).coords(Region(0, 0, 4, 2)).view(2, 4, 2)
    assert coords[0, :, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert coords[:, 0, 1].tolist() == [-0.5, 0.5]


def test_a_region_has_the_positions_that_the_frame_has_there() -> None:
    frame, region = Grid.of_frame(9, 7), Grid.of_frame(9, 7, region=(2, 3, 4, 2))
    assert np.array_equal(region.x, frame.x[2:6])
    assert np.array_equal(region.y, frame.y[3:5])


@pytest.mark.parametrize(("scale", "size"), [(0.5, 5), (2.0, 20), (0.01, 1)])
def test_scale_covers_the_same_extent(scale: float, size: int) -> None:
    grid = Grid.of_frame(10, 10, scale=scale)
    assert len(grid.x) == size
    assert float(grid.x.mean()) == pytest.approx(5)


def test_inside_takes_the_positions_in_a_half_open_region() -> None:
    grid = Grid.of_frame(10, 8)
    assert grid.inside(Region(2, 1, 3, 7)) == (slice(1, 8), slice(2, 5))
    part = Grid.of_frame(10, 8, region=(4, 0, 3, 8))
    lines, columns = part.inside(Region(0, 0, 2, 2))
    assert columns.start == columns.stop
    assert lines == slice(0, 2)


@pytest.mark.parametrize("region", [(0, 0, 0, 1), (-1, 0, 2, 2), (8, 0, 3, 1), (0, 8, 1, 1)])
def test_a_region_outside_the_frame_is_refused(region: tuple[int, int, int, int]) -> None:
    with pytest.raises(RinrInputError, match="10x8"):
        Grid.of_frame(10, 8, region=region)


@pytest.mark.parametrize("scale", [0.0, -1.0, 17.0, float("nan"), "x", None])
def test_a_scale_out_of_range_is_refused(scale: Any) -> None:
    with pytest.raises(RinrInputError, match="scale"):
        Grid.of_frame(10, 8, scale=scale)

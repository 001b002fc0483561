"""Regions: one form of rectangles, from a box to a crop."""

from __future__ import annotations

import numpy as np
import pytest

from rinrcodec import Box, Region

FRAME = Region(0, 0, 40, 30)


@pytest.mark.parametrize(
    ("box", "region"),
    [
        (Box(0, 10, 6, 12, 9), Region(10, 6, 12, 9)),
        (Box(0, 10.5, 6.2, 1, 1), Region(10, 6, 2, 2)),  # grown outwards to whole pixels
        (Box(0, -5, -5, 10, 10), Region(0, 0, 5, 5)),  # clipped to the frame
        (Box(0, 35, 25, 1e300, 1e300), Region(35, 25, 5, 5)),
        (Box(0, 50, 6, 2, 2), Region(0, 0, 0, 0)),  # outside
        (Box(0, 5, 6, 0, 9), Region(0, 0, 0, 0)),  # without area
    ],
)
def test_the_region_of_a_box(box: Box, region: Region) -> None:
    assert box.region(FRAME.width, FRAME.height) == region


def test_edges_and_area() -> None:
    region = Region(10, 6, 12, 9)
    assert (region.right, region.bottom, region.area) == (22, 15, 108)
    assert Region(3, 4, 0, 5).area == 0


def test_slices_cut_the_region_out_of_pixels() -> None:
    pixels = np.arange(30 * 40).reshape(30, 40)
    region = Region(10, 6, 12, 9)
    crop = pixels[region.slices]
    assert crop.shape == (9, 12)
    assert crop[0, 0] == pixels[6, 10]


def test_around_holds_all_of_them_and_inside_counts_from_its_corner() -> None:
    parts = [Region(10, 6, 12, 9), Region(2, 8, 3, 20)]
    around = Region.around(parts)
    assert around == Region(2, 6, 20, 22)
    pixels = np.arange(30 * 40).reshape(30, 40)
    for part in parts:
        assert (pixels[around.slices][part.inside(around).slices] == pixels[part.slices]).all()

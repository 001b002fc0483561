"""Atlases: rectangles side by side, residuals in their cells, and objects followed over time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.boxes import Region
from rinrcodec.families.av1.atlas import filled, overlap, packed, tracks

sizes = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=60)


@given(sizes)
def test_packed_rectangles_are_inside_and_apart(sizes: list[tuple[int, int]]) -> None:
    (width, height), corners = packed(sizes)
    assert len(corners) == len(sizes)
    taken = np.zeros((height, width), np.int32)
    for (x, y), (w, h) in zip(corners, sizes, strict=True):
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        taken[y : y + h, x : x + w] += 1
    assert taken.max() == 1
    assert taken[:, -1].any()
    assert taken[-1].any()
    assert packed(sizes) == ((width, height), corners)


def test_many_small_rectangles_are_about_a_square() -> None:
    rng = np.random.default_rng(0)
    sizes = [(int(w), int(h)) for w, h in rng.integers(4, 24, (200, 2))]
    (width, height), _ = packed(sizes)
    assert 0.5 < width / height < 2
    assert width * height < 1.25 * sum(w * h for w, h in sizes)


@pytest.mark.parametrize("size", [(1, 1), (300, 1), (1, 300)])
def test_one_rectangle_fills_its_picture(size: tuple[int, int]) -> None:
    assert packed([size]) == (size, [(0, 0)])


def test_cells_hold_their_samples_and_gaps_the_picture_below() -> None:
    samples = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    below = np.full((1, 1, 3), 128, np.uint8)
    picture = filled((5, 4), [(Region(1, 1, 2, 2), samples)], below)
    assert picture.shape == (4, 5, 3)
    assert np.array_equal(picture[1:3, 1:3], samples)
    picture[1:3, 1:3] = 128
    assert (picture == 128).all()


def test_samples_smaller_than_their_cell_are_continued() -> None:
    samples = np.array([[1, 2], [3, 4]], np.uint8)[..., None]
    before = np.full((3, 5, 1), 9, np.uint8)
    picture = filled((5, 3), [(Region(0, 0, 4, 3), samples)], before)[..., 0]
    assert picture.tolist() == [[1, 2, 2, 2, 9], [3, 4, 4, 4, 9], [3, 4, 4, 4, 9]]
    assert (before == 9).all()


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        ((0, 0, 4, 4), (0, 0, 4, 4), 1.0),
        ((0, 0, 4, 4), (4, 0, 4, 4), 0.0),
        ((0, 0, 4, 4), (9, 9, 1, 1), 0.0),
        ((0, 0, 4, 4), (2, 0, 4, 4), 1 / 3),
        ((0, 0, 4, 4), (1, 1, 2, 2), 0.25),
    ],
)
def test_overlap_is_symmetric(a: tuple[int, ...], b: tuple[int, ...], wanted: float) -> None:
    one, other = Region(*a), Region(*b)
    assert overlap(one, other) == overlap(other, one) == pytest.approx(wanted)


def test_an_object_that_moves_slowly_is_one_track() -> None:
    frames = [[Region(2 * k, 0, 20, 20), Region(100 - 2 * k, 50, 10, 30)] for k in range(5)]
    assert tracks(frames) == [[0, 1]] * 5
    assert tracks([frame[:: (-1) ** k] for k, frame in enumerate(frames)]) == [
        [0, 1],
        [1, 0],
        [0, 1],
        [1, 0],
        [0, 1],
    ]


def test_objects_that_cross_stay_apart() -> None:
    frames = [[Region(6 * k, 0, 30, 20), Region(60 - 6 * k, 4, 12, 30)] for k in range(11)]
    numbers = tracks(frames)
    assert numbers == [[0, 1]] * 11


def test_an_object_that_returns_is_a_new_track() -> None:
    box = Region(5, 5, 10, 10)
    assert tracks([[box], [], [box], [box]]) == [[0], [], [1], [1]]


def test_equal_boxes_are_two_tracks() -> None:
    box = Region(5, 5, 10, 10)
    assert tracks([[box, box]] * 3) == [[0, 1]] * 3
    assert tracks([[box], [box, box], [box]]) == [[0], [0, 1], [0]]


def test_an_object_that_jumps_is_a_new_track() -> None:
    assert tracks([[Region(0, 0, 10, 10)], [Region(8, 0, 10, 10)]]) == [[0], [1]]
    assert tracks([[Region(0, 0, 10, 10)], [Region(8, 0, 10, 10)]], least=0.1) == [[0], [0]]
    assert tracks([]) == []
    assert tracks([[], []]) == [[], []]


boxes = st.builds(
    Region, st.integers(0, 30), st.integers(0, 30), st.integers(1, 20), st.integers(1, 20)
)


@given(st.lists(st.lists(boxes, max_size=6), max_size=6))
def test_a_track_has_one_region_in_a_frame_and_no_gaps(frames: list[list[Region]]) -> None:
    numbers = tracks(frames)
    assert [len(one) for one in numbers] == [len(frame) for frame in frames]
    where: dict[int, list[tuple[int, Region]]] = {}
    for k, (ids, frame) in enumerate(zip(numbers, frames, strict=True)):
        assert len(set(ids)) == len(ids)
        for track, region in zip(ids, frame, strict=True):
            where.setdefault(track, []).append((k, region))
    assert sorted(where) == list(range(len(where)))
    for its in where.values():
        for (k, a), (n, b) in pairwise(its):
            assert n == k + 1
            assert overlap(a, b) >= 0.3

"""Masks: the rule for edges, unions, run lengths of COCO, and what cannot be drawn."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError, RinrFormatError
from rinrcodec.pack import Frame, InrRef
from rinrcodec.plugins import _torch_masks
from rinrcodec.plugins._torch_masks import decode_rle, has_outline, masks_of, polygon_mask

SQUARE = (1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0)


def frame_of(*boxes: Box, width: int = 6, height: int = 5) -> Frame:
    return Frame("f.png", width, height, InrRef(0, 0), boxes=boxes, objects=(None,) * len(boxes))


def inside(polygon: tuple[float, ...], x: float, y: float) -> bool:
    """The even-odd rule, point by point: how many edges are to the left of a point."""
    points = [(polygon[i], polygon[i + 1]) for i in range(0, len(polygon), 2)]
    crossings = 0
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) / (y1 - y0) * (x1 - x0) <= x:
            crossings += 1
    return crossings % 2 == 1


def test_a_pixel_is_inside_if_its_centre_is() -> None:
    mask = polygon_mask(SQUARE, 6, 4)
    assert mask.dtype == np.uint8
    expected = np.zeros((4, 6), np.uint8)
    expected[1:3, 1:4] = 1
    assert np.array_equal(mask, expected)
    # Half a pixel further, the centres on the left edge are inside and those on the right are not.
    moved = polygon_mask(tuple(v + 0.5 for v in SQUARE), 6, 4)
    assert np.array_equal(moved, expected)
    moved = polygon_mask(tuple(v + 0.51 for v in SQUARE), 6, 4)
    assert np.array_equal(moved, np.roll(expected, (1, 1), (0, 1)))


# Multiples of 1/8 and odd offsets: no centre is on an edge but by equal coordinates.
numbers = st.integers(-40, 120).map(lambda n: n / 8)


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, min_size=6, max_size=16).filter(lambda v: len(v) % 2 == 0))
def test_masks_equal_the_rule_point_by_point(values: list[float]) -> None:
    polygon = tuple(values)
    mask = polygon_mask(polygon, 11, 9)
    for y, x in np.ndindex(9, 11):
        assert mask[y, x] == inside(polygon, x + 0.5, y + 0.5), (x, y)


def test_shapes_that_share_an_edge_share_no_pixel() -> None:
    left = polygon_mask((0, 0, 3.3, 0, 5.7, 9, 0, 9), 10, 9)
    right = polygon_mask((3.3, 0, 10, 0, 10, 9, 5.7, 9), 10, 9)
    assert np.array_equal(left + right, np.ones((9, 10)))


@pytest.mark.parametrize(
    ("polygon", "pixels"),
    [
        ((-50, -50, 50, -50, 50, 50, -50, 50), 20),  # all of the picture
        ((9, 9, 12, 9, 12, 12), 0),
        ((1e300, 0, 1e300, 5, -1e300, 5, -1e300, 0), 20),
        ((2, 2, 2, 2, 2, 2), 0),
        ((0.6, 0.6, 1.4, 0.6, 1.4, 1.4, 0.6, 1.4), 0),  # it covers no centre
    ],
)
def test_odd_polygons(polygon: tuple[float, ...], pixels: int) -> None:
    assert polygon_mask(polygon, 5, 4).sum() == pixels


def test_parts_are_joined_and_a_box_without_outline_is_its_rectangle() -> None:
    parts = ((0.0, 0.0, 2.0, 0.0, 2.0, 2.0, 0.0, 2.0), (1.0, 1.0, 3.0, 1.0, 3.0, 3.0, 1.0, 3.0))
    masks = masks_of(frame_of(Box(0, 0, 0, 3, 3, polygons=parts), Box(0, 4, 0, 2, 5)))
    assert masks.shape == (2, 5, 6)
    assert masks[0].sum() == 4 + 4 - 1
    assert masks[1].sum() == 10
    assert masks[1][:, 4:].all()
    assert masks_of(frame_of()).shape == (0, 5, 6)


def compressed(counts: list[int]) -> str:
    """COCO's text of counts: differences to the count two before, five bits at a time."""
    text = ""
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
            if not more:
                break
    return text


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0.01, 0.99))
def test_run_lengths_give_the_mask(width: int, height: int, seed: int, share: float) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    runs = [(value, len(list(group))) for value, group in itertools.groupby(mask.T.ravel())]
    counts = [0] * int(runs[0][0]) + [n for _, n in runs]
    for form in (counts, compressed(counts)):
        decoded = decode_rle({"size": [height, width], "counts": form}, width, height)
        assert np.array_equal(decoded, mask)


def test_the_text_of_coco_is_read() -> None:
    # 18 zeros take two characters, since the highest bit of five is the sign.
    assert compressed([18, 4, 6, 4, 100]) == "b0460n2"
    assert decode_rle({"size": [2, 17], "counts": "b0462"}, 17, 2).sum() == 10


@pytest.mark.parametrize(
    "rle",
    [
        {},
        {"size": [5, 6]},
        {"size": [6, 5], "counts": [30]},
        {"size": [5, 6], "counts": [29]},
        {"size": [5, 6], "counts": [31]},
        {"size": [5, 6], "counts": [-1, 31]},
        {"size": [5, 6], "counts": [15.0, 15]},
        {"size": [5, 6], "counts": [True, 29]},
        {"size": [5, 6], "counts": "P"},
        {"size": [5, 6], "counts": "o" * 99},
        {"size": [5, 6], "counts": "\u20ac"},
        {"size": [5, 6], "counts": None},
    ],
    ids=str,
)
def test_run_lengths_that_cannot_be_drawn_name_the_frame(rle: dict[str, Any]) -> None:
    box = Box(0, 0, 0, 2, 2, attributes={"segmentation": rle})
    assert has_outline(box)
    with pytest.raises(RinrFormatError, match=r"frame 'f\.png': a label has run lengths that"):
        masks_of(frame_of(box))


def reference_mask(polygon: np.ndarray[Any, Any], width: int, height: int) -> np.ndarray[Any, Any]:
    """The same rule row by row, for all edges at once."""
    ends = np.roll(polygon, -1, 0)
    mask = np.zeros((height, width), np.uint8)
    for row in range(height):
        y = row + 0.5
        hit = (polygon[:, 1] <= y) != (ends[:, 1] <= y)
        (x0, y0), (x1, y1) = polygon[hit].T, ends[hit].T
        xs = np.sort(x0 + (y - y0) / (y1 - y0) * (x1 - x0))
        mask[row] = np.searchsorted(xs, np.arange(width) + 0.5, "right") % 2
    return mask


@pytest.mark.parametrize("block", [1, 7, 1000, 10**9])
def test_blocks_of_edges_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_torch_masks, "_BLOCK", block)
    polygon = np.random.default_rng(0).uniform(-20, 120, (500, 2))
    mask = polygon_mask(tuple(polygon.flatten()), 100, 90)
    assert np.array_equal(mask, reference_mask(polygon, 100, 90))


def test_many_edges_over_many_rows_take_little_memory() -> None:
    n, width, height = 2000, 300, 4000  # 8,000,000 crossings, over 250 MB if all were kept
    rng = np.random.default_rng(1)
    zigzag = np.stack([rng.uniform(0, width, n), np.tile([0.0, height], n // 2)], 1)
    points = tuple(zigzag.flatten().tolist())
    tracemalloc.start()
    try:
        mask = polygon_mask(points, width, height)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 50e6
    assert np.array_equal(mask[:3], reference_mask(zigzag, width, 3))


def test_masks_of_more_bytes_than_allowed_name_the_frame() -> None:
    boxes = [Box(0, 0, 0, 1, 1)] * 3
    with pytest.raises(
        RinrError,
        match=r"frame 'f\.png': masks of 3 boxes in 40000 x 30000 take 3,600,000,000 bytes, .*"
        "masks=False",
    ):
        masks_of(frame_of(*boxes, width=40_000, height=30_000))

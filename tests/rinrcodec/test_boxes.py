"""Regions, one form of rectangles from a box to a crop; and all else that a label says."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from rinrcodec import Box, Region
from rinrcodec.errors import RinrInputError

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


def test_around_holds_all_regions_and_inside_is_relative_to_it() -> None:
    parts = [Region(10, 6, 12, 9), Region(2, 8, 3, 20)]
    around = Region.around(parts)
    assert around == Region(2, 6, 20, 22)
    pixels = np.arange(30 * 40).reshape(30, 40)
    for part in parts:
        assert (pixels[around.slices][part.inside(around).slices] == pixels[part.slices]).all()


OUTLINE = (1.0, 2.0, 3.0, 4.0, 5.0, 6.5)


def full() -> Box:
    return Box(
        1,
        *(10.5, 20.0, 30.0, 40.0),
        polygons=(OUTLINE, (*OUTLINE, 7.0, 8.0)),
        keypoints=((12.0, 25.0, 2.0), (0.0, 0.0, 0.0)),
        track_id=7,
        score=0.5,
        crowd=True,
        difficult=True,
        attributes={"occluded": True, "tags": ["a"]},
    )


def test_extras_keep_given_values() -> None:
    box = full()
    assert list(box.extras) == [field.name for field in dataclasses.fields(Box)][5:]
    assert Box(1, 10.5, 20.0, 30.0, 40.0, **box.extras) == box
    assert Box(1, 2, 3, 4, 5).extras == {}
    assert Box(1, 2, 3, 4, 5, track_id=0, score=0.0).extras == {"track_id": 0, "score": 0.0}


def test_representations_show_what_is_given() -> None:
    assert repr(Box(1, 2, 3, 4, 5)) == "Box(class_id=1, x=2, y=3, w=4, h=5)"
    assert eval(repr(full())) == full()


def test_copies_hashes_and_pickles() -> None:
    box = full()
    assert pickle.loads(pickle.dumps(box)) == box
    assert copy.deepcopy(box) == box
    assert dataclasses.replace(box, x=1.0).extras == box.extras
    assert dataclasses.replace(box, score=None) != box
    assert hash(full()) == hash(box)
    assert len({box, full(), Box(1, 10.5, 20.0, 30.0, 40.0)}) == 2
    assert dataclasses.replace(box, attributes={}) != box


def test_lists_and_numpy_numbers_become_plain_values() -> None:
    box = Box(
        np.int64(1),
        *np.array([10.5, 20, 30, 40]),
        polygons=[np.array(OUTLINE), [*OUTLINE, np.float32(7), 8]],
        keypoints=np.array([[12, 25, 2], [0, 0, 0]]),
        track_id=np.uint8(7),
        score=np.float64(0.5),
        crowd=1,
        difficult=np.True_,
        attributes=MappingProxyType({"occluded": True, "tags": ["a"]}),
    )
    assert box == full()
    assert hash(box) == hash(full())
    assert repr(box.extras) == repr(full().extras)
    assert pickle.loads(pickle.dumps(box)) == full()


def test_empty_values_are_none() -> None:
    plain = Box(1, 2, 3, 4, 5)
    empty = Box(1, 2, 3, 4, 5, polygons=[], keypoints=np.zeros((0, 3)), crowd=0, attributes={})
    assert empty == plain
    assert hash(empty) == hash(plain)


def test_boxes_do_not_share_their_attributes() -> None:
    given = {"a": 1}
    box = Box(1, 2, 3, 4, 5, attributes=given)
    given["a"] = 2
    assert box.attributes == {"a": 1}
    assert Box(1, 2, 3, 4, 5).attributes is not Box(1, 2, 3, 4, 5).attributes


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ({"polygons": [(1, 2, 3, 4)]}, "at least 3 points, got 4 numbers"),
        ({"polygons": [(1, 2, 3, 4, 5, 6, 7)]}, "at least 3 points, got 7 numbers"),
        ({"polygons": OUTLINE}, r"polygons are a list of lists of numbers, got \(1.0, 2.0"),
        ({"polygons": 3}, "polygons are a list of lists"),
        ({"polygons": [(*OUTLINE[:5], math.nan)]}, "polygons need finite numbers, got nan"),
        ({"polygons": [(*OUTLINE[:5], "6")]}, "polygons need finite numbers, got '6'"),
        ({"polygons": [(*OUTLINE[:5], 10**400)]}, "polygons need finite numbers, got 10000"),
        ({"keypoints": [(1, 2), (1, 2, 3)]}, r"each needs 3, got \[2, 3\] numbers"),
        ({"keypoints": [(1, 2, 3, 4)]}, r"each needs 3, got \[4\] numbers"),
        ({"keypoints": [(1, 2, None)]}, "keypoints need finite numbers, got None"),
        ({"track_id": 2**63}, "track_id is an integer of 64 bits, got 9223372036854775808"),
        ({"track_id": 1.0}, "track_id is an integer of 64 bits, got 1.0"),
        ({"track_id": True}, "track_id is an integer of 64 bits, got True"),
        ({"score": math.inf}, "score needs a finite number, got inf"),
        ({"score": "high"}, "score needs a finite number, got 'high'"),
        ({"crowd": 2}, "crowd is True or False, got 2"),
        ({"difficult": None}, "difficult is True or False, got None"),
        ({"attributes": [("a", 1)]}, r"attributes map names to values, got \[\('a', 1\)\]"),
        ({"attributes": []}, r"attributes map names to values, got \[\]"),
    ],
)
def test_wrong_extras_are_refused(extras: dict[str, Any], message: str) -> None:
    with pytest.raises(RinrInputError, match=message) as caught:
        Box(1, 2, 3, 4, 5, **extras)
    assert len(str(caught.value)) < 200

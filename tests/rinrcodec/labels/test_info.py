"""What the info of a pack says of its labels; it may be anything, as files may be hostile."""

from __future__ import annotations

import re

import pytest

from rinrcodec.errors import RinrFormatError
from rinrcodec.labels.info import classes_of, differing_class, info_of, kpt_shape_of, task_of


def test_round_trip() -> None:
    info = info_of({0: "höhe", 2: 'a "b"'}, "pose", (17, 3))
    assert classes_of(info) == {0: "höhe", 1: "class_1", 2: 'a "b"'}
    assert task_of(info) == "pose"
    assert kpt_shape_of(info) == (17, 3)


def test_usual_values_need_no_entry() -> None:
    assert info_of({}) == {}
    assert (classes_of({}), task_of({}), kpt_shape_of({})) == ({}, "detect", None)


@pytest.mark.parametrize(
    "names", ["", "car", '"car"', "[1]", '{"0":"car"}', "[" * 10_000, '["\\ud800"]', "[],"]
)
def test_wrong_class_names(names: str) -> None:
    with pytest.raises(RinrFormatError, match=r"its (class )?names (is|are) no") as caught:
        classes_of({"names": names})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("task", ["", "Detect", "classify", "x" * 1000])
def test_unknown_tasks(task: str) -> None:
    with pytest.raises(RinrFormatError, match=r"its task is .* expected one of detect, segment"):
        task_of({"task": task})


@pytest.mark.parametrize(
    "shape",
    [
        *("", "17", "[17]", "[17,4]", "[0,3]", "[17,2.0]", "[true,3]", '["17",3]', "[1e9,3]"),
        *("[1001,3]", "[17,3,1]", "[NaN,3]", f"[1{'0' * 5000},3]"),
    ],
)
def test_wrong_keypoint_shapes(shape: str) -> None:
    with pytest.raises(RinrFormatError, match=r"its kpt_shape is (not JSON|.*, expected)"):
        kpt_shape_of({"kpt_shape": shape})


def test_messages_show_the_entry() -> None:
    with pytest.raises(RinrFormatError, match=re.escape("'[17,'")):
        kpt_shape_of({"kpt_shape": "[17,"})


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({}, {0: "car"}, None),
        ({0: "car"}, {1: "dog"}, None),
        ({0: "car"}, {0: "car", 1: "dog"}, None),
        ({0: "car", 1: "class_1"}, {0: "car", 1: "dog"}, None),
        ({0: "car", 1: "dog"}, {0: "dog", 1: "car"}, 0),
        ({0: "car", 1: "class_2"}, {0: "car", 1: "dog"}, 1),
    ],
)
def test_differing_class(one: dict[int, str], other: dict[int, str], found: int | None) -> None:
    assert differing_class(one, other) == differing_class(other, one) == found

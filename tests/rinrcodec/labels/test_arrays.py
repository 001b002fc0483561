"""Boxes in arrays become boxes, and what is wrong with them is said with picture and row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.labels.arrays import boxes_of_pictures

CLASSES = {0: "car", 5: "person"}
ROW = [5, 10, 20, 30, 40]
BOX = Box(5, 10, 20, 30, 40)


def boxes_of(boxes: Any, n_pictures: int = 1, **options: Any) -> list[tuple[Box, ...]]:
    return boxes_of_pictures(boxes, n_pictures, classes=CLASSES, **options)


@pytest.mark.parametrize(
    "boxes",
    [
        [BOX],
        (BOX,),
        [ROW],
        np.array([ROW]),
        np.array([ROW], np.float32),
        torch.tensor([ROW]),
        [tuple(ROW)],
    ],
)
def test_boxes_arrays_tensors_and_rows_are_the_same(boxes: Any) -> None:
    assert boxes_of([boxes]) == [(BOX,)]


@pytest.mark.parametrize(
    ("box_format", "values"),
    [("xywh", [10, 20, 30, 40]), ("xyxy", [10, 20, 40, 60]), ("cxcywh", [25, 40, 30, 40])],
)
@pytest.mark.parametrize(
    "class_ids", [[5], ["person"], np.array([5]), np.array(["person"]), torch.tensor([5.0])]
)
def test_formats_and_classes_apart(box_format: str, values: list[float], class_ids: Any) -> None:
    options = {"box_format": box_format}
    rows = np.array([values], float)
    assert boxes_of([rows], class_ids=[class_ids], **options) == [(BOX,)]
    assert boxes_of([[[5, *values]]], **options) == [(BOX,)]


def test_pictures_without_boxes_are_as_empty_as_they_were_given() -> None:
    empty = [[], (), np.zeros((0, 5)), np.zeros((0, 4)), np.array([]), torch.zeros(0, 4)]
    assert boxes_of(empty, len(empty)) == [()] * len(empty)
    assert boxes_of(empty, len(empty), class_ids=[[]] * len(empty)) == [()] * len(empty)


@given(
    st.lists(st.tuples(st.integers(0, 99), *[st.floats(0, 5000, width=32)] * 3, st.floats(2, 5000)))
)
def test_values_are_kept_exactly(rows: list[tuple[Any, ...]]) -> None:
    assert boxes_of([np.array(rows, np.float64)]) == [tuple(Box(*row) for row in rows)]


@pytest.mark.parametrize(
    ("boxes", "options", "message"),
    [
        (np.array([ROW]), {}, r"boxes is one array \(1, 5\): .*as in \[array\]"),
        ("none", {}, "expected one list"),
        ([[ROW], [ROW]], {}, "2 lists of boxes for 1 pictures"),
        ([np.zeros((2, 6))], {}, r"boxes of picture 0: an array \[2, 6\]"),
        ([np.array(ROW)], {}, r"an array \[5\]"),
        ([np.array([["a"] * 5])], {}, "expected one list of rinrcodec.Box"),
        ([[ROW, ROW[:4]]], {}, "no array of numbers"),
        ([torch.zeros(1, 5, requires_grad=True)], {}, "no array of numbers"),
        ([[BOX, ROW]], {}, "expected one list|no array"),
        ([None], {}, "expected one list"),
        ([[[5, 1, 2, np.nan, 4]]], {}, "picture 0, row 0: a number is not finite"),
        ([[ROW, [1.5, 10, 20, 3, 4]]], {}, "row 1: the class is 1.5"),
        ([[[-1, 10, 20, 3, 4]]], {}, "the class is -1"),
        ([[[1, 10, 20, -3, 4]]], {}, "a width or height below 0: -3, 4"),
        ([[[1, 10, 20, 3, 40]]], {"box_format": "xyxy"}, 'say box_format="xywh"'),
        ([[ROW]], {"box_format": "yolo"}, "box_format='yolo': expected one of 'xywh'"),
        ([[ROW[1:]]], {}, "has no classes; give class_ids="),
        ([[ROW]], {"class_ids": [[5]]}, r"an array \[1, 5\] has classes"),
        ([[BOX]], {"class_ids": [[5]]}, "class_ids are for arrays"),
        ([[ROW[1:]]], {"class_ids": [[5, 6]]}, r"class_ids=\[5, 6\] for 1 boxes"),
        ([[ROW[1:]]], {"class_ids": [5]}, "class_ids=5 for 1 boxes"),
        ([[ROW[1:]]], {"class_ids": [["person"]] * 2}, "for each of the 1 pictures"),
        ([[ROW[1:]]], {"class_ids": [["dog"]]}, "the class 'dog' is not in classes"),
        ([[ROW[1:]]], {"class_ids": [[True]]}, "the class is True"),
        ([[[5, 0.5, 0.5, 0.25, 1.0]]], {}, "no coordinate is above 1, as in the labels of YOLO"),
    ],
)
def test_wrong_boxes_get_a_short_error(boxes: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RinrInputError, match=message) as error:
        boxes_of(boxes, **options)
    assert len(str(error.value)) < 400

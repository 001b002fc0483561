"""Boxes in arrays, as NumPy, supervision and Ultralytics have them, for `rinrcodec.encode`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError

__all__ = ["BoxFormat", "boxes_of_pictures"]

BoxFormat = Literal["xywh", "xyxy", "cxcywh"]

_NEED = "expected one list of rinrcodec.Box, or one array, for every picture"


def boxes_of_pictures(
    boxes: Sequence[Any],
    n_pictures: int,
    *,
    class_ids: Sequence[Any] | None = None,
    classes: Mapping[int, str],
    box_format: BoxFormat = "xywh",
) -> list[tuple[Box, ...]]:
    """Return the boxes of every picture.

    Args:
        boxes: For each picture a sequence of `Box`, or an array [n, 5] of class id and rectangle,
            or [n, 4] of rectangles alone.
        n_pictures: How many pictures there are.
        class_ids: For each picture the class of every rectangle of an array [n, 4], as an id or as
            a name in `classes`.
        classes: The names of the classes by their ids.
        box_format: Of the rectangles in arrays, in pixels: "xywh" with the top-left corner,
            "xyxy" with two corners, or "cxcywh" with the centre.

    Raises:
        RinrInputError: Anything is not as above; the message names the picture and the row.
    """
    if box_format not in get_args(BoxFormat):
        formats = ", ".join(map(repr, get_args(BoxFormat)))
        raise RinrInputError(f"box_format={box_format!r}: expected one of {formats}")
    if _shape(boxes) == 2:
        raise RinrInputError(f"boxes is one array {np.shape(boxes)}: {_NEED}, as in [array]")
    if not _is_list(boxes):
        raise RinrInputError(f"boxes={_short(boxes)}: {_NEED}")
    if len(boxes) != n_pictures:
        raise RinrInputError(f"{len(boxes)} lists of boxes for {n_pictures} pictures")
    if class_ids is not None and (not _is_list(class_ids) or len(class_ids) != n_pictures):
        raise RinrInputError(
            f"class_ids={_short(class_ids)}: expected one list of classes for each of the "
            f"{n_pictures} pictures"
        )
    ids = {name: key for key, name in classes.items()}
    result, largest = [], []
    for number, given in enumerate(boxes):
        where = f"boxes of picture {number}"
        if _are_boxes(given) and (class_ids is None or len(given)):
            if class_ids is not None:
                raise RinrInputError(f"{where}: class_ids are for arrays; a Box has its class_id")
            result.append(tuple(given))
            continue
        array = _numbers(given, where)
        mine = None if class_ids is None else class_ids[number]
        result.append(tuple(_boxes(array, mine, ids, box_format, where)))
        if len(array):
            largest.append(array[:, -4:].max())
    if largest and max(largest) <= 1:
        raise RinrInputError(
            "boxes: no coordinate is above 1, as in the labels of YOLO; arrays need pixels: "
            "multiply x by the width of the picture and y by its height"
        )
    return result


def _boxes(
    array: NDArray[np.float64],
    class_ids: Any,
    ids: Mapping[str, int],
    box_format: BoxFormat,
    where: str,
) -> list[Box]:
    if class_ids is None:
        if len(array) and array.shape[1] == 4:
            raise RinrInputError(
                f"{where}: an array [{len(array)}, 4] has no classes; give class_ids=, or arrays "
                "[n, 5] whose first column is the class id"
            )
        given: list[Any] = array[:, 0].tolist()
    else:
        if len(array) and array.shape[1] == 5:
            raise RinrInputError(
                f"{where}: an array [{len(array)}, 5] has classes; leave class_ids out, or give "
                "the last four columns"
            )
        given = class_ids.tolist() if hasattr(class_ids, "tolist") else class_ids
        if not _is_list(given) or len(given) != len(array):
            raise RinrInputError(
                f"{where}: class_ids={_short(given)} for {len(array)} boxes: expected one for each"
            )
    boxes = []
    for row, (name, values) in enumerate(zip(given, array[:, -4:].tolist(), strict=True)):
        spot = f"{where}, row {row}"
        class_id = _class_id(name, ids, spot)
        boxes.append(Box(class_id, *_xywh(values, box_format, spot)))
    return boxes


def _class_id(given: Any, ids: Mapping[str, int], spot: str) -> int:
    if isinstance(given, str):
        if given not in ids:
            raise RinrInputError(f"{spot}: the class {given!r} is not in classes {_short([*ids])}")
        return ids[given]
    whole = isinstance(given, Integral) or (isinstance(given, float) and given.is_integer())
    if not whole or isinstance(given, bool) or given < 0:
        raise RinrInputError(
            f"{spot}: the class is {_short(given)}: expected a whole number of 0 or more, or a "
            "name; arrays [n, 5] have it in their first column"
        )
    return int(given)


def _xywh(values: Sequence[float], box_format: BoxFormat, spot: str) -> tuple[float, ...]:
    a, b, c, d = values
    if box_format == "xyxy":
        if c < a or d < b:
            raise RinrInputError(
                f"{spot}: {a:g}, {b:g}, {c:g}, {d:g}: x2 and y2 must not be below x1 and y1; of "
                'x, y, width, height say box_format="xywh"'
            )
        return a, b, c - a, d - b
    if c < 0 or d < 0:
        raise RinrInputError(f"{spot}: a width or height below 0: {c:g}, {d:g}")
    if box_format == "cxcywh":
        return a - c / 2, b - d / 2, c, d
    return a, b, c, d


def _numbers(given: Any, where: str) -> NDArray[np.float64]:
    """Return an array [n, 4] or [n, 5] of finite numbers; an empty one is [0, 4]."""
    try:
        raw = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        # Of torch, for a tensor on a GPU or with a gradient; of NumPy, for rows of unequal length.
        raise RinrInputError(f"{where}: no array of numbers ({error}); {_NEED}") from error
    if raw.dtype.kind not in "iuf":
        raise RinrInputError(f"{where}: {_short(given)}: {_NEED}")
    if raw.size == 0:
        return np.zeros((0, 4))
    if raw.ndim != 2 or raw.shape[1] not in (4, 5):
        raise RinrInputError(
            f"{where}: an array {list(raw.shape)}: expected [n, 5] of class id and rectangle, or "
            "[n, 4] of rectangles with class_ids="
        )
    array = raw.astype(np.float64)
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise RinrInputError(f"{where}, row {row}: a number is not finite: {array[row].tolist()}")
    return array


def _are_boxes(given: object) -> bool:
    return isinstance(given, Sequence) and all(isinstance(box, Box) for box in given)


def _is_list(given: object) -> bool:
    """Return whether a value is a sequence, or an array with dimensions, and not text."""
    if isinstance(given, (str, bytes)):
        return False
    return isinstance(given, Sequence) or bool(_shape(given))


def _shape(given: object) -> int:
    """Return the number of dimensions of an array or tensor; 0 for anything else."""
    return getattr(given, "ndim", 0)


def _short(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 80 else f"{text[:77]}..."

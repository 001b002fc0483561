"""Helpers that the readers and writers of COCO and Pascal VOC share.

Fields of labels as JSON values, numbers in few digits, and the checks of every box.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.labels.model import Labels, far_outside, oddity
from rinrcodec.limits import DEFAULT_LIMITS
from rinrcodec.strict_json import check_nesting
from rinrcodec.text_limits import MOST_MESSAGES

__all__ = ["Gathering", "compact", "number", "short", "storable"]

# A label in a pack takes at most so many times the bytes of its text: "1," may become a float64.
_GROWTH = 8
# What packs hold of values inside each other and of digits (`formats/SPEC.md`), less some room.
_MOST_DEPTH = 24
_MOST_DIGITS = 300


def compact(value: Any) -> str:
    """Format a value as JSON without spaces; raise `ValueError` if JSON cannot hold it."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    text.encode()  # a lone surrogate has no UTF-8
    return text


def storable(fields: Mapping[str, Any], where: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the fields that a pack can hold; report each of the others through `say`."""
    kept = {}
    for name, value in fields.items():
        try:
            compact([name, value])
            check_nesting(value, most_depth=_MOST_DEPTH, most_digits=_MOST_DIGITS)
        except (ValueError, RecursionError):
            say(f"{where}: {name[:40]!r} is no value that a pack can hold; it is left out")
        else:
            kept[name] = value
    return kept


class Gathering:
    """Collects the boxes of one picture, and messages about those that cannot be understood.

    Args:
        size: Width and height of the picture; None where they are unknown.
        source_bytes: The size of what is read.
        fractions: The source has fractions of the picture instead of pixels.
    """

    def __init__(
        self, size: tuple[float, float] | None, source_bytes: int, *, fractions: bool = False
    ) -> None:
        self.lost: list[str] = []
        self.warnings: list[str] = []
        self._size = size
        self._fractions = fractions
        # What is left for all boxes; None where all of the source would fit.
        self._room: int | None = None
        if source_bytes * _GROWTH > DEFAULT_LIMITS.max_label_bytes:
            self._room = DEFAULT_LIMITS.max_label_bytes
        self._seen: dict[tuple[Any, ...], str] = {}
        self._all: list[Box] = []

    def add(self, where: str, read: Callable[[], Box]) -> None:
        """Take in the box that `read` returns, or the `RinrInputError` that it raises."""
        try:
            box = read()
            self._check(box)
        except RinrInputError as error:
            self.lost.append(f"{where}: {error}")
            return
        if self._size and (note := oddity(box, *self._size)):
            self.warnings.append(f"{where}: {note}")
        # Without attributes, which the hash of a box leaves out: sources give each an id.
        key = (box.class_id, box.x, box.y, box.w, box.h, box.polygons, box.keypoints)
        if key in self._seen:
            self.warnings.append(f"{where}: the same box as {self._seen[key]}; both are kept")
        self._seen.setdefault(key, where)
        self._all.append(box)

    def labels(self, attributes: Mapping[str, Any], where: str) -> Labels:
        """Return all collected labels, with the fields of the picture."""
        most = DEFAULT_LIMITS.max_label_bytes
        long = self._room is not None
        if long and (length := len(compact(attributes).encode())) > most:
            self.lost.append(f"{where}: fields of {length:,} bytes, expected at most {most:,}")
            attributes = {}
        lost = _first(self.lost, where, "more labels cannot be understood")
        warnings = _first(self.warnings, where, "more warnings")
        return Labels(tuple(self._all), lost, warnings, attributes)

    def _check(self, box: Box) -> None:
        if self._size and far_outside(box, *self._size):
            width, height = self._size
            if self._fractions:
                raise RinrInputError(
                    f"a box of {box.w / width:.3g} x {box.h / height:.3g} of the picture at "
                    f"{box.x / width:.3g}, {box.y / height:.3g}, far outside it; are these pixels "
                    "instead of fractions?"
                )
            raise RinrInputError(
                f"a box of {box.w:g} x {box.h:g} pixels at {box.x:g}, {box.y:g}, far outside the "
                f"picture of {width:g} x {height:g}"
            )
        if self._room is not None:
            shapes = (*box.polygons, *box.keypoints)
            length = (
                len(compact(box.attributes).encode()) + 256 + sum(9 * len(s) + 9 for s in shapes)
            )
            if length > self._room:
                raise RinrInputError(
                    f"a label of {length:,} bytes, but all labels of a picture may take "
                    f"{DEFAULT_LIMITS.max_label_bytes:,}"
                )
            self._room -= length


def _first(messages: list[str], where: str, more: str) -> tuple[str, ...]:
    """Return the first messages, and one that counts the others."""
    rest = len(messages) - MOST_MESSAGES
    if rest < 1:
        return tuple(messages)
    return (*messages[:MOST_MESSAGES], f"{where}: {rest:,} {more}")


def number(value: Any) -> float:
    """Return a JSON number as a float; raise `RinrInputError` for anything else."""
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RinrInputError(f"{str(value)[:40]!r} is not a number")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise RinrInputError("a number is not finite")
    return result


def short(value: float) -> float | int:
    """Return an equal number that is written with the fewest digits."""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)

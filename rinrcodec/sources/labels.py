"""YOLO label files: `class cx cy w h` a line, normalised to the picture, to boxes and back.

A label file never stops anything: what cannot be used is left out, what is odd is kept exactly as
given, and both come back as warnings that name the file and the line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.storage import read_file, to_path

__all__ = ["format_labels", "parse_label_bytes", "parse_labels", "read_labels", "unreadable"]

# Six decimals of the centre and of the size may each be off by half a unit at a box's edge.
_EDGE_TOLERANCE = 1e-6
# A box may lie partly outside; nobody means one of twice the picture's size.
_MOST_FRACTION = 2
_MAX_CLASS = 2**31 - 1


def read_labels(
    path: str | PathLike[str], *, width: int, height: int
) -> tuple[tuple[Box, ...], tuple[str, ...]]:
    """The boxes of a label file, in pixels of a picture of `width` x `height`, and the warnings.

    A missing or unreadable file gives no boxes and one warning.
    """
    file = to_path(path)
    try:
        data = read_file(file)
    except (RinrError, OSError) as error:
        return (), (unreadable(file, error),)
    return parse_label_bytes(data, width=width, height=height, where=str(file))


def unreadable(file: Path, error: Exception) -> str:
    """The warning about a label file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return f"{file}: there is no such label file; the picture has no boxes"
    reason = (error.strerror or error) if isinstance(error, OSError) else error
    return f"{file}: {str(reason).removeprefix(f'{file}: ')}; its labels are left out"


def parse_label_bytes(
    data: bytes, *, width: int, height: int, where: str = "labels"
) -> tuple[tuple[Box, ...], tuple[str, ...]]:
    """As `parse_labels`; bytes that are no UTF-8 text give no boxes and one warning."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return (), (f"{where}: not a text file; its labels are left out",)
    return parse_labels(text, width=width, height=height, where=where)


def parse_labels(
    text: str, *, width: int, height: int, where: str = "labels"
) -> tuple[tuple[Box, ...], tuple[str, ...]]:
    """The boxes in the text of a label file, and warnings that begin with `where` and the line.

    A line of more than six numbers is a polygon, whose bounding box is taken. Boxes out of the
    frame, without area, or given twice are kept.
    """
    boxes: list[Box] = []
    warnings: list[str] = []
    seen: dict[tuple[float, ...], int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            values, note = _parse_line(words)
            box = _box(values, width, height)
        except RinrInputError as error:
            warnings.append(f"{where}, line {number}: {error}; the line is left out")
            continue
        notes = [note] if note else []
        notes += _oddities(values)
        if values in seen:
            notes.append(f"the same box as in line {seen[values]}; both are kept")
        seen.setdefault(values, number)
        warnings += [f"{where}, line {number}: {item}" for item in notes]
        boxes.append(box)
    return tuple(boxes), tuple(warnings)


def format_labels(boxes: Iterable[Box], *, width: int, height: int) -> str:
    """The text of a label file for boxes of a picture of `width` x `height`.

    Six decimals, and up to nine where a value has them: a label that was read comes out as it was.
    """
    lines = []
    for box in boxes:
        cx = (box.x + box.w / 2) / width
        cy = (box.y + box.h / 2) / height
        values = (cx, cy, box.w / width, box.h / height)
        lines.append(" ".join([str(box.class_id), *map(_decimal, values)]) + "\n")
    return "".join(lines)


def _decimal(value: float) -> str:
    # Adding 0.0 turns a rounded -0.0 into 0.0.
    whole, _, digits = f"{round(value, 9) + 0.0:.9f}".partition(".")
    return f"{whole}.{digits.rstrip('0'):0<6}"


def _parse_line(words: list[str]) -> tuple[tuple[float, ...], str | None]:
    """`(class, cx, cy, w, h)` of a line and a note; raises `RinrInputError` with the reason."""
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        bad = next(word for word in words if not _is_number(word))
        raise RinrInputError(f"{bad[:40]!r} is not a number") from None
    if not all(map(math.isfinite, numbers)):
        raise RinrInputError("a number is not finite")
    class_id, *rest = numbers
    if len(rest) < 4:
        raise RinrInputError(f"{len(numbers)} numbers, want 5 (class cx cy w h)")
    if class_id < 0 or class_id > _MAX_CLASS or class_id != int(class_id):
        raise RinrInputError(f"class {words[0]}, want a whole number of 0 or more")
    note = None
    if len(rest) == 5:
        rest, note = rest[:4], "a sixth number (a confidence?), which is left out"
    elif len(rest) > 5:
        if len(rest) % 2:
            raise RinrInputError(f"{len(numbers)} numbers, want 5, or x y pairs of a polygon")
        note = f"a polygon of {len(rest) // 2} points; its bounding box is kept"
        xs, ys = rest[0::2], rest[1::2]
        left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
        rest = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    if rest[2] < 0 or rest[3] < 0:
        raise RinrInputError(f"a size of {words[3]} x {words[4]}, want 0 or more")
    return (class_id, *rest), note


def _oddities(values: tuple[float, ...]) -> list[str]:
    _, cx, cy, w, h = values
    if max(values[1:]) > _MOST_FRACTION:
        return ["values over 1: pixels instead of fractions? the box is kept as it is"]
    if w == 0 or h == 0:
        return ["a box without area; it is kept, without an object"]
    edges = (cx - w / 2, cy - h / 2, 1 - cx - w / 2, 1 - cy - h / 2)
    if min(edges) < -_EDGE_TOLERANCE:
        outside = max(cx - w / 2, cy - h / 2) >= 1 or min(cx + w / 2, cy + h / 2) <= 0
        return [f"a box {'outside' if outside else 'partly outside'} the frame; it is kept"]
    return []


def _box(values: tuple[float, ...], width: int, height: int) -> Box:
    class_id, cx, cy, w, h = values
    return Box(int(class_id), (cx - w / 2) * width, (cy - h / 2) * height, w * width, h * height)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True

"""YOLO label files, one object a line: `class cx cy w h`, polygons, keypoints, and back to text.

All coordinates are fractions of the picture. The number of columns tells what a line is, but not
always: seven columns are a triangle, or a box with a confidence and a track. `Layout` decides for
all files of a data set at once, so that no line is read in its own way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import ClassVar

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.labels.fields import Gathering
from rinrcodec.labels.model import Labels, Task
from rinrcodec.labels.outlines import area_of, joined
from rinrcodec.storage import read_file, to_path
from rinrcodec.text_limits import MOST_LABEL_BYTES, MOST_LABEL_LINE, MOST_LABEL_LINES

__all__ = [
    "Layout",
    "LayoutFinder",
    "YoloReader",
    "format_labels",
    "label_text",
    "not_read",
    "read_labels",
]

_MAX_CLASS = 2**31 - 1
_BOX = 4  # columns of a box, after the class
_TRIANGLE, _CORNERS = 6, 8
_MOST_BEYOND = 0.5  # of the picture, by which a keypoint may be outside
# What pixels hold of fractions of nine decimals: as many decimals.
_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of label files after the class.

    Attributes:
        task: "detect" (box), "segment" (polygon, or box), "pose" (box and keypoints) or "obb" (the
            four corners of a rotated box).
        kpt_shape: Of "pose": the number of keypoints, and of the numbers of each (2 or 3).
        tail: What may follow: "score", "track_id" or both, as detectors and trackers write them.
    """

    task: Task = "detect"
    kpt_shape: tuple[int, int] | None = None
    tail: tuple[str, ...] = ()

    def shape_columns(self, n: int) -> int | None:
        """Return how many of `n` columns are coordinates; None for a number that no line has."""
        tails = range(len(self.tail) + 1)
        if self.kpt_shape is not None:
            sizes = [_BOX + math.prod(self.kpt_shape)]
        elif self.task in ("detect", "pose"):
            sizes = [_BOX]
        elif self.task == "obb":
            sizes = [_CORNERS]
        else:
            even = [n - len(self.tail), *(n - tail for tail in tails)]
            sizes = [size for size in even if size == _BOX or (size >= _TRIANGLE and not size % 2)]
        return next((size for size in sizes if n - size in tails), None)

    @property
    def expected(self) -> str:
        """The columns of a line, for messages."""
        tail = "".join(f" [{name}]" for name in self.tail)
        if self.kpt_shape is not None:
            count, dims = self.kpt_shape
            shape = f"class cx cy w h and {count} keypoints of {dims} numbers, as kpt_shape says"
            return f"{5 + count * dims} columns ({shape}){tail}"
        shapes = {
            "detect": "5 columns (class cx cy w h)",
            "obb": "9 columns (class and four corners)",
        }
        return shapes.get(self.task, "class and x y pairs of a polygon") + tail


class LayoutFinder:
    r"""Finds the layout of label files from the lines of all of them.

    Example:
        >>> finder = LayoutFinder()
        >>> finder.add("0 0.1 0.1 0.5 0.1 0.5 0.4 0.1 0.4\n1 0.2 0.2 0.3 0.2 0.3 0.5")
        >>> finder.layout().task
        'segment'
    """

    def __init__(self, kpt_shape: tuple[int, int] | None = None, task: Task | None = None) -> None:
        self._kpt_shape = kpt_shape
        self._task = task
        self._counts: set[int] = set()
        # Whether every line of so many columns may be what the name says.
        self._maybe: dict[tuple[str, int], bool] = {}
        self._most_last: dict[int, float] = {}

    def add(self, text: str) -> None:
        """Take in the lines of one file."""
        for _, words in _lines(text):
            try:
                values = [float(word) for word in words[1:]]
            except ValueError:
                continue
            n = len(values)
            if n < _BOX or not all(map(math.isfinite, values)):
                continue
            self._counts.add(n)
            self._most_last[n] = max(values[-1], self._most_last.get(n, 0.0))
            checks = {
                "integer last": words[-1].lstrip("-").isdigit(),
                "score first": n > _BOX and 0 <= values[_BOX] <= 1,
                "pose 2": _is_pose(values, 2),
                "pose 3": _is_pose(values, 3),
            }
            for name, holds in checks.items():
                self._maybe[name, n] = holds and self._maybe.get((name, n), True)

    def layout(self) -> Layout:
        """Find the layout that fits all lines.

        Raises:
            RinrInputError: The task is "pose", and lines do not say how many keypoints they have.
        """
        counts = self._counts
        if self._kpt_shape is not None:
            return Layout("pose", self._kpt_shape, self._tail(_BOX + math.prod(self._kpt_shape)))
        if self._task == "pose":
            pose = self._pose()
            if pose is None and counts - {_BOX}:
                raise RinrInputError(
                    "the columns of the labels do not say how many keypoints there are; give a "
                    "data yaml with kpt_shape, such as [17, 3]"
                )
            return pose or Layout("pose")
        if self._task == "obb":
            return Layout("obb", tail=self._tail(_CORNERS))
        if self._task == "detect" or counts <= {_BOX, _BOX + 1}:
            return Layout("detect", tail=self._tail(_BOX))
        if self._task is None:
            # A triangle has six numbers, too, but none of them is a whole number over 1.
            tracks = counts <= {_BOX, _BOX + 1, _BOX + 2} and _BOX + 2 in counts
            if tracks and self._holds("integer last", _BOX + 2) and self._most_last[_BOX + 2] > 1:
                return Layout("detect", tail=("score", "track_id"))
            if pose := self._pose():
                return pose
            if counts <= {_CORNERS, _CORNERS + 1} and counts:
                return Layout("obb", tail=self._tail(_CORNERS))
        return Layout("segment", tail=self._tail_of_polygons())

    @property
    def may_be_tracks(self) -> bool:
        """Whether triangles may be boxes with a score and a track of 0 or 1."""
        n = _BOX + 2
        return (
            n in self._counts
            and self._counts <= {_BOX, _BOX + 1, n}
            and (self._holds("integer last", n) or self._holds("score first", n))
        )

    def _holds(self, name: str, n: int) -> bool:
        return self._maybe.get((name, n), False)

    def _tail(self, size: int) -> tuple[str, ...]:
        """Name the columns that follow `size` columns."""
        if size + 2 in self._counts:
            return ("score", "track_id")
        if size + 1 not in self._counts:
            return ()
        last = size + 1
        return ("track_id",) if self._is_track(last) else ("score",)

    def _is_track(self, n: int) -> bool:
        return self._holds("integer last", n) and self._most_last[n] > 1

    def _tail_of_polygons(self) -> tuple[str, ...]:
        odd = [n for n in self._counts if n % 2]
        if not odd or len(odd) < len(self._counts - {_BOX}):
            return ()
        return ("track_id",) if all(map(self._is_track, odd)) else ("score",)

    def _pose(self) -> Layout | None:
        """Find keypoints without a `kpt_shape`: each line has equally many, inside its own box.

        Lines without any are left aside: they are errors, as they are to Ultralytics.
        """
        others = self._counts - {_BOX}
        if len(others) != 1:
            return None
        (n,) = others
        for dims in (3, 2):
            if self._holds(f"pose {dims}", n):
                return Layout("pose", ((n - _BOX) // dims, dims))
        return None


@dataclass(frozen=True, slots=True)
class YoloReader:
    """Reads YOLO label files.

    Args:
        layout: What the columns are; None finds out for each file by itself.

    Example:
        >>> YoloReader().parse(b"3 0.5 0.25 0.2 0.5", size=(100, 40), where="a.txt").boxes
        (Box(class_id=3, x=40.0, y=0.0, w=20.0, h=20.0),)
    """

    format: ClassVar[str] = "yolo"
    layout: Layout | None = None

    def parse(self, data: bytes, *, size: tuple[int, int] | None, where: str) -> Labels:
        """Read the lines of a label file; see `LabelReader.parse`."""
        width, height = size or (1, 1)
        text = label_text(data)
        if isinstance(text, RinrInputError):
            return Labels(lost=(f"{where}: {text}",))
        layout = self.layout
        if layout is None:
            finder = LayoutFinder()
            finder.add(text)
            layout = finder.layout()
        found = Gathering((width, height), len(data), fractions=True)
        for number, words in _lines(text):
            found.add(f"{where}:{number}", partial(_box, words, layout, width, height))
        return found.labels({}, where)


def read_labels(
    path: str | PathLike[str], *, width: int, height: int, reader: YoloReader | None = None
) -> Labels:
    """Read a label file of a picture of `width` x `height`.

    A missing file gives no boxes and one warning. One that cannot be read, or a link that leads
    nowhere, gives a message in `lost`.
    """
    file = to_path(path)
    try:
        data = read_file(file, most=MOST_LABEL_BYTES)
    except (RinrError, OSError) as error:
        return not_read(file, error)
    return (reader or YoloReader()).parse(data, size=(width, height), where=str(file))


def not_read(file: Path, error: Exception) -> Labels:
    """Return labels for a file that cannot be read: a missing one has no boxes, others are lost."""
    if isinstance(error, FileNotFoundError):
        if file.is_symlink():
            return Labels(lost=(f"{file}: this link leads nowhere; its labels are left out",))
        return Labels(warnings=(f"{file}: there is no such label file; the picture has no boxes",))
    reason = (error.strerror or error) if isinstance(error, OSError) else error
    text = str(reason).removeprefix(f"{file}: ")
    return Labels(lost=(f"{file}: {text}; its labels are left out",))


def label_text(data: bytes) -> str | RinrInputError:
    """Read the text of a label file, or return the error that says why it is none."""
    if data.startswith(b"version https://git-lfs"):
        return RinrInputError("a Git LFS pointer instead of labels; run git lfs pull")
    if data.lstrip()[:1] == b"<":
        return RinrInputError("an HTML or XML page instead of labels")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return RinrInputError("UTF-16 text; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return RinrInputError(f"byte {error.start} is not UTF-8 text; save it as UTF-8")
    if "\0" in text:
        return RinrInputError("binary data instead of text")
    for number, line in enumerate(text.splitlines(), start=1):
        if number > MOST_LABEL_LINES:
            return RinrInputError(f"more than {MOST_LABEL_LINES:,} lines")
        if len(line) > MOST_LABEL_LINE:
            return RinrInputError(
                f"line {number} has {len(line):,} characters, at most {MOST_LABEL_LINE:,}"
            )
    return text


def format_labels(
    boxes: Iterable[Box], *, width: int, height: int, layout: Layout | None = None
) -> str:
    """Format a label file for boxes of a picture of `width` x `height`.

    Numbers have six decimals, and up to nine where they need them: canonical text that was read
    comes out byte for byte. Several polygons of a box are joined, and crowds are left out: they
    would be trained on as single objects.

    Args:
        boxes: In pixels of the picture.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        layout: What the columns are; None writes boxes with scores and tracks.

    Raises:
        RinrInputError: A box lacks the keypoints or corners that its layout needs.
    """
    layout = layout or Layout("detect")
    return "".join(_line(box, layout, width, height) + "\n" for box in boxes if not box.crowd)


def _line(box: Box, layout: Layout, width: int, height: int) -> str:
    sizes = (width, height)
    if layout.task in ("segment", "obb") and box.polygons:
        outline = max(box.polygons, key=area_of)
        if len(box.polygons) > 1 and layout.task == "segment":
            outline = joined(box.polygons)
        words = [_decimal(v / sizes[i % 2]) for i, v in enumerate(outline)]
    elif layout.task == "obb":
        right, bottom = box.x + box.w, box.y + box.h
        corners = (box.x, box.y, right, box.y, right, bottom, box.x, bottom)
        words = [_decimal(v / sizes[i % 2]) for i, v in enumerate(corners)]
    else:
        cx, cy = (box.x + box.w / 2) / width, (box.y + box.h / 2) / height
        words = [_decimal(v) for v in (cx, cy, box.w / width, box.h / height)]
    if layout.task == "pose" and layout.kpt_shape is not None:
        count, dims = layout.kpt_shape
        points = box.keypoints or ((0.0,) * dims,) * count
        if len(points) != count or len(points[0]) != dims:
            raise RinrInputError(
                f"a box has {len(points)} keypoints of {len(points[0])} numbers, expected {count} "
                f"of {dims}"
            )
        for x, y, *visible in points:
            words += [_decimal(x / width), _decimal(y / height)]
            words += [str(int(v)) if v == int(v) else _decimal(v) for v in visible]
    if box.score is not None:
        words.append(_decimal(box.score))
    if box.track_id is not None:
        words.append(str(box.track_id))
    return " ".join([str(box.class_id), *words])


def _decimal(value: float) -> str:
    # Adding 0.0 turns a rounded -0.0 into 0.0.
    whole, _, digits = f"{round(value, _DECIMALS) + 0.0:.{_DECIMALS}f}".partition(".")
    return f"{whole}.{digits.rstrip('0'):0<6}"


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the non-empty lines, by their numbers from 1, as words."""
    for number, line in enumerate(text.splitlines(), start=1):
        if words := line.split():
            yield number, words


def _box(words: Sequence[str], layout: Layout, width: int, height: int) -> Box:
    """Parse the box of a line; raise `RinrInputError` with the reason."""
    class_id, *values = _numbers(words)
    if class_id < 0 or class_id > _MAX_CLASS or class_id != int(class_id):
        raise RinrInputError(f"class {words[0]}, expected a whole number of 0 or more")
    n = layout.shape_columns(len(values))
    if n is None:
        raise RinrInputError(f"expected {layout.expected}, found {len(words)}")
    shape, tail = values[:n], dict(zip(layout.tail, values[n:], strict=False))
    box = _shaped(int(class_id), shape, layout, width, height)
    if "track_id" in tail:
        if tail["track_id"] != int(tail["track_id"]):
            raise RinrInputError(f"track {words[-1][:40]}, expected a whole number")
        # Not by way of a float, which has 53 bits.
        whole = words[-1].lstrip("+-").isdigit()
        box = replace(box, track_id=int(words[-1] if whole else tail["track_id"]))
    return replace(box, score=tail["score"]) if "score" in tail else box


def _shaped(class_id: int, shape: Sequence[float], layout: Layout, width: int, height: int) -> Box:
    if len(shape) > _BOX and layout.kpt_shape is None:
        points = _pixels(shape, width, height)
        xs, ys = points[0::2], points[1::2]
        left, top = min(xs), min(ys)
        return Box(class_id, left, top, max(xs) - left, max(ys) - top, polygons=(points,))
    cx, cy, w, h = shape[:_BOX]
    if w < 0 or h < 0:
        raise RinrInputError(f"a size of {w:g} x {h:g}, expected 0 or more")
    keypoints: tuple[tuple[float, ...], ...] = ()
    if layout.kpt_shape is not None:
        count, dims = layout.kpt_shape
        rest = shape[_BOX:]
        keypoints = tuple(
            (*_pixels(rest[i : i + 2], width, height), *rest[i + 2 : i + dims])
            for i in range(0, count * dims, dims)
        )
        for i in range(0, count * dims, dims):
            if not all(-_MOST_BEYOND <= value <= 1 + _MOST_BEYOND for value in rest[i : i + 2]):
                raise RinrInputError(
                    f"a keypoint at {rest[i]:.3g}, {rest[i + 1]:.3g} of the picture, far outside "
                    "it; are these pixels instead of fractions, or is kpt_shape wrong?"
                )
    x, y = (cx - w / 2) * width, (cy - h / 2) * height
    return Box(class_id, x, y, w * width, h * height, keypoints=keypoints)


def _pixels(shape: Sequence[float], width: int, height: int) -> tuple[float, ...]:
    """Return points in pixels, rounded to the precision of nine decimals; they stay short."""
    sizes = (width, height)
    return tuple(round(value * sizes[i % 2], _DECIMALS) for i, value in enumerate(shape))


def _numbers(words: Sequence[str]) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        bad = next(word for word in words if not _is_number(word))
        raise RinrInputError(f"{bad[:40]!r} is not a number") from None
    if not all(map(math.isfinite, numbers)):
        raise RinrInputError("a number is not finite")
    return numbers


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _is_pose(values: Sequence[float], dims: int) -> bool:
    """Return whether a line may be a box and so many numbers of keypoints inside the box."""
    rest = values[_BOX:]
    if not rest or len(rest) % dims:
        return False
    cx, cy, w, h = values[:_BOX]
    seen = 0
    for i in range(0, len(rest), dims):
        x, y, *visible = rest[i : i + dims]
        if visible and visible[0] not in (0, 1, 2):
            return False
        if x == y == 0:  # a keypoint that is not labelled
            continue
        seen += 1
        if abs(x - cx) > 0.55 * w or abs(y - cy) > 0.55 * h:
            return False
    return seen > 0

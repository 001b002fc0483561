"""Labels that are lost in the format which `decompress` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from rinrcodec.boxes import Box
from rinrcodec.labels.model import Task
from rinrcodec.labels.voc_writer import split_attributes
from rinrcodec.pack import Frame

__all__ = ["LABEL_FORMATS", "LabelFormat", "Losses"]

LabelFormat = Literal["yolo", "coco", "voc"]
LABEL_FORMATS: tuple[LabelFormat, ...] = ("yolo", "coco", "voc")
_TITLES = {"yolo": "YOLO labels", "voc": "Pascal VOC", "coco": "COCO"}


class Losses:
    """Counts what is lost, for one warning about each kind of it.

    Args:
        kind: The format that is written. COCO holds everything.

    Example:
        >>> from rinrcodec.pack import InrRef
        >>> box = Box(0, 1, 1, 4, 4, crowd=True)
        >>> losses = Losses("yolo")
        >>> losses.count(Frame("a", 8, 8, InrRef(0, 0), boxes=(box,), objects=(None,)), "detect")
        >>> print(*losses.messages())
        YOLO labels cannot hold crowds, which are left out (1 box); `labels='coco'` keeps them
    """

    def __init__(self, kind: LabelFormat) -> None:
        self._kind = kind
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, frame: Frame, task: Task) -> None:
        """Take in a frame that is written, in a pack of that task."""
        if self._kind == "coco":
            return
        for box in frame.boxes:
            kinds = _yolo(box, task) if self._kind == "yolo" else _voc(box)
            self._counts.update((kind, "box") for kind in kinds)
        if self._kind == "yolo":
            lost = bool(frame.attributes)
        else:
            lost = bool(split_attributes(frame.attributes, {"object"})[1])
        if lost:
            self._counts["other fields", "frame"] += 1

    def messages(self) -> list[str]:
        """Return one message for each kind of loss."""
        messages = []
        for (kind, what), n in sorted(self._counts.items()):
            plural = "" if n == 1 else "es" if what == "box" else "s"
            messages.append(
                f"{_TITLES[self._kind]} cannot hold {kind} ({n:,} {what}{plural}); `labels='coco'` "
                "keeps them"
            )
        return messages


def _yolo(box: Box, task: Task) -> Iterator[str]:
    if box.polygons and task not in ("segment", "obb"):
        yield f"polygons where the task is {task}"
    elif len(box.polygons) > 1:
        yield "several polygons of a box, which are joined"
    if box.keypoints and task != "pose":
        yield f"keypoints where the task is {task}"
    if box.crowd:
        yield "crowds, which are left out"
    if box.difficult:
        yield "difficult"
    if box.attributes:
        yield "other fields"


def _voc(box: Box) -> Iterator[str]:
    if box.keypoints:
        yield "keypoints"
    if box.crowd:
        yield "crowds, which are written as difficult"
    if box.score is not None:
        yield "scores"
    if box.track_id is not None:
        yield "tracks"
    if split_attributes(box.attributes)[1]:
        yield "other fields that are not text"

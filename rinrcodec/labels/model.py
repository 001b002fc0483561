"""The data that label files are read to, and the interface of a reader of a format.

`sources` picks the reader and calls it for every picture; `datasets` writes labels again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from rinrcodec.boxes import Box

__all__ = [
    "TASKS",
    "LabelReader",
    "Labels",
    "Task",
    "as_kpt_shape",
    "far_outside",
    "oddity",
]

Task = Literal["detect", "segment", "pose", "obb"]
_MOST_KEYPOINTS = 1000
_FAR = 0.5  # of the picture's size
# Six decimals of the centre and of the size may each be off by half a unit at an edge.
_SLACK = 1e-6
TASKS: tuple[Task, ...] = ("detect", "segment", "pose", "obb")


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one picture.

    Attributes:
        boxes: What could be understood, in pixels of the picture.
        lost: One message for each label that could not. If there is any, the picture must not be
            used as one whose objects are all known.
        warnings: Messages about labels that are odd, and kept.
        attributes: What the labels say of the picture itself, as JSON values by name.
    """

    boxes: tuple[Box, ...] = ()
    lost: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether all labels could be understood."""
        return not self.lost


class LabelReader(Protocol):
    """Reads the labels of one picture in one format.

    It crosses processes and goes to manifests, so it is a dataclass of plain data.

    Attributes:
        format: A name for the format.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    format: ClassVar[str]

    def parse(self, data: bytes, *, size: tuple[int, int] | None, where: str) -> Labels:
        """Read the labels of a picture.

        Args:
            data: The content of the label file, or the part of it that concerns the picture.
            size: Width and height of the upright picture, in pixels. None where the picture was
                not read: the size that the label declares, or a picture of one pixel, is taken.
            where: The file, for messages.

        Returns:
            The labels. What cannot be understood is a message in `lost`, never an exception.
        """
        ...


def as_kpt_shape(value: object) -> tuple[int, int] | None:
    """Return the number of keypoints and of the values of each (2 or 3); else None."""
    if isinstance(value, list | tuple) and [type(number) for number in value] == [int, int]:
        count, dims = value
        if 1 <= count <= _MOST_KEYPOINTS and dims in (2, 3):
            return count, dims
    return None


def far_outside(box: Box, width: float, height: float) -> bool:
    """Return whether a box cannot be meant.

    It misses the picture, or leaves it by over half a picture.

    A box may leave the picture by less, as objects do. Rounding may move an edge, so touching is
    enough.
    """
    right, bottom = box.x + box.w, box.y + box.h
    after = max(box.x / width, box.y / height) > 1 + _SLACK
    misses = after or min(right / width, bottom / height) < -_SLACK
    beyond = max(-box.x / width, -box.y / height, right / width - 1, bottom / height - 1)
    return misses or beyond > _FAR + _SLACK


def oddity(box: Box, width: float, height: float) -> str | None:
    """Describe what is odd about a box that is kept; None for a usual one."""
    if box.w == 0 or box.h == 0:
        return "a box without area; it is kept, without an object"
    if (
        min(box.x / width, box.y / height) < -_SLACK
        or max((box.x + box.w) / width, (box.y + box.h) / height) > 1 + _SLACK
    ):
        return "a box partly outside the frame; it is kept"
    return None

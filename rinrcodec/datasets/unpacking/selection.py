"""Which frames of a source `decompress` takes, and which part of each: numbers, region, scale.

frames 0 ... 23 of all packs, in order        --frames 3:20
+--------------------+
|      +------+      |  region, in pixels of the frame: --region X,Y,W,H
|      | box--+--+   |  boxes move along, and end where the region ends
|      +------+  |   |
+--------------------+  then all is scaled: --scale F
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rinrcodec.boxes import Box, Region
from rinrcodec.compute.grids import grid_shape
from rinrcodec.errors import RinrInputError, RinrUsageError
from rinrcodec.pack import Frame

__all__ = ["WHOLE", "Cutout", "chosen_numbers", "parse_frames"]

# Fields of labels that are made again from the moved label, and those that cannot be moved.
_DERIVED = {"area", "num_keypoints", "bndbox"}
_UNMOVABLE = {"segmentation": "mask", "part": "parts"}


def parse_frames(text: str) -> int | slice:
    """Read a number or a slice as Python writes it: `3`, `-1`, `3:20`, `::10`.

    Raises `RinrUsageError` for anything else.

    Example:
        >>> parse_frames("3:20"), parse_frames("-1")
        (slice(3, 20, None), -1)
    """
    try:
        parts = [int(part) if part.strip() else None for part in text.split(":")]
        if len(parts) == 1 and parts[0] is not None:
            return parts[0]
        if 2 <= len(parts) <= 3:
            return slice(*parts)
    except ValueError:
        pass
    raise RinrUsageError(
        f"`frames` {text!r}: expected a number or a slice, such as 3, -1, 3:20 or ::10"
    )


def chosen_numbers(frames: int | slice | None, total: int) -> range:
    """Return the numbers of the selected frames, out of a total.

    Raises `RinrUsageError` where there is no such frame, or for a step below 1.

    Example:
        >>> chosen_numbers(slice(3, 20), 24), chosen_numbers(-1, 24)
        (range(3, 20), range(23, 24))
    """
    if frames is None:
        return range(total)
    there = "1 frame, number 0" if total == 1 else f"{total:,} frames, 0 to {total - 1:,}"
    if not isinstance(frames, slice):
        if isinstance(frames, bool) or not isinstance(frames, int):
            raise RinrUsageError(f"frames={frames!r}: expected a whole number or a slice")
        if not -total <= frames < total:
            raise RinrUsageError(f"`frames={frames}`: the source has {there}")
        return range(frames % total, frames % total + 1)
    try:
        chosen = range(*frames.indices(total))
    except (TypeError, ValueError) as error:
        raise RinrUsageError(f"frames={frames!r}: {error}") from error
    if chosen.step < 1:
        raise RinrUsageError("`frames`: the step must be 1 or more; frames keep their order")
    if not chosen:
        text = ":".join("" if part is None else str(part) for part in (frames.start, frames.stop))
        raise RinrUsageError(f"`frames` {text} selects no frame: the source has {there}")
    return chosen


@dataclass(frozen=True, slots=True)
class Cutout:
    """The part of every frame that is decoded, and how finely, as of `decode`."""

    region: Region | None = None
    scale: float = 1.0

    @classmethod
    def of(cls, region: Sequence[int] | None, scale: float) -> Cutout:
        """Check what the user gave; raise `RinrUsageError` if it is invalid."""
        if not isinstance(scale, (int, float)) or not 0 < scale <= 16:
            raise RinrUsageError(f"scale={scale!r}: expected more than 0 and at most 16")
        if region is None:
            return cls(None, scale)
        whole = len(region) == 4 and all(type(value) is int for value in region)
        if not whole or min(region[:2]) < 0 or min(region[2:]) < 1:
            raise RinrUsageError(
                f"region={tuple(region)}: expected X,Y,W,H in whole pixels, with W and H above 0"
            )
        return cls(Region(*region), scale)

    @property
    def is_whole(self) -> bool:
        """Whether frames stay as they are."""
        return self.region is None and self.scale == 1

    def shape(self, frame: Frame) -> tuple[int, int]:
        """Return the height and width of the picture of a frame.

        Raises `RinrUsageError` for a region outside.
        """
        if self.is_whole:
            return frame.height, frame.width
        try:
            return grid_shape(frame.width, frame.height, region=self.region, scale=self.scale)
        except RinrInputError as error:
            raise RinrUsageError(f"{frame.name}: {error}") from error

    def moved(self, frame: Frame) -> Frame:
        """Return the frame with its size and labels as in the picture that is written.

        Boxes end at the region, and those outside are left out.

        Raises `RinrInputError` for labels that cannot be cut: an outline or a keypoint that is
        partly outside, and masks.
        """
        if self.is_whole:
            return frame
        height, width = self.shape(frame)
        area = self.region or Region(0, 0, frame.width, frame.height)
        boxes = [
            moved
            for box in frame.boxes
            if (moved := self._box(box, area, width / area.width, height / area.height)) is not None
        ]
        return replace(
            frame, width=width, height=height, boxes=tuple(boxes), objects=(None,) * len(boxes)
        )

    def _box(self, box: Box, area: Region, x_scale: float, y_scale: float) -> Box | None:
        left, top, right, bottom = box.x, box.y, box.x + box.w, box.y + box.h
        if self.region is not None:
            left, top = max(left, area.x), max(top, area.y)
            right, bottom = min(right, area.right), min(bottom, area.bottom)
            if left >= right or top >= bottom:
                return None
            _refuse_cut(box, area)
        for name, what in _UNMOVABLE.items():
            if name in box.attributes:
                raise RinrInputError(f"a label has a {what} ({name}); it cannot be cut or scaled")

        def point(x: float, y: float) -> tuple[float, float]:
            return (x - area.x) * x_scale, (y - area.y) * y_scale

        x, y = point(left, top)
        fields: dict[str, Any] = {
            "x": x,
            "y": y,
            "w": (right - left) * x_scale,
            "h": (bottom - top) * y_scale,
            "polygons": tuple(
                tuple(value for pair in _pairs(polygon) for value in point(*pair))
                for polygon in box.polygons
            ),
            "keypoints": tuple(
                (*(point(*one[:2]) if _is_placed(one) else one[:2]), *one[2:])
                for one in box.keypoints
            ),
            "attributes": {k: v for k, v in box.attributes.items() if k not in _DERIVED},
        }
        return replace(box, **fields)


WHOLE = Cutout()


def _refuse_cut(box: Box, area: Region) -> None:
    """Raise `RinrInputError` for a box whose outline or keypoints leave the region."""
    points = [pair for polygon in box.polygons for pair in _pairs(polygon)]
    shapes: dict[str, list[tuple[float, float]]] = {
        "outline": points,
        "keypoints": [(one[0], one[1]) for one in box.keypoints if _is_placed(one)],
    }
    for what, some in shapes.items():
        if not all(area.x <= x <= area.right and area.y <= y <= area.bottom for x, y in some):
            raise RinrInputError(
                f"the region cuts the {what} of a label of class {box.class_id}; only rectangles "
                "are cut, so choose another `region`"
            )


def _is_placed(keypoint: Sequence[float]) -> bool:
    """Return whether a keypoint has a place; (0, 0) is one that is not labelled."""
    return any(keypoint[:2])


def _pairs(polygon: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(polygon[::2], polygon[1::2], strict=True))

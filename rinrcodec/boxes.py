"""Labelled boxes in float pixels, and the regions of whole pixels that they touch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, NamedTuple

from rinrcodec.errors import RinrInputError

__all__ = ["Box", "Region"]


class Region(NamedTuple):
    """A rectangle of whole pixels: `x, y` is its top-left pixel.

    The one form in which rectangles are passed around: `Box.region` gives it, `decode` takes it.

        >>> region = Region(100, 40, 64, 32)
        >>> region.right, region.bottom, region.area
        (164, 72, 2048)
    """

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column to the right of it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first line below it."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Its number of pixels; 0 for an empty region."""
        return self.width * self.height

    @property
    def slices(self) -> tuple[slice, slice]:
        """What cuts it out of an array [H, W] or [H, W, channels]: `pixels[region.slices]`."""
        return slice(self.y, self.bottom), slice(self.x, self.right)

    def inside(self, other: Region) -> Region:
        """The same pixels, counted from the corner of another region."""
        return Region(self.x - other.x, self.y - other.y, self.width, self.height)

    @classmethod
    def around(cls, regions: Iterable[Region]) -> Region:
        """The smallest region that holds all of these; at least one is needed."""
        corners = [(r.x, r.y, r.right, r.bottom) for r in regions]
        left, top = (min(corner[k] for corner in corners) for k in (0, 1))
        right, bottom = (max(corner[k] for corner in corners) for k in (2, 3))
        return cls(left, top, right - left, bottom - top)


# Names of the fields of a label beside class and rectangle -> what they are without it.
_EXTRAS: dict[str, Any] = {
    "polygons": (),
    "keypoints": (),
    "track_id": None,
    "score": None,
    "crowd": False,
    "difficult": False,
    "attributes": {},
}


@dataclass(frozen=True, slots=True, repr=False)
class Box:
    """A labelled object: its class, its rectangle, and whatever else its label says.

    All coordinates are float pixels of the stored frame, with the origin at the top left. Every
    value is kept exactly as given (float64), also when it is partly outside the frame.

    Args:
        class_id: The class, 0 or more.
        x, y: The top-left corner.
        w, h: The size, 0 or more.
        polygons: The outline, as one or several polygons (x1, y1, x2, y2, ...) of at least three
            points. The rotated box of the task "obb" is a polygon of its four corners.
        keypoints: One (x, y) or (x, y, visibility) for each keypoint, all of one length.
        track_id: The number of the object in its video.
        score: The confidence of the detector that found it.
        crowd: The label covers a group of objects (`iscrowd` of COCO).
        difficult: The object is hard to see (`difficult` of Pascal VOC).
        attributes: All other fields of the label, as JSON values by name.

    Raises:
        RinrInputError: A number is not finite, a size is negative, or a shape is not as above.

    Example:
        >>> from rinrcodec import Box
        >>> box = Box(0, 10, 20, 30, 40, keypoints=((12, 25, 2), (35, 50, 1)), track_id=7)
        >>> box.extras
        {'keypoints': ((12, 25, 2), (35, 50, 1)), 'track_id': 7}
    """

    class_id: int
    x: float
    y: float
    w: float
    h: float
    polygons: tuple[tuple[float, ...], ...] = field(default=(), kw_only=True)
    keypoints: tuple[tuple[float, ...], ...] = field(default=(), kw_only=True)
    track_id: int | None = field(default=None, kw_only=True)
    score: float | None = field(default=None, kw_only=True)
    crowd: bool = field(default=False, kw_only=True)
    difficult: bool = field(default=False, kw_only=True)
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.class_id, Integral):
            raise RinrInputError(f"a box's class_id is a whole number, got {self.class_id!r}")
        if not all(math.isfinite(v) for v in (self.x, self.y, self.w, self.h)):
            raise RinrInputError(f"a box needs finite numbers, got {self}")
        if self.w < 0 or self.h < 0 or self.class_id < 0:
            raise RinrInputError(f"a box needs class_id, w and h of 0 or more, got {self}")
        if extras := self.extras:
            _check_extras(extras)

    @property
    def extras(self) -> dict[str, Any]:
        """What the label has besides class and rectangle, by the names of the fields."""
        values = ((name, getattr(self, name)) for name in _EXTRAS)
        return {name: value for name, value in values if value != _EXTRAS[name]}

    def __repr__(self) -> str:
        names = ("class_id", "x", "y", "w", "h")
        values = {name: getattr(self, name) for name in names} | self.extras
        return f"Box({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    def region(self, width: int, height: int) -> Region:
        """The whole pixels that the box touches inside a frame of `width` x `height`.

        The box is grown outwards to whole pixels and clipped to the frame. A box without area, or
        outside the frame, gives `Region(0, 0, 0, 0)`.
        """
        if self.w == 0 or self.h == 0:
            return Region(0, 0, 0, 0)
        left = math.floor(max(0, self.x))
        top = math.floor(max(0, self.y))
        # Clipped before rounding: the sum may be infinite, which has no integer.
        right = math.ceil(min(width, self.x + self.w))
        bottom = math.ceil(min(height, self.y + self.h))
        if right <= left or bottom <= top:
            return Region(0, 0, 0, 0)
        return Region(left, top, right - left, bottom - top)


def _check_extras(extras: Mapping[str, Any]) -> None:
    """Raise `RinrInputError` for fields of a label that no box can have."""
    for polygon in extras.get("polygons", ()):
        if len(polygon) < 6 or len(polygon) % 2:
            raise RinrInputError(
                f"a polygon needs x and y of at least 3 points, got {len(polygon)} numbers"
            )
    keypoints = extras.get("keypoints", ())
    if len({len(point) for point in keypoints} | {2, 3}) > 2 or len(set(map(len, keypoints))) > 1:
        raise RinrInputError(
            f"keypoints need 2 or 3 numbers each, all as many, got {keypoints[:3]!r}"
        )
    numbers = [v for shape in (*extras.get("polygons", ()), *keypoints) for v in shape]
    numbers.append(extras.get("score", 0.0))
    if not all(math.isfinite(v) for v in numbers):
        raise RinrInputError("a polygon, keypoint or score of a box is not finite")
    track_id = extras.get("track_id", 0)
    if not isinstance(track_id, Integral) or not -(2**63) <= int(track_id) < 2**63:
        raise RinrInputError(f"a box's track_id is a whole number of 64 bits, got {track_id!r}")
    if not isinstance(extras.get("attributes", {}), Mapping):
        raise RinrInputError(f"a box's attributes map names to values: {extras['attributes']!r}")

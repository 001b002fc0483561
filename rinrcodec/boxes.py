"""Labelled boxes in float pixels, and the regions of whole pixels that they touch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, NamedTuple

from rinrcodec.errors import RinrInputError

__all__ = ["Box", "Region"]


class Region(NamedTuple):
    """Describe a rectangle of whole pixels.

    `Box.region` returns it, and `decode(region=...)` takes it.

    Attributes:
        x: The first column.
        y: The first row of pixels.
        width: Columns.
        height: Rows of pixels.

    Example:
        >>> from rinrcodec import Region
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
        """The slices that cut the region out of an array: `pixels[region.slices]`.

        The array is [H, W] or [H, W, channels].
        """
        return slice(self.y, self.bottom), slice(self.x, self.right)

    def inside(self, other: Region) -> Region:
        """Return the same pixels, counted from the corner of another region.

        Args:
            other: The region whose top-left pixel becomes (0, 0).

        Example:
            >>> Region(10, 20, 4, 4).inside(Region(8, 8, 32, 32))
            Region(x=2, y=12, width=4, height=4)
        """
        return Region(self.x - other.x, self.y - other.y, self.width, self.height)

    @classmethod
    def around(cls, regions: Iterable[Region]) -> Region:
        """Return the smallest region that holds all of these.

        Args:
            regions: At least one.

        Example:
            >>> Region.around([Region(0, 0, 4, 4), Region(6, 2, 4, 4)])
            Region(x=0, y=0, width=10, height=6)
        """
        corners = [(r.x, r.y, r.right, r.bottom) for r in regions]
        left, top = (min(corner[k] for corner in corners) for k in (0, 1))
        right, bottom = (max(corner[k] for corner in corners) for k in (2, 3))
        return cls(left, top, right - left, bottom - top)


_LETTERS = 200
_NONE: tuple[Any, ...] = ()

# The fields of a label besides class and rectangle -> their values where it has nothing else.
_PLAIN: dict[str, Any] = {
    "polygons": _NONE,
    "keypoints": _NONE,
    "track_id": None,
    "score": None,
    "crowd": False,
    "difficult": False,
    "attributes": {},
}


@dataclass(frozen=True, slots=True, repr=False)
class Box:
    """A labelled object: its class, its rectangle, and all else that its label says.

    All coordinates are float pixels of the stored frame, with the origin at the top left. Every
    value is kept exactly as given (float64), also when it is partly outside the frame.

    Args:
        class_id: The class, 0 or more.
        x: The left edge.
        y: The upper edge.
        w: The width, 0 or more.
        h: The height, 0 or more.
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
        {'keypoints': ((12.0, 25.0, 2.0), (35.0, 50.0, 1.0)), 'track_id': 7}
    """

    class_id: int
    x: float
    y: float
    w: float
    h: float
    polygons: tuple[tuple[float, ...], ...] = field(default=_NONE, kw_only=True)
    keypoints: tuple[tuple[float, ...], ...] = field(default=_NONE, kw_only=True)
    track_id: int | None = field(default=None, kw_only=True)
    score: float | None = field(default=None, kw_only=True)
    crowd: bool = field(default=False, kw_only=True)
    difficult: bool = field(default=False, kw_only=True)
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.class_id, Integral):
            raise RinrInputError(f"a box's class_id is a whole number, got {self.class_id!r}")
        finite = math.isfinite
        if not (finite(self.x) and finite(self.y) and finite(self.w) and finite(self.h)):
            raise RinrInputError(f"a box needs finite numbers, got {self}")
        if self.w < 0 or self.h < 0 or self.class_id < 0:
            raise RinrInputError(f"a box needs class_id, w and h of 0 or more, got {self}")
        # Most boxes have nothing else, and data sets have millions.
        if (
            self.polygons is not _NONE
            or self.keypoints is not _NONE
            or self.track_id is not None
            or self.score is not None
            or self.crowd is not False
            or self.difficult is not False
            or self.attributes != _PLAIN["attributes"]
        ):
            for name, value in _checked(self).items():
                object.__setattr__(self, name, value)

    @property
    def extras(self) -> dict[str, Any]:
        """The fields of the label other than class and rectangle, by name."""
        values = ((name, getattr(self, name)) for name in _PLAIN)
        return {name: value for name, value in values if value != _PLAIN[name]}

    def __repr__(self) -> str:
        names = ("class_id", "x", "y", "w", "h")
        values = {name: getattr(self, name) for name in names} | self.extras
        texts = ((name, f"{value!r}") for name, value in values.items())
        return f"Box({', '.join(f'{name}={_cut(text)}' for name, text in texts)})"

    def region(self, width: int, height: int) -> Region:
        """Return the whole pixels of a frame that the box touches.

        The box is grown outwards to whole pixels, then clipped to the frame.

        Args:
            width: Of the frame, in pixels.
            height: Of the frame, in pixels.

        Returns:
            The region; `Region(0, 0, 0, 0)` for a box without area or outside of the frame.

        Example:
            >>> Box(0, 1.5, 2, 3, 4).region(640, 360)
            Region(x=1, y=2, width=4, height=4)
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


def _cut(text: str) -> str:
    """Shorten the text of a field: an outline may have thousands of points."""
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}..."


def _checked(box: Box) -> dict[str, Any]:
    """Return the fields of a label as plain Python values.

    Raises `RinrInputError` for invalid values.
    """
    polygons = _shapes(box.polygons, "polygons")
    keypoints = _shapes(box.keypoints, "keypoints")
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise RinrInputError(
                f"a polygon needs x and y of at least 3 points, got {len(polygon)} numbers"
            )
    lengths = sorted({len(point) for point in keypoints})
    if lengths not in ([], [2], [3]):
        raise RinrInputError(
            f"each keypoint of a box needs 2 numbers, or each needs 3, got {lengths} numbers"
        )
    track_id, score = box.track_id, box.score
    if track_id is not None:
        whole = isinstance(track_id, Integral) and not isinstance(track_id, bool)
        if not whole or not -(2**63) <= int(track_id) < 2**63:
            raise RinrInputError(
                f"a box's track_id is an integer of 64 bits, got {_shown(track_id)}"
            )
        track_id = int(track_id)
    if score is not None:
        score = _number(score, "score needs a finite number")
    for name in ("crowd", "difficult"):
        if getattr(box, name) not in (False, True):
            raise RinrInputError(
                f"a box's {name} is True or False, got {_shown(getattr(box, name))}"
            )
    if not isinstance(box.attributes, Mapping):
        raise RinrInputError(
            f"a box's attributes map names to values, got {_shown(box.attributes)}"
        )
    values = (polygons, keypoints, track_id, score, bool(box.crowd), bool(box.difficult))
    return dict(zip(_PLAIN, (*values, dict(box.attributes)), strict=True))


def _shapes(shapes: Any, name: str) -> tuple[tuple[float, ...], ...]:
    need = f"{name} need finite numbers"
    try:
        return tuple(
            # Floats are most of a data set, and the check of other numbers is slow.
            shape
            if all(type(value) is float and math.isfinite(value) for value in shape)
            else tuple(_number(value, need) for value in shape)
            for shape in map(tuple, shapes)
        )
    except TypeError as error:
        raise RinrInputError(
            f"a box's {name} are a list of lists of numbers, got {str(shapes)[:80]}"
        ) from error


def _number(value: Any, need: str) -> float:
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise RinrInputError(f"a box's {need}, got {_shown(value)}")


def _shown(value: Any) -> str:
    """Format a value for a message; Python refuses to show integers of thousands of digits."""
    try:
        return f"{value!r:.80}"
    except ValueError:
        return "an integer of thousands of digits"

"""Labelled boxes in float pixels, and the regions of whole pixels that they touch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

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


@dataclass(frozen=True, slots=True)
class Box:
    """A labelled object: `x, y` is the top-left corner; all in float pixels of the stored frame.

    Kept exactly as given (float64), also when it is partly outside the frame.
    """

    class_id: int
    x: float
    y: float
    w: float
    h: float

    def __post_init__(self) -> None:
        if not isinstance(self.class_id, Integral):
            raise RinrInputError(f"a box's class_id is a whole number, got {self.class_id!r}")
        if not all(math.isfinite(v) for v in (self.x, self.y, self.w, self.h)):
            raise RinrInputError(f"a box needs finite numbers, got {self}")
        if self.w < 0 or self.h < 0 or self.class_id < 0:
            raise RinrInputError(f"a box needs class_id, w and h of 0 or more, got {self}")

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

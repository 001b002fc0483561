"""A picture that is ready to be encoded: plain data, NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.limits import DEFAULT_LIMITS, Limits, limits_for
from rinrcodec.pack import ColorMode, Metadata
from rinrcodec.printing import count

__all__ = ["Picture", "alike", "limits_of"]

_NO_METADATA = Metadata()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Picture:
    """Hold a picture that is ready to be encoded, with its boxes.

    `load_picture` makes one from a file; `encode` makes them from arrays and Pillow images.

    Attributes:
        name: The name of the frame, unique in a pack; "/" separates folders.
        pixels: uint8, [H, W] grey or [H, W, 3] RGB, upright.
        boxes: The labelled objects, in pixels of `pixels`.
        metadata: EXIF, ICC and XMP of the source.
        source_size: Width and height of the source picture, upright.
        source_bytes: Size of the source file; 0 where there is none.
        notes: What to know about the conversion, such as "the first of 12 pictures is used".
        labelled: As of `Frame`.
        attributes: As of `Frame`.

    Example:
        >>> import numpy as np, rinrcodec
        >>> pixels = np.zeros((24, 32, 3), np.uint8)
        >>> box = rinrcodec.Box(0, 4, 4, 10, 8)
        >>> picture = rinrcodec.Picture("cam0/000001", pixels, boxes=(box,))
        >>> picture.width, picture.height, picture.mode
        (32, 24, 'RGB')
    """

    name: str
    pixels: NDArray[np.uint8]
    boxes: tuple[Box, ...] = ()
    metadata: Metadata = _NO_METADATA
    source_size: tuple[int, int] = (0, 0)
    source_bytes: int = 0
    notes: tuple[str, ...] = ()
    labelled: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        size = f"{self.width}x{self.height} {self.mode}"
        return f"Picture({self.name[:80]!r}, {size}, {count(len(self.boxes), 'box')})"

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[0])

    @property
    def mode(self) -> ColorMode:
        """The colour mode: "L" for grey, "RGB" for colour."""
        return "L" if self.pixels.ndim == 2 else "RGB"

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.pixels.ndim == 2 else 3


def limits_of(pictures: Sequence[Picture]) -> Limits:
    """Return limits with room for these pictures, which were accepted when they were read."""
    most = max(picture.width * picture.height for picture in pictures)
    return limits_for(max(most, DEFAULT_LIMITS.max_pixels))


def alike(pictures: Sequence[Picture]) -> list[list[int]]:
    """Group the numbers of pictures with equal folder, size and mode, in order.

    The folder is the one in their names.
    """
    members: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for i, picture in enumerate(pictures):
        key = picture.name.rpartition("/")[0], picture.pixels.shape
        members.setdefault(key, []).append(i)
    return list(members.values())

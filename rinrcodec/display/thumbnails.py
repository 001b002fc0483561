"""Small pictures of frames with their boxes, and pictures as bytes and text for pages."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "EncodedPicture",
    "blank",
    "class_colour",
    "encode_picture",
    "fitting_scale",
    "reduced",
    "thumbnail",
]

# Told apart also by people with a colour deficiency (Okabe and Ito), but for black.
_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
_MOST_BOXES = 300  # drawn in one picture; more cover it anyhow
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture as bytes that a browser shows, and their media type."""

    data: bytes
    media_type: str

    @property
    def uri(self) -> str:
        """The picture as the `src` of an `<img>`."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode('ascii')}"


def class_colour(class_id: int) -> str:
    """Return the colour of a class, as `#rrggbb`; few classes have different ones."""
    return _COLOURS[class_id % len(_COLOURS)]


def fitting_scale(width: int, height: int, side: int) -> float:
    """Return the scale, of 1 at most, at which a frame fits a square of `side` pixels."""
    return min(1.0, side / max(width, height))


def thumbnail(
    pixels: NDArray[np.uint8], boxes: Iterable[Box], *, frame_size: tuple[int, int], side: int = 160
) -> Image:
    """Draw a frame in a square of `side` pixels, with an outline for each of its boxes.

    Args:
        pixels: uint8 [h, w, 3] RGB, of any size; smaller ones stay small.
        boxes: In pixels of the frame. The first 300 are drawn, in the colours of their classes.
        frame_size: Width and height of the frame.
        side: Of the square.

    Returns:
        A Pillow image.
    """
    from PIL import ImageDraw

    image = reduced(np.ascontiguousarray(pixels), side)
    draw = ImageDraw.Draw(image)
    across, down = image.width / frame_size[0], image.height / frame_size[1]
    # The largest first, so that its outline does not hide a small box.
    shown = sorted(list(boxes)[:_MOST_BOXES], key=lambda box: -box.w * box.h)
    for box in shown:
        left, right = _inside(box.x * across, (box.x + box.w) * across, image.width)
        top, bottom = _inside(box.y * down, (box.y + box.h) * down, image.height)
        draw.rectangle((left, top, right, bottom), outline=class_colour(box.class_id))
    return image


def blank(width: int, height: int, side: int = 160) -> NDArray[np.uint8]:
    """Return grey pixels in the shape of a frame whose own are not to be decoded."""
    scale = fitting_scale(width, height, side)
    shape = (max(1, round(height * scale)), max(1, round(width * scale)), 3)
    return np.full(shape, 221, np.uint8)


def encode_picture(
    picture: NDArray[np.uint8] | Image,
    *,
    side: int | None = None,
    lossless: bool = False,
    compact: bool = False,
) -> EncodedPicture:
    """Encode a picture for a browser.

    Args:
        picture: A Pillow image, or pixels, uint8 [h, w] grey or [h, w, 3] RGB.
        side: The most pixels of a side; larger pictures are reduced.
        lossless: PNG, which is fast, instead of WebP (JPEG, where Pillow has no WebP).
        compact: With `lossless`: WebP, if Pillow has it, for pages that are sent around.

    Returns:
        The bytes and their media type.
    """
    from PIL import features

    image = reduced(picture, side)
    has_webp = features.check("webp")
    options: dict[str, Any] = {"quality": _QUALITY}
    kind = "webp" if has_webp else "jpeg"
    if lossless and compact and has_webp:
        options = {"lossless": True, "method": 6}
    elif lossless:
        kind, options = "png", {"optimize": True} if compact else {"compress_level": 1}
    file = io.BytesIO()
    image.save(file, kind, **options)
    return EncodedPicture(file.getvalue(), f"image/{kind}")


def reduced(picture: NDArray[np.uint8] | Image, side: int | None) -> Image:
    """Return a picture as a new image that fits a square of `side` pixels; None for any size.

    A Pillow image keeps its own size.
    """
    from PIL import Image

    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture.copy()
    if side is not None:
        image.thumbnail((side, side))
    return image


def _inside(start: float, end: float, size: int) -> tuple[int, int]:
    """Return the first and last pixel of an outline; a box may be far outside, or infinite."""
    first = int(min(max(start, 0), size - 1))
    return first, int(min(max(end - 1, first), size - 1))

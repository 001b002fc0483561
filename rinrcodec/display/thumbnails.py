"""Small pictures of frames with their boxes, as Pillow images and as text for pages."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["blank", "class_colour", "data_uri", "fitting_scale", "thumbnail"]

# Told apart also by people with a colour deficiency (Okabe and Ito), but for black.
_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
_MOST_BOXES = 300  # drawn in one picture; more cover it anyhow
_QUALITY = 75


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
    from PIL import Image, ImageDraw

    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side, side), Image.Resampling.BOX)
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


def data_uri(image: Image) -> str:
    """Return an image as the `src` of an `<img>`, some kilobytes of WebP."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _inside(start: float, end: float, size: int) -> tuple[int, int]:
    """The first and last pixel of an outline; a box may be far outside, or infinite."""
    first = int(min(max(start, 0), size - 1))
    return first, int(min(max(end - 1, first), size - 1))

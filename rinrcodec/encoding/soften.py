"""Blur what is outside of the boxes before a frame is encoded, for `encode` alone.

Detectors need little of what is outside of objects, and a blurred picture takes fewer bytes. Any
family codes it: nothing of this is in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from rinrcodec.picture import Picture

__all__ = ["sharp_warning", "softened"]

# Kept sharp around a box, on each side: this share of its side, and at least so many pixels. What
# is near an object helps to find it.
_MARGIN = 0.15
_LEAST_MARGIN = 4.0
# The transition is about so many sigma wide.
_FEATHER = 2.0


def softened(picture: Picture, sigma: float) -> Picture:
    """Return the picture, blurred outside of its boxes.

    Args:
        picture: The picture.
        sigma: Of the Gaussian blur, in pixels; 0 returns the picture as it is.

    Returns:
        The same picture with other pixels; those inside the boxes are unchanged. A picture without
        boxes, or one that is not `labelled`, is returned as it is: where its objects are is not
        known.

    Example:
        >>> from rinrcodec import Box, Picture
        >>> pixels = np.zeros((64, 64), np.uint8)
        >>> pixels[::2] = 200
        >>> soft = softened(Picture("stripes", pixels, boxes=(Box(0, 8, 8, 16, 16),)), 2.0)
        >>> np.array_equal(soft.pixels[8:24, 8:24], pixels[8:24, 8:24])
        True
        >>> bool(soft.pixels[40:, 40:].std() < 0.2 * pixels.std())
        True
    """
    if not sigma or not _has_objects(picture):
        return picture
    sharp = Image.fromarray(picture.pixels)
    soft = sharp.filter(ImageFilter.GaussianBlur(sigma))
    mixed = Image.composite(sharp, soft, _sharpness(picture, sigma))
    return replace(picture, pixels=np.asarray(mixed))


def sharp_warning(pictures: Sequence[Picture], sigma: float) -> str:
    """Return a warning about pictures that `softened` returns as they are; "" for none."""
    total = len(pictures)
    sharp = total - sum(map(_has_objects, pictures))
    if not sigma or not sharp:
        return ""
    if sharp == total:
        none = "the picture has no boxes" if total == 1 else "none of the pictures has boxes"
        return f"soften: {none}, so nothing is blurred"
    have, are = ("has", "is") if sharp == 1 else ("have", "are")
    return f"soften: {sharp:,} of {total:,} pictures {have} no boxes and {are} not blurred"


def _has_objects(picture: Picture) -> bool:
    return picture.labelled and bool(picture.boxes)


def _sharpness(picture: Picture, sigma: float) -> Image.Image:
    """Draw how much of the sharp picture each pixel gets, 0 to 255: all of it around the boxes."""
    around = Image.new("L", (picture.width, picture.height))
    inside = around.copy()
    for box in picture.boxes:
        region = box.region(picture.width, picture.height)
        if not region.area:
            continue
        across, down = (round(max(_MARGIN * side, _LEAST_MARGIN, sigma)) for side in (box.w, box.h))
        corners = region.x, region.y, region.right - 1, region.bottom - 1
        grown = corners[0] - across, corners[1] - down, corners[2] + across, corners[3] + down
        ImageDraw.Draw(around).rectangle(grown, fill=255)
        ImageDraw.Draw(inside).rectangle(corners, fill=255)
    # Blurred, the mask is half at its edge: doubled, it is full there and fades outside.
    faded = around.filter(ImageFilter.GaussianBlur(_FEATHER * sigma)).point(
        lambda v: min(255, 2 * v)
    )
    return ImageChops.lighter(faded, inside)

"""Frames as pictures to look at: small ones, the background alone, the error against the source."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from rinrcodec.display.thumbnails import fitting_scale
from rinrcodec.errors import RinrInputError
from rinrcodec.files import RinrFile

__all__ = ["ERROR_GAIN", "MODES", "EncodedPicture", "Mode", "decoded", "encode_picture", "error_of"]

Mode = Literal["background", "objects", "source", "error"]
MODES: tuple[Mode, ...] = get_args(Mode)
ERROR_GAIN = 8  # of the picture of the error, which would be black without
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture as bytes that a browser shows, and their media type."""

    data: bytes
    media_type: str


def decoded(
    file: RinrFile, index: int, *, objects: bool = True, side: int | None = None
) -> NDArray[np.uint8]:
    """Return the pixels of a frame, uint8 [h, w, 3].

    Args:
        file: An open pack.
        index: The frame.
        objects: False gives the background alone.
        side: The most pixels of a side; the frame is decoded on a coarser grid where it has more.

    Raises:
        RinrError: The frame is damaged, or takes more than the limits of the file allow.
    """
    scale = 1.0
    if side is not None:
        frame = file.frame(index)
        scale = fitting_scale(frame.width, frame.height, side)
    return file.pixels(index, objects=objects, scale=scale)


def error_of(source: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the absolute error, times `ERROR_GAIN`: black where there is none.

    Raises:
        RinrInputError: The two have different shapes.
    """
    if source.shape != pixels.shape:
        height, width = source.shape[:2]
        raise RinrInputError(
            f"the source has {width}x{height} pixels, the frame {pixels.shape[1]}x"
            f"{pixels.shape[0]}: give the folder from which the pack was made"
        )
    # In place where possible: a frame may have many pixels.
    error = np.subtract(source, pixels, dtype=np.int16)
    np.abs(error, out=error)
    error *= ERROR_GAIN
    return np.minimum(error, 255).astype(np.uint8)


def encode_picture(
    pixels: NDArray[np.uint8], *, side: int | None = None, lossless: bool = False
) -> EncodedPicture:
    """Encode pixels for a browser.

    Args:
        pixels: uint8 [h, w, 3].
        side: The most pixels of a side; larger pictures are reduced.
        lossless: PNG instead of WebP (JPEG, where Pillow has no WebP).
    """
    image = Image.fromarray(pixels)
    if side is not None:
        image.thumbnail((side, side))
    buffer = io.BytesIO()
    if lossless:
        image.save(buffer, "PNG", compress_level=1)  # it does not travel far
        return EncodedPicture(buffer.getvalue(), "image/png")
    kind = "webp" if features.check("webp") else "jpeg"
    image.save(buffer, kind, quality=_QUALITY)
    return EncodedPicture(buffer.getvalue(), f"image/{kind}")

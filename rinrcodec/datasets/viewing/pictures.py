"""Pixels of frames to look at: small ones, the background alone, the error against the source."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rinrcodec.display.thumbnails import fitting_scale
from rinrcodec.errors import RinrInputError
from rinrcodec.files import RinrFile

__all__ = ["ERROR_GAIN", "MODES", "Mode", "decoded", "error_of"]

Mode = Literal["background", "objects", "source", "error"]
MODES: tuple[Mode, ...] = get_args(Mode)
ERROR_GAIN = 8  # of the picture of the error, which would be black without


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

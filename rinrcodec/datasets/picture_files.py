"""Decoded frames as picture files: PNG, JPEG, WebP or NumPy arrays, with their metadata."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from rinrcodec.errors import RinrInputError
from rinrcodec.pack import Metadata
from rinrcodec.storage import make_folder
from rinrcodec.storage.atomic import write_whole

__all__ = ["MOST_PIXELS_A_SIDE", "picture_bytes", "write_picture"]

MOST_PIXELS_A_SIDE = {"jpg": 65_500, "webp": 16_383}
_EXIF_PREFIX = b"Exif\x00\x00"
_MOST_JPEG_BLOCK = 65_000


def picture_bytes(
    path: Path, pixels: NDArray[np.uint8], metadata: Metadata, *, kind: str
) -> tuple[bytes, list[str]]:
    """Make the bytes of a `kind` file of pixels, [H, W] or [H, W, 3].

    Returns them, and messages about what they could not carry, with the path that they will have.

    kind: "png", "webp" (lossless), "jpg" (quality 95, full colour resolution) or "npy" (no
    metadata). Raises `RinrInputError` for a picture that the format cannot hold.
    """
    if max(pixels.shape[:2]) > MOST_PIXELS_A_SIDE.get(kind, max(pixels.shape[:2])):
        raise RinrInputError(
            f"{path}: {pixels.shape[1]}x{pixels.shape[0]} pixels; a {kind} file has at most "
            f"{MOST_PIXELS_A_SIDE[kind]:,} a side: use --format png"
        )
    file = BytesIO()
    lost: list[str] = []
    if kind == "npy":
        np.save(file, pixels)
    else:
        options, lost = _options(metadata, kind)
        names = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
        Image.fromarray(pixels).save(file, names[kind], **options)
    return file.getvalue(), [f"{path}: {item}" for item in lost]


def write_picture(path: Path, data: bytes) -> None:
    """Write the bytes of a picture."""
    make_folder(path.parent)
    # Thousands of small files: they can be decoded again, so the disk need not be waited for.
    write_whole(path, data, durable=False)


def _options(metadata: Metadata, kind: str) -> tuple[dict[str, Any], list[str]]:
    options: dict[str, Any] = {}
    lost = []
    exif, xmp = metadata.exif, metadata.xmp
    if kind == "jpg":
        options = {"quality": 95, "subsampling": 0}
        # The reader strips no prefix, and other formats have none.
        if exif and not exif.startswith(_EXIF_PREFIX):
            exif = _EXIF_PREFIX + exif
        if len(exif) > _MOST_JPEG_BLOCK:
            exif = b""
            lost.append("its EXIF is too large for a JPEG and is left out")
        if len(xmp) > _MOST_JPEG_BLOCK:
            xmp = b""
            lost.append("its XMP is too large for a JPEG and is left out")
        if xmp:
            options["xmp"] = xmp
    elif kind == "webp":
        options = {"lossless": True}
        if xmp:
            options["xmp"] = xmp
    elif xmp:
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", errors="replace"))
        options["pnginfo"] = text
    if exif:
        options["exif"] = exif
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    return options, lost

"""Decoded frames as picture files: PNG, JPEG, WebP or NumPy arrays, with their metadata."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, Literal

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
# 255 segments of so many bytes, which Pillow does not count.
_MOST_JPEG_ICC = 255 * 65_519
# More makes Pillow refuse the file (`MAX_TEXT_CHUNK`), and OpenCV (8,000,000 bytes of a chunk).
_MOST_PNG_ICC = 2**20
_MOST_PNG_BLOCK = 7_900_000
# TIFF: type of a value -> its bytes; tags of entries that lead to further tables.
_TIFF_BYTES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1))
_TIFF_TABLES = {0x8769, 0x8825, 0xA005}
_MOST_TIFF_TABLES = 8


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
            f"{MOST_PIXELS_A_SIDE[kind]:,} a side: use `format='png'`"
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
    """Return Pillow's options for the metadata that such a file can carry.

    The second value lists what it cannot carry.
    """
    lost: list[str] = []
    if kind == "jpg":
        exif, icc, xmp = _for_jpeg(metadata, lost)
        options: dict[str, Any] = {"quality": 95, "subsampling": 0}
    elif kind == "webp":
        exif, icc, xmp = metadata.exif, metadata.icc, metadata.xmp
        options = {"lossless": True}
    else:
        exif, icc, xmp = _for_png(metadata, lost)
        options = {}
    if xmp and kind == "png":
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options["pnginfo"] = text
    elif xmp:
        options["xmp"] = xmp
    if exif:
        options["exif"] = exif
    if icc:
        options["icc_profile"] = icc
    return options, lost


def _for_jpeg(metadata: Metadata, lost: list[str]) -> tuple[bytes, bytes, bytes]:
    """Return the EXIF, ICC and XMP bytes that a JPEG can carry."""
    exif, icc, xmp = metadata.exif, metadata.icc, metadata.xmp
    # The reader strips no prefix, and other formats have none.
    if exif and not exif.startswith(_EXIF_PREFIX):
        exif = _EXIF_PREFIX + exif
    if len(exif) > _MOST_JPEG_BLOCK:
        exif = b""
        lost.append("its EXIF is too large for a JPEG and is left out")
    if len(icc) > _MOST_JPEG_ICC:
        icc = b""
        lost.append("its ICC profile is too large for a JPEG and is left out")
    if len(xmp) > _MOST_JPEG_BLOCK:
        xmp = b""
        lost.append("its XMP is too large for a JPEG and is left out")
    return exif, icc, xmp


def _for_png(metadata: Metadata, lost: list[str]) -> tuple[bytes, bytes, bytes]:
    """Return the EXIF, ICC and XMP bytes that a PNG can carry, so that other software opens it."""
    exif, icc, xmp = metadata.exif, metadata.icc, metadata.xmp
    if len(exif) > _MOST_PNG_BLOCK:
        exif = b""
        lost.append("its EXIF is too large for a PNG and is left out; use `format='webp'`")
    if exif and not _is_sound_exif(exif.removeprefix(_EXIF_PREFIX)):
        exif = b""  # ffmpeg would refuse the whole picture
        lost.append("its EXIF is damaged and is left out; use `format='webp'`")
    if len(icc) > _MOST_PNG_ICC:
        icc = b""
        lost.append("its ICC profile is too large for a PNG and is left out; use `format='webp'`")
    if len(xmp) > _MOST_PNG_BLOCK:
        xmp = b""
        lost.append("its XMP is too large for a PNG and is left out; use `format='webp'`")
    try:
        xmp.decode()
    except UnicodeDecodeError:
        xmp = b""
        lost.append("its XMP is not UTF-8, as a PNG needs, and is left out; use `format='webp'`")
    return exif, icc, xmp


def _is_sound_exif(exif: bytes) -> bool:
    """Return whether all tables of tags, and the values they refer to, are within these bytes."""
    order: Literal["little", "big"] = "little" if exif[:2] == b"II" else "big"

    def number(start: int, length: int) -> int:
        return int.from_bytes(exif[start : start + length], order)

    if exif[:2] not in {b"II", b"MM"} or len(exif) < 8 or number(2, 2) != 42:
        return False
    tables, seen = [number(4, 4)], 0
    while tables:
        start, seen = tables.pop(), seen + 1
        end = start + 2 + 12 * number(start, 2)
        if start < 8 or end + 4 > len(exif) or seen > _MOST_TIFF_TABLES:
            return False
        for entry in range(start + 2, end, 12):
            tag, kind, count = number(entry, 2), number(entry + 2, 2), number(entry + 4, 4)
            size = _TIFF_BYTES.get(kind, 0) * count
            if kind not in _TIFF_BYTES or (size > 4 and number(entry + 8, 4) + size > len(exif)):
                return False
            if tag in _TIFF_TABLES:
                tables.append(number(entry + 8, 4))
        if number(end, 4):
            tables.append(number(end, 4))
    return True

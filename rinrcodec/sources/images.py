"""Pictures as the codec takes them: upright 8-bit grey or RGB arrays, with boxes and metadata.

Pictures are stored upright: the EXIF orientation is applied to the pixels, and the tag's value
inside the EXIF bytes is set to 1, because labels and detectors speak of the upright picture.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError, RinrInputError, RinrLimitError, RinrSourceError
from rinrcodec.formats import MAGIC
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Metadata
from rinrcodec.picture import Picture
from rinrcodec.storage import may_pass, read_file, to_path

__all__ = [
    "decode_picture",
    "load_picture",
    "picture_from_array",
    "picture_from_pil",
    "read_picture_file",
]

_EXIF_PREFIX = b"Exif\x00\x00"
# What a file may take: four channels of 32 bits without compression, and its metadata.
_BYTES_A_PIXEL = 16
_MOST_EXTRA = 2**26
_ORIENTATION_TAG = 0x0112
# EXIF value -> what brings the stored pixels upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# The colour profile of these modes does not describe the RGB pixels made of them.
_FOREIGN_PROFILE = {"CMYK", "LAB", "YCbCr", "HSV"}


def load_picture(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    boxes: Sequence[Box] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Read a picture file; `name` is the file's own name where none is given.

    path: also the URL of one (docs/remote.md). Its bytes are read whole before they are decoded.

    Raises `RinrInputError` for a file that is missing, empty, truncated or no picture,
    `RinrSourceError` where its disk or store fails, and `RinrLimitError` for one of more pixels
    than `limits.max_pixels`, before they are decoded.
    """
    file = to_path(path)
    data = read_picture_file(file, limits=limits)
    return decode_picture(data, file, name=name, boxes=boxes, limits=limits)


def read_picture_file(file: Path, *, stamp: str = "", limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The bytes of a picture file; raises `RinrInputError` or `RinrLimitError` with the reason.

    stamp: as in `storage.read_file`.
    """
    try:
        return read_file(file, stamp=stamp, most=_BYTES_A_PIXEL * limits.max_pixels + _MOST_EXTRA)
    except FileNotFoundError:
        raise RinrInputError(f"{file}: there is no such file") from None
    except OSError as error:
        kind = RinrSourceError if may_pass(file, error) else RinrInputError
        raise kind(f"{file}: cannot be read: {error.strerror or error}") from error


def decode_picture(
    data: bytes,
    file: Path,
    *,
    name: str | None = None,
    boxes: Sequence[Box] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """As `load_picture`, of bytes that were read from `file`."""
    if not data:
        raise RinrInputError(f"{file}: the file is empty (0 bytes); want a picture")
    try:
        with Image.open(BytesIO(data)) as image:
            picture = picture_from_pil(
                image,
                name=file.name if name is None else name,
                boxes=boxes,
                source_bytes=len(data),
                limits=limits,
            )
            return replace(picture, notes=_notes(image))
    except UnidentifiedImageError:
        raise RinrInputError(f"{file}: {_why_unidentified(data)}") from None
    except Image.DecompressionBombError as error:
        raise RinrLimitError(f"{file}: {error}") from error
    except RinrError as error:
        raise type(error)(_with_file(file, str(error))) from error
    # A broken file makes Pillow's decoders raise almost anything; it is always the file's fault.
    except Exception as error:
        raise RinrInputError(f"{file}: the picture is damaged or truncated ({error})") from error


def picture_from_pil(
    image: Image.Image,
    *,
    name: str,
    boxes: Sequence[Box] = (),
    source_bytes: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Convert a Pillow image: upright, 8 bit, grey where the image is grey and RGB otherwise.

    16-bit grey is scaled by 257 and rounded (Pillow's own conversion clips at 255); alpha is
    dropped; of a multi-frame file the current frame is used. Raises `RinrInputError` for a mode
    without a meaning in 8 bits ("F", or 32-bit values beyond 65,535), `RinrLimitError` for more
    pixels than `limits.max_pixels`.
    """
    width, height = image.size
    limits.check("max_pixels", width * height, f"{name}: {width}x{height} pixels")
    image.load()
    pixels_image = _eight_bit(image, name)
    exif = _bytes(image.info.get("exif"))
    orientation, exif = _upright_exif(exif)
    if orientation in _UPRIGHT:
        pixels_image = pixels_image.transpose(_UPRIGHT[orientation])
    metadata = Metadata(
        exif=exif,
        icc=b"" if image.mode in _FOREIGN_PROFILE else _bytes(image.info.get("icc_profile")),
        xmp=_bytes(image.info.get("xmp")),
    )
    for part in (metadata.exif, metadata.icc, metadata.xmp):
        limits.check("max_metadata_bytes", len(part), f"{name}: bytes of metadata")
    picture = picture_from_array(
        np.asarray(pixels_image), name=name, boxes=boxes, source_bytes=source_bytes, limits=limits
    )
    return replace(picture, metadata=metadata)


def picture_from_array(
    pixels: NDArray[Any],
    *,
    name: str,
    boxes: Sequence[Box] = (),
    source_bytes: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Wrap uint8 pixels, [H, W] grey or [H, W, 3] RGB; raises `RinrInputError` for other arrays."""
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or colour) or pixels.size == 0:
        raise RinrInputError(
            f"{name}: an array of {pixels.dtype} {list(pixels.shape)}; "
            "want uint8 [H, W] (grey) or [H, W, 3] (RGB) with at least one pixel"
        )
    height, width = pixels.shape[:2]
    limits.check("max_pixels", width * height, f"{name}: {width}x{height} pixels")
    limits.check("max_boxes", len(boxes), f"{name}: boxes")
    return Picture(
        name=name,
        pixels=np.ascontiguousarray(pixels),
        boxes=tuple(boxes),
        source_size=(width, height),
        source_bytes=source_bytes,
    )


def _eight_bit(image: Image.Image, name: str) -> Image.Image:
    mode = image.mode
    if mode in {"L", "RGB"}:
        return image
    if mode in {"1", "LA", "La"}:
        return image.convert("LA").convert("L") if mode == "La" else image.convert("L")
    if mode.startswith("I"):
        return Image.fromarray(_from_sixteen_bit(np.asarray(image), name))
    if mode == "F":
        raise RinrInputError(
            f"{name}: floating-point pixels (mode F) have no fixed white; "
            "scale them to 8 or 16 bits and save again"
        )
    if mode == "P" and "transparency" in image.info:
        # Straight to RGB would warn that the transparency is lost, which is the point.
        return image.convert("RGBA").convert("RGB")
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise RinrInputError(f"{name}: pixels of mode {mode}; want grey or RGB") from error


def _from_sixteen_bit(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise RinrInputError(
            f"{name}: 32-bit values from {low} to {high}; want 16 bits (0 to 65535)"
        )
    # 65535 = 255 * 257; adding half the divisor rounds.
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _upright_exif(exif: bytes) -> tuple[int, bytes]:
    """The orientation that EXIF bytes give (1 where none) and the bytes with it set to 1."""
    start = len(_EXIF_PREFIX) if exif.startswith(_EXIF_PREFIX) else 0
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[start : start + 4])
    if order is None:
        return 1, exif
    try:
        (offset,) = struct.unpack_from(f"{order}I", exif, start + 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start + offset)
        for entry in range(start + offset + 2, start + offset + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", exif, entry)
            code = {1: "B", 3: "H", 4: "I"}.get(kind)
            if tag == _ORIENTATION_TAG and values == 1 and code:
                (value,) = struct.unpack_from(f"{order}{code}", exif, entry + 8)
                patched = bytearray(exif)
                struct.pack_into(f"{order}{code}", patched, entry + 8, 1)
                return value, bytes(patched)
    except struct.error:
        # Cut-off EXIF is common and harmless: the picture counts as upright, the bytes stay.
        pass
    return 1, exif


def _notes(image: Image.Image) -> tuple[str, ...]:
    frames = getattr(image, "n_frames", 1)
    # An MPO is a photo with a preview or a second eye behind it: the first is what everyone shows.
    if frames > 1 and image.format != "MPO":
        return (f"holds {frames} pictures; only the first is used",)
    return ()


def _why_unidentified(data: bytes) -> str:
    if not data.startswith(MAGIC):
        return "not a picture that Pillow can read"
    return "a .rinr file, which Pillow reads after rinrcodec.register_pillow()"


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else b""


def _with_file(file: Path, message: str) -> str:
    return message if message.startswith(str(file)) else f"{file}: {message}"

"""Pictures as the codec takes them: upright 8-bit grey or RGB arrays, with boxes and metadata.

Pictures are stored upright: the EXIF orientation is applied to the pixels, and the tag's value
inside the EXIF bytes is set to 1, because labels and detectors speak of the upright picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
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
from rinrcodec.memory import is_out_of_memory, memory_error, memory_errors
from rinrcodec.picture import Picture
from rinrcodec.sources.picture_names import unreadable_kind
from rinrcodec.sources.pictures.depth import (
    DepthRange,
    check_planes,
    deep_colour_note,
    eight_bit_greys,
    raw_mode,
)
from rinrcodec.sources.pictures.jpeg_end import completed, lacks_end
from rinrcodec.sources.pictures.metadata import read_metadata
from rinrcodec.sources.pictures.opening import count_pages, load_unmapped, open_picture
from rinrcodec.storage import may_pass, read_file, read_range, to_path

__all__ = [
    "decode_picture",
    "load_picture",
    "picture_from_array",
    "picture_from_pil",
    "read_picture_file",
    "upright_size",
]

# What a file may take: four channels of 32 bits without compression, and its metadata.
_BYTES_A_PIXEL = 16
_MOST_EXTRA = 2**26
_NO_END = "has no end marker (FF D9); no pixel is missing"
_DNG_VERSION = 50706
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What the header of a JPEG fits in; those with more before their pixels are read whole.
_JPEG_HEADER = 2**16
_JPEG_START = b"\xff\xd8"
# A PNG may have these behind its pixels.
_PNG_METADATA = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
_PNG_PIXELS = b"IDAT"
_ON_THEIR_SIDE = (5, 6, 7, 8)
_FEWER = "take fewer pictures at a time (`jobs`), or a machine with more memory"

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


def load_picture(
    path: str | PathLike[str],
    *,
    name: str | None = None,
    boxes: Sequence[Box] = (),
    depth_range: DepthRange | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Read a picture file, turn it upright and convert it to grey or RGB.

    Args:
        path: A file that Pillow opens, or its URL (docs/remote.md).
        name: The name of the frame; None takes that of the file.
        boxes: Its labelled objects, in pixels of the upright picture.
        depth_range: For greys of 16 or 32 bits, the values that become 0 and 255; values outside
            are clipped. None takes all of 16 bits.
        limits: `limits.max_pixels` is checked before pixels are decoded.

    Returns:
        The picture. Its `notes` say what was lost, such as transparency or further pages.

    Raises:
        RinrInputError: The file is missing, empty, truncated or no picture.
        RinrSourceError: Its disk or store fails.
        RinrLimitError: It has more pixels than `limits.max_pixels`.
        RinrMemoryError: Memory runs out.

    Example:
        >>> from PIL import Image
        >>> import rinrcodec
        >>> Image.new("RGB", (32, 24)).save("frame.png")
        >>> rinrcodec.load_picture("frame.png")
        Picture('frame.png', 32x24 RGB, 0 boxes)
    """
    file = to_path(path)
    data = read_picture_file(file, limits=limits)
    return decode_picture(
        data, file, name=name, boxes=boxes, depth_range=depth_range, limits=limits
    )


def read_picture_file(file: Path, *, stamp: str = "", limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Read a picture file; raise `RinrInputError` or `RinrLimitError` with the reason.

    stamp: as in `storage.read_file`.
    """
    try:
        with memory_errors(f"{file}: reading the picture", _FEWER):
            most = _BYTES_A_PIXEL * limits.max_pixels + _MOST_EXTRA
            return read_file(file, stamp=stamp, most=most)
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
    depth_range: DepthRange | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Decode as `load_picture` does, from bytes that were read from `file`."""
    if not data:
        raise RinrInputError(f"{file}: the file is empty (0 bytes), not a picture")
    name = file.name if name is None else name
    if problem := unreadable_kind(file.suffix):
        raise RinrInputError(f"{file}: {problem}")
    whole = data
    notes: tuple[str, ...] = ()
    try:
        if lacks_end(data):
            _check_size(data, name, limits)
            whole, notes = completed(data, _jpeg_pixels) or b"", (_NO_END,)
            if not whole:
                raise OSError("it has no end marker, FF D9, and pixels may be missing")
        picture = _decoded(whole, name, boxes, depth_range, limits)
    except UnidentifiedImageError:
        raise RinrInputError(f"{file}: {_why_unidentified(data)}") from None
    except Image.DecompressionBombError as error:
        raise RinrLimitError(f"{file}: {error}; convert it to PNG or TIFF") from error
    except RinrError as error:
        raise type(error)(f"{file}: {str(error).removeprefix(f'{name}: ')}") from error
    # A broken file makes Pillow's decoders raise almost anything; without a lack of memory, it is
    # always the file's fault.
    except Exception as error:
        if is_out_of_memory(error):
            raise memory_error(error, f"{file}: reading the picture", _FEWER) from error
        raise RinrInputError(f"{file}: the picture is damaged or truncated ({error})") from error
    return replace(picture, source_bytes=len(data), notes=notes + picture.notes)


def upright_size(file: Path, *, limits: Limits = DEFAULT_LIMITS) -> tuple[int, int] | None:
    """Return the width and height that `load_picture` gives, from the header of a picture file.

    Of a JPEG, the header alone is read. None where the file cannot be opened: `load_picture` raises
    the reason.
    """
    # A broken file makes Pillow's plugins raise almost anything.
    with suppress(Exception):
        start = read_range(file, 0, _JPEG_HEADER)
        if start.startswith(_JPEG_START):
            with suppress(Exception):
                return _size_of(start, limits)
        return _size_of(read_picture_file(file, limits=limits), limits)
    return None


def _size_of(data: bytes, limits: Limits) -> tuple[int, int]:
    with open_picture(data) as image:
        width, height = image.size
        limits.check("max_pixels", width * height, f"{width}x{height} pixels")
        behind = data[data.rfind(_PNG_PIXELS) :] if image.format == "PNG" else b""
        if any(name in behind for name in _PNG_METADATA):
            image.load()
        _, orientation, _ = read_metadata(image, limits)
    return (height, width) if orientation in _ON_THEIR_SIDE else (width, height)


def _decoded(
    data: bytes,
    name: str,
    boxes: Sequence[Box],
    depth_range: DepthRange | None,
    limits: Limits,
) -> Picture:
    with open_picture(data) as image:
        if _DNG_VERSION in getattr(image, "tag_v2", ()):
            raise RinrInputError(unreadable_kind(".dng"))
        picture = picture_from_pil(
            image, name=name, boxes=boxes, depth_range=depth_range, limits=limits
        )
        # Last, because it goes on to the other pictures of the file.
        return replace(picture, notes=_notes(image) + picture.notes)


def _check_size(data: bytes, name: str, limits: Limits) -> None:
    with open_picture(data) as image:
        width, height = image.size
    limits.check("max_pixels", width * height, f"{name}: {width}x{height} pixels")


def _jpeg_pixels(data: bytes) -> NDArray[np.uint8]:
    with open_picture(data) as image:
        return np.asarray(image)


def picture_from_pil(
    image: Image.Image,
    *,
    name: str,
    boxes: Sequence[Box] = (),
    source_bytes: int = 0,
    depth_range: DepthRange | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Convert a Pillow image: upright, 8 bit, grey where the image is grey and RGB otherwise.

    Greys of 16 bits are scaled by 257 and rounded (Pillow's own conversion clips at 255), or
    `depth_range` is mapped to 0 to 255; alpha is dropped; of a multi-frame file the current frame
    is used. Raises `RinrInputError` for a mode without a meaning in 8 bits ("F", or 32-bit values
    beyond 65,535, both without `depth_range`), `RinrLimitError` for more pixels than
    `limits.max_pixels`.
    """
    width, height = image.size
    limits.check("max_pixels", width * height, f"{name}: {width}x{height} pixels")
    stored = raw_mode(image)
    check_planes(image, name, stored)
    load_unmapped(image)
    pixels, notes = _eight_bit(image, name, stored, depth_range)
    metadata, orientation, more = read_metadata(image, limits)
    if orientation in _UPRIGHT:
        pixels = np.asarray(Image.fromarray(pixels).transpose(_UPRIGHT[orientation]))
    for part in (metadata.exif, metadata.icc, metadata.xmp):
        limits.check("max_metadata_bytes", len(part), f"{name}: bytes of metadata")
    picture = picture_from_array(
        pixels, name=name, boxes=boxes, source_bytes=source_bytes, limits=limits
    )
    return replace(picture, metadata=metadata, notes=notes + more)


def picture_from_array(
    pixels: NDArray[Any],
    *,
    name: str,
    boxes: Sequence[Box] = (),
    source_bytes: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> Picture:
    """Wrap uint8 pixels, [H, W] grey or [H, W, 3] RGB; raise `RinrInputError` for other arrays."""
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or colour) or pixels.size == 0:
        raise RinrInputError(
            f"{name}: an array of {pixels.dtype} {list(pixels.shape)}; "
            "expected uint8 [H, W] (grey) or [H, W, 3] (RGB) with at least one pixel"
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


def _eight_bit(
    image: Image.Image, name: str, stored: str, depth_range: DepthRange | None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the pixels in 8 bits, and notes about the loss."""
    if image.mode == "F" or image.mode.startswith("I"):
        return eight_bit_greys(image, name, stored=stored, depth_range=depth_range)
    pixels = np.asarray(_grey_or_rgb(image, name))
    return pixels, deep_colour_note(pixels, stored, depth_range)


def _grey_or_rgb(image: Image.Image, name: str) -> Image.Image:
    mode = image.mode
    if mode in {"L", "RGB"}:
        return image
    if mode in {"1", "LA", "La"}:
        return image.convert("LA").convert("L") if mode == "La" else image.convert("L")
    if mode == "P" and "transparency" in image.info:
        # Straight to RGB would warn that the transparency is lost, which is the point.
        return image.convert("RGBA").convert("RGB")
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise RinrInputError(f"{name}: pixels of mode {mode} are neither grey nor RGB") from error


def _notes(image: Image.Image) -> tuple[str, ...]:
    # An MPO is a photo with a preview or a second eye behind it: the first is what everyone shows.
    if image.format == "MPO" or (pages := count_pages(image)) < 2:
        return ()
    return (f"holds {pages} pictures; only the first is used",)


def _why_unidentified(data: bytes) -> str:
    if data.startswith(_TIFF):
        return "Pillow cannot read this kind of TIFF; save its pixels as 8-bit or 16-bit PNG"
    if not data.startswith(MAGIC):
        return "not a picture that Pillow can read"
    return "a .rinr file, which Pillow reads after rinrcodec.register_pillow()"

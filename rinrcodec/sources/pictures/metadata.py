"""EXIF, ICC and XMP of an image, for pixels that are upright: every orientation in them is 1.

`images.picture_from_pil` calls `read_metadata` once the image is loaded.
"""

from __future__ import annotations

import re
import struct
from typing import Any

from PIL import Image, TiffImagePlugin

from rinrcodec.limits import Limits
from rinrcodec.pack import Metadata

__all__ = ["read_metadata"]

_EXIF_PREFIX = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112
# What Pillow finds, with single quotes and spaces too, which XML allows.
_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)([0-9])")
# The colour profile of these modes does not describe the RGB pixels made of them.
_FOREIGN_PROFILE = {"CMYK", "LAB", "YCbCr", "HSV"}
# Tags of a TIFF for the layout of its pixels in the file, and those kept in other ways here.
_STRUCTURE = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281),
    *(284, 288, 289, 290, 291, 292, 293, 297, 301, 317, 320, 321, 322, 323, 324, 325, 330, 332),
    *(333, 334, 336, 337, 338, 339, 340, 341, 342, 343, 344, 345, 346, 347, 512, 513, 514, 515),
    *(517, 518, 519, 520, 521, 529, 530, 531, 532, 559, 700, 34675, 40965),
}
_RESOLUTION = {282, 283, 296}  # which nearly every TIFF has, and describe nothing alone
_EXIF_IFD, _GPS_IFD, _INTEROP = 34665, 34853, 40965


def read_metadata(image: Image.Image, limits: Limits) -> tuple[Metadata, int, tuple[str, ...]]:
    """Return the metadata, the orientation that the pixels still have, and notes for the user.

    The orientation is that of EXIF or else that of XMP, as `PIL.ImageOps.exif_transpose` takes it;
    1 where there is none. Notes name what cannot be kept.
    """
    notes: list[str] = []
    turned: int | None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Pillow has turned its pixels already.
        exif, turned = _exif_of_tiff(image, limits.max_metadata_bytes, notes), 1
    else:
        turned, exif = _upright_exif(_exif_bytes(image))
    of_xmp, xmp = _upright_xmp(_bytes(image.info.get("xmp")))
    if turned is None:
        turned = of_xmp
    return (
        Metadata(
            exif=exif,
            icc=b"" if image.mode in _FOREIGN_PROFILE else _bytes(image.info.get("icc_profile")),
            xmp=xmp,
        ),
        turned,
        tuple(notes),
    )


def _exif_bytes(image: Image.Image) -> bytes:
    exif = _bytes(image.info.get("exif"))
    profile = image.info.get("Raw profile type exif")
    if not exif and isinstance(profile, str):  # as ImageMagick writes it into a PNG
        try:
            return bytes.fromhex("".join(profile.split("\n")[3:]))
        except ValueError:
            return b""
    return exif


def _upright_exif(exif: bytes) -> tuple[int | None, bytes]:
    """Return the orientation in EXIF bytes, None if missing, and the bytes with it set to 1."""
    start = len(_EXIF_PREFIX) if exif.startswith(_EXIF_PREFIX) else 0
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[start : start + 4])
    if order is None:
        return None, exif
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
        # Cut-off EXIF is common and harmless: it has no orientation then, and the bytes stay.
        pass
    return None, exif


def _upright_xmp(xmp: bytes) -> tuple[int, bytes]:
    """Return the orientation in XMP, 1 if missing, and the XMP with it set to 1."""
    found = _XMP_ORIENTATION.search(xmp)
    if found is None:
        return 1, xmp
    return int(found[2]), _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def _exif_of_tiff(image: TiffImagePlugin.TiffImageFile, most: int, notes: list[str]) -> bytes:
    """Make EXIF bytes of the descriptive tags, and of the Exif and GPS tags, of a TIFF."""
    source = image.getexif()
    tags = {int(tag): value for tag, value in source.items() if int(tag) not in _STRUCTURE}
    for tag in (_EXIF_IFD, _GPS_IFD):
        if tag not in tags:
            continue
        inner = {key: value for key, value in source.get_ifd(tag).items() if key != _INTEROP}
        if inner:
            tags[tag] = inner
        else:
            del tags[tag]
            notes.append(f"its {'GPS' if tag == _GPS_IFD else 'Exif'} tags cannot be read")
    if tags.keys() <= _RESOLUTION:
        return b""
    whole = _as_bytes(tags)
    if whole is not None and len(whole) <= most:
        return whole
    kept: dict[int, Any] = {}
    lost = []
    for tag in sorted(tags, key=lambda tag: len(_as_bytes({tag: tags[tag]}) or b"")):
        tried = _as_bytes({**kept, tag: tags[tag]})
        if tried is not None and len(tried) <= most:
            kept[tag] = tags[tag]
        else:
            lost.append(tag)
    named = ", ".join(map(str, sorted(lost)))
    notes.append(f"cannot keep its TIFF {'tag' if len(lost) == 1 else 'tags'} {named}")
    return (_as_bytes(kept) or b"") if kept else b""


def _as_bytes(tags: dict[int, Any]) -> bytes | None:
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    try:
        return exif.tobytes()
    except Exception:  # Pillow raises almost anything for values that do not fit their tags
        return None


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else b""

"""Pictures of `decompress` open in other software, also with odd metadata of a pack."""

from __future__ import annotations

import io
import random
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from rinrcodec.datasets.picture_files import picture_bytes
from rinrcodec.pack import Metadata

PIXELS = np.full((6, 8, 3), 90, np.uint8)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOISE = random.Random(0).randbytes(1 << 24)


def exif() -> bytes:
    made = Image.Exif()
    made[0x010E] = "a description"
    made.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    made.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    return made.tobytes()


def opened(data: bytes) -> dict[str, bytes]:
    """What Pillow reads of a picture, which ffmpeg opens too."""
    with av.open(io.BytesIO(data)) as container:
        assert [frame.width for frame in container.decode(video=0)] == [8]
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return {key: image.info[key] for key in ("exif", "icc_profile", "xmp") if key in image.info}


@pytest.mark.parametrize(
    ("kind", "metadata", "lost"),
    [
        ("png", Metadata(icc=(ICC + NOISE)[: 2**20]), ""),
        ("png", Metadata(icc=(ICC + NOISE)[: 2**20 + 1]), "ICC profile is too large for a PNG"),
        ("webp", Metadata(icc=(ICC + NOISE)[: 2**20 + 1]), ""),
        ("jpg", Metadata(icc=(ICC + NOISE)[:3_000_000]), ""),
        ("jpg", Metadata(icc=(ICC + NOISE)[:16_710_000]), "ICC profile is too large for a JPEG"),
        ("png", Metadata(xmp=b"<x>" + b"a" * 7_900_000), "XMP is too large for a PNG"),
        ("png", Metadata(xmp=b"<x>\xff"), "XMP is not UTF-8"),
        ("png", Metadata(xmp="<x>ü</x>".encode()), ""),
        ("webp", Metadata(xmp=b"<x>\xff"), ""),
        ("png", Metadata(exif=exif() + bytes(7_900_000)), "EXIF is too large for a PNG"),
        ("png", Metadata(exif=exif()), ""),
        ("png", Metadata(exif=exif()[:-9]), "EXIF is damaged"),
        ("png", Metadata(exif=b"II*\0\x08\0\0\0"), "EXIF is damaged"),
        ("png", Metadata(exif=b"words"), "EXIF is damaged"),
        ("webp", Metadata(exif=b"words"), ""),
        ("jpg", Metadata(exif=b"words"), ""),
    ],
)
def test_large_and_damaged_metadata(kind: str, metadata: Metadata, lost: str) -> None:
    data, messages = picture_bytes(Path("a"), PIXELS, metadata, kind=kind)
    assert len(messages) == bool(lost)
    assert lost in "".join(messages)
    assert len(opened(data)) == (0 if lost else 1)


def test_mutated_exif_never_keeps_a_png_from_opening() -> None:
    rng, sound, kept = random.Random(1), exif().removeprefix(b"Exif\0\0"), 0
    for number in range(120):
        data = bytearray(sound)
        if number % 4 == 0:
            del data[rng.randrange(8, len(data)) :]
        else:
            data[rng.randrange(4, len(data))] = rng.randrange(256)
        picture, messages = picture_bytes(Path("a"), PIXELS, Metadata(exif=bytes(data)), kind="png")
        assert ("exif" in opened(picture)) == (not messages)
        kept += not messages
    assert 20 < kept < 110


def test_tables_that_refer_to_themselves_end() -> None:
    loop = b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0"
    _, messages = picture_bytes(Path("a"), PIXELS, Metadata(exif=loop), kind="png")
    assert messages == ["a: its EXIF is damaged and is left out; use `format='webp'`"]

"""JPEGs without an end marker are read where no pixel is missing, and refused otherwise."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from rinrcodec.encoder import encode
from rinrcodec.errors import RinrInputError
from rinrcodec.sources.images import load_picture

KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "optimised": {"optimize": True},
    "restart blocks": {"restart_marker_blocks": 1},
    "restart rows": {"restart_marker_rows": 1},
    "progressive, restart rows": {"progressive": True, "restart_marker_rows": 1},
    "best": {"quality": 100, "subsampling": 0},
}
SIZES = [(48, 40), (17, 33), (8, 8), (1, 1), (100, 3)]
NOTE = "has no end marker (FF D9); no pixel is missing"


def jpeg(size: tuple[int, int], mode: str, *, noise: int, **options: Any) -> bytes:
    y, x = np.mgrid[: size[1], : size[0]]
    shift = np.random.default_rng(7).integers(-noise, noise + 1, (*x.shape, 3))
    pixels = np.stack([x * 3 % 256, y * 5 % 256, (x + y) % 256], -1) + shift
    file = io.BytesIO()
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)
    image.save(file, "JPEG", **options)
    return file.getvalue()


def read(folder: Path, data: bytes) -> Any:
    path = folder / "a.jpg"
    path.write_bytes(data)
    return load_picture(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jpeg")


@pytest.mark.parametrize(
    "tail",
    [b"", b"\xff", b"\0" * 7, b"\xff" * 600, b"\xff\0\0\0", b"\xcc" * 90, b"other bytes"],
    ids=["whole", "half", "zeros", "ones", "half, zeros", "filling", "garbage"],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_end_marker(folder: Path, kind: str, mode: str, tail: bytes) -> None:
    for size in SIZES:
        data = jpeg(size, mode, noise=20, **KINDS[kind])
        wanted = read(folder, data)
        picture = read(folder, data[:-2] + tail)
        np.testing.assert_array_equal(picture.pixels, wanted.pixels)
        assert picture.notes == (NOTE,)
        assert picture.source_bytes == len(data) - 2 + len(tail)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
    size=st.sampled_from(SIZES),
    noise=st.sampled_from([0, 30]),
    cut=st.integers(3, 4000),
    filling=st.sampled_from([b"", b"\0" * 3, b"\0" * 4000, b" " * 400, b"\xff" * 9]),
)
@example("progressive", "RGB", (48, 40), 30, 300, b"")
@example("restart blocks", "L", (48, 40), 0, 4, b"")
def test_cut_data_is_refused_or_gives_the_same_pixels(
    folder: Path, kind: str, mode: str, size: tuple[int, int], noise: int, cut: int, filling: bytes
) -> None:
    data = jpeg(size, mode, noise=noise, **KINDS[kind])
    kept = max(2, len(data) - 2 - cut)
    try:
        picture = read(folder, data[:kept] + filling)
    except RinrInputError:
        return
    np.testing.assert_array_equal(picture.pixels, read(folder, data).pixels)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_lost_restart_interval_is_noticed(folder: Path, mode: str) -> None:
    data = jpeg((40, 40), mode, noise=30, restart_marker_blocks=1)
    places = [i for i in range(len(data) - 2) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]
    assert len(places) > 5
    for place in places:
        for end in (place, place + 1, place + 2):
            with pytest.raises(RinrInputError, match="truncated"):
                read(folder, data[:end])


def test_a_progressive_file_without_its_last_scans_is_refused(folder: Path) -> None:
    data = jpeg((48, 40), "RGB", noise=30, progressive=True)
    scans = [i for i in range(len(data) - 2) if data[i : i + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for place in scans:
        with pytest.raises(RinrInputError, match="truncated"):
            read(folder, data[:place])


def test_metadata_and_orientation_survive(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg((48, 40), "RGB", noise=9, exif=exif.tobytes(), xmp=b"<x/>")
    picture = read(folder, data[:-2])
    assert (picture.width, picture.height) == (40, 48)
    assert picture.metadata.xmp == b"<x/>"
    assert picture.metadata.exif


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00",
        b"\xff\xd8\xff\xc0\x00\x03\x08",
        b"\xff\xd8" + b"\xff" * 50,
        b"\xff\xd8\xff\xc0\xff\xff",
    ],
)
def test_odd_beginnings_are_refused(folder: Path, data: bytes) -> None:
    with pytest.raises(RinrInputError, match=r"a\.jpg: "):
        read(folder, data)


def test_an_opened_image_without_end_marker_is_refused_with_advice(folder: Path) -> None:
    path = folder / "opened.jpg"
    path.write_bytes(jpeg((48, 40), "RGB", noise=9)[:-2])
    with (
        Image.open(path) as image,
        pytest.raises(RinrInputError, match="pass its path instead") as e,
    ):
        encode([image], preset="fast", steps=1, background="siren")
    assert str(path) in str(e.value)
    with pytest.warns(UserWarning, match="no pixel is missing"):
        pack = encode([path], preset="fast", steps=1, background="siren")
    assert pack.frames[0].name == "opened.jpg"

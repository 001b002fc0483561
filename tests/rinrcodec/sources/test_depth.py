"""Greys of 16 and 32 bits: the whole range or a part of it, and a word where few are left."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, TiffImagePlugin

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.images import load_picture, picture_from_pil

THERMAL = (np.arange(40 * 60).reshape(40, 60) % 1021 + 7000).astype(np.uint16)


def saved(folder: Path, values: np.ndarray, name: str = "a.png", **options: Any) -> Path:
    path = folder / name
    Image.fromarray(values).save(path, **options)
    return path


def tiff(folder: Path, values: np.ndarray, photometric: int) -> Path:
    """A TIFF of one strip without compression, as any writer makes it."""
    height, width = values.shape
    order = ">" if values.dtype.byteorder == ">" else "<"
    bits = values.dtype.itemsize * 8
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8)]
    entries += [(277, 1), (278, height), (279, values.nbytes)]
    at = 8 + values.nbytes
    ifd = struct.pack(order + "H", len(entries))
    for tag, value in entries:
        ifd += struct.pack(order + "HHII", tag, 4, 1, value)
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", at)
    path = folder / "a.tif"
    path.write_bytes(head + values.tobytes() + ifd + bytes(4))
    return path


def png(depth: int, colour: int, raw: np.ndarray) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    height, width = raw.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in raw)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_note_on_few_greys_suggests_a_range(tmp_path: Path) -> None:
    picture = load_picture(saved(tmp_path, THERMAL))
    assert len(np.unique(picture.pixels)) == 5
    assert picture.notes == (
        "16-bit values from 7000 to 8020 leave 5 of 256 greys; "
        "`depth_range=(7000, 8020)` keeps more",
    )


def test_hot_pixels_do_not_decide_what_is_suggested(tmp_path: Path) -> None:
    values = THERMAL.copy()
    values[0, 0], values[9, 9] = 65535, 0
    (note,) = load_picture(saved(tmp_path, values)).notes
    assert note.startswith("16-bit values from 0 to 65535, nearly all from 70")
    assert "`depth_range=(70" in note


@pytest.mark.parametrize(
    "values",
    [
        np.arange(65536, dtype=np.uint16).reshape(256, 256),
        np.full((20, 20), 7000, np.uint16),
        (np.arange(60).reshape(6, 10) * 257).astype(np.uint16),
    ],
    ids=["all values", "one value", "8 bits in 16"],
)
def test_little_loss_of_greys_gives_no_note(tmp_path: Path, values: np.ndarray) -> None:
    assert load_picture(saved(tmp_path, values)).notes == ()


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_a_range_is_mapped_and_clipped(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path, THERMAL, f"a.{suffix}")
    picture = load_picture(path, depth_range=(7200, 7710))
    wanted = np.floor((np.clip(THERMAL.astype(float), 7200, 7710) - 7200) / 2 + 0.5)
    np.testing.assert_array_equal(picture.pixels, wanted)
    assert picture.notes == ()


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.uint16, (3, 5)),
    st.integers(0, 65534),
    st.integers(1, 65535),
)
def test_values_can_be_mapped_back(values: np.ndarray, low: int, span: int) -> None:
    picture = picture_from_pil(Image.fromarray(values), name="a", depth_range=(low, low + span))
    back = low + picture.pixels / 255 * span
    inside = np.clip(values.astype(float), low, low + span)
    assert np.abs(back - inside).max() <= span / 510 + 1e-6


def test_32_bits_and_floats_with_a_range(tmp_path: Path) -> None:
    signed = np.array([[-40_000, 0, 40_000, 90_000]], np.int32)
    path = saved(tmp_path, signed, "a.tif")
    with pytest.raises(
        RinrInputError, match=r"a\.tif: values from -40000 .*`depth_range=\(LOW, HIGH\)`"
    ):
        load_picture(path)
    picture = load_picture(path, depth_range=(-40_000, 40_000))
    np.testing.assert_array_equal(picture.pixels, [[0, 128, 255, 255]])
    celsius = np.array([[-np.inf, np.nan, -20.0, 15.0, 50.0, np.inf]], np.float32)
    path = saved(tmp_path, celsius, "b.tif")
    with pytest.raises(
        RinrInputError, match=r"b\.tif: floating-point .* from -20 to 50 .*`depth_range"
    ):
        load_picture(path)
    picture = load_picture(path, depth_range=(-20, 50))
    np.testing.assert_array_equal(picture.pixels, [[0, 0, 0, 128, 255, 255]])
    assert picture.notes == ("NaN pixels become black: 1 of 6",)


def test_large_unsigned_values(tmp_path: Path) -> None:
    values = np.array([[0, 2**31, 2**32 - 1]], np.uint32)
    picture = load_picture(tiff(tmp_path, values, 1), depth_range=(0, 2**32 - 1))
    np.testing.assert_array_equal(picture.pixels, [[0, 128, 255]])


@pytest.mark.parametrize("kind", ["u1", "<u2"])
def test_white_may_be_zero(tmp_path: Path, kind: str) -> None:
    most = np.iinfo(kind).max
    values = np.array([[0, most // 2, most]], kind)
    picture = load_picture(tiff(tmp_path, values, 0))
    np.testing.assert_allclose(picture.pixels, [[255, 128, 0]], atol=1)
    if kind != "u1":
        picture = load_picture(tiff(tmp_path, values, 0), depth_range=(0, most // 2))
        np.testing.assert_array_equal(picture.pixels, [[255, 0, 0]])


def test_one_bit_with_white_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    image = Image.fromarray(np.array([[True, False, False]]))
    info = TiffImagePlugin.ImageFileDirectory_v2()
    image.save(path, tiffinfo=info)
    data = bytearray(path.read_bytes())
    entry = data.index(struct.pack("<HHI", 262, 3, 1))
    assert data[entry + 8] == 1
    data[entry + 8] = 0
    path.write_bytes(data)
    np.testing.assert_array_equal(load_picture(path).pixels, [[0, 255, 255]])


def test_colour_of_16_bits_notes_the_levels_left() -> None:
    raw = np.repeat(THERMAL[:, :, None], 3, axis=2)
    with Image.open(io.BytesIO(png(16, 2, raw))) as image:
        picture = picture_from_pil(image, name="a")
    assert picture.notes == (
        "is 16-bit colour, of which 5 of 256 levels are left; "
        "save it as 16-bit grey and use `depth_range` to keep more",
    )
    with Image.open(io.BytesIO(png(16, 2, raw))) as image:
        picture = picture_from_pil(image, name="a", depth_range=(7000, 8020))
    assert "`depth_range` is not applied" in picture.notes[0]


def test_colour_of_16_bits_with_many_levels_gives_no_note() -> None:
    raw = np.random.default_rng(0).integers(0, 65536, (40, 40, 3))
    with Image.open(io.BytesIO(png(16, 2, raw))) as image:
        assert picture_from_pil(image, name="a").notes == ()


def test_grey_with_alpha_of_16_bits_notes_the_levels_left() -> None:
    raw = np.dstack([THERMAL, np.full_like(THERMAL, 65535)])
    with Image.open(io.BytesIO(png(16, 4, raw))) as image:
        (note,) = picture_from_pil(image, name="a").notes
    assert note.startswith("is 16-bit grey with alpha, of which 5 of 256 levels are left")


def test_pictures_of_8_bits_note_that_a_range_is_not_applied() -> None:
    image = Image.new("RGB", (3, 2))
    picture = picture_from_pil(image, name="a", depth_range=(0, 9))
    assert picture.notes == ("has 8 bits a value, so `depth_range` is not applied",)


@pytest.mark.parametrize("depth_range", [(0, 10), (8100, 9000), (7900, 8020)])
def test_a_range_outside_of_the_values_gives_a_note(
    tmp_path: Path, depth_range: tuple[float, float]
) -> None:
    path = saved(tmp_path, THERMAL)
    (note,) = load_picture(path, depth_range=depth_range).notes
    assert f"outside of `depth_range=({depth_range[0]}, {depth_range[1]})` " in note
    assert "values from 7000 to 8020" in note


@pytest.mark.parametrize("depth_range", [(7000, 8020), (0, 65535), (7200, 7800)])
def test_a_range_of_most_values_gives_no_note(
    tmp_path: Path, depth_range: tuple[float, float]
) -> None:
    assert not load_picture(saved(tmp_path, THERMAL), depth_range=depth_range).notes


@pytest.mark.parametrize("depth_range", [None, (7000, 8020)])
def test_separate_planes_of_sixteen_bits_are_refused(
    tmp_path: Path, depth_range: tuple[float, float] | None
) -> None:
    """Pillow reads their first bytes as pixels of 8 bits."""
    path = tmp_path / "a.tif"
    path.write_bytes(planar(THERMAL))
    with pytest.raises(RinrInputError, match=r"a\.tif: colour of 16 bits in separate planes"):
        load_picture(path, depth_range=depth_range)


def test_separate_planes_of_eight_bits_are_read(tmp_path: Path) -> None:
    values = (THERMAL % 251).astype(np.uint8)
    path = tmp_path / "a.tif"
    path.write_bytes(planar(values))
    expected = np.stack([values, values, values], -1)
    np.testing.assert_array_equal(load_picture(path).pixels, expected)


def planar(values: np.ndarray) -> bytes:
    """A TIFF of three equal planes, one after the other."""
    height, width = values.shape
    pixels = values.tobytes() * 3
    at = 8 + len(pixels)
    after = at + 2 + 11 * 12 + 4
    shorts = [values.dtype.itemsize * 8] * 3
    offsets = [8 + values.nbytes * plane for plane in range(3)]
    entries = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, after), (259, 4, 1, 1)),
        *((262, 4, 1, 2), (273, 4, 3, after + 6), (277, 4, 1, 3), (278, 4, 1, height)),
        *((279, 4, 3, after + 18), (284, 3, 1, 2), (339, 3, 1, 1)),
    ]
    ifd = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries)
    extra = struct.pack("<3H3I3I", *shorts, *offsets, *[values.nbytes] * 3)
    return b"II*\0" + struct.pack("<I", at) + pixels + ifd + bytes(4) + extra


def test_a_tiff_that_pillow_cannot_read_gets_advice(tmp_path: Path) -> None:
    path = tiff(tmp_path, np.zeros((2, 3), np.uint64), 1)
    with pytest.raises(RinrInputError, match=r"a\.tif: Pillow cannot read this kind of TIFF; save"):
        load_picture(path)

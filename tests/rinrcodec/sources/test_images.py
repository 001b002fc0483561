"""Odd pictures become upright 8-bit grey or RGB, or a clear error."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from rinrcodec.errors import RinrInputError, RinrLimitError
from rinrcodec.limits import Limits
from rinrcodec.sources.images import load_picture, picture_from_array, picture_from_pil

# Four corners of different colours show every flip and turn.
CORNERS = np.array(
    [[[255, 0, 0], [0, 255, 0], [9, 9, 9]], [[0, 0, 255], [255, 255, 0], [99, 9, 9]]], np.uint8
)


def exif_bytes(orientation: int, order: str = "<") -> bytes:
    head = {"<": b"II*\x00", ">": b"MM\x00*"}[order]
    maker = struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\x00")
    turn = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    ifd = struct.pack(order + "IH", 8, 2) + maker + turn + struct.pack(order + "I", 0)
    return b"Exif\x00\x00" + head + ifd


def saved(tmp_path: Path, image: Image.Image, name: str, **options: Any) -> Path:
    path = tmp_path / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_its_tag_reset(
    tmp_path: Path, orientation: int, order: str
) -> None:
    exif = exif_bytes(orientation, order)
    path = saved(tmp_path, Image.fromarray(CORNERS), "a.png", exif=exif)
    picture = load_picture(path)
    expected = {
        1: CORNERS,
        2: CORNERS[:, ::-1],
        3: CORNERS[::-1, ::-1],
        4: CORNERS[::-1],
        5: CORNERS.transpose(1, 0, 2),
        6: CORNERS.transpose(1, 0, 2)[:, ::-1],
        7: CORNERS.transpose(1, 0, 2)[::-1, ::-1],
        8: CORNERS.transpose(1, 0, 2)[::-1],
    }[orientation]
    np.testing.assert_array_equal(picture.pixels, expected)
    assert picture.source_size == (expected.shape[1], expected.shape[0])
    # Nothing but the orientation's value may differ.
    assert picture.metadata.exif == exif_bytes(1, order)


@pytest.mark.parametrize("cut", range(0, 37, 3))
def test_cut_off_exif_is_kept_and_the_picture_counts_as_upright(cut: int) -> None:
    image = Image.fromarray(CORNERS)
    image.info["exif"] = exif_bytes(6)[:cut]
    picture = picture_from_pil(image, name="a")
    np.testing.assert_array_equal(picture.pixels, CORNERS)
    assert picture.metadata.exif == exif_bytes(6)[:cut]


def test_metadata_and_size_of_the_file_are_kept(tmp_path: Path) -> None:
    xmp = b"<x:xmpmeta>photo</x:xmpmeta>"
    path = saved(
        tmp_path, Image.fromarray(CORNERS), "a.jpg", exif=exif_bytes(1), icc_profile=b"icc", xmp=xmp
    )
    picture = load_picture(path, name="sub/a.jpg")
    assert picture.name == "sub/a.jpg"
    assert picture.metadata.exif == exif_bytes(1)
    assert picture.metadata.icc == b"icc"
    assert picture.metadata.xmp == xmp
    assert picture.source_bytes == path.stat().st_size
    assert picture.notes == ()


def test_grey_stays_grey(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    picture = load_picture(saved(tmp_path, Image.fromarray(grey), "a.png"))
    np.testing.assert_array_equal(picture.pixels, grey)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_and_rounded(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129, 257], [1000, 32768, 65406, 65535]], np.uint16)
    picture = load_picture(saved(tmp_path, Image.fromarray(values), f"a.{suffix}"))
    np.testing.assert_array_equal(picture.pixels, np.round(values / 257.0).astype(np.uint8))


def test_big_endian_sixteen_bits() -> None:
    image = Image.frombytes("I;16B", (2, 1), bytes([0xFF, 0xFF, 0x01, 0x01]))
    np.testing.assert_array_equal(picture_from_pil(image, name="a").pixels, [[255, 1]])


def test_thirty_two_bits_are_refused() -> None:
    image = Image.fromarray(np.array([[70000, 0]], np.int32))
    with pytest.raises(RinrInputError, match="a: values from 0 to 70000"):
        picture_from_pil(image, name="a")


def test_floating_point_is_refused_with_the_file_named(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.zeros((2, 2), np.float32)), "a.tif")
    with pytest.raises(RinrInputError, match=r"a\.tif: .*floating-point"):
        load_picture(path)


@pytest.mark.parametrize("mode", ["RGBA", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_colour_modes_become_rgb(mode: str) -> None:
    image = Image.fromarray(CORNERS).convert(mode)
    picture = picture_from_pil(image, name="a")
    np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))


def test_alpha_is_dropped_not_blended() -> None:
    rgba = np.dstack([CORNERS, np.zeros((2, 3), np.uint8)])
    np.testing.assert_array_equal(picture_from_pil(Image.fromarray(rgba), name="a").pixels, CORNERS)
    grey = Image.fromarray(CORNERS[:, :, 0]).convert("LA")
    grey.putalpha(0)
    np.testing.assert_array_equal(picture_from_pil(grey, name="a").pixels, CORNERS[:, :, 0])


def test_palette_with_transparency(tmp_path: Path) -> None:
    palette = Image.fromarray(CORNERS).convert("P", palette=Image.Palette.ADAPTIVE)
    path = saved(tmp_path, palette, "a.png", transparency=bytes([0, 9, 255, 30, 40, 50]))
    picture = load_picture(path)
    np.testing.assert_array_equal(picture.pixels, np.asarray(palette.convert("RGB")))


def test_one_bit_becomes_grey() -> None:
    image = Image.fromarray(np.array([[True, False]]))
    np.testing.assert_array_equal(picture_from_pil(image, name="a").pixels, [[255, 0]])


def test_a_cmyk_profile_does_not_describe_rgb() -> None:
    image = Image.fromarray(CORNERS).convert("CMYK")
    image.info["icc_profile"] = b"cmyk"
    assert picture_from_pil(image, name="a").metadata.icc == b""


def test_the_first_of_many_pictures_is_used_with_a_note(tmp_path: Path) -> None:
    frames = [Image.new("L", (2, 2), value) for value in (10, 200)]
    path = saved(tmp_path, frames[0], "a.tif", save_all=True, append_images=frames[1:])
    picture = load_picture(path)
    assert picture.pixels[0, 0] == 10
    assert picture.notes == ("holds 2 pictures; only the first is used",)


def test_unreadable_files_name_themselves(tmp_path: Path) -> None:
    whole = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(whole, "JPEG")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[:900])
    (tmp_path / "folder.jpg").mkdir()
    for name, reason in {
        "empty.jpg": "is empty",
        "text.jpg": "not a picture",
        "cut.jpg": "truncated",
        "missing.jpg": "no such file",
        "folder.jpg": "is a folder, not a file",
    }.items():
        with pytest.raises(RinrInputError, match=f"{name}: .*{reason}"):
            load_picture(tmp_path / name)


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("L", (100, 100)), "a.png")
    # Cut behind the header: decoding would say "truncated", so the limit must come first.
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(RinrLimitError, match=r"a\.png: .*10,000 is over the limit max_pixels"):
        load_picture(path, limits=Limits(max_pixels=9_999))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1, 3)])
def test_thin_arrays(shape: tuple[int, ...]) -> None:
    picture = picture_from_array(np.zeros(shape, np.uint8), name="a")
    assert (picture.height, picture.width) == shape[:2]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.float32),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((3, 2, 2), np.uint8),
        np.zeros((0, 2), np.uint8),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(RinrInputError, match="expected uint8"):
        picture_from_array(array, name="a")


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "P"])
def test_an_opened_tiff_is_as_upright_as_its_file(
    tmp_path: Path, mode: str, orientation: int
) -> None:
    path = tmp_path / "a.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274] = orientation
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    Image.fromarray(pixels).convert(mode).save(path, tiffinfo=tags)
    with Image.open(path) as image:
        opened = picture_from_pil(image, name="a")
        assert image.filename == str(path)
    np.testing.assert_array_equal(opened.pixels, load_picture(path).pixels)

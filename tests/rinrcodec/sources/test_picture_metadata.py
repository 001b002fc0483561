"""Metadata of TIFF, and orientation in XMP: kept, applied once, and named where it is lost."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

import rinrcodec
from rinrcodec.limits import Limits
from rinrcodec.sources.images import load_picture

CORNERS = np.array(
    [[[250, 0, 0], [0, 250, 0], [9, 9, 9]], [[0, 0, 250], [250, 250, 0], [99, 9, 9]]], np.uint8
)
BIG = np.kron(CORNERS, np.ones((16, 16, 1), np.uint8))
ATTRIBUTE = '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{}"/>'
ELEMENT = "<rdf:Description><tiff:Orientation>{}</tiff:Orientation></rdf:Description>"


def camera(orientation: int | None = None) -> Image.Exif:
    exif = Image.Exif()
    exif[271], exif[272], exif[306] = "DJI", "XT2", "2024:05:01 10:00:00"
    exif[34665] = {
        36867: "2024:05:01 10:00:00",
        33434: TiffImagePlugin.IFDRational(1, 250),
        37500: b"maker" * 9,
    }
    exif[34853] = {1: "N", 2: (51.0, 30.0, 12.5), 3: "E", 4: (7.0, 1.0, 2.0), 6: 120.5}
    if orientation is not None:
        exif[274] = orientation
    return exif


def saved(folder: Path, suffix: str, *, exif: Any = None, xmp: str = "", **options: Any) -> Path:
    path = folder / f"a.{suffix}"
    if exif is not None and suffix == "tif":
        options["tiffinfo"] = TiffImagePlugin.ImageFileDirectory_v2()
        for tag, value in exif.items():
            options["tiffinfo"][tag] = value
    elif exif is not None:
        options["exif"] = exif
    if xmp and suffix == "png":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp)
    elif xmp and suffix == "tif":
        options.setdefault("tiffinfo", {})[700] = xmp.encode()
    elif xmp:
        options["xmp"] = xmp.encode()
    Image.fromarray(BIG).save(path, **options)
    return path


def tags_of(data: bytes) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    exif = Image.Exif()
    exif.load(data)
    return dict(exif), exif.get_ifd(34665), exif.get_ifd(34853)


def test_tags_of_a_tiff_are_kept(tmp_path: Path) -> None:
    path = saved(tmp_path, "tif", exif=camera(), icc_profile=b"icc")
    picture = load_picture(path)
    main, inner, gps = tags_of(picture.metadata.exif)
    assert (main[271], main[272], main[306]) == ("DJI", "XT2", "2024:05:01 10:00:00")
    assert inner[36867] == "2024:05:01 10:00:00"
    assert inner[37500] == b"maker" * 9
    assert float(inner[33434]) == 1 / 250
    assert [float(value) for value in gps[2]] == [51.0, 30.0, 12.5]
    # The offsets of the pixels in the file are of no use.
    assert main.keys().isdisjoint({256, 257, 258, 259, 262, 273, 277, 278, 279, 284})
    assert picture.metadata.icc == b"icc"
    assert picture.notes == ()


@pytest.mark.parametrize("kind", ["png", "webp", "jpg"])
def test_decompress_gives_them_back(tmp_path: Path, kind: str) -> None:
    (tmp_path / "t").mkdir()
    saved(tmp_path / "t", "tif", exif=camera(), xmp="<x>7</x>")
    rinrcodec.compress(
        tmp_path / "t", tmp_path / "p", preset="fast", steps=1, background="siren", device="cpu"
    )
    rinrcodec.decompress(tmp_path / "p", tmp_path / "b", format=kind, device="cpu")  # type: ignore[arg-type]
    with Image.open(tmp_path / "b" / f"a.{kind}") as image:
        exif = image.getexif()
        assert (exif[271], exif[306]) == ("DJI", "2024:05:01 10:00:00")
        assert exif.get_ifd(34853)[1] == "N"
        assert exif.get_ifd(34665)[36867] == "2024:05:01 10:00:00"
        assert image.info["xmp"] == b"<x>7</x>"


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_tags_of_a_compressed_tiff(tmp_path: Path, compression: str) -> None:
    tags = {271: "DJI", 33550: (0.5, 0.5, 0.0)}  # the second one is of GeoTIFF
    picture = load_picture(saved(tmp_path, "tif", tiffinfo=tags, compression=compression))
    main, _, _ = tags_of(picture.metadata.exif)
    assert main == {271: "DJI", 33550: (0.5, 0.5, 0.0)}


def test_a_tiff_without_tags_gets_no_exif(tmp_path: Path) -> None:
    assert load_picture(saved(tmp_path, "tif", dpi=(72, 72))).metadata.exif == b""


def test_tags_that_are_too_large_are_named(tmp_path: Path) -> None:
    exif = camera()
    exif[270], exif[65000] = "short", b"\1\2" * 3000
    picture = load_picture(saved(tmp_path, "tif", exif=exif), limits=Limits(max_metadata_bytes=999))
    assert picture.notes == ("cannot keep its TIFF tag 65000",)
    assert tags_of(picture.metadata.exif)[0][270] == "short"


@pytest.mark.parametrize("xmp", [ATTRIBUTE, ELEMENT], ids=["attribute", "element"])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_in_xmp(tmp_path: Path, suffix: str, xmp: str, orientation: int) -> None:
    path = saved(tmp_path, suffix, xmp=xmp.format(orientation))
    picture = load_picture(path)
    with Image.open(path) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(picture.pixels, wanted)
    # A reader of the stored XMP must not turn the picture again.
    again = io.BytesIO()
    Image.fromarray(picture.pixels).save(again, "JPEG", xmp=picture.metadata.xmp)
    with Image.open(again) as image:
        assert image.getexif().get(274, 1) == 1


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize(("in_exif", "in_xmp"), [(6, 6), (1, 6), (8, 3), (6, 1)])
def test_exif_comes_before_xmp(tmp_path: Path, suffix: str, in_exif: int, in_xmp: int) -> None:
    options: dict[str, Any] = {"exif": camera(in_exif)}
    if suffix == "tif":
        options = {"tiffinfo": {274: in_exif, 700: ATTRIBUTE.format(in_xmp).encode()}}
        path = saved(tmp_path, suffix, **options)
    else:
        path = saved(tmp_path, suffix, xmp=ATTRIBUTE.format(in_xmp), **options)
    picture = load_picture(path)
    with Image.open(path) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(picture.pixels, wanted)
    assert b'tiff:Orientation="1"' in picture.metadata.xmp or (
        b"tiff:Orientation" not in picture.metadata.xmp
    )
    if suffix != "tif":
        assert tags_of(picture.metadata.exif)[0][274] == 1


def test_quotes_and_spaces_of_xml(tmp_path: Path) -> None:
    xmp = "<rdf:Description tiff:Orientation = '6'/>"
    picture = load_picture(saved(tmp_path, "jpg", xmp=xmp))
    assert (picture.width, picture.height) == (32, 48)
    assert picture.metadata.xmp == b"<rdf:Description tiff:Orientation = '1'/>"


def test_exif_in_a_text_of_a_png(tmp_path: Path) -> None:
    text = PngInfo()
    data = camera(6).tobytes()
    text.add_text("Raw profile type exif", f"\nexif\n{len(data):8}\n{data.hex()}\n")
    picture = load_picture(saved(tmp_path, "png", pnginfo=text))
    assert (picture.width, picture.height) == (32, 48)
    assert tags_of(picture.metadata.exif)[0][274] == 1

"""Pictures are opened as the kinds that are meant; `formats` adds more, and none runs a program."""

from __future__ import annotations

import io
import json
import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, PpmImagePlugin

import rinrcodec
from rinrcodec.errors import RinrInputError, RinrUsageError
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.images import decode_picture, load_picture
from rinrcodec.sources.pictures.opening import (
    adding_formats,
    check_formats,
    find_plugin,
    open_picture,
)

QUICK: dict[str, Any] = {"background": "siren", "preset": "fast", "steps": 1, "device": "cpu"}
EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n%%EOF\n"
# Of each kind that starts a program, needs one, or is read by a handler of another package.
OTHERS = {
    "eps": EPS.encode(),
    "eps with a head": b"\xc5\xd0\xd3\xc6"
    + struct.pack("<II", 32, len(EPS))
    + bytes(20)
    + EPS.encode(),
    "ps": EPS.encode().replace(b" EPSF-3.0", b""),
    "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
    "wmf": b"\xd7\xcd\xc6\x9a\x00\x00"
    + struct.pack("<4hH", 0, 0, 9, 9, 96)
    + bytes(6)
    + b"\x01\0\t\0"
    + bytes(40),
    "emf": b"\x01\0\0\0" + struct.pack("<I8i", 108, 0, 0, 9, 9, 0, 0, 9, 9) + b" EMF" + bytes(80),
    "fits": b"SIMPLE  =                    T".ljust(80) + b"END".ljust(2800),
    "grib": b"GRIB" + bytes(3) + b"\x01" + bytes(40),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "bufr": b"BUFR" + bytes(40),
    "im": b"Image type: L\r\nImage size (x*y): 4*4\r\n".ljust(511, b"\0") + b"\x1a" + bytes(16),
    "mic": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='http://127.0.0.1:9/a'/></svg>",
    "mvg": b"push graphic-context\nviewbox 0 0 9 9\nfill 'url(http://127.0.0.1:9/a)'\n",
}  # fmt: skip


class RunsImageFile(ImageFile.ImageFile):
    """A plugin of another package, which could do anything."""

    format = "RUNS"
    opened: list[bytes] = []  # noqa: RUF012

    def _open(self) -> None:
        assert self.fp is not None
        self.opened.append(self.fp.read(4))
        self._size, self._mode = (4, 3), "L"
        self.tile = [ImageFile._Tile("raw", (0, 0, 4, 3), 4, ("L", 0, 1))]


@pytest.fixture
def plugin() -> Iterator[list[bytes]]:
    """Register the plugin, for everything; returns what it was asked to open."""
    Image.register_open("RUNS", RunsImageFile)
    Image.register_extension("RUNS", ".runs")
    RunsImageFile.opened.clear()
    yield RunsImageFile.opened
    Image.ID.remove("RUNS")
    del Image.OPEN["RUNS"], Image.EXTENSION[".runs"]


def encoded(kind: str, size: tuple[int, int] = (9, 7), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (9, 99, 199)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "gif", "webp"])
@pytest.mark.parametrize("kind", OTHERS)
def test_nothing_else_is_opened_under_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, suffix: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("gs", "gswin64c", "convert", "magick", "djpeg", "ps2pdf"):
        (programs / name).write_text(f"#!/bin/sh\necho $0 >> {tmp_path}/started\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    Image.init()  # which registers all of Pillow's plugins
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(OTHERS[kind])
    for formats in ((), tuple(check_formats(["TGA", "PSD", "PCD", "XBM"]))):
        with adding_formats(formats), pytest.raises(RinrInputError):
            load_picture(path)
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    "name", ["EPS", "WMF", "GRIB", "HDF5", "BUFR", "FITS", "IM", "RINR", "", "*"]
)
def test_formats_that_cannot_be_added(name: str) -> None:
    Image.init()
    with pytest.raises(RinrUsageError, match=r"formats: '.*' is not one of DDS, .*TGA") as error:
        check_formats(["TGA", name])
    assert error.value.exit_code == 2


def test_names_of_formats() -> None:
    assert check_formats(["tga", "PNG", " Psd", "TGA"]) == ("TGA", "PSD")
    assert check_formats([]) == ()


@pytest.mark.parametrize(("kind", "suffix"), [("TGA", ".tga"), ("PCX", ".pcx"), ("DDS", ".dds")])
def test_a_format_that_is_added(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encoded(kind))
    (tmp_path / "b.png").write_bytes(encoded("PNG"))
    source = open_source(tmp_path, labels="none")
    assert len(source.series[0]) == 1
    assert "1 picture is left out" in source.warnings[0]
    source = open_source(tmp_path, labels="none", formats=[kind.lower()])
    assert source.warnings == ()
    for reading in source.series[0].read(jobs=2):
        assert reading.picture is not None
        np.testing.assert_array_equal(reading.picture.pixels, np.full((7, 9, 3), (9, 99, 199)))
    with pytest.raises(RinrInputError, match="are not read: convert them"):
        load_picture(path)


def test_compress_with_formats(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.tga").write_bytes(encoded("TGA"))
    (tmp_path / "in/b.png").write_bytes(encoded("PNG"))
    result = rinrcodec.compress(
        tmp_path / "in", tmp_path / "o", formats=["TGA"], shard_size=1, **QUICK
    )
    assert (result.total.frames, result.failures) == (2, ())
    (run,) = json.loads((tmp_path / "o/manifest.json").read_text())["runs"]
    assert run["settings"]["formats"] == ["TGA"]
    again = rinrcodec.compress(
        tmp_path / "in", tmp_path / "o", formats=["TGA"], shard_size=1, resume=True, **QUICK
    )
    assert again.nothing_to_do
    with pytest.raises(RinrUsageError, match="is not one of"):
        rinrcodec.compress(tmp_path / "in", tmp_path / "p", formats=["EPS"], **QUICK)
    assert not (tmp_path / "p").exists()


def test_plugins_of_other_packages_are_asked_when_they_are_named(
    tmp_path: Path, plugin: list[bytes]
) -> None:
    (tmp_path / "a.png").write_bytes(b"what may this file be?")
    (tmp_path / "b.runs").write_bytes(b"what may this file be?")
    with pytest.raises(RinrInputError, match="not a picture that Pillow can read"):
        load_picture(tmp_path / "a.png")
    (ref,) = open_source(tmp_path, labels="none", formats=["TGA"]).series[0].refs
    assert ref.name == "a.png"
    assert plugin == []
    assert not find_plugin(".runs")
    source = open_source(tmp_path, labels="none", formats=["RUNS"])
    assert [ref.name for ref in source.series[0].refs] == ["a.png", "b.runs"]
    assert all(reading.picture for reading in source.series[0].read())
    assert len(plugin) == 2


def test_a_plugin_in_the_place_of_one_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Image.OPEN, "PPM", (RunsImageFile, None))
    RunsImageFile.opened.clear()
    with pytest.raises(Image.UnidentifiedImageError):
        open_picture(encoded("PPM"))
    assert RunsImageFile.opened == []
    monkeypatch.setitem(Image.OPEN, "PPM", (PpmImagePlugin.PpmImageFile, None))
    assert open_picture(encoded("PPM")).format == "PPM"


@pytest.mark.parametrize("size", [(1, 65_500), (65_500, 1)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "GIF", "PPM"])
def test_thin_pictures(kind: str, size: tuple[int, int]) -> None:
    picture = decode_picture(encoded(kind, size), Path("a"))
    assert (picture.width, picture.height) == size


def pages(count: int) -> bytes:
    """A TIFF of so many pages, all of the same 8x8 greys."""
    tags = [
        (256, 8),
        (257, 8),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 8),
        (279, 64),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data, at = b"II*\0" + struct.pack("<I", 72) + bytes(range(64)), 72
    for number in range(count):
        at += 2 + len(entries) + 4
        data += struct.pack("<H", len(tags)) + entries
        data += struct.pack("<I", at if number < count - 1 else 0)
    return data


@pytest.mark.parametrize(("count", "said"), [(1, 0), (2, 2), (300, 300), (3000, 1001)])
def test_pages_of_a_tiff(count: int, said: int) -> None:
    picture = decode_picture(pages(count), Path("a.tif"))
    assert picture.pixels.tobytes() == bytes(range(64))
    assert picture.notes == ((f"holds {said} pictures; only the first is used",) if said else ())


@pytest.mark.parametrize("chunk", ["zTXt", "iTXt", "iCCP"])
def test_texts_that_unpack_to_much(chunk: str) -> None:
    import zlib

    data, packed = encoded("PNG"), zlib.compress(bytes(2**24), 9)
    start = {"zTXt": b"a\0\0", "iTXt": b"XML:com.adobe.xmp\0\1\0\0\0", "iCCP": b"a\0\0"}[chunk]
    body = chunk.encode() + start + packed
    extra = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(RinrInputError, match="too large"):
        decode_picture(data[:33] + extra + data[33:], Path("a.png"))


def test_tags_that_share_their_bytes() -> None:
    big = bytes(100_000)
    entries = [(40_000 + i, 1, len(big), 20) for i in range(2000)]
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries))
    exif += b"".join(struct.pack("<HHII", *one) for one in entries) + bytes(4) + big
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in ("PNG", "WEBP", "AVIF"):
            assert decode_picture(encoded(kind, exif=exif[6:]), Path("a")).width == 9

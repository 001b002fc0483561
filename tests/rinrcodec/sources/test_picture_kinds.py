"""Kinds of picture files: read, read with a plugin of Pillow, or counted and named."""

from __future__ import annotations

import io
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.images import load_picture
from rinrcodec.sources.picture_names import frame_stem, left_out
from rinrcodec.sources.pictures.opening import open_picture


class ToyImageFile(ImageFile.ImageFile):
    """A foreign format: `toy1`, then the one grey of its 4x3 pixels."""

    format = "TOY"

    def _open(self) -> None:
        assert self.fp is not None
        if self.fp.read(4) != b"toy1":
            raise SyntaxError("no toy")
        self._size, self._mode = (4, 3), "L"
        self.tile = [ImageFile._Tile("raw", (0, 0, 4, 3), 4, ("L", 0, 1))]


def register_toy() -> None:
    Image.register_open("TOY", ToyImageFile, lambda prefix: prefix.startswith(b"toy1"))
    Image.register_extension("TOY", ".heic")


@pytest.fixture
def unregistered() -> Iterator[None]:
    yield
    if "TOY" in Image.OPEN:
        Image.ID.remove("TOY")
        del Image.OPEN["TOY"], Image.EXTENSION[".heic"]


TOY = b"toy1" + bytes(range(12))


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6)).save(path, "JPEG")


@pytest.mark.parametrize("suffix", [".jfif", ".JFIF", ".jpe"])
def test_jpegs_of_other_names(tmp_path: Path, suffix: str) -> None:
    picture(tmp_path / f"a{suffix}")
    (ref,) = open_source(tmp_path, labels="none").series[0].refs
    assert load_picture(ref.path).width == 8
    assert frame_stem(ref.name) == "a"


def test_kinds_that_are_not_read_are_counted_and_named_once(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    for name in ("b.HEIC", "sub/c.heic", "d.dng", "e.cr2", "f.psd", "g.jxl", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (warning,) = open_source(tmp_path, labels="none").warnings
    assert warning.startswith(f"{tmp_path}: 6 pictures are left out (")
    assert " and 3 more). " in warning
    assert "2 .heic: run pip install pillow-heif" in warning
    assert "1 .cr2, 1 .dng: develop the camera's raw files to TIFF or JPEG first" in warning
    assert "1 .psd: convert them to PNG or TIFF first" in warning
    assert "1 .jxl: run pip install pillow-jxl-plugin" in warning
    assert "notes" not in warning


def test_a_folder_of_unread_kinds_names_them(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(RinrInputError, match=r"1 picture is left out \(a\.heic\).*pillow-heif"):
        open_source(tmp_path, labels="none")


@pytest.mark.parametrize("listed", [False, True])
def test_data_yamls_say_it_too(tmp_path: Path, listed: bool) -> None:
    picture(tmp_path / "images" / "a.jpg")
    (tmp_path / "images" / "b.arw").write_bytes(b"x")
    (tmp_path / "list.txt").write_text("images/a.jpg\nimages/b.arw\n")
    train = "list.txt" if listed else "images"
    (tmp_path / "data.yaml").write_text(f"train: {train}\nnames: [car]\n")
    source = open_source(tmp_path / "data.yaml", labels="none")
    assert [ref.path.name for ref in source.series[0].refs] == ["a.jpg"]
    (warning,) = [text for text in source.warnings if "left out" in text]
    assert "train: 1 picture is left out (b.arw). 1 .arw: develop" in warning


def test_a_raw_file_is_not_taken_for_its_preview(tmp_path: Path) -> None:
    (tmp_path / "a.dng").write_bytes(b"x")
    with pytest.raises(RinrInputError, match=r"a\.dng: pictures of kind \.dng are not read"):
        load_picture(tmp_path / "a.dng")
    # Named as a TIFF, it still says what it is.
    Image.new("RGB", (4, 4)).save(tmp_path / "b.tif", tiffinfo={50706: bytes([1, 4, 0, 0])})
    with pytest.raises(RinrInputError, match=r"b\.tif: pictures of kind \.dng are not read"):
        load_picture(tmp_path / "b.tif")


@pytest.mark.usefixtures("unregistered")
def test_a_registered_plugin_is_used(tmp_path: Path) -> None:
    register_toy()
    (tmp_path / "a.heic").write_bytes(TOY)
    source = open_source(tmp_path, labels="none")
    assert source.warnings == ()
    pixels = load_picture(source.series[0].refs[0].path).pixels
    np.testing.assert_array_equal(pixels, np.arange(12).reshape(3, 4))


@pytest.mark.usefixtures("unregistered")
def test_an_installed_plugin_is_registered_when_a_picture_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = types.ModuleType("pillow_heif")
    package.register_heif_opener = register_toy  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    picture(tmp_path / "a.jpg")
    open_source(tmp_path, labels="none")
    assert "TOY" not in Image.OPEN
    (tmp_path / "b.heic").write_bytes(TOY)
    assert len(open_source(tmp_path, labels="none").series[0].refs) == 2


def test_formats_that_run_programs_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(RinrInputError, match="not a picture"):
        load_picture(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "AVIF"])
def test_kinds_that_are_read(kind: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 6)).save(file, kind)
    with open_picture(file.getvalue()) as image:
        assert image.size == (8, 6)


def test_without_unread_kinds_there_is_no_message() -> None:
    assert left_out([(Path("a.jpg"), ""), (Path("b.txt"), "")], "x") == ()

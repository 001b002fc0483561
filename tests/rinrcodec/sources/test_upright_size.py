"""The size of upright pictures from their headers, and labels that are compared with it."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from rinrcodec.limits import DEFAULT_LIMITS, limits_for
from rinrcodec.sources import images
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.images import load_picture, upright_size
from rinrcodec.sources.survey import survey

from .tiny_sources import write

Upload = Callable[[Path, str], str]
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="{}"/></x:xmpmeta>'
SIZE = (20, 10)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def put(path: Path, size: tuple[int, int] = SIZE, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (9, 99, 199)).save(path, **options)
    return path


def loaded(path: Path) -> tuple[int, int]:
    picture = load_picture(path)
    return picture.width, picture.height


@pytest.fixture
def no_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("pixels are decoded")

    for kind in (ImageFile.ImageFile, TiffImagePlugin.TiffImageFile, WebPImagePlugin.WebPImageFile):
        monkeypatch.setattr(kind, "load", refuse)


@pytest.mark.usefixtures("no_pixels")
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_orientation_in_exif(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = put(tmp_path / f"a.{suffix}", exif=exif(orientation))
    assert upright_size(path) == (SIZE if orientation < 5 else SIZE[::-1])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif", "jp2", "gif", "bmp"])
@pytest.mark.parametrize("orientation", [1, 8])
def test_the_size_is_that_of_the_decoded_picture(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    turned = {} if suffix in {"jp2", "gif", "bmp"} else {"exif": exif(orientation)}
    path = put(tmp_path / f"a.{suffix}", **turned)
    assert upright_size(path) == loaded(path)


def test_orientation_in_xmp(tmp_path: Path) -> None:
    for orientation, size in ((1, SIZE), (6, SIZE[::-1])):
        path = put(tmp_path / "a.jpg", xmp=XMP.format(orientation).encode())
        assert upright_size(path) == size == loaded(path)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_orientation_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.format(6))
    whole = put(tmp_path / "xmp.png", pnginfo=text).read_bytes()
    start = whole.index(b"iTXt") - 4
    stop = start + 12 + struct.unpack(">I", whole[start : start + 4])[0]
    plain = put(tmp_path / "plain.png").read_bytes()
    for more in (whole[start:stop], chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0"))):
        path = tmp_path / "a.png"
        path.write_bytes(plain[:-12] + more + plain[-12:])
        assert upright_size(path) == SIZE[::-1] == loaded(path)


def test_a_part_of_a_jpeg_gives_its_size_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "a.jpg", icc_profile=bytes(3000), exif=exif(6))
    for stop in range(0, path.stat().st_size, 7):
        monkeypatch.setattr(images, "_JPEG_HEADER", stop)
        assert upright_size(path) == SIZE[::-1]


def test_only_the_header_of_a_jpeg_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.jpg")
    monkeypatch.setattr(images, "read_picture_file", None)
    assert upright_size(path) == SIZE


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for name, data in (("a.jpg", b""), ("b.jpg", b"\xff\xd8nothing"), ("c.png", b"nothing")):
        (tmp_path / name).write_bytes(data)
        assert upright_size(tmp_path / name) is None
    assert upright_size(tmp_path / "nowhere.png") is None
    path = put(tmp_path / "d.png")
    assert upright_size(path, limits=limits_for(199)) is None
    assert upright_size(path, limits=limits_for(200)) == SIZE


# Labels


def coco(path: Path, boxes: dict[str, list[int]], size: tuple[int, int] | None) -> Path:
    """A COCO file of pictures with a box each."""
    declared = {"width": size[0], "height": size[1]} if size else {}
    content = {
        "images": [{"id": i, "file_name": name, **declared} for i, name in enumerate(boxes)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": box}
            for i, box in enumerate(boxes.values())
        ],
        "categories": [{"id": 1, "name": "car"}],
    }
    return write(path, json.dumps(content))


def voc(path: Path, xmax: int, size: str = "") -> Path:
    box = f"<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{xmax}</xmax><ymax>5</ymax></bndbox>"
    return write(path, f"<annotation>{size}<object><name>car</name>{box}</object></annotation>")


def lost(source: Path | str, labels: Path | str = "auto") -> list[str]:
    """What is wrong with sizes; without them nothing is."""
    opened = open_source(source, labels=labels)
    assert survey(opened).lost == ()
    return list(survey(opened, sizes=True).lost)


def test_coco_records_of_another_size(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg")
    put(tmp_path / "b.jpg", exif=exif(6))
    boxes = {"a.jpg": [1, 1, 5, 5], "b.jpg": [1, 1, 5, 5]}
    (text,) = lost(coco(tmp_path / "l.json", boxes, SIZE))
    assert "b.jpg: its image record has 20 x 10 pixels, the picture 10 x 20 after its EXIF" in text
    assert len(lost(coco(tmp_path / "l.json", boxes, (40, 20)))) == 2


def test_coco_boxes_outside_where_no_size_is_declared(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg")
    put(tmp_path / "b.png")
    boxes = {"a.jpg": [1, 1, 5, 5], "b.png": [100, 1, 5, 5]}
    (text,) = lost(coco(tmp_path / "l.json", boxes, None))
    assert "b.png: annotation 1" in text


def test_voc_files(tmp_path: Path) -> None:
    for i in range(3):
        put(tmp_path / f"pictures/{i}.png")
    voc(tmp_path / "xml/0.xml", 9, "<size><width>20</width><height>10</height></size>")
    voc(tmp_path / "xml/1.xml", 9, "<size><width>21</width><height>10</height></size>")
    voc(tmp_path / "xml/2.xml", 900)
    first, second = lost(tmp_path / "pictures", tmp_path / "xml")
    assert first.startswith(str(tmp_path / "xml/1.xml"))
    assert second.startswith(str(tmp_path / "xml/2.xml"))


def test_behind_a_url(tmp_path: Path, remote: str, upload: Upload) -> None:
    put(tmp_path / "a.jpg")
    put(tmp_path / "b.png", exif=exif(5))
    coco(tmp_path / "l.json", {"a.jpg": [1, 1, 5, 5], "b.png": [1, 1, 5, 5]}, SIZE)
    upload(tmp_path, remote)
    (text,) = lost(f"{remote}/l.json")
    assert "b.png: its image record" in text


def test_a_picture_that_cannot_be_opened_is_left_to_the_fit(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", "no picture")
    assert lost(coco(tmp_path / "l.json", {"a.jpg": [1, 1, 5, 5]}, (30, 30))) == []
    put(tmp_path / "a.jpg")
    opened = open_source(tmp_path / "l.json")
    assert survey(opened, sizes=True, limits=limits_for(199)).lost == ()
    assert len(survey(opened, sizes=True, limits=DEFAULT_LIMITS).lost) == 1


def test_yolo_labels_need_no_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.png")
    write(tmp_path / "a.txt", "0 .5 .5 .2 .2\n")
    monkeypatch.setattr("rinrcodec.sources.survey.upright_size", None)
    assert lost(tmp_path) == []

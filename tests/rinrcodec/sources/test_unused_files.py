"""Labels that no picture uses, and labels of other formats, are named; other files are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rinrcodec.sources.discover import open_source

from .tiny_sources import LABEL, put, write

COCO = {
    "info": {},
    "images": [{"id": 1, "file_name": "a.png"}],
    "annotations": [],
    "categories": [],
}
VOC = '<?xml version="1.0"?>\n<annotation>\n<filename>a.png</filename></annotation>\n'


def orphans(source: Path, labels: str | Path = "auto") -> list[str]:
    return [
        message.partition(":")[0].rpartition("/")[2]
        for message in open_source(source, labels=labels).lost_labels
    ]


@pytest.mark.parametrize("layout", ["yolo", "around", "inside", "beside", "given"])
def test_orphans_of_every_layout(tmp_path: Path, layout: str) -> None:
    pictures = tmp_path / ("images" if layout == "yolo" else "frames")
    labels = {"inside": pictures / "labels", "beside": pictures, "given": tmp_path / "mine"}
    folder = labels.get(layout, tmp_path / "labels")
    for name in ("a", "s/b"):
        put(pictures / f"{name}.png")
        write(folder / f"{name}.txt", LABEL)
    write(folder / "s/lost.txt", LABEL)
    if layout != "beside":
        write(folder / "t/u/far.txt", LABEL)
    write(folder / "README.txt", "How to use this\n")
    write(folder / "classes.txt", "fig\n")
    write(folder / "notes.json", "{}")
    found = orphans(pictures, folder if layout == "given" else "auto")
    assert found == (["lost.txt"] if layout == "beside" else ["lost.txt", "far.txt"])


def test_text_next_to_labels_next_to_pictures_is_no_label(tmp_path: Path) -> None:
    put(tmp_path / "f/a.png")
    write(tmp_path / "f/a.txt", LABEL)
    write(tmp_path / "f/weather.txt", "sunny, 5 1 2 3 4\n")
    write(tmp_path / "f/empty.txt", "")
    write(tmp_path / "f/b.txt", LABEL)
    assert orphans(tmp_path / "f") == ["b.txt"]


def test_orphans_of_a_data_yaml(tmp_path: Path) -> None:
    for name in ("train/x/a", "val/a"):
        put(tmp_path / f"images/{name}.png")
        write(tmp_path / f"labels/{name}.txt", LABEL)
    write(tmp_path / "labels/train/y/gone.txt", LABEL)
    write(tmp_path / "labels/test/b.txt", LABEL)  # of a split that nobody asked for
    yaml = write(tmp_path / "d.yaml", "train: images/train\nval: images/val\nnc: 3\n")
    assert orphans(yaml) == ["gone.txt"]


def test_many_orphans_are_counted(tmp_path: Path) -> None:
    put(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.txt", LABEL)
    for i in range(14):
        for j in range(5):
            write(tmp_path / f"labels/{i:02d}/{j}.txt", LABEL)
    lost = open_source(tmp_path / "images").lost_labels
    assert len(lost) == 10 * 4 + 1
    assert lost[3].endswith("labels/00: 2 more label files without a picture")
    assert lost[-1] == "20 more label files without a picture, in 4 more folders"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("set/images/_annotations.coco.json", json.dumps(COCO)),
        ("set/annotations/instances.json", json.dumps(COCO)),
        ("set/labels.json", json.dumps(COCO | {"info": "x" * 200_000})),
        ("set/images/annotations/b.JSON", "\ufeff " + json.dumps(COCO)),
    ],
)
def test_an_unused_coco_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    put(tmp_path / "set/images/a.png")
    file = write(tmp_path / name, text)
    write(tmp_path / "set/other.json", json.dumps(COCO | {"images": 1}))
    yaml = write(tmp_path / "set/d.yaml", "train: images\nnc: 3\n")
    sources = [yaml, tmp_path / "set"]
    for source in [*sources, tmp_path / "set/images"] if name != "set/labels.json" else sources:
        hints = [text for text in open_source(source).warnings if "COCO" in text]
        assert len(hints) == 1
        assert hints[0].endswith(
            f"found labels (COCO?), which are not used: pass `labels='{file}'`"
        )
    assert open_source(yaml, labels="none").warnings == ()


def test_all_coco_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "train/a.png")
    for i in range(4):
        write(tmp_path / f"annotations/i{i}.json", json.dumps(COCO))
    captions = {"images": COCO["images"], "annotations": [{"id": 1, "caption": "a cat"}]}
    write(tmp_path / "annotations/captions.json", json.dumps(captions))
    (hint,) = (text for text in open_source(tmp_path).warnings if "COCO" in text)
    files = [tmp_path / f"annotations/i{i}.json" for i in range(3)]
    assert hint.startswith(f"{files[0]}: found labels (COCO?)")
    assert f"There are also {files[1]}, {files[2]}; to use several, merge them first" in hint
    monkeypatch.chdir(tmp_path)
    (hint,) = (text for text in open_source(".").warnings if "COCO" in text)
    assert f"There are also {files[1]}, {files[2]}; to use several" in hint


@pytest.mark.parametrize("folder", ["JPEGImages", "Annotations", "annotations"])
def test_unused_voc_files_are_named(tmp_path: Path, folder: str) -> None:
    put(tmp_path / "set/JPEGImages/a.png")
    for i in range(12):
        write(tmp_path / f"set/{folder}/{i}.xml", VOC)
    for source in (tmp_path / "set", tmp_path / "set/JPEGImages"):
        (hint,) = (text for text in open_source(source).warnings if "VOC" in text)
        there = tmp_path / "set" / folder
        assert (
            hint == f"{there}: found 12 .xml files (Pascal VOC?), not used: pass `labels='{there}'`"
        )


def test_xml_of_cvat_is_named(tmp_path: Path) -> None:
    put(tmp_path / "images/a.png")
    write(tmp_path / "annotations.xml", "<annotations>\n<version>1.1</version></annotations>")
    hints = [text for text in open_source(tmp_path).warnings if "CVAT" in text]
    assert len(hints) == 1
    assert "export them as YOLO, COCO or Pascal VOC" in hints[0]


def test_other_files_give_no_hint(tmp_path: Path) -> None:
    put(tmp_path / "set/images/a.png")
    for name, text in {
        "package.json": '{"name": "x", "images": [], "files": ["a"]}',
        "manifest.json": '{"format": "rinr", "runs": [{"files": {"annotations": 1}}]}',
        "list.json": '[{"images": "file_name", "annotations": "bbox"}]',
        "empty.json": "",
        "layout.xml": "<project><annotationProcessor/></project>",
        "empty.xml": "",
        "coco.yaml": json.dumps(COCO),
    }.items():
        write(tmp_path / "set/images" / name, text)
    (tmp_path / "set/images/gone.xml").symlink_to("nowhere.xml")
    (warning,) = open_source(tmp_path / "set").warnings
    assert "no labels were found" in warning

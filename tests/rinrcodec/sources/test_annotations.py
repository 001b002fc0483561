"""Data sets with COCO and Pascal VOC labels: which picture gets which, and what is left over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.sources.annotations.given import other_labels
from rinrcodec.sources.annotations.matching import match
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.source import Source
from rinrcodec.sources.survey import survey
from rinrcodec.storage import Listing

from .tiny_sources import LABEL, names, put, write

Upload = Callable[[Path, str], str]
BOX = [1, 1, 2, 2]


def coco(path: Path, files: list[str], **more: Any) -> Path:
    """A COCO file of 4 x 4 pictures; picture i has i boxes."""
    images = [{"id": i, "file_name": name, "width": 4, "height": 4} for i, name in enumerate(files)]
    annotations = [
        {"id": 100 * i + k, "image_id": i, "category_id": 5 + k % 2, "bbox": BOX}
        for i in range(len(files))
        for k in range(i)
    ]
    categories = [{"id": 6, "name": "bus"}, {"id": 5, "name": "car"}]
    content = {"images": images, "annotations": annotations, "categories": categories, **more}
    return write(path, json.dumps(content))


def voc(path: Path, *classes: str) -> Path:
    corners = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox>"
    objects = "".join(f"<object><name>{name}</name>{corners}</object>" for name in classes)
    return write(path, f"<annotation>{objects}</annotation>")


def counts(source: Source) -> dict[str, int | None]:
    """The number of boxes of each frame, None where it is not labelled."""
    found: dict[str, int | None] = {}
    for series in source.series:
        for item in series.read():
            assert item.picture, item.error
            known = item.picture.labelled
            found[f"{series.name}/{item.name}"] = len(item.picture.boxes) if known else None
    return found


# Finding pictures


@pytest.mark.parametrize(
    ("file", "folder", "series"),
    [
        ("annotations/instances_val2017.json", "val2017", "val2017"),
        ("annotations/person_keypoints_val.json", "images/val", "val"),
        ("annotations/instances_default.json", "images", "set"),
        ("annotations/instances_default.json", "images/default", "set"),
        ("train/_annotations.coco.json", "train", "train"),
        ("labels.json", "data", "set"),
        ("train.json", "images", "train"),
        ("train.json", ".", "train"),
        ("train/train.json", "images/train", "train"),
    ],
)
def test_where_tools_put_pictures(tmp_path: Path, file: str, folder: str, series: str) -> None:
    for name in ("a.png", "s/b.png", "unknown.png"):
        put(tmp_path / "set" / folder / name)
    path = coco(tmp_path / "set" / file, ["a.png", "s/b.png"])
    source = open_source(path)
    assert counts(source) == {f"{series}/a.png": 0, f"{series}/s/b.png": 1}
    assert source.names == {0: "car", 1: "bus"}
    assert source.failures == ()
    (warning,) = source.warnings
    assert "has no record of 1 pictures in the same folders, such as " in warning
    assert warning.endswith("unknown.png; they are left out")


def test_names_that_are_paths_of_another_machine(tmp_path: Path) -> None:
    for name in ("deep/x/a.png", "deep/y/a.png", "deep/b.png"):
        put(tmp_path / name)
    path = coco(tmp_path / "l.json", ["C:\\me\\deep\\x\\a.png", "/me/deep/b.png", "/me/z/a.png"])
    source = open_source(path)
    assert counts(source) == {"l/deep/x/a.png": 0, "l/deep/b.png": 1}
    assert source.failures == (f"{path}: /me/z/a.png: no such picture",)


def test_a_picture_of_another_split_is_not_taken(tmp_path: Path) -> None:
    put(tmp_path / "images/train/1.png")
    for name in ("1.png", "2.png"):
        put(tmp_path / "images/val" / name)
    source = open_source(coco(tmp_path / "annotations/train.json", ["1.png", "2.png"]))
    assert [text.rpartition("json: ")[2] for text in source.failures] == ["2.png: no such picture"]
    assert counts(source) == {"train/1.png": 0}


def test_missing_pictures(tmp_path: Path) -> None:
    path = coco(tmp_path / "l.json", ["a.png"])
    with pytest.raises(RinrInputError, match=r"none of its 1 pictures is there, such as a\.png"):
        open_source(path)
    put(tmp_path / "a.png")
    write(tmp_path / "l.json", (tmp_path / "l.json").read_text().replace("a.png", "./a.png"))
    assert counts(open_source(path)) == {"l/a.png": 0}
    (ref,) = open_source(path).series[0].refs
    assert json.loads(ref.label_data or b"")["image"]["file_name"] == "./a.png"
    path = coco(tmp_path / "l.json", ["a.png", "./a.png"])
    with pytest.raises(RinrInputError, match=r"two records are of the picture a\.png"):
        open_source(path)


def test_order_task_and_info(tmp_path: Path) -> None:
    for name in ("f10.png", "f2.png"):
        put(tmp_path / name)
    path = coco(tmp_path / "l.json", ["f10.png", "f2.png"], info={"year": 1}, licenses=[])
    source = open_source(path)
    assert names(source.series[0]) == ["f2.png", "f10.png"]
    assert json.loads(source.info["coco"]) == {
        "categories": [{"id": 5, "name": "car"}, {"id": 6, "name": "bus"}],
        "info": {"year": 1},
        "licenses": [],
    }
    seen = survey(source)
    assert (seen.files, seen.boxes, seen.lost, seen.source.task) == (2, 1, (), "detect")
    bare = open_source(path, labels="none")
    assert counts(bare) == {"l/f2.png": 0, "l/f10.png": 0}
    assert (bare.names, survey(bare).files) == ({}, 0)
    with pytest.raises(RinrInputError, match="a COCO file has labels of its own"):
        open_source(path, labels=write(tmp_path / "x/a.txt", LABEL).parent)


def test_changed_labels_change_the_stamp_of_a_picture(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    path = coco(tmp_path / "l.json", ["a.png"])
    (before,) = open_source(path).series[0].refs
    write(path, path.read_text().replace('"file_name"', '"license": 3, "file_name"'))
    (after,) = open_source(path).series[0].refs
    assert before.label_stamp != after.label_stamp
    assert before.stamp == after.stamp


# Labels for pictures of another source


def test_a_file_for_a_folder(tmp_path: Path) -> None:
    for name in ("a.png", "s/b.png", "c.png"):
        put(tmp_path / "ds" / name)
        write(tmp_path / f"ds/{name[:-4]}.txt", LABEL)  # not asked for
    path = coco(tmp_path / "l.json", ["x.png", "a.png", "me/ds/s/b.png"])
    source = open_source(tmp_path / "ds", labels=path)
    assert counts(source) == {"ds/a.png": 1, "ds/c.png": None, "ds/s/b.png": 2}
    assert source.warnings == ()
    (warning,) = source.lost_labels
    assert "1 records are of pictures that" in warning
    seen = survey(source)
    assert seen.lost == ()
    assert seen.unread == (f"{path}: 1 picture has no record here, such as c.png",)
    with pytest.raises(RinrInputError, match="has no record of any of the 3 pictures"):
        open_source(tmp_path / "ds", labels=coco(tmp_path / "m.json", ["z.png"]))


def test_a_file_for_the_splits_of_a_yaml(tmp_path: Path) -> None:
    for name in ("train/a.png", "train/b.png", "val/a.png"):
        put(tmp_path / "images" / name)
    yaml = "train: images/train\nval: images/val\nnames: [dog, bus, car]\n"
    path = coco(tmp_path / "l.json", ["b.png", "val/a.png", "train/a.png"])
    source = open_source(write(tmp_path / "d.yaml", yaml), labels=path)
    assert counts(source) == {"train/a.png": 2, "train/b.png": 0, "val/a.png": 1}
    boxes = [item.picture.boxes for item in source.series[0].read() if item.picture]
    assert [box.class_id for box in boxes[0]] == [2, 1]
    assert source.names == {0: "dog", 1: "bus", 2: "car"}
    # Which of two pictures a name means must be clear.
    path = coco(tmp_path / "l.json", ["b.png", "a.png"])
    source = open_source(tmp_path / "d.yaml", labels=path)
    assert counts(source) == {"train/a.png": None, "train/b.png": 0, "val/a.png": None}
    assert "records fit 2 pictures equally well" in source.lost_labels[0]
    write(tmp_path / "d.yaml", yaml.replace("bus", "van"))
    with pytest.raises(RinrInputError, match="category 'bus' is not among the names of the data"):
        open_source(
            tmp_path / "d.yaml", labels=coco(tmp_path / "l.json", ["b.png", "x", "val/a.png"])
        )


def test_a_file_for_one_picture(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    assert counts(open_source(tmp_path / "a.png", labels=coco(tmp_path / "l.json", ["x", "a.png"])))
    source = open_source(tmp_path / "a.png", labels=voc(tmp_path / "b.xml", "car"))
    assert counts(source) == {"a/a.png": 1}
    with pytest.raises(RinrInputError, match=r"the labels of one picture, but .* has many"):
        open_source(tmp_path, labels=tmp_path / "b.xml")
    write(tmp_path / "b.xml", "<annotations/>")
    with pytest.raises(RinrInputError, match="CVAT's own XML"):
        open_source(tmp_path, labels=tmp_path / "b.xml")


@pytest.mark.parametrize("pictures", ["JPEGImages", ".", "JPEGImages/.."])
def test_a_folder_of_voc_files(tmp_path: Path, pictures: str) -> None:
    for name in ("1.png", "2.png", "3.png", "4.png"):
        put(tmp_path / "JPEGImages" / name)
    voc(tmp_path / "Annotations/1.xml", "dog", "car", "dog")
    voc(tmp_path / "Annotations/2.xml")
    write(tmp_path / "Annotations/4.xml", "<annotation>")
    voc(tmp_path / "Annotations/9.xml", "cow")
    source = open_source(tmp_path / pictures, labels=tmp_path / "Annotations")
    assert source.names == {0: "car", 1: "dog"}
    assert list(counts(source).values()) == [3, 0, None, None]
    boxes = next(iter(source.series[0].read())).picture
    assert boxes is not None
    assert boxes.boxes[:2] == (Box(1, 1.0, 1.0, 2.0, 2.0), Box(0, 1.0, 1.0, 2.0, 2.0))
    assert "1 .xml files are of pictures that" in source.lost_labels[0]
    unlisted, lost = survey(source).unread
    assert "Annotations: 1 picture has no file here, such as" in unlisted
    assert "4.xml: not XML" in lost


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Annotations/classes.txt", "dog\nvan\ncar\n"),
        ("labelmap.txt", "# label:color\nbackground:0,0,0::\ndog:1,2,3::\nvan:::\ncar:::\n"),
    ],
)
def test_a_list_of_classes_decides_their_order(tmp_path: Path, name: str, text: str) -> None:
    put(tmp_path / "JPEGImages/1.png")
    voc(tmp_path / "Annotations/1.xml", "car", "ant")
    write(tmp_path / name, text)
    source = open_source(tmp_path / "JPEGImages", labels=tmp_path / "Annotations")
    assert source.names == {0: "dog", 1: "van", 2: "car", 3: "ant"}


def test_the_names_of_a_yaml_decide_the_classes(tmp_path: Path) -> None:
    put(tmp_path / "images/train/1.png")
    voc(tmp_path / "xml/1.xml", "car")
    yaml = write(tmp_path / "d.yaml", "train: images/train\nnames: [dog, car]\n")
    source = open_source(yaml, labels=tmp_path / "xml")
    (item,) = source.series[0].read()
    assert item.picture is not None
    assert [box.class_id for box in item.picture.boxes] == [1]
    write(yaml, "train: images/train\nnames: [dog]\n")
    with pytest.raises(RinrInputError, match=r"class 'car' \(in 1 files\) is not among the names"):
        open_source(yaml, labels=tmp_path / "xml")


def test_two_pictures_of_one_voc_file(tmp_path: Path) -> None:
    for name in ("JPEGImages/1.png", "Masks/1.png"):
        put(tmp_path / name)
    voc(tmp_path / "Annotations/1.xml", "car")
    source = open_source(tmp_path, labels=tmp_path / "Annotations")
    assert set(counts(source).values()) == {None}
    assert "fit 2 pictures equally well" in source.lost_labels[0]


def test_other_files_are_refused_as_labels(tmp_path: Path) -> None:
    picture = put(tmp_path / "ds/a.png")
    with pytest.raises(RinrInputError, match="no such folder of labels, nor a file"):
        open_source(tmp_path / "ds", labels=tmp_path / "nowhere")
    with pytest.raises(RinrInputError, match=r"labels in a \.csv file"):
        open_source(tmp_path / "ds", labels=write(tmp_path / "l.csv", ""))
    coco(tmp_path / "json/l.json", ["a.png"])
    with pytest.raises(RinrInputError, match=r"l\.json is a COCO file, give it: `labels='"):
        open_source(picture, labels=tmp_path / "json")
    voc(tmp_path / "both/a.xml", "car")
    write(tmp_path / "both/a.txt", LABEL)
    with pytest.raises(RinrInputError, match=r"has 1 \.xml and 1 \.txt files; give a folder"):
        open_source(picture, labels=tmp_path / "both")
    voc(tmp_path / "other/b.xml", "car")
    with pytest.raises(RinrInputError, match=r"b\.xml: labels, not a picture; give the folder"):
        open_source(tmp_path / "other/b.xml")
    for labels in (tmp_path / "json/l.json", tmp_path / "other"):
        attach = other_labels(labels, Listing())
        assert attach is not None
        with pytest.raises(RinrInputError, match="labels of a video are YOLO files"):
            attach(Source("video", tmp_path / "a.mp4", ()))
    with pytest.raises(RinrInputError, match=r"no \.xml file has the name of a picture"):
        open_source(picture, labels=tmp_path / "other")
    write(tmp_path / "cvat/annotations.xml", "<annotations/>")
    with pytest.raises(RinrInputError, match="CVAT's own XML"):
        open_source(picture, labels=tmp_path / "cvat")


def test_behind_a_url(tmp_path: Path, remote: str, upload: Upload) -> None:
    put(tmp_path / "images/val/a.png")
    put(tmp_path / "images/val/b.png")
    coco(tmp_path / "annotations/instances_val.json", ["a.png", "b.png"])
    voc(tmp_path / "Annotations/b.xml", "car")
    upload(tmp_path, remote)
    source = open_source(f"{remote}/annotations/instances_val.json")
    assert counts(source) == {"val/a.png": 0, "val/b.png": 1}
    source = open_source(f"{remote}/images", labels=f"{remote}/Annotations")
    assert counts(source) == {"images/val/a.png": None, "images/val/b.png": 1}
    source = open_source(f"{remote}/images", labels=f"{remote}/annotations/instances_val.json")
    assert counts(source) == {"images/val/a.png": 0, "images/val/b.png": 1}


def test_pictures_and_labels_match_by_path_and_name() -> None:
    pictures = [("a/x.jpg", "/r/a/x.jpg"), ("b/x.jpg", "/r/b/x.jpg"), ("y.jpg", "/r/y.jpg")]
    found = match(pictures, ["x.jpg", "q/y.jpg"])
    assert (found.labels, found.ambiguous) == ({2: 1}, [0, 1])
    found = match(pictures, ["./a/x.jpg", "D:\\r\\b\\x.jpg", "c/x.jpg", "http://h/q/y.jpg"])
    assert (found.labels, found.ambiguous) == ({0: 0, 1: 1, 2: 3}, [])
    found = match([("x.jpg", "/r/x.jpg")], ["x.jpg", "/q/x.jpg", "", ".."])
    assert (found.labels, found.ambiguous) == ({0: 0}, [])
    found = match([("x.jpg", "/r/x.jpg")], ["/p/x.jpg", "/q/x.jpg"])
    assert (found.labels, found.ambiguous) == ({}, [0])

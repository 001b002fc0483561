"""Labels through compress and decompress, in every format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import rinrcodec
from rinrcodec import RinrInputError, RinrUsageError

from .conftest import LABELS, contents, picture, put, write

TINY: dict[str, Any] = {"preset": "fast", "steps": 1, "device": "cpu"}
MASK = {"counts": [24, 10, 350], "size": [16, 24]}
NOSE_AND_TAIL = [4, 4, 2, 9, 8, 1]


def annotation(number: int, image: int, **more: Any) -> dict[str, Any]:
    x = 2.5 * (number % 4)
    outline = [x, 2, x + 8, 2, x + 8, 9.5, x, 9.5]
    known = {"id": number, "image_id": image, "category_id": 9, "bbox": [x, 2, 8, 7.5]}
    known |= {"area": 60, "iscrowd": 0, "segmentation": [outline], "num_keypoints": 2}
    return {**known, "keypoints": NOSE_AND_TAIL, **more}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Four pictures: two with objects, one empty, and one with a label that means nothing."""
    for i in range(4):
        put(tmp_path / f"coco/val2017/{i}.jpg", picture(i), quality=95)
    records = [
        {"id": 50 + i, "file_name": f"{i}.jpg", "width": 24, "height": 16, "license": 4}
        for i in range(4)
    ]
    content = {
        "info": {"year": 2017, "contributor": "us"},
        "licenses": [{"id": 4, "name": "free", "url": "http://example.org"}],
        "images": records,
        "annotations": [
            annotation(7, 50, category_id=2),
            annotation(8, 50, attributes={"occluded": True}),
            annotation(9, 52),
            annotation(10, 52, segmentation=MASK, iscrowd=1, keypoints=[0] * 6, num_keypoints=0),
            annotation(11, 53, bbox=[1, 2, 3]),
        ],
        "categories": [
            {"id": 9, "name": "dog", "supercategory": "animal", "keypoints": ["nose", "tail"]},
            {"id": 2, "name": "cat", "supercategory": "animal", "keypoints": ["nose", "tail"]},
        ],
    }
    return write(tmp_path / "coco/annotations/instances_val2017.json", json.dumps(content))


def evaluate(truth: Path, found: Mapping[str, Any], kind: str) -> float:
    """The average precision of annotations as detections."""
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    reader = pytest.importorskip("pycocotools.coco")
    known = reader.COCO(str(truth))
    detections = [
        {key: one[key] for key in ("image_id", "category_id", "bbox", "segmentation", "keypoints")}
        | {"score": 1.0}
        for one in found["annotations"]
        if not one["iscrowd"]
    ]
    if kind != "segm":
        for one in detections:
            del one["segmentation"]
    if kind == "bbox":
        for one in detections:
            del one["keypoints"]
    run = evaluation.COCOeval(known, known.loadRes(detections), kind)
    if kind == "keypoints":
        import numpy as np

        run.params.kpt_oks_sigmas = np.full(2, 0.1)
    run.params.imgIds = [50, 51, 52]
    run.evaluate()
    run.accumulate()
    run.summarize()
    return float(run.stats[0])


@pytest.mark.slow
def test_coco_comes_back_and_evaluates_to_one(coco: Path, tmp_path: Path) -> None:
    result = rinrcodec.compress(coco, tmp_path / "packs", **TINY)
    assert (result.total.frames, result.failures) == (4, ())
    (lost,) = result.lost_labels
    assert "3.jpg: annotation 11: bbox [1, 2, 3], expected four numbers" in lost
    with rinrcodec.open(tmp_path / "packs/val2017-00000.rinr") as file:
        assert [file.frame(i).labelled for i in range(4)] == [True, True, True, False]
    back = rinrcodec.decompress(tmp_path / "packs", tmp_path / "back", labels="coco")
    assert back.warnings == ()
    (note,) = back.lost_labels
    assert "unlabelled: 1 frame whose labels could not be understood, such as 3.jpg" in note
    assert contents(tmp_path / "back").keys() == {
        "annotations.json", "images/0.png", "images/1.png", "images/2.png", "unlabelled/3.png",
    }  # fmt: skip
    source = json.loads(coco.read_text())
    found = json.loads((tmp_path / "back/annotations.json").read_text())
    assert {key: found[key] for key in ("info", "licenses")} == {
        key: source[key] for key in ("info", "licenses")
    }
    assert found["categories"] == sorted(source["categories"], key=lambda one: int(one["id"]))
    assert found["images"] == [
        one | {"file_name": one["file_name"].replace("jpg", "png")} for one in source["images"][:3]
    ]
    assert found["annotations"] == source["annotations"][:4]
    for kind in ("bbox", "segm", "keypoints"):
        assert evaluate(coco, found, kind) == 1.0
    # What came back is a data set, and gives the same labels again.
    rinrcodec.compress(tmp_path / "back/annotations.json", tmp_path / "packs2", **TINY)
    rinrcodec.decompress(tmp_path / "packs2", tmp_path / "back2", labels="coco")
    again = json.loads((tmp_path / "back2/annotations.json").read_text())
    assert again == found


@pytest.mark.slow
def test_coco_as_yolo_and_voc(coco: Path, tmp_path: Path) -> None:
    rinrcodec.compress(coco, tmp_path / "packs", **TINY)
    result = rinrcodec.decompress(tmp_path / "packs", tmp_path / "yolo", labels=True)
    texts = [text.split("; ")[0] for text in result.lost_labels[1:]]
    assert texts == [
        "YOLO labels cannot hold crowds, which are left out (1 box)",
        "YOLO labels cannot hold other fields (4 boxes)",
        "YOLO labels cannot hold other fields (3 frames)",
        "YOLO labels cannot hold polygons where the task is pose (3 boxes)",
    ]
    label = (tmp_path / "yolo/labels/0.txt").read_text().splitlines()
    assert [line.split()[0] for line in label] == ["0", "1"]
    assert len(label[0].split()) == 5 + 6
    assert (tmp_path / "yolo/labels/1.txt").read_text() == ""
    assert not (tmp_path / "yolo/labels/3.txt").exists()
    assert yaml.safe_load((tmp_path / "yolo/data.yaml").read_text()) == {
        "train": "images", "val": "images", "names": {0: "cat", 1: "dog"}, "kpt_shape": [2, 3],
    }  # fmt: skip
    rinrcodec.decompress(tmp_path / "packs", tmp_path / "voc", labels="voc")
    assert contents(tmp_path / "voc").keys() >= {"Annotations/0.xml", "images/0.png", "classes.txt"}
    rinrcodec.compress(
        tmp_path / "voc/images", tmp_path / "packs2", labels=tmp_path / "voc/Annotations", **TINY
    )
    with (
        rinrcodec.open(tmp_path / "packs/val2017-00000.rinr") as before,
        rinrcodec.open(tmp_path / "packs2/images-00000.rinr") as after,
    ):
        for i in range(3):
            pairs = zip(before.frame(i).boxes, after.frame(i).boxes, strict=True)
            assert all(a.polygons == b.polygons and a.x == b.x and a.w == b.w for a, b in pairs)
        assert after.frame(0).boxes[1].class_id == 1


@pytest.mark.slow
def test_splits_and_files_in_the_way(dataset: Path, tmp_path: Path) -> None:
    rinrcodec.compress(dataset, tmp_path / "packs", **TINY)
    out = tmp_path / "out"
    rinrcodec.decompress(tmp_path / "packs", out, labels="coco")
    assert contents(out).keys() == {
        "data.yaml", "annotations/train.json", "annotations/val.json",
        "images/train/a.png", "images/train/b.png", "images/val/s/c.png",
    }  # fmt: skip
    content = json.loads((out / "annotations/val.json").read_text())
    assert [one["file_name"] for one in content["images"]] == ["s/c.png"]
    assert [one["name"] for one in content["categories"]] == ["person", "car", "bus"]
    with pytest.raises(RinrUsageError, match="and 5 more are already there"):
        rinrcodec.decompress(tmp_path / "packs", out, labels="coco")
    # The pictures alone are not enough to begin.
    (out / "annotations/val.json").rename(tmp_path / "val.json")
    for name in ("train/a.png", "train/b.png", "val/s/c.png"):
        (out / "images" / name).unlink()
    (out / "data.yaml").unlink()
    with pytest.raises(RinrUsageError, match=r"train\.json is already there"):
        rinrcodec.decompress(tmp_path / "packs", out, labels="coco")
    assert rinrcodec.decompress(tmp_path / "packs", out, labels="coco", overwrite=True).frames == 3
    # YOLO -> COCO -> YOLO.
    rinrcodec.compress(out / "annotations/train.json", tmp_path / "packs2", **TINY)
    rinrcodec.decompress(tmp_path / "packs2", tmp_path / "again", labels=True)
    assert (tmp_path / "again/labels/a.txt").read_text() == LABELS["train/a"]


@pytest.mark.slow
def test_unlabelled_frames_of_yolo_are_no_background(tmp_path: Path) -> None:
    for i, text in enumerate(["0 0.5 0.5 0.2 0.2\n", "car 0.5 0.5 0.2 0.2\n", ""]):
        put(tmp_path / f"ds/images/train/{i}.png", picture(i))
        write(tmp_path / f"ds/labels/train/{i}.txt", text)
    data = write(tmp_path / "ds/data.yaml", "train: images/train\nval: images/train\nnames: [a]\n")
    rinrcodec.compress(data, tmp_path / "packs", **TINY)
    rinrcodec.decompress(tmp_path / "packs", tmp_path / "back")
    names = contents(tmp_path / "back").keys()
    assert names >= {"unlabelled/train/1.png", "images/train/0.png", "labels/train/2.txt"}
    assert not names & {"images/train/1.png", "labels/train/1.txt", "unlabelled/train/0.png"}
    assert yaml.safe_load((tmp_path / "back/data.yaml").read_text())["train"] == "images/train"
    rinrcodec.decompress(tmp_path / "packs/train/train-00000.rinr", tmp_path / "bare")
    assert contents(tmp_path / "bare").keys() == {"0.png", "1.png", "2.png"}


@pytest.mark.slow
def test_classes_keep_their_order_through_voc(tmp_path: Path) -> None:
    put(tmp_path / "ds/images/a.png", picture(1))
    write(tmp_path / "ds/labels/a.txt", "1 0.5 0.5 0.2 0.2\n")
    data = write(tmp_path / "ds/data.yaml", "train: images\nnames: [zebra, ant]\n")
    rinrcodec.compress(data, tmp_path / "packs", **TINY)
    out = tmp_path / "voc"
    rinrcodec.decompress(tmp_path / "packs/train", out, labels="voc")
    assert (out / "classes.txt").read_text() == "zebra\nant\n"
    rinrcodec.compress(out / "images", tmp_path / "again", labels=out / "Annotations", **TINY)
    with rinrcodec.open(tmp_path / "again/images-00000.rinr") as file:
        assert file.classes == {0: "zebra", 1: "ant"}
        assert [box.class_id for box in file.boxes(0)] == [1]
    with pytest.raises(RinrUsageError, match=r"classes\.txt|already there"):
        rinrcodec.decompress(tmp_path / "packs/train", out, labels="voc")


@pytest.mark.slow
def test_packs_of_different_classes(tmp_path: Path) -> None:
    """In YOLO labels, one number would mean two classes; in COCO, both names stay."""
    for split, name in (("a", "cat"), ("b", "dog")):
        put(tmp_path / f"{split}/{split}.png", picture(1))
        content = {
            "images": [{"id": 1, "file_name": f"{split}.png"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
            "categories": [{"id": 1, "name": name}],
        }
        source = write(tmp_path / f"{split}/{split}.json", json.dumps(content))
        made = rinrcodec.compress(source, tmp_path / "packs", **TINY)
    (warning,) = made.warnings
    assert "packs: class 0 is 'dog', and 'cat' in the packs of a that are there" in warning
    again = rinrcodec.compress(source, tmp_path / "packs", overwrite=True, **TINY)
    assert again.warnings == made.warnings
    result = rinrcodec.decompress(tmp_path / "packs", tmp_path / "yolo", labels=True)
    assert "packs have different class names" in result.lost_labels[0]
    assert not (tmp_path / "yolo/data.yaml").exists()
    rinrcodec.decompress(tmp_path / "packs", tmp_path / "coco", labels="coco")
    found = json.loads((tmp_path / "coco/annotations.json").read_text())
    names = {one["id"]: one["name"] for one in found["categories"]}
    assert [names[one["category_id"]] for one in found["annotations"]] == ["cat", "dog"]
    assert [one["id"] for one in found["images"]] == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "differs"),
    [("[cat]", "'cat'"), ("{0: dog, 1: cow}", "'dog'"), ("[1]", "'cat'"), ("{0: no}", "'cat'")],
)
def test_a_data_yaml_of_packs_of_different_classes(
    tmp_path: Path, names: str, differs: str
) -> None:
    for split, name in (("train", "cat"), ("val", "dog")):
        pack = rinrcodec.encode([picture(1)], boxes=[[rinrcodec.Box(0, 1, 1, 5, 5)]], **TINY)
        named = replace(pack, info={**pack.info, "names": json.dumps([name])})
        rinrcodec.save(named, tmp_path / f"{split}.rinr")
    yaml_file = write(tmp_path / "d.yaml", f"train: train.rinr\nval: val.rinr\nnames: {names}\n")
    result = rinrcodec.decompress(yaml_file, tmp_path / "yolo", labels=True)
    (lost,) = result.lost_labels
    assert "different class names: class 0 is" in lost
    assert f"and {differs} in the data yaml or another pack" in lost
    for labels in ("coco", "voc"):
        other = rinrcodec.decompress(yaml_file, tmp_path / labels, labels=labels)
        assert other.lost_labels == ()
    write(yaml_file, "train: train.rinr\nval: train.rinr\nnames: [cat, dog]\n")
    assert rinrcodec.decompress(yaml_file, tmp_path / "same", labels=True).lost_labels == ()


def test_wrong_options_and_files_are_errors(coco: Path, tmp_path: Path) -> None:
    unknown: Any = "labelme"
    with pytest.raises(RinrUsageError, match="labels 'labelme': expected one of yolo, coco, voc"):
        rinrcodec.decompress(tmp_path, tmp_path / "out", labels=unknown)
    with pytest.raises(RinrInputError, match=r"(?s)1 label cannot be understood\..*annotation"):
        rinrcodec.compress(coco, tmp_path / "packs", strict=True, **TINY)
    rest = json.loads(coco.read_text()) | {"images": []}
    with pytest.raises(RinrInputError, match="none of its 0 pictures is there"):
        rinrcodec.compress(write(coco, json.dumps(rest)), tmp_path / "packs", **TINY)


def test_pictures_without_a_record(coco: Path, tmp_path: Path) -> None:
    known = json.loads(coco.read_text())
    known["images"].pop()
    known["annotations"].pop()
    write(coco, json.dumps(known))
    pictures, said = coco.parent.parent / "val2017", []
    options = {"labels": coco, **TINY}
    without = f"{coco}: 1 picture has no record here, such as 3.jpg"
    with pytest.raises(RinrInputError) as caught:
        rinrcodec.compress(pictures, tmp_path / "out", strict=True, **options)
    assert str(caught.value).startswith(f"{without}. Add records or files, also empty ones, or")
    rinrcodec.compress(pictures, tmp_path / "out", on_message=said.append, **options)
    assert (
        f"warning: {without}; they are stored as unlabelled, and training leaves them out" in said
    )
    assert not any("cannot be understood" in text for text in said)


def test_a_coco_file_names_the_classes_of_a_yaml_without_names(coco: Path, tmp_path: Path) -> None:
    source = write(coco.parent.parent / "d.yaml", "train: val2017\nval: val2017\n")
    result = rinrcodec.compress(source, tmp_path / "out", labels=coco, **TINY)
    assert not any("neither names nor nc" in text for text in result.warnings)
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text())["names"] == {0: "cat", 1: "dog"}


def test_strict_finds_records_of_another_size_before_the_fit(coco: Path, tmp_path: Path) -> None:
    known = json.loads(coco.read_text())
    known["annotations"].pop()  # the one without meaning
    known["images"][1]["width"] = 25
    write(coco, json.dumps(known))
    with pytest.raises(
        RinrInputError, match=r"(?s)1 label cannot be .*1\.jpg: its image record has 25"
    ):
        rinrcodec.compress(coco, tmp_path / "out", strict=True, **TINY)
    assert not (tmp_path / "out").exists()
    result = rinrcodec.compress(coco, tmp_path / "out", **TINY)
    assert len(result.lost_labels) == 1
    known["images"][1]["width"] = 24
    write(coco, json.dumps(known))
    assert rinrcodec.compress(coco, tmp_path / "good", strict=True, **TINY).lost_labels == ()
    again = rinrcodec.compress(coco, tmp_path / "good", strict=True, resume=True, **TINY)
    assert again.nothing_to_do
    (run,) = json.loads((tmp_path / "good/manifest.json").read_text())["runs"]
    (labels,) = run["settings"]["labels"]
    assert labels == {"format": "coco", "classes": [[2, 0, 2], [9, 1, 2]]}
    assert run["settings"]["label_info"].keys() == {"sha256"}  # of the other keys of the file

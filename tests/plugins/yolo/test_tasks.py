"""Labels of every task: those of the packs are those of the pictures and their label files."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.labels.model import TASKS
from rinrcodec.labels.yolo import Layout

from .conftest import HOST, build, put_picture, same_items
from .task_data import BOX, KEYPOINTS, SQUARE, odd_labels

pytestmark = HOST
KPT = {"kpt_shape": [KEYPOINTS, 3], "flip_idx": [0, 2, 1]}


def built(path: Path, mode: str = "val", **options: Any) -> Any:
    """A dataset, or the error that Ultralytics or the adapter raises."""
    if "images" in path.parts:
        for cache in path.parents[1].rglob("*.cache"):
            cache.unlink()  # old releases take one of another task for their own
    try:
        return build(path, mode, **options)
    except (ValueError, RuntimeError, KeyError, IndexError) as error:
        return error


def same_labels(ours: Any, theirs: Any) -> None:
    """The labels are equal to the last bit, or both are errors of one kind."""
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), (ours, theirs)
        return
    assert not isinstance(ours, Exception), ours
    assert type(ours) is not type(theirs)
    names = [[Path(path).stem for path in one.im_files] for one in (ours, theirs)]
    assert names[0] == names[1]
    for given, wanted in zip(ours.labels, theirs.labels, strict=True):
        assert given.keys() == wanted.keys()
        for key in ("cls", "bboxes", "keypoints"):
            a, b = given[key], wanted[key]
            assert (a is None) == (b is None)
            if a is not None:
                assert (a.dtype, a.shape) == (b.dtype, b.shape) == (np.float32, b.shape)
                np.testing.assert_array_equal(a, b, err_msg=f"{key} of {wanted['im_file']}")
        assert len(given["segments"]) == len(wanted["segments"])
        for a, b in zip(given["segments"], wanted["segments"], strict=True):
            assert a.dtype == b.dtype == np.float32
            np.testing.assert_array_equal(a, b)
        for key in ("shape", "normalized", "bbox_format"):
            assert given.get(key) == wanted.get(key)


def drops_keypoints() -> bool:
    """Whether the release knows pose labels in training of another task."""
    from ultralytics.data import YOLODataset

    return hasattr(YOLODataset, "verify_labels")


@pytest.mark.parametrize("model", TASKS)
@pytest.mark.parametrize("labels", TASKS)
@pytest.mark.parametrize("split", ["train", "val"])
def test_every_model_gets_the_labels_of_the_pictures(
    task_sets: Path, labels: str, model: str, split: str
) -> None:
    if labels == "pose" != model and not drops_keypoints():
        pytest.skip("this release takes keypoints for polygons")
    folder = task_sets / labels
    options: dict[str, Any] = {"task": model, "keys": KPT if "pose" in (labels, model) else {}}
    ours = built(folder / "packs" / split, **options)
    theirs = built(folder / "png/images" / split, **options)
    same_labels(ours, theirs)
    if labels == model:
        assert len(ours) == 20 if split == "train" else 3 < len(ours) < len(odd_labels(labels))
        same_items(ours, theirs)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "options",
    [{"single_cls": True}, {"classes": [1]}, {"fraction": 0.5}, {"rect": True, "imgsz": 96}],
    ids=["single", "classes", "fraction", "rect"],
)
def test_options_that_choose_labels_are_those_of_ultralytics(
    task_sets: Path, task: str, options: dict[str, Any]
) -> None:
    options = {"task": task, "keys": KPT if task == "pose" else {}, **options}
    mode = "train" if "fraction" in options else "val"
    # A fraction counts frames that are left out later; decompress puts those elsewhere.
    for split in ("train",) if "fraction" in options else ("train", "val"):
        ours = built(task_sets / task / "packs" / split, mode, **options)
        same_labels(ours, built(task_sets / task / "png/images" / split, mode, **options))


@pytest.mark.parametrize("task", TASKS)
def test_augmented_items_of_every_task_are_the_same_under_one_seed(
    task_sets: Path, task: str
) -> None:
    from ultralytics.cfg import get_cfg

    options: dict[str, Any] = {"task": task, "keys": KPT if task == "pose" else {}, "mosaic": 1.0}
    options |= {"degrees": 10.0, "fliplr": 0.5, "mixup": 0.3, "copy_paste": 0.5}
    made = [
        build(task_sets / task / split, "train", **options)
        for split in ("packs/train", "png/images/train")
    ]
    same_items(*made)
    for dataset in made:
        dataset.close_mosaic(get_cfg(overrides={"task": task}))
    same_items(*made)


def test_frames_whose_labels_were_not_understood_are_left_out(task_sets: Path, log: Any) -> None:
    dataset = build(task_sets / "detect/packs/val")
    assert not {"bytes", "word", "columns"} & {Path(path).stem for path in dataset.im_files}
    (line,) = [line for line in log.messages if "could not be understood" in line]
    assert "corrupt, left out: 3 frames" in line
    assert "val-00000.rinr/bytes.png" in line


def test_a_label_file_wins_over_a_frame_that_was_not_understood(tmp_path: Path, log: Any) -> None:
    for i in range(9):
        put_picture(tmp_path / "ds", f"f{i}", "car 0.5 0.5 0.2 0.2\n" if i < 7 else BOX, i)
    rinrcodec.compress(tmp_path / "ds/images", tmp_path / "packs/train", steps=2, device="cpu")
    assert [Path(path).stem for path in build(tmp_path / "packs/train").im_files] == ["f7", "f8"]
    assert "7 frames whose labels" in log.text
    assert "f4.png and 2 more; correct" in log.text
    files = {"f0": SQUARE, "f1": BOX + SQUARE, "f2": "car\n", "f3": b"0 0.5 \xe9\n", "f4": ""}
    for form in ("packs/labels/train", "png/labels"):
        (tmp_path / form).mkdir(parents=True)
        for name, text in files.items():
            data = text if isinstance(text, bytes) else text.encode()
            (tmp_path / form / f"{name}.txt").write_bytes(data)
    rinrcodec.decompress(tmp_path / "packs/train", tmp_path / "png/images")
    for task in ("detect", "segment", "obb"):
        ours = built(tmp_path / "packs/train", task=task)
        same_labels(ours, built(tmp_path / "png/images", task=task))
    names = {Path(path).stem for path in build(tmp_path / "packs/train").im_files}
    assert not names & {"f2", "f3"}
    assert {"f0", "f4", "f8"} <= names
    assert "corrupt, left out: " in log.text
    assert "-00000.rinr/f2.png: could not convert" in log.text


@pytest.mark.parametrize("form", ["none", "file"])
def test_training_without_a_box_is_refused_as_for_pictures(
    tmp_path: Path, log: Any, form: str
) -> None:
    for i in range(2):
        put_picture(tmp_path / "ds", f"train/{i}", "", i)
    if form == "none":
        shutil.rmtree(tmp_path / "ds/labels")
    rinrcodec.compress(tmp_path / "ds/images", tmp_path / "packs", steps=2, device="cpu")
    shutil.rmtree(tmp_path / "ds/labels", ignore_errors=True)
    theirs = built(tmp_path / "ds/images", "train")
    log.clear()
    ours = built(tmp_path / "packs", "train")
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs))
        assert "No labels found in" in str(theirs)
        assert f"No labels found in {tmp_path / 'packs'}: 2 frames, no boxes" in str(ours)
    same_labels(built(tmp_path / "packs"), built(tmp_path / "ds/images"))
    assert "No labels found in" in log.text
    # With one label file, even an empty one, Ultralytics trains; so it does with packs.
    for folder in ("ds/labels/train", "packs/labels"):
        (tmp_path / folder).mkdir(parents=True)
        name = "train/0.txt" if folder.startswith("packs") else "0.txt"
        (tmp_path / folder / name).parent.mkdir(exist_ok=True)
        (tmp_path / folder / name).touch()
    same_labels(built(tmp_path / "packs", "train"), built(tmp_path / "ds/images", "train"))


def test_only_corrupt_labels_give_the_error_of_ultralytics(tmp_path: Path) -> None:
    put_picture(tmp_path / "ds", "a", "car 0.5 0.5 0.2 0.2\n", 0)
    put_picture(tmp_path / "ds", "b", "7 0.5 0.5 0.2 0.2\n", 0)
    rinrcodec.compress(tmp_path / "ds/images", tmp_path / "packs", steps=2, device="cpu")
    for mode in ("train", "val"):
        ours, theirs = built(tmp_path / "packs", mode), built(tmp_path / "ds/images", mode)
        assert isinstance(ours, type(theirs))
        assert isinstance(ours, rinrcodec.RinrError)


def test_a_pose_model_needs_the_number_of_keypoints(task_sets: Path) -> None:
    for keys in ({}, {"kpt_shape": [0, 3]}, {"kpt_shape": [3, 4]}):
        with pytest.raises(ValueError, match="kpt_shape"):
            build(task_sets / "pose/packs/train", task="pose", keys=keys)


def test_a_detector_gets_the_boxes_of_poses_without_kpt_shape(task_sets: Path) -> None:
    """The pack knows that these columns are keypoints, where Ultralytics sees polygons."""
    dataset = build(task_sets / "pose/packs/train")
    poses = build(task_sets / "pose/packs/train", task="pose", keys=KPT)
    for label, pose in zip(dataset.labels, poses.labels, strict=True):
        np.testing.assert_array_equal(label["bboxes"], pose["bboxes"])
        assert label["keypoints"] is None
        assert label["segments"] == []


@pytest.mark.parametrize(
    ("size", "reason"),
    [((1, 1), "<10 pixels"), ((9, 40), "<10 pixels"), ((65_500, 65_500), "exceeds limit")],
)
def test_placeholder_pictures_have_any_size_and_take_no_memory(
    tmp_path: Path, task_sets: Path, size: tuple[int, int], reason: str
) -> None:
    from rinrcodec.plugins._yolo_labels import LabelRules

    rules = LabelRules(build(task_sets / "detect/packs/train"), tmp_path)
    assert rules.judge(12, 10, BOX).label["shape"] == (10, 12)
    with pytest.raises(rinrcodec.RinrInputError, match=reason):
        rules.judge(*size, BOX)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 200


def test_labels_of_coco_are_those_of_the_converter(quick: Any, tmp_path: Path) -> None:
    squares = [(x, y, x + 8.0, y, x + 8.0, y + 8.0, x, y + 8.0) for x, y in ((4.0, 4.0), (28, 20))]
    polygons = tuple(tuple(map(float, square)) for square in squares)
    boxes = [
        Box(1, 4, 4, 32, 24, polygons=polygons),
        Box(0, 0, 0, 40, 30, crowd=True),
        Box(0, 4, 4, 8, 8, polygons=polygons[:1]),
    ]
    pack = rinrcodec.encode([Image.new("RGB", (48, 32))], boxes=[boxes], preset=quick, device="cpu")
    for task, n_segments in (("segment", 2), ("detect", 0)):
        folder = tmp_path / task
        folder.mkdir()
        rinrcodec.save(replace(pack, info={**pack.info, "task": task}), folder / "a.rinr")
        (label,) = build(folder, task=task).labels
        assert label["cls"][:, 0].tolist() == [1, 0]
        assert len(label["segments"]) == n_segments
        size = np.array([48, 32, 48, 32])
        wanted = np.array([[20, 16, 32, 24], [8, 8, 8, 8]]) / size
        np.testing.assert_allclose(label["bboxes"], wanted, atol=1e-6)
    points = build(tmp_path / "segment", task="segment").labels[0]["segments"][0] * size[:2]
    corners = {tuple(corner) for corner in np.round(points).astype(int).tolist()}
    assert corners == {(int(p[i]), int(p[i + 1])) for p in polygons for i in range(0, 8, 2)}


def test_layouts_of_packs() -> None:
    from rinrcodec.plugins._yolo_labels import layout_of

    info = {"task": "pose", "kpt_shape": "[17,3]"}
    assert layout_of(info, keypoints=True) == Layout("pose", (17, 3))
    assert layout_of(info, keypoints=False) == Layout("detect")
    assert layout_of({"task": "obb"}, keypoints=False) == Layout("obb")
    with pytest.raises(rinrcodec.RinrFormatError, match="task"):
        layout_of({"task": "x"}, keypoints=False)

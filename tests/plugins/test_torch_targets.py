"""Targets: every entry, its type and its rows, plain and with types of torchvision."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.pack import Pack, select_frames
from rinrcodec.plugins._torch_targets import PER_BOX
from rinrcodec.plugins.torch_data import RinrDataset
from rinrcodec.plugins.torch_loader import RinrLoader

L_SHAPE = (2.0, 2.0, 10.0, 2.0, 10.0, 6.0, 6.0, 6.0, 6.0, 12.0, 2.0, 12.0)
DIAMOND = (20.0, 4.0, 28.0, 12.0, 20.0, 20.0, 12.0, 12.0)
FULL = [
    Box(0, 2, 2, 8, 10, polygons=(L_SHAPE,), track_id=2**40, crowd=True),
    Box(3, 20, 5, 10, 4, score=0.5, attributes={"area": 33}),
]


@pytest.fixture
def put(pack: Pack, tmp_path: Path) -> Any:
    """Write a file of two frames of 48 x 32, the first with these boxes, the second without."""

    def put(boxes: Sequence[Box], name: str = "a.rinr", **info: str) -> Path:
        made = select_frames(pack, [0, 4])
        first, second = made.frames
        frames = (
            replace(first, boxes=tuple(boxes), objects=(None,) * len(boxes)),
            replace(second, boxes=(), objects=()),
        )
        rinrcodec.save(replace(made, frames=frames, info=info), tmp_path / name)
        return tmp_path / name

    return put


def test_usual_labels_give_the_targets_of_torchvision(put: Any) -> None:
    dataset = RinrDataset(put([Box(1, 3, 4, 10, 12.5), Box(0, 40, 20, 20, 20)]))
    _, target = dataset[0]
    assert list(target) == ["boxes", "labels", "image_id", "area", "iscrowd", "name"]
    assert target["area"].tolist() == [125, 400]
    assert target["area"].dtype == torch.float32
    assert target["iscrowd"].tolist() == [0, 0]
    assert target["iscrowd"].dtype == torch.int64
    _, empty = dataset[1]
    assert {name: empty[name].shape for name in ("boxes", "area", "iscrowd")} == {
        "boxes": (0, 4),
        "area": (0,),
        "iscrowd": (0,),
    }


def test_targets_have_all_fields_of_labels(put: Any) -> None:
    _, target = RinrDataset(put(FULL))[0]
    # 8 x 10 without the lower right 4 x 6; the second says its own area.
    assert target["area"].tolist() == [56, 33]
    assert target["iscrowd"].tolist() == [1, 0]
    assert target["track_id"].tolist() == [2**40, -1]
    assert target["score"][1] == 0.5
    assert target["score"].isnan().tolist() == [True, False]
    assert "masks" not in target
    _, target = RinrDataset(put([Box(0, 1, 1, 2, 2), Box(0, 1, 1, 2, 2, difficult=True)]))[0]
    assert target["difficult"].tolist() == [0, 1]


def test_first_label_moves_labels_and_not_classes(put: Any) -> None:
    dataset = RinrDataset(put(FULL, names='["car","van","bus","person"]'), first_label=1)
    assert dataset[0][1]["labels"].tolist() == [1, 4]
    assert dataset.classes == {0: "car", 1: "van", 2: "bus", 3: "person"}
    assert dataset.task == "detect"


def test_masks_are_drawn_when_asked_for(put: Any) -> None:
    path = put(FULL, task="segment")
    for masks in (False, "auto"):
        assert "masks" not in RinrDataset(path, masks=masks)[0][1]
    dataset = RinrDataset(path, masks=True)
    masks = dataset[0][1]["masks"]
    assert masks.shape == (2, 32, 48)
    assert masks.dtype == torch.uint8
    assert masks.sum((1, 2)).tolist() == [56, 40]
    assert dataset[1][1]["masks"].shape == (0, 32, 48)


def test_keypoints_have_a_visibility(put: Any) -> None:
    boxes = [Box(0, 1, 1, 9, 9, keypoints=((2, 3, 1), (0, 0, 0))), Box(0, 5, 5, 9, 9)]
    dataset = RinrDataset(put(boxes, task="pose", kpt_shape="[2,3]"))
    assert dataset.task == "pose"
    assert dataset[0][1]["keypoints"].tolist() == [[[2, 3, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    assert dataset[1][1]["keypoints"].shape == (0, 2, 3)
    # Without a task, the frames whose labels have some; without a visibility, all are visible.
    dataset = RinrDataset(put([Box(0, 1, 1, 9, 9, keypoints=((2, 3),))]))
    assert dataset[0][1]["keypoints"].tolist() == [[[2, 3, 2]]]
    assert "keypoints" not in dataset[1][1]


def test_rotated_boxes_have_corners(put: Any) -> None:
    boxes = [Box(0, 12, 4, 16, 16, polygons=(DIAMOND,)), Box(0, 1, 2, 3, 4)]
    dataset = RinrDataset(put(boxes, task="obb"))
    _, target = dataset[0]
    assert target["corners"].tolist() == [list(DIAMOND), [1, 2, 4, 2, 4, 6, 1, 6]]
    assert target["area"].tolist() == [128, 12]
    assert dataset[1][1]["corners"].shape == (0, 8)


def test_a_frame_has_everything_exactly(put: Any) -> None:
    dataset = RinrDataset(put(FULL))
    assert list(dataset.frame(0).boxes) == FULL
    assert dataset.frame(-1).boxes == ()
    with pytest.raises(IndexError, match="the dataset has 2"):
        dataset.frame(2)


DEGENERATE = [
    Box(0, 5, 5, 0, 4),
    Box(1, 5, 5, 4, 4),
    Box(2, 5, 5, 4, 0),
    Box(3, -9, 5, 9, 4),  # to the left of the frame
    Box(4, 48, 5, 9, 4),  # to its right
    Box(5, 5, 31.5, 9, 4),
    Box(6, 5, 32, 9, 4),  # below
    Box(7, 40, 5, 1e-9, 4),  # nothing is left of it in float32
]


@pytest.mark.parametrize("target", ["plain", "tv"])
def test_boxes_without_area_can_be_left_out(put: Any, target: Any) -> None:
    if target == "tv":
        pytest.importorskip("torchvision")
    path = put(DEGENERATE)
    assert len(RinrDataset(path, target=target)[0][1]["boxes"]) == 8
    dataset = RinrDataset(path, target=target, masks=True, drop_degenerate=True)
    kept = dataset[0][1]
    assert kept["labels"].tolist() == [1, 5]
    for name in PER_BOX:
        assert name not in kept or len(kept[name]) == 2
    assert type(kept["boxes"]) is type(RinrDataset(path, target=target)[0][1]["boxes"])
    assert kept["boxes"].tolist() == [[5, 5, 9, 9], [5, 31.5, 14, 35.5]]
    ((_, targets),) = RinrLoader(dataset, device="cpu")
    assert [len(one["boxes"]) for one in targets] == [2, 0]


def test_types_of_torchvision(put: Any) -> None:
    tv = pytest.importorskip("torchvision.tv_tensors")
    boxes = [Box(0, 1, 1, 9, 9, keypoints=((2, 3, 1), (4, 5, 2)), polygons=(L_SHAPE,))]
    dataset = RinrDataset(put(boxes, task="pose", kpt_shape="[2,3]"), target="tv")
    image, target = dataset[0]
    plain_image, plain = RinrDataset(dataset.files)[0]
    assert type(image) is tv.Image
    assert torch.equal(image, plain_image)
    assert type(target["boxes"]) is tv.BoundingBoxes
    assert target["boxes"].format == tv.BoundingBoxFormat.XYXY
    assert target["boxes"].canvas_size == (32, 48)
    assert torch.equal(target["boxes"], plain["boxes"])
    assert type(target["masks"]) is tv.Mask
    assert type(target["labels"]) is torch.Tensor
    assert target["visibility"].tolist() == [[1, 2]]
    if hasattr(tv, "KeyPoints"):
        assert type(target["keypoints"]) is tv.KeyPoints
    assert target["keypoints"].tolist() == [[[2, 3], [4, 5]]]
    images, targets = next(iter(RinrLoader(dataset, device="cpu")))
    assert type(images) is tv.Image
    assert images.shape == (2, 3, 32, 48)
    assert type(targets[1]["boxes"]) is tv.BoundingBoxes
    boxes = [Box(0, 12, 4, 16, 16, polygons=(DIAMOND,))]
    _, target = RinrDataset(put(boxes, task="obb"), target="tv")[0]
    assert target["corners"].tolist() == [list(DIAMOND)]
    assert "masks" not in target


def test_without_torchvision_the_message_is_the_command(
    put: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(FULL)
    importing = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("torchvision"):
            raise ModuleNotFoundError(name)
        return importing(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="torchvision is not installed; run: pip install"):
        RinrDataset(path, target="tv")
    assert len(RinrDataset(path)[0][1]["boxes"]) == 2


@pytest.mark.parametrize("options", [{"target": "dict"}, {"masks": "yes"}, {"transforms": 3}])
def test_other_options_are_refused(put: Any, options: Any) -> None:
    with pytest.raises(RinrInputError, match=f"{next(iter(options))}=.*: expected "):
        RinrDataset(put(FULL), **options)


# Files that have to agree


def test_classes_and_task_are_those_of_all_files(put: Any, tmp_path: Path) -> None:
    put(FULL, "a.rinr", names='["car"]')
    put(FULL, "b.rinr", names='["car","van"]')
    put(FULL, "c.rinr")
    dataset = RinrDataset(tmp_path)
    assert dataset.classes == {0: "car", 1: "van"}
    assert dataset.task == "detect"
    assert len(list(RinrLoader(dataset, device="cpu", batch_size=6))) == 1
    assert RinrDataset(tmp_path / "c.rinr").classes == {}


@pytest.mark.parametrize(
    ("info", "what"),
    [
        ({"names": '["car","bus"]'}, "the name of class 1 is 'bus', and 'van' in "),
        ({"task": "pose", "kpt_shape": "[1,3]"}, "task is 'pose', and 'detect' in "),
    ],
)
def test_files_that_do_not_agree_are_named(put: Any, tmp_path: Path, info: Any, what: str) -> None:
    put(FULL, "a.rinr", names='["car","van"]')
    put(FULL, "b.rinr", **info)
    dataset = RinrDataset(tmp_path)
    for read in (lambda: dataset.classes, lambda: dataset.task):
        with pytest.raises(RinrInputError, match=rf"b\.rinr: {what}"):
            read()
    dataset = RinrDataset(tmp_path)
    dataset[1]
    with pytest.raises(RinrInputError, match=rf"b\.rinr: {what}.*a\.rinr"):
        dataset[2]
    for workers in (0, 1):
        loader = RinrLoader(RinrDataset(tmp_path), device="cpu", num_workers=workers)
        with pytest.raises(RinrInputError, match=what):
            list(loader)

"""YOLO of every task trains, validates and predicts from packs as from the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tiny_yolo import write_model

from rinrcodec.labels.model import TASKS

from .conftest import HOST, QUIET

pytestmark = [*HOST, pytest.mark.slow, pytest.mark.usefixtures("enabled")]
MODELS = {
    "detect": "yolov8.yaml",
    "segment": "yolov8-seg.yaml",
    "pose": "yolov8-pose.yaml",
    "obb": "yolov8-obb.yaml",
}
# Ways of training, one for each task.
OPTIONS: dict[str, dict[str, Any]] = {
    "detect": {"rect": True},
    "segment": {"copy_paste": 0.5, "overlap_mask": False},
    "pose": {"multi_scale": True, "fliplr": 0.5, "imgsz": 64},
    "obb": {"cache": "ram", "degrees": 90.0},
}


@pytest.mark.parametrize("task", TASKS)
def test_ten_steps_have_the_losses_of_the_pictures(
    task_sets: Path, tmp_path: Path, task: str
) -> None:
    from ultralytics import YOLO

    losses: dict[str, list[float]] = {}
    scores: dict[str, list[dict[str, float]]] = {}
    found: dict[str, Any] = {}
    shared = {**QUIET, "imgsz": 32, "batch": 4}
    for kind in ("packs", "png"):
        model = YOLO(write_model(tmp_path, MODELS[task]))
        seen = losses[kind] = []
        model.add_callback(
            "on_train_batch_end", lambda trainer, seen=seen: seen.append(trainer.loss.item())
        )
        data = _train_alone(task_sets / task / kind, tmp_path / f"{kind}.yaml")
        # Five steps with mosaics, and five without.
        options = {**shared, "epochs": 2, "close_mosaic": 1, "seed": 3, **OPTIONS[task]}
        model.train(data=data, project=str(tmp_path / kind), name="run", **options)
        again = YOLO(model.trainer.last).val(data=data, project=str(tmp_path), **shared)
        scores[kind] = [model.trainer.metrics, again.results_dict]
        source = "train" if kind == "packs" else "images/train/**/*.png"
        paths = str(task_sets / task / kind / source)
        shown = {**shared, "conf": 0.0001, "max_det": 2, "save": True, "save_txt": True}
        options = {"project": str(tmp_path / "shown"), "name": kind}
        found[kind] = YOLO(model.trainer.last).predict(paths, **shown, **options)
    assert len(losses["packs"]) == 10
    assert len(set(losses["packs"])) > 5
    assert losses["packs"] == losses["png"]
    for ours, theirs in zip(scores["packs"], scores["png"], strict=True):
        assert {k: v for k, v in ours.items() if "time" not in k} == theirs
    _same_predictions(found["packs"], found["png"])
    written = {
        kind: {path.name: path.read_bytes() for path in (tmp_path / "shown" / kind).rglob("*.txt")}
        for kind in found
    }
    assert len(written["packs"]) > 0
    assert written["packs"] == written["png"]


def _train_alone(folder: Path, path: Path) -> str:
    """A data yaml of the train split alone.

    The other split has frames that cannot be used, which decompress puts elsewhere, and Ultralytics
    draws a random number for every file.
    """
    keys = yaml.safe_load((folder / "data.yaml").read_text())
    path.write_text(yaml.safe_dump({**keys, "path": str(folder), "val": keys["train"]}))
    return str(path)


def _same_predictions(ours: list[Any], theirs: list[Any]) -> None:
    assert len(ours) == len(theirs) == 20
    # What suffix a drawing has depends on the release.
    drawn = {path.stem for path in Path(ours[0].save_dir).iterdir()}
    for given, wanted in zip(ours, theirs, strict=True):
        assert Path(given.path).name == Path(wanted.path).name
        np.testing.assert_array_equal(given.orig_img, wanted.orig_img)
        assert Path(given.path).stem in drawn
        for name in ("boxes", "masks", "keypoints", "obb"):
            a, b = getattr(given, name), getattr(wanted, name)
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a.data, b.data, rtol=0, atol=0)


@pytest.mark.parametrize("task", ["segment", "pose", "obb"])
def test_the_classes_of_a_task_work_without_enabling(
    task_sets: Path, tmp_path: Path, task: str
) -> None:
    from ultralytics import YOLO

    import rinrcodec
    from rinrcodec.plugins import ultralytics_adapter as adapter

    rinrcodec.disable_ultralytics()
    name = {"segment": "Segmentation", "pose": "Pose", "obb": "OBB"}[task]
    trainer, validator, predictor = (
        getattr(adapter, f"Rinr{name}{kind}") for kind in ("Trainer", "Validator", "Predictor")
    )
    data = str(task_sets / task / "packs/data.yaml")
    options = {**QUIET, "imgsz": 32, "batch": 8, "project": str(tmp_path)}
    model = YOLO(write_model(tmp_path, MODELS[task]))
    model.train(trainer=trainer, data=data, epochs=1, **options)
    assert (
        "fitness"
        in YOLO(model.trainer.last).val(validator=validator, data=data, **options).results_dict
    )
    shown = predictor(overrides={**options, "mode": "predict"})
    assert len(shown(source=str(task_sets / task / "packs/val"), model=model.model)) > 5

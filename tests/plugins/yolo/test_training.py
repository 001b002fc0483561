"""YOLO trains, validates and predicts from packs as from the PNGs that they decompress to."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_yolo import write_model

import rinrcodec
from rinrcodec.errors import MissingExtraError, RinrFormatError
from rinrcodec.labels.model import TASKS

from .conftest import HOST, ODD, QUIET, damage, no_installs, weight_offset

pytestmark = HOST


def test_enabling_is_idempotent_and_undone() -> None:
    from ultralytics import YOLO
    from ultralytics.data import build as host
    from ultralytics.models.yolo import detect, obb, pose, segment

    trainers = {"DetectionTrainer": detect, "SegmentationTrainer": segment}
    trainers |= {"PoseTrainer": pose, "OBBTrainer": obb}

    def names() -> list[Any]:
        listed = [(host, name) for name in ("YOLODataset", "LoadImagesAndVideos", "autocast_list")]
        listed += [(module, name) for name, module in trainers.items()]
        return [getattr(module, name) for module, name in listed]

    stock = names()
    rinrcodec.enable_ultralytics()
    ours = names()
    rinrcodec.enable_ultralytics()
    assert names() == ours
    assert not set(ours) & set(stock)
    # The processes of distributed training import the trainer by its name.
    tasks = YOLO("yolov8n.yaml").task_map
    for trainer in (tasks[task]["trainer"] for task in TASKS):
        assert pickle.loads(pickle.dumps(trainer)) is trainer
        assert trainer.__module__ == "rinrcodec.plugins.ultralytics_adapter"
    for _ in range(2):
        rinrcodec.disable_ultralytics()
        assert names() == stock


def train(
    data: Path, out: Path, callbacks: dict[str, Callable[[Any], None]], **options: Any
) -> Any:
    from ultralytics import YOLO

    model = YOLO(write_model(out))
    for event, function in callbacks.items():
        model.add_callback(event, function)
    model.train(data=str(data), project=str(out), name="run", **{**QUIET, **options})
    return model


@pytest.mark.slow
def test_ten_steps_of_training_have_the_losses_of_the_pictures(sets: Path, tmp_path: Path) -> None:
    from rinrcodec.plugins.ultralytics_adapter import RinrDetectionTrainer

    losses: dict[str, list[float]] = {"packs": [], "png": []}
    scores = {}
    for kind, seen in losses.items():
        record = {"on_train_batch_end": lambda trainer, seen=seen: seen.append(trainer.loss.item())}
        # Not enabled: the trainer class is enough.
        options = {"trainer": RinrDetectionTrainer} if kind == "packs" else {}
        data = sets / kind / "data.yaml"
        (tmp_path / kind).mkdir()
        model = train(data, tmp_path / kind, record, epochs=1, seed=3, **options)
        scores[kind] = model.trainer.metrics
    assert len(losses["packs"]) == 10
    assert losses["packs"] == losses["png"]
    assert scores["packs"] == scores["png"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_share_the_frames_and_have_the_losses_of_the_pictures(
    sets: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    script = Path(__file__).with_name("train_distributed.py")
    model = write_model(tmp_path)
    processes = []
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    for rank in range(2):
        settings = tmp_path / f"settings{rank}"
        settings.mkdir()
        ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        environment = {**os.environ, **ranks, "YOLO_CONFIG_DIR": str(settings)}
        environment["GLOO_SOCKET_IFNAME"] = loopback
        command = [sys.executable, "-P", str(script), str(sets), str(tmp_path / "out"), str(model)]
        with (tmp_path / f"log{rank}").open("w") as log:
            processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    try:
        codes = [process.wait(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.kill()
    logs = [(tmp_path / f"log{rank}").read_text() for rank in range(2)]
    assert codes == [0, 0], "".join(logs)
    reports = [json.loads(log.splitlines()[-1]) for log in logs]
    shares = [report["packs"][0] for report in reports]
    assert sorted(shares[0] + shares[1]) == list(range(20))
    assert len(shares[0]) == 10
    for report in reports:
        assert report["packs"] == report["png"]
        assert len(report["packs"][1]) == 3


class _StoppedError(Exception):
    pass


@pytest.mark.slow
@pytest.mark.usefixtures("enabled")
def test_training_is_resumed_then_validated_and_predicted(
    sets: Path, tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics import YOLO

    def stop(_: Any) -> None:
        raise _StoppedError

    monkeypatch.chdir(tmp_path)
    options = {"epochs": 2, "workers": 2, "batch": 8, "cache": "ram", "fraction": 0.8}
    with pytest.raises(_StoppedError):
        train(sets / "packs/data.yaml", tmp_path, {"on_model_save": stop}, **options)
    last = tmp_path / "run/weights/last.pt"
    resumed = YOLO(last)
    resumed.train(resume=True)
    assert resumed.trainer.start_epoch == 1

    values = {}
    for kind in ("packs", "png"):
        metrics = YOLO(last).val(data=str(sets / kind / "data.yaml"), split="train", **QUIET)
        values[kind] = metrics.results_dict
    assert values["packs"] == values["png"]

    shown = {**QUIET, "batch": 3, "conf": 0.0001, "max_det": 2}
    results = YOLO(last).predict(str(sets / "packs/train"), save=True, save_txt=True, **shown)
    pictures = YOLO(last).predict(sorted((sets / "png/images/train").rglob("*.png")), **shown)
    assert len(results) == 20
    for ours, theirs in zip(results, pictures, strict=True):
        assert Path(ours.path).name == Path(theirs.path).name
        np.testing.assert_array_equal(ours.orig_img, theirs.orig_img)
        torch.testing.assert_close(ours.boxes.data, theirs.boxes.data)
    saved = {path.stem for path in Path(results[0].save_dir).glob("*.*")}
    assert saved == {Path(result.path).stem for result in results}

    pack = sets / "packs/val/val-00000.rinr"
    listed = YOLO(last).predict([str(pack), str(sets / "png/images/val/empty.png")], **QUIET)
    assert [Path(result.path).stem for result in listed] == [*sorted([*ODD, "small"]), "empty"]
    broken = tmp_path / "broken.rinr"
    shutil.copy(pack, broken)
    damage(broken, weight_offset(broken))
    no_installs(monkeypatch)
    left = {Path(result.path).name for result in YOLO(last).predict(str(broken), **QUIET)}
    missing = {f"{name}.png" for name in (*ODD, "small")} - left
    assert missing
    for name in missing:
        assert f"corrupt, left out: {broken / name}: " in log.text
    damage(broken, 100)
    with pytest.raises(RinrFormatError, match=r"broken\.rinr"):
        YOLO(last).predict(str(broken), **QUIET)


def test_the_classes_validate_and_predict_without_enabling(sets: Path, tmp_path: Path) -> None:
    from ultralytics import YOLO

    from rinrcodec.plugins.ultralytics_adapter import RinrDetectionPredictor, RinrDetectionValidator

    tiny = write_model(tmp_path)
    model = YOLO(tiny)
    with pytest.raises(FileNotFoundError):
        model.predict(str(sets / "packs/val"), project=str(tmp_path), **QUIET)
    options = {**QUIET, "project": str(tmp_path)}
    # As a call, since not every release takes a class in `predict(predictor=...)`.
    predictor = RinrDetectionPredictor(overrides={**options, "mode": "predict"})
    results = predictor(source=str(sets / "packs/val"), model=model.model)
    assert len(results) == len(ODD) + 1
    data = str(sets / "packs/data.yaml")
    metrics = YOLO(tiny).val(validator=RinrDetectionValidator, data=data, **options)
    assert "metrics/mAP50(B)" in metrics.results_dict


def test_without_ultralytics_the_message_is_the_pip_command() -> None:
    code = (
        "import sys, rinrcodec\n"
        "sys.modules['ultralytics'] = None\n"
        "try:\n"
        "    rinrcodec.enable_ultralytics()\n"
        "except rinrcodec.MissingExtraError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == f"{MissingExtraError('ultralytics', 'yolo')}\n"

"""YOLO trains, validates and predicts from packs as from the PNGs that they decompress to."""

from __future__ import annotations

import importlib
import json
import logging
import os
import pickle
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import rinrcodec
from rinrcodec.cli.main import cli
from rinrcodec.errors import RinrError, RinrFormatError, RinrInputError
from rinrcodec.formats import PackReader
from rinrcodec.formats.schema import Kind

# Not imported here: Ultralytics replaces functions of other packages, for all tests that follow.
pytestmark = [
    pytest.mark.skipif(find_spec("ultralytics") is None, reason="ultralytics is not installed"),
    # What Ultralytics and its own dependencies warn about is not ours to mend.
    pytest.mark.filterwarnings("default"),
]

SIZES = [(64, 48), (48, 64), (80, 40)]
# Labels that Ultralytics refuses or changes, one kind a picture.
ODD = {
    "duplicate": "1 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n",
    "outside": "0 1.2 0.5 0.1 0.1\n",
    "partly": "0 0.98 0.5 0.3 0.4\n",
    "unknown": "9 0.5 0.5 0.2 0.2\n",
    "empty": "",
}
# No augmentation beyond the host's own defaults; nothing that asks the network for a file.
QUIET = {
    "imgsz": 64,
    "batch": 2,
    "workers": 0,
    "device": "cpu",
    "amp": False,
    "plots": False,
    "verbose": False,
    "exist_ok": True,
}


@pytest.fixture(scope="module", autouse=True)
def _yolo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ultralytics without network, with its settings in a temporary folder, for this module."""
    folder = tmp_path_factory.mktemp("settings")
    matplotlib = importlib.import_module("matplotlib")
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_OFFLINE", "true")
        patch.setenv("YOLO_AUTOINSTALL", "false")
        patch.setenv("YOLO_CONFIG_DIR", str(folder))
        # Its import replaces these; that is undone for the tests of other modules.
        for module, name in ((Image, "open"), (torch, "save"), (torch, "load")):
            patch.setattr(module, name, getattr(module, name))
        threads = torch.get_num_threads()
        utils = importlib.import_module("ultralytics.utils")
        shutil.copy(font, Path(utils.USER_CONFIG_DIR) / "Arial.ttf")
        torch.set_num_threads(1)
        yield
        rinrcodec.disable_ultralytics()
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data set as packs, and as the pictures and labels that they decompress to."""
    root = tmp_path_factory.mktemp("sets")
    draw = np.random.default_rng(0)
    for i in range(20):
        boxes = [
            (int(draw.integers(2)), *draw.uniform(0.3, 0.7, 2), *draw.uniform(0.1, 0.5, 2))
            for _ in range(i % 4)
        ]
        text = "".join(f"{c} {x:.6f} {y:.6f} {w:.6f} {h:.6f}\n" for c, x, y, w, h in boxes)
        _put(root / "source", f"train/s{i % 2}/{i:06d}", text, i)
    for i, (name, text) in enumerate(ODD.items()):
        _put(root / "source", f"val/{name}", text, i)
    _put(root / "source", "val/small", "0 0.5 0.5 0.2 0.2\n", 0, size=(8, 30))
    data = "train: images/train\nval: images/val\nnames: {0: person, 1: car}\n"
    (root / "source" / "data.yaml").write_text(data)
    quick = ("--steps", "8", "--device", "cpu", "--shard-size", "7", "--quiet")
    _run("compress", root / "source" / "data.yaml", "-o", root / "packs", *quick)
    _run("decompress", root / "packs", "-o", root / "png", "--labels", "--quiet")
    assert len(list((root / "packs").rglob("*.rinr"))) == 4
    return root


def _put(root: Path, name: str, labels: str, seed: int, size: tuple[int, int] = (0, 0)) -> None:
    corners = np.random.default_rng(seed).integers(0, 255, (3, 3, 3), np.uint8)
    image = Image.fromarray(corners).resize(size if size[0] else SIZES[seed % 3])
    picture = root / "images" / f"{name}.png"
    text = root / "labels" / f"{name}.txt"
    for path in (picture, text):
        path.parent.mkdir(parents=True, exist_ok=True)
    (image.convert("L") if seed % 4 == 3 else image).save(picture)
    text.write_text(labels)


def _run(*arguments: object) -> None:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


@pytest.fixture
def enabled() -> Iterator[None]:
    rinrcodec.enable_ultralytics()
    yield
    rinrcodec.disable_ultralytics()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What Ultralytics says, whose logger hands nothing on to the root."""
    logger = importlib.import_module("ultralytics.utils").LOGGER
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        yield caplog
    logger.removeHandler(caplog.handler)


def build(place: Path | list[Path], mode: str = "val", **options: Any) -> Any:
    """A dataset as Ultralytics builds it, over pictures or packs, with the adapter on."""
    from ultralytics.cfg import get_cfg
    from ultralytics.data import build as host
    from ultralytics.utils import DEFAULT_CFG

    data = {"names": {0: "person", 1: "car"}, "nc": 2, "channels": 3}
    cfg = get_cfg(DEFAULT_CFG, {"imgsz": 64, "task": "detect", **options})
    img_path = [str(item) for item in place] if isinstance(place, list) else str(place)
    rinrcodec.enable_ultralytics()
    try:
        return host.build_yolo_dataset(cfg, img_path, 4, data, mode=mode, stride=32)
    finally:
        rinrcodec.disable_ultralytics()


def seeded() -> None:
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)


def same_items(ours: Any, theirs: Any) -> None:
    assert type(ours) is not type(theirs)
    assert len(ours) == len(theirs) > 0
    for index in range(len(theirs)):
        items = []
        for dataset in (ours, theirs):
            random.seed(index)
            np.random.seed(index)
            items.append(dataset[index])
        found, wanted = items
        assert found.keys() == wanted.keys()
        assert Path(found.pop("im_file")).stem == Path(wanted.pop("im_file")).stem
        for key, value in wanted.items():
            if isinstance(value, torch.Tensor):
                assert found[key].dtype == value.dtype
                torch.testing.assert_close(found[key], value, rtol=0, atol=0, msg=key)
            else:
                np.testing.assert_array_equal(found[key], value, err_msg=key)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("rect", [False, True])
def test_items_are_those_of_the_decompressed_pictures(sets: Path, split: str, rect: bool) -> None:
    ours = build(sets / "packs" / split, rect=rect)
    theirs = build(sets / "png/images" / split, rect=rect)
    assert len(ours) == (20 if split == "train" else len(ODD) - 2)
    same_items(ours, theirs)


@pytest.mark.parametrize(("layout", "n_files"), [("files", 6), ("pack", 1)])
def test_items_come_in_the_order_of_their_pictures(
    tmp_path: Path, layout: str, n_files: int
) -> None:
    folder = tmp_path / "images"
    # An order of their own as paths, and as numbers.
    for i, name in enumerate(["s/b", "s-1", "s", "t", "f2", "f10"]):
        _put(tmp_path, name, f"{i % 2} 0.5 0.5 0.2 0.2\n", i)
    quick = ("--steps", "4", "--device", "cpu", "--layout", layout, "--quiet")
    _run("compress", folder, "-o", tmp_path / "packs", *quick)
    assert len(list((tmp_path / "packs").rglob("*.rinr"))) == n_files
    _run("decompress", tmp_path / "packs", "-o", tmp_path / "png/images", "--quiet")
    shutil.copytree(tmp_path / "labels", tmp_path / "png/labels")
    (tmp_path / "labels").rename(tmp_path / "unused")
    ours, theirs = build(tmp_path / "packs"), build(tmp_path / "png/images")
    assert [len(item["cls"]) for item in ours.labels] == [1] * 6
    same_items(ours, theirs)


def test_the_pixels_are_those_that_pillow_shows(sets: Path) -> None:
    rinrcodec.register_pillow()
    seen = set()
    for imgsz in (64, 80):  # the long sides: frames of that size are not scaled
        dataset = build(sets / "packs/train", imgsz=imgsz)
        for index, path in enumerate(dataset.im_files):
            bgr, stored, size = dataset.load_image(index)
            ref = dataset._refs[path]
            with Image.open(ref.pack) as image:
                image.seek(ref.index)
                assert stored == image.size[::-1]
                if size == stored:
                    assert np.array_equal(np.asarray(image.convert("RGB")), bgr[..., ::-1])
                    seen.add((image.size, image.mode))
    assert seen == {(size, mode) for size in SIZES for mode in ("L", "RGB")}


def test_frames_of_a_sequence_are_frames(sequence_pack: rinrcodec.Pack, tmp_path: Path) -> None:
    frames = [replace(frame, boxes=(), objects=()) for frame in sequence_pack.frames]
    pack = replace(sequence_pack, frames=tuple(frames))
    rinrcodec.save(pack, tmp_path / "sequence.rinr")
    dataset = build(tmp_path, imgsz=48)
    assert len(dataset) == 5
    pixels = np.asarray(rinrcodec.decode(pack, 4)).transpose(1, 2, 0)
    assert np.array_equal(dataset.load_image(4)[0][..., ::-1], pixels)


@pytest.mark.parametrize(("cache", "rect"), [(False, False), ("ram", False), (False, True)])
def test_augmented_items_are_the_same_under_one_seed(
    sets: Path, cache: bool | str, rect: bool
) -> None:
    options = {"mosaic": 1.0, "mixup": 0.5, "degrees": 10.0, "deterministic": False}
    options |= {"cache": cache, "rect": rect}
    made, states = [], []
    for place in ("packs/train", "png/images/train"):
        seeded()
        made.append(build(sets / place, "train", **options))
        states.append(random.getstate())
    assert states[0] == states[1]
    same_items(*made)


def test_a_split_may_be_a_list_of_packs_and_a_share_of_them(sets: Path, tmp_path: Path) -> None:
    packs = sorted((sets / "packs/train").glob("*.rinr"))
    assert len(build(packs[:2])) == 14
    listed = tmp_path / "train.txt"
    listed.write_text(f"{packs[0]}\n./own.rinr\n")
    shutil.copy(packs[2], tmp_path / "own.rinr")
    assert len(build(listed)) == 13
    for place in ("packs/train", "png/images/train"):
        assert len(build(sets / place, "train", fraction=0.4)) == 8
    with pytest.raises(RinrInputError, match=r"images.*no \.rinr file here.*all packs or all"):
        build([packs[0], sets / "png/images/val"])


def test_a_folder_of_labels_wins_and_says_so(sets: Path, tmp_path: Path, log: Any) -> None:
    shutil.copytree(sets / "packs/train", tmp_path / "train")
    label = tmp_path / "labels/train/s1/000003.txt"
    label.parent.mkdir(parents=True)
    label.write_text("1 0.5 0.5 0.25 0.25\n")
    dataset = build(tmp_path / "train")
    counts = {Path(item["im_file"]).stem: len(item["cls"]) for item in dataset.labels}
    assert sum(counts.values()) == counts["000003"] == 1
    assert f"labels from {tmp_path / 'labels/train'}" in log.text
    # Also for packs that a list or a pattern names, wherever the list lies.
    listed = tmp_path / "lists/train.txt"
    listed.parent.mkdir()
    packs = sorted((tmp_path / "train").glob("*.rinr"))
    listed.write_text("".join(f"{pack}\n" for pack in packs))
    for place in (listed, f"{tmp_path}/train/*.rinr", packs):
        assert sum(len(item["cls"]) for item in build(place).labels) == 1
    # A folder of labels for other pictures is not this one's.
    label.rename(label.with_name("other.txt"))
    assert sum(len(item["cls"]) for item in build(tmp_path / "train").labels) == 30


def test_nothing_is_written_beside_the_packs(sets: Path, tmp_path: Path, log: Any) -> None:
    shutil.copytree(sets / "packs", tmp_path / "packs")
    before = sorted(tmp_path.rglob("*"))
    dataset = build(tmp_path / "packs/train", "train", cache="disk")
    assert dataset[0]["img"].dtype == torch.uint8
    assert sorted(tmp_path.rglob("*")) == before
    assert "cache='disk' is not offered" in log.text


def damage(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)


def weight_offset(path: Path) -> int:
    """Where the weights of the file's last group begin."""
    with PackReader(path) as reader:
        directory = reader._directory
        run = directory.run(Kind.ROWS, len(reader.groups) - 1)
        return int(directory.offsets[run.first])


def no_installs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    for name in ("run", "check_output", "check_call", "Popen", "call"):
        monkeypatch.setattr(subprocess, name, refuse)


def test_damaged_files_and_frames_are_reported_and_left_out(
    sets: Path, tmp_path: Path, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_installs(monkeypatch)
    for pack in (sets / "packs/train").glob("*.rinr"):
        shutil.copy(pack, tmp_path)
    first, second, _ = sorted(tmp_path.glob("*.rinr"))
    damage(first, 100)  # the user block: nothing of the file can be trusted
    damage(second, weight_offset(second))
    (tmp_path / "zero.rinr").touch()
    (tmp_path / "picture.rinr").write_bytes(b"\xff\xd8\xff\xe0 a picture under a wrong name")
    sound = {item["im_file"] for item in build(sets / "packs/train").labels}
    found = {item["im_file"] for item in build(tmp_path).labels}
    kept = {str(Path(*Path(path).parts[-3:])) for path in found}
    wanted = {str(Path(*Path(path).parts[-3:])) for path in sound}
    assert kept < wanted
    assert not any(first.name in path for path in kept)
    assert 6 < sum(second.name in path or "00002.rinr" in path for path in kept) < 13
    for name in (first.name, second.name, "zero.rinr", "picture.rinr"):
        assert any("corrupt, left out" in line and name in line for line in log.text.splitlines())
    # Damage that appears later is an error with the cause, not a wrong picture.
    dataset = build(tmp_path)
    last = max(tmp_path.glob("train*.rinr"))
    damage(last, weight_offset(last))
    with pytest.raises(RinrFormatError, match=last.name):
        list(dataset)


def test_a_folder_with_nothing_sound_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.rinr").write_bytes(b"nothing")
    with pytest.raises(RinrError, match=r"a\.rinr"):
        build(tmp_path)


def test_an_error_is_no_list_of_every_frame(sets: Path, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.rinr").write_bytes(b"nothing")
    with pytest.raises(RinrInputError, match=r"0\.rinr: [^;]* \(and 2 more\)$"):
        build(tmp_path)
    empty = Path(shutil.copy(sets / "packs/train/train-00000.rinr", tmp_path / "0.rinr"))
    with PackReader(empty) as reader:
        refs = {reader.frame(index).background.group for index in range(reader.n_frames)}
        directory = reader._directory
        places = [directory.offsets[directory.run(Kind.ROWS, group).first] for group in refs]
        n_frames = reader.n_frames
    for place in places:
        damage(empty, int(place))
    message = rf"no frame can be used: .*1\.rinr: [^;]* \(and {n_frames + 1} more\)$"
    with pytest.raises(RinrInputError, match=message):
        build(tmp_path)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_give_the_same_items(sets: Path, method: str) -> None:
    dataset = build(sets / "packs/train")
    dataset[0]  # a reader is open before the workers start
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=10,
        num_workers=1,
        multiprocessing_context=method,
        collate_fn=dataset.collate_fn,
    )
    images = torch.cat([batch["img"] for batch in loader])
    torch.testing.assert_close(images, torch.stack([item["img"] for item in dataset]))


def test_worker_processes_augment_alike(sets: Path) -> None:
    from ultralytics.data.build import build_dataloader

    epochs = []
    for place in ("packs/train", "png/images/train"):
        seeded()
        loader = build_dataloader(build(sets / place, "train", mosaic=1.0), 5, 2, shuffle=True)
        assert loader.num_workers == min(2, os.cpu_count() or 1)
        epochs.append(torch.stack([batch["img"] for _ in range(2) for batch in loader]))
    assert len(epochs[0]) == 8
    torch.testing.assert_close(*epochs, rtol=0, atol=0)


def test_enabling_is_idempotent_and_undone() -> None:
    from ultralytics import YOLO
    from ultralytics.data import build as host
    from ultralytics.models.yolo import detect

    def names() -> list[Any]:
        listed = [(host, name) for name in ("YOLODataset", "LoadImagesAndVideos", "autocast_list")]
        return [getattr(module, name) for module, name in [*listed, (detect, "DetectionTrainer")]]

    stock = names()
    rinrcodec.enable_ultralytics()
    ours = names()
    rinrcodec.enable_ultralytics()
    assert names() == ours
    assert not set(ours) & set(stock)
    # The processes of distributed training import the trainer by its name.
    trainer = YOLO("yolov8n.yaml").task_map["detect"]["trainer"]
    assert pickle.loads(pickle.dumps(trainer)) is trainer
    assert trainer.__module__ == "rinrcodec.plugins.ultralytics_adapter"
    for _ in range(2):
        rinrcodec.disable_ultralytics()
        assert names() == stock


def train(
    data: Path, out: Path, callbacks: dict[str, Callable[[Any], None]], **options: Any
) -> Any:
    from ultralytics import YOLO

    model = YOLO("yolov8n.yaml")
    for event, function in callbacks.items():
        model.add_callback(event, function)
    model.train(data=str(data), project=str(out), name="run", **{**QUIET, **options})
    return model


def test_ten_steps_of_training_have_the_losses_of_the_pictures(sets: Path, tmp_path: Path) -> None:
    from rinrcodec.plugins.ultralytics_adapter import RinrDetectionTrainer

    losses: dict[str, list[float]] = {"packs": [], "png": []}
    scores = {}
    for kind, seen in losses.items():
        record = {"on_train_batch_end": lambda trainer, seen=seen: seen.append(trainer.loss.item())}
        # Not enabled: the trainer class is enough.
        options = {"trainer": RinrDetectionTrainer} if kind == "packs" else {}
        data = sets / kind / "data.yaml"
        model = train(data, tmp_path / kind, record, epochs=1, seed=3, **options)
        scores[kind] = model.trainer.metrics
    assert len(losses["packs"]) == 10
    assert losses["packs"] == losses["png"]
    assert scores["packs"] == scores["png"]


def test_two_processes_share_the_frames_and_have_the_losses_of_the_pictures(
    sets: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    script = Path(__file__).with_name("train_distributed.py")
    processes = []
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    for rank in range(2):
        settings = tmp_path / f"settings{rank}"
        settings.mkdir()
        ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        environment = {**os.environ, **ranks, "YOLO_CONFIG_DIR": str(settings)}
        environment["GLOO_SOCKET_IFNAME"] = loopback
        command = [sys.executable, "-P", str(script), str(sets), str(tmp_path / "out")]
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

    model = YOLO("yolov8n.yaml")
    with pytest.raises(FileNotFoundError):
        model.predict(str(sets / "packs/val"), project=str(tmp_path), **QUIET)
    options = {**QUIET, "project": str(tmp_path)}
    # As a call, since not every release takes a class in `predict(predictor=...)`.
    predictor = RinrDetectionPredictor(overrides={**options, "mode": "predict"})
    results = predictor(source=str(sets / "packs/val"), model=model.model)
    assert len(results) == len(ODD) + 1
    data = str(sets / "packs/data.yaml")
    metrics = YOLO("yolov8n.yaml").val(validator=RinrDetectionValidator, data=data, **options)
    assert "metrics/mAP50(B)" in metrics.results_dict


def test_other_tasks_are_refused(sets: Path) -> None:
    with pytest.raises(RinrInputError, match="not enough for the task 'segment'"):
        build(sets / "packs/train", task="segment")


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
    assert done.stdout == "ultralytics is not installed; run: pip install 'rinrcodec[yolo]'\n"

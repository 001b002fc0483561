"""Ultralytics as a host, for the tests of this folder alone, and a data set in both forms."""

from __future__ import annotations

import importlib
import logging
import random
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import rinrcodec
from rinrcodec.formats import PackReader
from rinrcodec.formats.schema import Kind

# Not imported here: Ultralytics replaces functions of other packages, for all tests that follow.
HOST = [
    pytest.mark.skipif(find_spec("ultralytics") is None, reason="ultralytics is not installed"),
    # What Ultralytics and its own dependencies warn about is not ours to fix.
    pytest.mark.filterwarnings("default"),
]

SIZES = [(64, 48), (48, 64), (80, 40)]
# Labels that Ultralytics refuses or changes, one kind a picture.
ODD = {
    "duplicate": "1 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n",
    "outside": "0 0.9 0.5 0.1 0.1\n1 1.02 0.5 0.1 0.1\n",
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


@pytest.fixture(scope="package", autouse=True)
def _yolo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ultralytics without network, with its settings in a temporary folder, for this folder."""
    folder = tmp_path_factory.mktemp("settings")
    matplotlib = importlib.import_module("matplotlib")
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_OFFLINE", "true")
        patch.setenv("YOLO_AUTOINSTALL", "false")
        patch.setenv("YOLO_CONFIG_DIR", str(folder))
        # Its import replaces these; that is undone for the tests of other folders.
        for module, name in ((Image, "open"), (torch, "save"), (torch, "load")):
            patch.setattr(module, name, getattr(module, name))
        if not hasattr(np, "trapz"):  # NumPy 2.4 dropped it, and old releases call it
            patch.setattr(np, "trapz", np.trapezoid, raising=False)
        threads = torch.get_num_threads()
        utils = importlib.import_module("ultralytics.utils")
        shutil.copy(font, Path(utils.USER_CONFIG_DIR) / "Arial.ttf")
        torch.set_num_threads(1)
        yield
        rinrcodec.disable_ultralytics()
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)


@pytest.fixture(scope="package")
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
        put_picture(root / "source", f"train/s{i % 2}/{i:06d}", text, i)
    for i, (name, text) in enumerate(ODD.items()):
        put_picture(root / "source", f"val/{name}", text, i)
    put_picture(root / "source", "val/small", "0 0.5 0.5 0.2 0.2\n", 0, size=(8, 30))
    data = "train: images/train\nval: images/val\nnames: {0: person, 1: car}\n"
    (root / "source" / "data.yaml").write_text(data)
    yaml = root / "source" / "data.yaml"
    made = rinrcodec.compress(yaml, root / "packs", steps=8, device="cpu", shard_size=7)
    assert made.failures == ()
    assert rinrcodec.decompress(root / "packs", root / "png", labels=True).failures == ()
    assert len(list((root / "packs").rglob("*.rinr"))) == 4
    return root


def put_picture(
    root: Path, name: str, labels: str | bytes, seed: int, size: tuple[int, int] = (0, 0)
) -> None:
    corners = np.random.default_rng(seed).integers(0, 255, (3, 3, 3), np.uint8)
    image = Image.fromarray(corners).resize(size if size[0] else SIZES[seed % 3])
    picture = root / "images" / f"{name}.png"
    text = root / "labels" / f"{name}.txt"
    for path in (picture, text):
        path.parent.mkdir(parents=True, exist_ok=True)
    (image.convert("L") if seed % 4 == 3 else image).save(picture)
    text.write_bytes(labels if isinstance(labels, bytes) else labels.encode())


@pytest.fixture(scope="package")
def task_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each task; see `put_task_sets`."""
    from .task_data import put_task_sets

    root = tmp_path_factory.mktemp("tasks")
    put_task_sets(root)
    return root


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


def build(
    path: Path | list[Path], mode: str = "val", keys: dict[str, Any] | None = None, **options: Any
) -> Any:
    """A dataset as Ultralytics builds it, over pictures or packs, with the adapter on.

    keys: more keys of the data yaml.
    """
    from ultralytics.cfg import get_cfg
    from ultralytics.data import build as host
    from ultralytics.utils import DEFAULT_CFG

    data = {"names": {0: "person", 1: "car"}, "nc": 2, "channels": 3, **(keys or {})}
    cfg = get_cfg(DEFAULT_CFG, {"imgsz": 64, "task": "detect", **options})
    img_path = [str(item) for item in path] if isinstance(path, list) else str(path)
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
        given, wanted = items
        assert given.keys() == wanted.keys()
        assert Path(given.pop("im_file")).stem == Path(wanted.pop("im_file")).stem
        for key, value in wanted.items():
            if isinstance(value, torch.Tensor):
                assert given[key].dtype == value.dtype
                torch.testing.assert_close(given[key], value, rtol=0, atol=0, msg=key)
            else:
                np.testing.assert_array_equal(given[key], value, err_msg=key)


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

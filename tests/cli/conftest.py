"""Tiny data sets, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from rinrcodec.cli.main import cli

Run = Callable[..., Result]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    # Tiny pictures gain nothing from threads, and lose much on a busy machine.
    torch.set_num_threads(1)


@pytest.fixture
def ray() -> Iterator[Any]:
    """Whatever Ray a test starts is at its end afterwards."""
    module = pytest.importorskip("ray")
    yield module
    module.shutdown()


@pytest.fixture
def run() -> Run:
    """Run `rinrcodec ARGS`; the result's exit code must be `code`."""

    def run_cli(*args: object, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="rinrcodec")
        bug = result.exception if not isinstance(result.exception, SystemExit) else None
        assert bug is None, repr(bug)
        assert result.exit_code == code, result.output
        return result

    return run_cli


def picture(seed: int, width: int = 24, height: int = 16) -> Image.Image:
    """A smooth colour picture that differs with its seed."""
    corners = np.random.default_rng(seed).integers(0, 255, (2, 2, 3), np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)


def put(path: Path, image: Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures of two sizes, one below a folder."""
    source = tmp_path / "frames"
    for i in range(4):
        put(source / f"{i}.png", picture(i, width=24 if i < 3 else 12))
    put(source / "more/4.jpg", picture(4), quality=95)
    return source


LABELS = {
    "train/a": "0 0.500000 0.500000 0.400000 0.600000\n2 0.250000 0.250000 0.100000 0.100000\n",
    "train/b": "",
    "val/s/c": "1 0.041667 0.062500 0.083333 0.125000\n",
}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """The data yaml of three pictures in two splits."""
    root = tmp_path / "set"
    for i, (name, text) in enumerate(LABELS.items()):
        put(root / "images" / f"{name}.png", picture(i))
        write(root / "labels" / f"{name}.txt", text)
    return write(
        root / "data.yaml",
        "train: images/train\nval: images/val\nnames: {0: person, 1: car, 2: bus}\n",
    )


# Few steps: these tests ask whether everything comes back, not how well.
QUICK = ("--steps", "8", "--device", "cpu")

"""Tiny data sets for tests of whole data sets, of the library and of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

__all__ = [
    "LABELS",
    "contents",
    "dataset",
    "folder",
    "one_thread",
    "picture",
    "put",
    "ray",
    "video",
    "write",
]


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


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


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


def video(path: Path, n: int, *, size: tuple[int, int] = (32, 16)) -> Path:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for i in range(n):
            frame = av.VideoFrame.from_image(picture(i, *size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny pictures gain nothing from threads, and lose much on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture
def ray() -> Iterator[Any]:
    """Ray, which is stopped after the test."""
    module = pytest.importorskip("ray")
    yield module
    module.shutdown()

"""A target of bytes counts what the files of a data set take, container included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec import Target


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(4):
        coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 3), np.uint8))
        coarse.resize((96, 72), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


def test_every_file_of_layout_files_has_the_size_asked_for(frames: Path, tmp_path: Path) -> None:
    result = rinrcodec.compress(
        frames,
        tmp_path / "packs",
        preset="fast",
        layout="files",
        target=Target(n_bytes=1600),
        device="cpu",
    )
    sizes = [path.stat().st_size for path in sorted((tmp_path / "packs").glob("*.rinr"))]
    assert len(sizes) == 4
    assert max(sizes) <= 1600
    assert min(sizes) > 1200
    assert not result.missed


def test_files_that_cannot_be_as_small_are_missed(frames: Path, tmp_path: Path) -> None:
    result = rinrcodec.compress(
        frames,
        tmp_path / "packs",
        preset="fast",
        layout="files",
        target=Target(n_bytes=800),
        device="cpu",
    )
    (miss,) = result.missed
    assert (miss.field, miss.frames) == ("n_bytes", 4)
    sizes = [path.stat().st_size for path in (tmp_path / "packs").glob("*.rinr")]
    assert miss.reached == sum(sizes) / 4


def test_names_of_classes_count(frames: Path, tmp_path: Path) -> None:
    names = [f"a class with the long and unlikely name {number**9}" for number in range(20)]
    data = tmp_path / "data.yaml"
    data.write_text(f"val: {frames.name}\nnames: {names}\n", encoding="utf-8")
    rinrcodec.compress(
        data,
        tmp_path / "packs",
        preset="fast",
        layout="files",
        target=Target(n_bytes=1900),
        device="cpu",
    )
    (first, *others) = sorted((tmp_path / "packs").rglob("*.rinr"))
    assert max(path.stat().st_size for path in (first, *others)) <= 1900
    with rinrcodec.open(first) as file:
        assert names[19] in file.info["names"]

"""Outputs of `compress` in several states: complete, unfinished, in the middle of a pack."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_sets import contents, write

import rinrcodec
from rinrcodec import CompressInterrupted
from rinrcodec.datasets import fitter
from rinrcodec.storage.sealed import seal, unseal

__all__ = [
    "FIT",
    "ONE",
    "TWO",
    "expected_of",
    "flip",
    "forged",
    "half",
    "out",
    "packs_of",
    "unfinished",
    "victim",
]

FIT: dict[str, Any] = {
    "preset": "fast",
    "background": "siren",
    "steps": 1,
    "device": "cpu",
    "labels": "none",
}
TWO: dict[str, Any] = {**FIT, "shard_size": 2}
ONE: dict[str, Any] = {**FIT, "shard_size": 1}


def flip(path: Path, place: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)


def packs_of(out: Path) -> list[Path]:
    return sorted(out.rglob("*.rinr"))


def forged(manifest: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the first run of a manifest, with a seal that fits."""
    data = unseal(manifest.read_bytes())
    change(data["runs"][0])
    manifest.write_bytes(seal(data, indent=1))


@pytest.fixture
def out(folder: Path, tmp_path: Path) -> Path:
    """The output of a run: three packs."""
    rinrcodec.compress(folder, tmp_path / "out", **TWO)
    return tmp_path / "out"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of the user, outside of the output."""
    write(tmp_path / "victim/deep/thesis.txt", "mine")
    return tmp_path / "victim"


def stop(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


@pytest.fixture
def unfinished(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output of which all is fitted, and nothing published."""
    with monkeypatch.context() as patch:
        patch.setattr("rinrcodec.datasets.run.Run.publish", stop)
        with pytest.raises(CompressInterrupted):
            rinrcodec.compress(folder, tmp_path / "out", **TWO)
    return tmp_path / "out"


@pytest.fixture
def half(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An output whose only shard has three of five parts."""
    original = fitter.Fitter._fit
    left = itertools.count(3, -1)

    def fit(*args: Any) -> Any:
        return original(*args) if next(left) > 0 else stop()

    monkeypatch.setattr("rinrcodec.datasets.batches.BATCH_FRAMES", 1)
    with monkeypatch.context() as patch:
        patch.setattr(fitter.Fitter, "_fit", fit)
        with pytest.raises(CompressInterrupted):
            rinrcodec.compress(folder, tmp_path / "half", **FIT)
    return tmp_path / "half"


def expected_of(folder: Path, tmp_path: Path, options: dict[str, Any]) -> dict[str, bytes]:
    rinrcodec.compress(folder, tmp_path / "expected", **options)
    return contents(tmp_path / "expected")

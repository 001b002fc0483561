"""Run the scripts of benchmarks/ in this process, where torch is loaded already."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.cli.main import cli
from rinrcodec.picture import Picture
from rinrcodec.sources import samples
from rinrcodec.sources.images import picture_from_array

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PACKAGES = {path.parent.name for path in BENCHMARKS.glob("*/__init__.py")}


def run_here(words: list[str]) -> Result:
    """Run `rinrcodec WORDS` in this process, where a benchmark starts another."""
    return CliRunner().invoke(cli, words)


def _forget() -> None:
    """Forget the modules of the scripts, which look for the data sets only once."""
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]


whole = samples.sample_pictures


def _part(picture: Picture, width: int = 96, height: int = 80) -> Picture:
    """Some pixels of a picture around its first box, with a box of at most 48x40 there."""
    box = picture.boxes[0]
    left, top = max(0, int(box.x) - 24), max(0, int(box.y) - 15)
    pixels = picture.pixels[top : top + height, left : left + width]
    part = Box(box.class_id, box.x - left, box.y - top, min(box.w, 48), min(box.h, 40))
    assert pixels.shape == (height, width, 3)
    return picture_from_array(
        np.ascontiguousarray(pixels),
        name=picture.name,
        boxes=[part],
        source_bytes=picture.source_bytes,
    )


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Import a module of benchmarks/ by its name."""
    _forget()
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield import_module
    _forget()
    torch.set_flush_denormal(False)  # which the scripts of pyramid_parts set
    if "rinrcodec.plugins.ultralytics_adapter" in sys.modules:
        rinrcodec.disable_ultralytics()


@pytest.fixture
def script(load: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Run a script with the words of a command line, and the data sets of a folder.

    Without data sets, the pictures are small parts of the samples of scikit-image.
    """
    del load
    monkeypatch.setattr(samples, "sample_pictures", lambda: [*map(_part, whole())])

    def run(name: str, *words: object, data: Path = tmp_path / "absent") -> None:
        monkeypatch.setenv("RINRCODEC_DATA", os.fspath(data))
        path = str(BENCHMARKS / name)
        monkeypatch.setattr(sys, "argv", [path, *map(str, words)])
        frames = import_module("harness.frames")
        load_sequence = frames.load_sequence

        def load_wide(name: str, count: int) -> tuple[str, list[Picture]]:
            # Windows of 128x96 move over a picture.
            with monkeypatch.context() as patch:
                patch.setattr(frames, "sample_pictures", lambda: [_part(whole()[0], 160, 128)])
                found: tuple[str, list[Picture]] = load_sequence(name, count)
                return found

        with monkeypatch.context() as patch:
            patch.setattr(frames, "load_sequence", load_wide)
            runpy.run_path(path, run_name="__main__")

    return run

"""`compress` fails if packs miss their target, and keeps the packs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Run


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(2):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).save(folder / f"{k}.png")
        (folder / f"{k}.txt").write_text("0 0.5 0.5 0.25 0.25\n", encoding="utf-8")
    return folder


def test_a_missed_target_is_a_line_an_exit_code_and_figures(
    run: Run, frames: Path, tmp_path: Path
) -> None:
    out, report = tmp_path / "out", tmp_path / "figures.json"
    options = ("--preset", "fast", "--target-psnr", 60, "--json", report)
    result = run("compress", frames, "-o", out, *options, code=1)
    assert "error: 2 frames miss the target --target-psnr of 60 dB: " in result.output
    (miss,) = json.loads(report.read_text(encoding="utf-8"))["missed"]
    assert (miss["field"], miss["wanted"], miss["frames"]) == ("psnr", 60, 2)
    assert list(out.rglob("*.rinr"))


def test_a_reached_target_prints_nothing(run: Run, frames: Path, tmp_path: Path) -> None:
    options = ("--preset", "fast", "--target-bytes", 5000)
    result = run("compress", frames, "-o", tmp_path / "out", *options)
    assert "miss the target" not in result.output


def test_resume_of_complete_packs_that_miss_the_target_fails_again(
    run: Run, frames: Path, tmp_path: Path
) -> None:
    options = ("-o", tmp_path / "out", "--preset", "fast", "--target-psnr", 60)
    first = run("compress", frames, *options, code=1)
    again = run("compress", frames, *options, "--resume", code=1)
    (line,) = [line for line in first.stderr.splitlines() if line.startswith("error: ")]
    assert line in again.stderr.splitlines()
    assert "is complete" not in again.stderr


def test_failures_are_reported_until_they_are_fixed(run: Run, frames: Path, tmp_path: Path) -> None:
    good = (frames / "1.png").read_bytes()
    (frames / "1.png").write_bytes(b"broken")
    options = ("-o", tmp_path / "out", "--preset", "fast", "--shard-size", 1)
    run("compress", frames, *options, code=1)
    again = run("compress", frames, *options, "--resume", code=1)
    assert "1.png: not a picture" in again.stderr
    assert "1 picture failed (see above). Fix or remove the picture, and rerun" in again.stderr
    (frames / "1.png").write_bytes(good)
    (frames / "0.txt").write_text("1 0.5 0.5 0.25 0.25\n", encoding="utf-8")
    fixed = run("compress", frames, *options, "--resume", code=0)
    assert "0 of 2 packs are kept; 2 fitted again because" in fixed.stderr

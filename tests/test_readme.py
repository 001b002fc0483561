"""The README is true: its commands run, and its figures are those of docs/results."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from rinrcodec.cli.main import cli
from rinrcodec.families import DEFAULT_BACKGROUND, background_families

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INPUTS = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def run(command: list[str], folder: Path) -> str:
    # The installed `rinrcodec` command is next to the interpreter.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def frames(tmp_path):
    """A folder as the README describes it: one small picture with one label."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
    (tmp_path / "frames").mkdir()
    (tmp_path / "labels").mkdir()
    coarse.resize((32, 24), Image.Resampling.BICUBIC).save(tmp_path / "frames" / "000001.png")
    label = "0 0.500000 0.437500 0.375000 0.375000\n"
    (tmp_path / "labels" / "000001.txt").write_text(label, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_the_commands_run_and_give_the_frames_and_labels_back(frames, monkeypatch):
    first, *others = blocks("bash") + blocks("bash", INPUTS)
    run(["bash", "-euo", "pipefail", "-c", first], frames)
    # In this process, which imports torch only once. Networks are fitted for two steps, as only the
    # commands matter here and not the quality.
    monkeypatch.chdir(frames)
    commands = "".join(others)
    commands = re.sub(r"(--background \w+|rinrcodec report)", r"\1 --steps 2", commands)
    assert commands.count("--steps 2") == 4
    for line in commands.splitlines():
        name, *words = shlex.split(line, comments=True)
        assert name == "rinrcodec"
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, (line, result.output)
    assert (frames / "report.html").stat().st_size > 10_000
    (picture,) = (frames / "back").rglob("*.png")
    with Image.open(picture) as image:
        assert image.size == (32, 24)
    (label,) = (frames / "back").rglob("*.txt")
    assert label.read_text(encoding="utf-8") == (
        (frames / "labels" / "000001.txt").read_text(encoding="utf-8")
    )


@pytest.mark.slow
def test_the_python_example_runs(frames):
    (code,) = blocks("python")
    code += "print([*map(tuple, (pixels.shape, crop.shape, small.shape))], boxes)"
    script = frames / "example.py"
    script.write_text(code, encoding="utf-8")
    shapes = "[(1, 3, 24, 32), (9, 12, 3), (12, 16, 3)]"
    box = "(Box(class_id=0, x=10.0, y=6.0, w=12.0, h=9.0),)"
    assert run([sys.executable, str(script)], frames).strip() == f"{shapes} {box}"


def test_every_figure_of_the_results_is_on_its_page():
    (results,) = re.findall(r"^## Results\n(.*?)^## ", README, flags=re.DOTALL | re.MULTILINE)
    page = (ROOT / "docs" / "results" / "overview.md").read_text(encoding="utf-8")
    rows = [line for line in results.splitlines() if re.match(r"\|.*\d,\d\d\d", line)]
    assert len(rows) >= 6
    for row in rows:
        assert row in page.splitlines()
    points = (ROOT / "docs" / "results" / "accuracy.md").read_text(encoding="utf-8")
    found = re.findall(r"(0\.\d{3}) at (\d+,\d{3})", results)
    assert len(found) == 2
    for accuracy, n_bytes in found:
        assert re.search(rf"^\|.*\| {n_bytes} \| {accuracy} \|", points, flags=re.MULTILINE)


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_the_table_of_backgrounds_has_them_all():
    rows = re.findall(r"^\| `(\w+)`(, the default)? \|", README, flags=re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(background_families())
    assert [name for name, is_default in rows if is_default] == [DEFAULT_BACKGROUND]


def test_targets_of_links_and_pictures_exist():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert "docs/images/comparison.png" in targets
    for target in targets:
        if not target.startswith("https://"):
            assert (ROOT / target).exists(), target
    assert (ROOT / "docs" / "images" / "comparison.png").stat().st_size < 300_000

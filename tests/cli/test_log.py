"""`-v` shows the steps, `-vv` the details, and neither repeats what is printed in any case."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from rinrcodec.cli.main import cli

from .conftest import Run

OPTIONS = ["-o", "packs", "--background", "siren", "--steps", "2", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (24, 16)).save(tmp_path / "frames" / "a.png")
    (tmp_path / "frames" / "b.png").write_bytes(b"no picture")
    return tmp_path


@pytest.mark.parametrize(("flags", "levels"), [([], 0), (["-v"], 1), (["-v", "-v"], 2)])
@pytest.mark.usefixtures("folder")
def test_steps_and_details(flags: list[str], levels: int) -> None:
    result = CliRunner().invoke(cli, ["compress", "frames", *OPTIONS, *flags])
    lines = result.stderr.splitlines()
    steps = [line for line in lines if line.startswith("info: ")]
    details = [line for line in lines if line.startswith("debug: ")]
    assert bool(steps) == (levels > 0)
    assert bool(details) == (levels > 1)
    if levels:
        assert steps[0].startswith("info: compress frames: 2 pictures in 1 packs, background siren")
        assert any("2 pictures done" in line for line in steps)
    assert sum("b.png: not a picture" in line for line in lines) == 1
    assert sum("no labels were found" in line for line in lines) == 1
    logger = logging.getLogger("rinrcodec")
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
    assert logger.level == logging.NOTSET


@pytest.mark.parametrize(
    "command",
    ["compress", "decompress", "verify", "info", "report", "demo", "bench ladder", "bench rival"],
)
def test_commands_have_the_option(run: Run, command: str) -> None:
    assert "-v, --verbose" in run(*command.split(), "--help").stdout

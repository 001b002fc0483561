"""The code of docs/own_family.md runs: a family of another package, installed and at run time."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec import RinrFormatError, families
from rinrcodec.pack import Group, Pack, Spec

from .conftest import Run

PAGE = (Path(__file__).parents[2] / "docs" / "own_family.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


MODULE, IN_PYTHON, SCRIPT = blocks("python")


def entry_point() -> str:
    """Return the entry point of the page's pyproject.toml, as pip writes it."""
    (project,) = blocks("toml")
    found = re.search(r'\[project\.entry-points\."(.*)"\]\n(.*) = "(.*)"\n', project)
    assert found is not None
    return "[{}]\n{} = {}\n".format(*found.groups())


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the page's package where Python finds it, as after `pip install`."""
    site = tmp_path / "site"
    info = site / "toygrid-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toygrid\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(entry_point(), encoding="utf-8")
    (site / "toygrid.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setattr(families, "_loaded", {})
    monkeypatch.setattr(families, "_broken", {})
    monkeypatch.setitem(sys.modules, "toygrid", None)
    del sys.modules["toygrid"]  # and again after the test
    monkeypatch.syspath_prepend(site)
    return site


@pytest.mark.usefixtures("installed")
def test_the_commands_run(
    run: Run, toy_frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = ""
    for line in "".join(blocks("bash")).splitlines():
        shown += run(*shlex.split(line)[1:]).output
    assert "rows of mean colours" in shown or "row of mean colours" in shown
    assert "2 frames decoded" in shown
    with (
        Image.open(tmp_path / "back" / "a.png") as back,
        Image.open(toy_frames / "a.png") as source,
    ):
        assert np.abs(np.asarray(back).astype(int) - np.asarray(source))[:4, -4:].max() <= 1


@pytest.mark.usefixtures("installed")
def test_a_region_equals_the_same_part_of_the_frame() -> None:
    found: dict[str, Any] = {}
    exec(IN_PYTHON, found)
    assert found["pixels"].shape == (3, 48, 64)
    y, x = np.mgrid[0:48, 0:64].astype(np.uint8)
    for picture in (y, np.stack([4 * x, 5 * y, x + y], -1), y[:1, :1]):
        pack = rinrcodec.encode([picture], background="toygrid", preset="fast")
        pixels = rinrcodec.decode(pack, 0, device="cpu").permute(1, 2, 0).numpy()
        wanted = np.dstack([picture] * 3) if picture.ndim == 2 else picture
        if picture.size == 1:
            assert pixels.tolist() == wanted.tolist()
        else:
            assert np.abs(pixels.astype(int) - wanted)[4:-4, 4:-4].mean() < 2
            part = rinrcodec.decode(pack, 0, device="cpu", region=(10, 20, 30, 8))
            assert np.array_equal(part.permute(1, 2, 0).numpy(), pixels[20:28, 10:40])
            assert rinrcodec.decode(pack, 0, device="cpu", scale=2).shape == (3, 96, 128)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "changed",
    [
        lambda group: Group.of_bytes(group.spec, [b"123"]),
        lambda group: Group.of_bytes(Spec.of("toygrid", size=8.0, out=3), group.rows.coded),
        lambda group: Group.of_bytes(Spec.of("toygrid", size=2**20, out=3), group.rows.coded),
        lambda group: Group.of_bytes(group.spec, group.rows.coded, shared=b"1"),
    ],
)
def test_a_damaged_row_is_refused(changed: Callable[[Group], Group], tmp_path: Path) -> None:
    pixels = np.zeros((16, 16, 3), np.uint8)
    pack = rinrcodec.encode([pixels], background="toygrid", preset="fast")
    bad = Pack(pack.frames, (changed(pack.stacks[0]),))
    with pytest.raises(RinrFormatError, match=r"a row of 3 bytes|not a group of toygrid"):
        rinrcodec.decode(bad, 0, device="cpu")
    rinrcodec.save(bad, tmp_path / "bad.rinr")
    assert rinrcodec.verify(tmp_path / "bad.rinr").bad


@pytest.mark.slow
def test_workers_know_a_family_that_its_module_registers(toy_frames: Path, tmp_path: Path) -> None:
    """Workers are spawned, and unpickle the settings of the family."""
    (tmp_path / "toygrid.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "run.py").write_text(SCRIPT, encoding="utf-8")
    (command,) = re.findall(r"`python (run\.py .*)` works", PAGE)
    done = subprocess.run(
        [sys.executable, *command.split(), "--shard-size", "1", "--preset", "fast"],
        cwd=toy_frames.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "packs").glob("*.rinr"))) == 2

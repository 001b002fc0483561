"""A process that is killed or interrupted at any moment can be resumed and gives the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import QUICK

DRIVER = Path(__file__).parent / "kill_driver.py"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")


def kill_everywhere(signal: str, out: Path, *args: object, stride: int = 1) -> list[dict[str, Any]]:
    command = [sys.executable, "-I", str(DRIVER), signal, str(stride), str(out), *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(("layout", "stride"), [("pack", 1), ("files", 4)])
@pytest.mark.slow
def test_kill_nine_at_any_moment(dataset: Path, tmp_path: Path, layout: str, stride: int) -> None:
    args = ("compress", dataset, "--shard-size", 1, "--layout", layout, *QUICK)
    moments = kill_everywhere("SIGKILL", tmp_path / "runs", *args, stride=stride)
    # Three shards (two files of a part, two of the whole), three packs put in their places, or
    # single files written and put there, like the yaml and the manifest: at both ends, and before
    # the packs, with what will be put there.
    renames = 3 * 4 + (3 if layout == "pack" else 3 * 2) + 2 + 3 * 2
    assert len(moments) == len(range(1, renames + 1, stride))
    for moment in moments:
        assert moment["code"] == -9
        assert moment["whole_or_absent"]
        assert moment["resumed"] == 0, moment["resume_said"]
        assert moment["same"]


@pytest.mark.slow
def test_ctrl_c_says_how_to_resume(folder: Path, tmp_path: Path) -> None:
    moments = kill_everywhere(
        "SIGINT", tmp_path / "runs", "compress", folder, "--labels", "none", *QUICK
    )
    assert len(moments) == 13
    for number, moment in enumerate(moments):
        assert moment["code"] == 130
        assert moment["said"].startswith("interrupted; ")
        # After the manifest, two renames complete the first part: its pack and what says so.
        assert ("--resume continues" in moment["said"]) == (number >= 4)
        assert len(moment["said"].splitlines()) == 1
        assert moment["whole_or_absent"]
        assert moment["resumed"] == 0, moment["resume_said"]
        assert moment["same"]

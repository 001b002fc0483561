"""The example of docs/install.md runs, and its extras are those of pyproject.toml."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

try:
    import tomllib
except ImportError:  # Python 3.10; pytest brings this one there
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    stored = ROOT / "tests" / "rinrcodec" / "families" / "av1" / "vectors" / "frames.rinr"
    shutil.copy(stored, tmp_path / "train.rinr")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/install.md", "exec"), names)
    assert names["frame"].shape == (33, 47, 3)
    assert (names["crop"] == names["frame"][8:20, 8:24]).all()
    assert names["several"].shape == (2, 16, 24, 3)


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_the_demo_installs_no_tools_of_developers(tmp_path: Path) -> None:
    words = ["make", "-n", "-C", str(ROOT), "demo", f"VIRTUAL_ENV={tmp_path}"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert '-e ".[demo]"' in done.stdout
    assert ",dev" not in done.stdout


def test_the_table_has_every_extra() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = settings["optional-dependencies"]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|", PAGE, flags=re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(extras.keys() - {"dev"})
    with_torch = {name for name, its in extras.items() if any("torch>" in one for one in its)}
    assert {name for name, text in rows if "`torch`, and" in text} == with_torch - {"torch"}
    assert f"rinrcodec-{settings['version']}-py3" in PAGE

"""The examples of docs/torch.md run, from first to last, as one script."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import rinrcodec
from rinrcodec.pack import Pack
from rinrcodec.plugins import _torch_masks, torch_data
from rinrcodec.plugins._torch_targets import PER_BOX

PAGE = Path(__file__).parents[2] / "docs" / "torch.md"


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path, pack: Pack) -> None:
    pytest.importorskip("torchvision")
    text = PAGE.read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    (tmp_path / "packs").mkdir()
    rinrcodec.save(pack, tmp_path / "packs" / "train-00000.rinr")
    script = tmp_path / "example.py"
    script.write_text("\n".join([*blocks, "print(loss.isfinite())"]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("tensor(True)\n")


def test_every_entry_of_a_target_is_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert set(rows) == {*PER_BOX, "image_id", "name"}


@pytest.mark.parametrize("module", [torch_data, _torch_masks], ids=lambda m: m.__name__)
def test_examples_of_docstrings(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed

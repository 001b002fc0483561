"""The examples of docs/pillow.md run, from first to last, as one script."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import rinrcodec

PAGE = Path(__file__).parents[2] / "docs" / "pillow.md"


@pytest.mark.slow
def test_the_examples_run(tmp_path, pack, pack_file):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    (tmp_path / "frames").mkdir()
    Image.radial_gradient("L").resize((32, 24)).save(tmp_path / "frames" / "000001.png")
    (tmp_path / "packs").mkdir()
    rinrcodec.save(pack, tmp_path / "packs" / "train-00000.rinr")
    pack_file.rename(tmp_path / "train.rinr")
    script = tmp_path / "example.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(48, 32) RGB 5\n(Box(class_id=0, x=3.0, y=4.0, w=10.0, h=9.0),")
    with rinrcodec.open(tmp_path / "two.rinr") as file:
        assert [file.boxes(index) for index in range(2)] == [(rinrcodec.Box(0, 10, 6, 12, 9),)] * 2

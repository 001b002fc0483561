"""The script of docs/yolo.md runs as it is, but for how long it fits and trains."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import rinrcodec

PAGE = Path(__file__).parents[2] / "docs" / "yolo.md"


@pytest.mark.slow
def test_the_script_trains_validates_and_predicts(tmp_path: Path) -> None:
    for package in ("skimage", "matplotlib"):
        pytest.importorskip(package)
    if find_spec("ultralytics") is None:  # an import would change this process
        pytest.skip("ultralytics is not installed")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (code,) = (block for block in blocks if "def scene" in block)
    quick = code.replace("EPOCHS, STEPS = 100, 300", "EPOCHS, STEPS = 1, 5")
    quick = quick.replace('{"train": 32, "val": 4}', '{"train": 4, "val": 2}')
    quick = quick.replace("imgsz=160", "imgsz=64").replace('"imgsz": 160', '"imgsz": 64')
    assert len(set(quick.splitlines()) - set(code.splitlines())) == 4
    done = run(quick, tmp_path)
    assert "packs/train: 4 frames, 0 without boxes, 0 corrupt" in done
    assert "mAP50 on the frames of val: " in done
    assert "packs/val/val-00000.rinr/000001.png [" in done
    (name,) = set(re.findall(r" drawn in (.+)", done))
    drawn = Path(name)  # what it is called below `runs` depends on the release
    assert drawn.is_relative_to(tmp_path / "runs")
    assert sorted(path.stem for path in drawn.iterdir()) == ["000000", "000001"]
    with rinrcodec.open(tmp_path / "packs/train/train-00000.rinr") as file:
        assert all(len(file.boxes(index)) == 1 for index in range(4))


def run(code: str, folder: Path) -> str:
    """Run it as a process without network, since Ultralytics changes the process it is in."""
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    settings = folder / "settings" / "Ultralytics"
    settings.mkdir(parents=True)
    for item in (settings, settings.parent):  # one of them, by release
        shutil.copy(font, item / "Arial.ttf")
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    environment = {
        **os.environ,
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_CONFIG_DIR": str(settings.parent),
    }
    # Where Ultralytics finds this, it writes its results into its own folder.
    environment.pop("PYTEST_CURRENT_TEST")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr

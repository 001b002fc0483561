"""`rinrcodec yolo` hands its arguments to the command of Ultralytics, with the adapter on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from rinrcodec.cli.main import cli
from rinrcodec.errors import MissingExtraError

from .conftest import QUICK, Run, picture, put, write


def yolo(*arguments: object, settings: Path, code: int = 0) -> str:
    """Run it as a process, since Ultralytics changes the process that it is in."""
    environment = {
        **os.environ,
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_CONFIG_DIR": str(settings),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "rinrcodec", "yolo", *map(str, arguments)],
        cwd=settings,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def add_font(settings: Path) -> None:
    """Ultralytics would fetch this font for its plots."""
    matplotlib = pytest.importorskip("matplotlib")
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    for folder in (settings, settings / "Ultralytics"):
        folder.mkdir(exist_ok=True)
        shutil.copy(font, folder / "Arial.ttf")


@pytest.mark.slow
def test_a_data_yaml_of_compress_is_trained_on_and_predicted(run: Run, tmp_path: Path) -> None:
    if find_spec("ultralytics") is None:  # an import would change this process
        pytest.skip("ultralytics is not installed")
    root = tmp_path / "a set"
    for split in ("train", "val"):
        for i in range(2):
            put(root / f"images/{split}/{i}.png", picture(i, 48, 32))
            write(root / f"labels/{split}/{i}.txt", "0 0.5 0.5 0.4 0.4\n")
    data = write(root / "data.yaml", "train: images/train\nval: images/val\nnames: [thing]\n")
    packs = tmp_path / "the packs"
    run("compress", data, "-o", packs, *QUICK)
    assert "rinrcodec yolo detect train" in (packs / "data.yaml").read_text()
    settings = tmp_path / "settings"
    add_font(settings)
    quiet = ("imgsz=32", "device=cpu", "workers=0", "batch=2", f"project={settings / 'out'}")
    trained = yolo(
        *("detect", "train", "model=yolov8n.yaml", f"data={packs / 'data.yaml'}", "epochs=1"),
        *("amp=False", "plots=False", *quiet),
        settings=settings,
    )
    assert "2 frames, 0 without boxes, 0 corrupt" in trained
    weights = settings / "out/train/weights/best.pt"
    source = packs / "val/val-00000.rinr"
    predicted = yolo("predict", f"model={weights}", f"source={source}", *quiet, settings=settings)
    assert f"image 2/2 {source / '1.png'}" in predicted
    wrong = yolo("detect", "trein", settings=settings, code=2)
    assert "trein" in wrong
    assert "Traceback" not in wrong
    absent = ("detect", "train", "model=yolov8n.yaml", "data=absent.yaml", *quiet)
    assert yolo(*absent, settings=settings, code=1).splitlines()[-1] == (
        "error: Dataset 'absent.yaml' error ❌ 'absent.yaml' does not exist"
    )


def test_without_ultralytics_it_ends_with_the_pip_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("rinrcodec.plugins.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(SystemExit) as ended:
        cli(["yolo", "help"], prog_name="rinrcodec")
    assert ended.value.code == 3
    assert capsys.readouterr().err == (f"error: {MissingExtraError('ultralytics', 'yolo')}\n")

"""`rinrcodec yolo` hands its arguments to the command of Ultralytics, with the adapter on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_yolo import write_model

from rinrcodec.cli.main import cli
from rinrcodec.errors import MissingExtraError

from .conftest import QUICK, Run, picture, put, write

# Several commands in one process, which imports Ultralytics once.
SEVERAL = """
import json, sys
from rinrcodec.cli.main import cli
for words in json.loads(sys.argv[1]):
    try:
        cli(["yolo", *words], prog_name="rinrcodec")
    except SystemExit as ended:
        print("ended with", ended.code, flush=True)
"""


def yolo(*arguments: object, settings: Path) -> str:
    """Run it as a process, since Ultralytics changes the process that it is in."""
    return _process("-m", "rinrcodec", "yolo", *arguments, settings=settings)


def several(*commands: tuple[object, ...], settings: Path) -> list[str]:
    """Run commands in another process; return what each said, its exit code in the last line."""
    words = json.dumps([[str(word) for word in command] for command in commands])
    said = re.split(r"(?<=\nended with \d)\n", _process("-c", SEVERAL, words, settings=settings))
    assert said.pop() == ""
    assert len(said) == len(commands)
    return said


def _process(*words: object, settings: Path) -> str:
    environment = {
        **os.environ,
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_CONFIG_DIR": str(settings),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-P", *map(str, words)],
        cwd=settings,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


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
    model = write_model(settings)
    trained = yolo(
        *("detect", "train", f"model={model}", f"data={packs / 'data.yaml'}", "epochs=1"),
        *("amp=False", "plots=False", *quiet),
        settings=settings,
    )
    assert "2 frames, 0 without boxes, 0 corrupt" in trained
    weights = settings / "out/train/weights/best.pt"
    source = packs / "val/val-00000.rinr"
    predicted, wrong, absent = several(
        ("predict", f"model={weights}", f"source={source}", *quiet),
        ("detect", "trein"),
        ("detect", "train", f"model={model}", "data=absent.yaml", *quiet),
        settings=settings,
    )
    assert f"image 2/2 {source / '1.png'}" in predicted
    assert predicted.splitlines()[-1] == "ended with 0"
    assert "trein" in wrong
    assert "Traceback" not in wrong
    assert wrong.splitlines()[-1] == "ended with 2"
    assert absent.splitlines()[-2:] == [
        "error: Dataset 'absent.yaml' error ❌ 'absent.yaml' does not exist",
        "ended with 1",
    ]


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

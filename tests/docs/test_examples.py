"""The scripts of docs/examples run, with the commands of docs/recipes.md."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec import Box

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
BOXES = [[Box(0, 4, 4, 10, 10), Box(1, 20, 6, 8, 12)], []]
CLASSES = ["car", "person"]

FIFTYONE = """
import json, types as modules
types = modules.SimpleNamespace(COCODetectionDataset="coco")
class Dataset:
    @staticmethod
    def from_dir(**options):
        return json.dumps(options)
"""


def recipe(script: str) -> str:
    """The commands of a recipe."""
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    (found,) = [block for block in blocks if f"/{script}.py" in block]
    return found


def run(command: str, folder: Path, **variables: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs(package: str, name: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install {name}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as the page describes it, of two frames."""
    (tmp_path / "packs").mkdir()
    (tmp_path / "frames").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    y, x = np.mgrid[0:24, 0:32]
    pixels = np.stack([8 * x, 10 * y, 255 - 8 * x], -1).astype(np.uint8)
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(tmp_path / "frames" / name)
    pictures = [rinrcodec.load_picture(tmp_path / "frames" / name) for name in ("a.png", "b.png")]
    pack = rinrcodec.encode(pictures, boxes=BOXES, classes=CLASSES, preset="fast", device="cpu")
    rinrcodec.save(pack, tmp_path / "packs" / "frames-00000.rinr")
    return tmp_path


def test_every_script_has_a_recipe_and_is_short() -> None:
    scripts = sorted((ROOT / "docs" / "examples").glob("*.py"))
    assert len(scripts) == 5
    for script in scripts:
        assert recipe(script.stem)
        assert f"](examples/{script.name})" in PAGE
        assert len(script.read_text(encoding="utf-8").splitlines()) < 50


def test_the_page_about_notebooks_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)[0]
    monkeypatch.chdir(folder)
    found: dict[str, Any] = {}
    exec(code.replace("file  ", "sheet = file._repr_html_()  "), found)
    with found["file"]:
        assert found["sheet"].count("<img") == len(found["file"]) == 2


@pytest.mark.slow
def test_opencv(folder: Path) -> None:
    needs("cv2", "opencv-python-headless")
    run(recipe("opencv_frames"), folder)
    out = folder / "out" / "opencv"
    drawn = rinrcodec.imread(out / "again.rinr")
    with Image.open(out / "boxes.png") as image:
        assert np.abs(np.asarray(image).astype(int) - drawn).mean() < 20
        red, green, blue = image.getpixel((4, 10))
    assert green > max(red, blue)


@pytest.mark.slow
def test_supervision(folder: Path) -> None:
    needs("supervision", "supervision")
    run(recipe("supervision_boxes"), folder)
    out = folder / "out" / "supervision"
    assert (out / "detections.png").is_file()
    with rinrcodec.open(out / "again.rinr") as file:
        assert list(file.boxes(0)) == BOXES[0]
        assert file.classes == dict(enumerate(CLASSES))


@pytest.mark.slow
def test_hugging_face(folder: Path) -> None:
    needs("datasets", "datasets")
    said = run(recipe("hugging_face"), folder, HF_HOME=str(folder / "hub"))
    out = folder / "out" / "hugging_face"
    assert said.count("num_rows: 2") == 2
    rows = (out / "images" / "metadata.jsonl").read_text("utf-8").splitlines()
    objects = json.loads(rows[0])["objects"]
    assert objects == {"bbox": [[4, 4, 10, 10], [20, 6, 8, 12]], "category": [0, 1]}
    with rinrcodec.open(out / "again.rinr") as file:
        assert len(file) == 2


@pytest.mark.slow
def test_webdataset(folder: Path) -> None:
    needs("webdataset", "webdataset")
    said = run(recipe("webdataset_decoder"), folder)
    assert "a (3, 24, 32) 0 boxes" in said
    assert "b (3, 24, 32) 0 boxes" in said


@pytest.mark.slow
def test_fiftyone_gets_the_files_that_it_imports(folder: Path) -> None:
    """FiftyOne is large, so a stand-in takes its place, and the files are checked."""
    (folder / "fiftyone.py").write_text(FIFTYONE, encoding="utf-8")
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    said = run(recipe("fiftyone_import"), folder, PYTHONPATH=os.pathsep.join(paths))
    options = json.loads(said)
    assert options.pop("dataset_type") == "coco"
    coco = json.loads((folder / options.pop("labels_path")).read_text("utf-8"))
    pictures = folder / options.pop("data_path")
    assert options == {}
    for image in coco["images"]:
        with Image.open(pictures / image["file_name"]) as opened:
            assert opened.size == (image["width"], image["height"])
    assert [one["name"] for one in coco["categories"]] == CLASSES
    assert [one["bbox"] for one in coco["annotations"]] == [[4, 4, 10, 10], [20, 6, 8, 12]]

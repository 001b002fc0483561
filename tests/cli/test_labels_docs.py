"""The commands of docs/labels.md run, from first to last, on a tiny data set."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import rinrcodec
from rinrcodec.cli.main import cli
from rinrcodec.labels.losses import LABEL_FORMATS

from .conftest import contents, picture, put, write

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "labels.md").read_text(encoding="utf-8")
QUICK = ["--preset", "fast", "--steps", "1", "--device", "cpu", "--quiet"]


def commands() -> list[list[str]]:
    (block,) = re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines()]


@pytest.mark.slow
def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "ds/val/a.jpg", picture(1))
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 24, "height": 16}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 8]}],
        "categories": [{"id": 1, "name": "car"}],
    }
    write(tmp_path / "ds/annotations/instances_val.json", json.dumps(content))
    monkeypatch.chdir(tmp_path)
    for command in commands():
        options = QUICK if command[0] == "compress" else QUICK[-3:]
        result = CliRunner().invoke(cli, [*command, *options])
        assert result.exit_code == 0, result.output
    assert contents(tmp_path / "back").keys() == {"images/a.png", "annotations.json"}
    voc = {"images/a.png", "Annotations/a.xml", "classes.txt"}
    assert contents(tmp_path / "voc").keys() == voc


def test_two_coco_files_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files have image 1 and category 1; `dog` is category 1 of one and 2 of the other."""
    names = {"train2017": ["car", "dog"], "val2017": ["dog", "cat"]}
    for split, categories in names.items():
        put(tmp_path / f"ds/{split}/a.jpg", picture(1))
        content = {
            "images": [{"id": 1, "file_name": "a.jpg", "width": 24, "height": 16}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 10, 8]}],
            "categories": [{"id": i, "name": name} for i, name in enumerate(categories, start=1)],
        }
        write(tmp_path / f"ds/annotations/instances_{split}.json", json.dumps(content))
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    exec(compile(code, "labels.md", "exec"), {})
    (command,) = re.findall(r"^    rinrcodec (compress .*)$", PAGE, flags=re.MULTILINE)
    result = CliRunner().invoke(cli, [*shlex.split(command), *QUICK])
    assert (result.exit_code, result.output) == (0, "")
    data = yaml.safe_load((tmp_path / "packs/data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == {0: "car", 1: "dog", 2: "cat"}
    for split, class_id in {"train": 0, "val": 1}.items():
        with rinrcodec.open(tmp_path / f"packs/{split}/{split}-00000.rinr") as file:
            assert [box.class_id for box in file.boxes(0)] == [class_id]


def test_the_page_names_every_format() -> None:
    assert f"--labels {'|'.join(LABEL_FORMATS)}" in PAGE
    for name in LABEL_FORMATS:
        assert f"`--labels {name}` |" in PAGE

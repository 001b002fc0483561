"""What `rinrcodec info` prints of a pack: boxes of each class, and text that it cuts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rinrcodec
from rinrcodec import Box

from .conftest import Run


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ('["car","dog"]', "boxes of classes: car 2, dog 1, 7 1"),
        ('["car","car"]', "boxes of classes: car 3, 7 1"),
        ("nonsense", "boxes of classes: 0 2, 1 1, 7 1"),
    ],
)
def test_boxes_are_counted_by_class(run: Run, tmp_path: Path, names: str, shown: str) -> None:
    boxes = [[Box(i, 1, 1, 4, 4) for i in ids] for ids in ((0, 1), (0, 7))]
    pack = rinrcodec.encode([np.full((16, 16, 3), 90, np.uint8)] * 2, boxes=boxes, preset="fast")
    info = {**pack.info, "names": names, "long": "x" * 101, "short": "y" * 100}
    path = tmp_path / "a.rinr"
    rinrcodec.save(replace(pack, info=info), path)
    lines = run("info", path, "--frames").stdout.splitlines()
    assert f"  {shown}" in lines
    assert f"  long: {'x' * 97}..." in lines
    assert f"  short: {'y' * 100}" in lines
    assert "boxes of classes" not in run("info", path).stdout


def test_many_classes_are_cut(run: Run, tmp_path: Path) -> None:
    boxes = [[Box(i, 1, 1, 4, 4) for i in range(22)]]
    pack = rinrcodec.encode([np.full((16, 16, 3), 90, np.uint8)], boxes=boxes, objects="none")
    rinrcodec.save(pack, tmp_path / "a.rinr")
    assert ", 19 1, ...\n" in run("info", tmp_path / "a.rinr", "--frames").stdout
    (item,) = json.loads(run("info", tmp_path / "a.rinr", "--frames", "--json").stdout)
    assert item["class_boxes"] == {str(i): 1 for i in range(22)}

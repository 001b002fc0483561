"""Every key of a data yaml is in that of the packs, and comes back with the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import rinrcodec
from rinrcodec import RinrUsageError

from .conftest import QUICK, write

KEPT = """\
nc: 3
channels: 1
flip_idx: [1, 0, 2]
kpt_names: {0: [nose, tail]}
roboflow: {workspace: w, nested: {list: [1, 2.5, null, true]}, url: "https://x.y/z"}
license: CC BY 4.0
date: 2024-02-29
"no": "yes"
1: one
download: |
  import os
  print("ü")
"""


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_keys_of_a_yaml_survive_a_round_trip(dataset: Path, tmp_path: Path) -> None:
    text = dataset.read_text().replace("val:", "validation:")
    write(dataset, f"path: .\n{text}{KEPT}")
    rinrcodec.compress(dataset, tmp_path / "packs", **QUICK)
    names = {"names": {0: "person", 1: "car", 2: "bus"}}
    kept = yaml.safe_load(KEPT)
    packs = read(tmp_path / "packs/data.yaml")
    assert packs == {"train": "train", "val": "val", **names, **kept}
    assert list(packs)[:3] == ["train", "val", "names"]
    rinrcodec.decompress(tmp_path / "packs", tmp_path / "back", device="cpu")
    back = read(tmp_path / "back/data.yaml")
    assert back == {"train": "images/train", "val": "images/val", **names, **kept}


def test_a_changed_key_is_another_run(dataset: Path, tmp_path: Path) -> None:
    text = dataset.read_text()
    write(dataset, f"{text}channels: 1\n")
    rinrcodec.compress(dataset, tmp_path / "packs", **QUICK)
    result = rinrcodec.compress(dataset, tmp_path / "packs", resume=True, **QUICK)
    assert result.nothing_to_do
    write(dataset, f"{text}channels: 3\n")
    with pytest.raises(RinrUsageError, match=r"yaml_keys was channels: 1\\n and is channels: 3"):
        rinrcodec.compress(dataset, tmp_path / "packs", resume=True, **QUICK)


def test_a_yaml_of_packs_is_found_from_the_working_folder(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rinrcodec.compress(dataset, tmp_path / "packs", **QUICK)
    write(
        tmp_path / "conf/d.yaml", "path: packs\ntrain: train\nvalidation: val\nnames: [a, b, c]\n"
    )
    monkeypatch.chdir(tmp_path)
    result = rinrcodec.decompress("conf/d.yaml", "back", device="cpu")
    assert (result.frames, result.failures) == (3, ())
    assert read(tmp_path / "back/data.yaml")["val"] == "images/val"

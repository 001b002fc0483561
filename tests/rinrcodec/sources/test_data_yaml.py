"""A YOLO data yaml names splits, pictures and classes; what it cannot name is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.discover import open_source

from .tiny_sources import BOX, LABEL, boxes, names, put, write


def test_a_data_yaml_in_its_usual_form(tmp_path: Path) -> None:
    for split, name in (("train", "b.png"), ("train", "a.png"), ("val", "s/c.png")):
        put(tmp_path / "set/images" / split / name)
    write(tmp_path / "set/labels/train/a.txt", LABEL)
    write(tmp_path / "set/labels/train/b.txt", "")
    write(
        tmp_path / "set/data.yaml",
        "train: images/train\nval: images/val\ntest:\nnames:\n  0: person\n  4: car\n",
    )
    source = open_source(tmp_path / "set/data.yaml")
    train, val = source.series
    assert (train.name, val.name) == ("train", "val")
    assert names(train) == ["a.png", "b.png"]
    assert names(val) == ["s/c.png"]
    assert boxes(train) == [(BOX,), ()]
    assert source.names == {0: "person", 4: "car"}
    assert source.failures == ()


def test_a_data_yaml_with_path_lists_and_text_lists(tmp_path: Path) -> None:
    for name in ("x/1.png", "y/1.png", "z/3.png"):
        put(tmp_path / "data/images" / name)
    write(tmp_path / "data/list.txt", "./images/z/3.png\nimages/x/1.png\nimages/no.png\n\n")
    write(
        tmp_path / "conf/d.yml",
        "path: ../data\ntrain: [images/x, images/y, images/x]\nval: list.txt\nnames: [person]\n",
    )
    source = open_source(tmp_path / "conf/d.yml")
    train, val = source.series
    assert names(train) == ["x/1.png", "y/1.png"]
    assert names(val) == ["x/1.png", "z/3.png"]
    assert source.names == {0: "person"}
    assert "1 pictures are listed twice" in source.warnings[0]
    (failure,) = source.failures
    assert "images/no.png: no such picture" in failure


def test_a_data_yaml_whose_paths_are_off_by_one_folder(tmp_path: Path) -> None:
    put(tmp_path / "train/images/a.png")
    write(tmp_path / "data.yaml", "train: ../train/images\nnc: 2\n")
    source = open_source(tmp_path / "data.yaml")
    assert names(source.series[0]) == ["a.png"]
    assert source.names == {0: "class_0", 1: "class_1"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("train: [unclosed", "not a yaml file"),
        ("- a\n", "expected the keys"),
        ("names: [a]\n", "none of the keys"),
        ("train: nowhere\n", "no such folder or list"),
        ("train: .\nnames: 3\n", "names: found 3; expected a list"),
        ("train: .\nnames: {-1: a}\n", "names: found the class id -1; expected a list"),
        ("train: .\nnc: 10000000000\n", "nc: 10000000000; expected a whole number"),
        ("train: .\nkpt_shape: [17, 4]\n", r"kpt_shape: \[17, 4\]; expected"),
        ("train: .\nkpt_shape: 17\n", "kpt_shape: 17; expected"),
    ],
)
def test_a_data_yaml_that_cannot_be_used(tmp_path: Path, text: str, reason: str) -> None:
    put(tmp_path / "a.png")
    with pytest.raises(RinrInputError, match=f"data.yaml: .*{reason}"):
        open_source(write(tmp_path / "data.yaml", text))


def test_a_missing_split_does_not_stop_the_others(tmp_path: Path) -> None:
    put(tmp_path / "a/x.png")
    source = open_source(write(tmp_path / "data.yaml", "train: a\nval: b\nnames: [c]\n"))
    assert [series.name for series in source.series] == ["train"]
    assert "val: no such folder or list" in source.failures[0]

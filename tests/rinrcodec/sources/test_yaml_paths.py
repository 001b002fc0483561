"""The paths of a data yaml: what they may be relative to, lists, and yamls of other machines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.source import Source

from .tiny_sources import LABEL, names, put, write


def splits(source: Source) -> dict[str, list[str]]:
    return {series.name: names(series) for series in source.series}


def fruit(root: Path, *numbers: int) -> Path:
    """A data set with the pictures of those numbers in both splits."""
    for split in ("train", "val"):
        for number in numbers:
            put(root / f"images/{split}/{number}.png")
            write(root / f"labels/{split}/{number}.txt", LABEL)
    return root


SPLITS = "train: images/train\nval: images/val\nnames: [pear, plum, fig]\n"


def test_path_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fruit(tmp_path / "fruit", 1)
    write(tmp_path / "work/conf/fruit.yaml", f"path: ../fruit\n{SPLITS}")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    source = open_source("conf/fruit.yaml")
    assert splits(source) == {"train": ["1.png"], "val": ["1.png"]}
    assert source.failures == ()
    (note,) = source.warnings
    assert note == (
        "conf/fruit.yaml: paths are taken relative to the working folder, as YOLO does: "
        f"{tmp_path}/fruit"
    )
    monkeypatch.chdir(tmp_path / "elsewhere/..")
    with pytest.raises(RinrInputError, match="train: no such folder or list: work/fruit/images"):
        open_source("work/conf/fruit.yaml")


def test_the_folder_of_the_yaml_wins_where_both_have_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fruit(tmp_path / "fruit", 1)
    fruit(tmp_path / "conf/fruit", 2)
    yaml = write(tmp_path / "conf/fruit.yaml", f"path: fruit\n{SPLITS}")
    monkeypatch.chdir(tmp_path)
    source = open_source(yaml)
    assert splits(source)["train"] == ["2.png"]
    (note,) = source.warnings
    assert f"{tmp_path}/conf/fruit is used, Ultralytics uses {tmp_path}/fruit" in note
    monkeypatch.chdir(tmp_path / "conf")
    assert open_source(yaml).warnings == ()


def test_a_folder_without_the_pictures_does_not_hide_the_one_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fruit(tmp_path / "fruit", 1)
    (tmp_path / "conf/fruit/images/train").mkdir(parents=True)
    yaml = write(tmp_path / "conf/fruit.yaml", f"path: fruit\n{SPLITS}")
    monkeypatch.chdir(tmp_path)
    source = open_source(yaml)
    assert splits(source) == {"train": ["1.png"], "val": ["1.png"]}
    assert source.failures == ()


@pytest.mark.parametrize("place", ["fruit/d.yaml", "d.yaml"])
@pytest.mark.parametrize("path", ["/kaggle/input/fruit", "D:\\sets\\fruit", "../sets/fruit"])
def test_path_of_another_machine(tmp_path: Path, place: str, path: str) -> None:
    fruit(tmp_path / "fruit", 1)
    source = open_source(write(tmp_path / place, f"path: {path}\n{SPLITS}"))
    assert splits(source) == {"train": ["1.png"], "val": ["1.png"]}
    (note,) = source.warnings
    assert f"there is no folder {path}; {tmp_path}/fruit is used" in note


def test_path_that_exists_is_taken_as_it_is(tmp_path: Path) -> None:
    fruit(tmp_path / "a", 1)
    fruit(tmp_path / "b", 2)
    source = open_source(write(tmp_path / "b/d.yaml", f"path: {tmp_path}/a\n{SPLITS}"))
    assert splits(source)["train"] == ["1.png"]
    assert source.warnings == ()


def test_a_tilde_in_a_path_is_not_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ultralytics does not expand it either."""
    fruit(tmp_path / "home/fruit", 1)
    fruit(tmp_path / "conf/~/fruit", 2)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    source = open_source(write(tmp_path / "conf/d.yaml", f"path: ~/fruit\n{SPLITS}"))
    assert splits(source)["train"] == ["2.png"]


def test_absolute_splits_of_another_machine(tmp_path: Path) -> None:
    fruit(tmp_path / "fruit", 1)
    put(tmp_path / "fruit/images/0.png")
    text = "train: /content/fruit/images/train\nval: [/content/fruit/images/val]\nnames: [a, b, c]"
    source = open_source(write(tmp_path / "fruit/d.yaml", text))
    assert splits(source) == {"train": ["1.png"], "val": ["1.png"]}
    assert "there is no folder /content/fruit; " in source.warnings[0]


@pytest.mark.parametrize("value", ['"images\\train"', "images\\train", ".\\images\\train\\"])
def test_backslashes(tmp_path: Path, value: str) -> None:
    """YAML reads `\\t` in double quotes as a tab."""
    fruit(tmp_path, 1)
    source = open_source(write(tmp_path / "d.yaml", f"train: {value}\nval: images\\val\nnc: 3\n"))
    assert splits(source) == {"train": ["1.png"], "val": ["1.png"]}


def test_a_path_that_is_a_list_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "a/1.png")
    yaml = write(tmp_path / "d.yaml", "path: [a]\ntrain: .\n")
    with pytest.raises(RinrInputError, match="path: found a list; expected one folder"):
        open_source(yaml)


@pytest.mark.parametrize("value", ["{a: b}", "[{a: b}]"])
def test_a_split_that_is_a_map(tmp_path: Path, value: str) -> None:
    with pytest.raises(RinrInputError, match=r"d\.yaml: train: found a map; give a folder"):
        open_source(write(tmp_path / "d.yaml", f"train: {value}\n"))


def test_a_yaml_that_multiplies_itself(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]" for i in range(1, 9)]
    yaml = write(tmp_path / "d.yaml", "\n".join([*lines, "train: *a8"]))
    with pytest.raises(RinrInputError, match=r"d\.yaml:7: more than 4,194,304 characters"):
        open_source(yaml)


def test_a_yaml_behind_a_link(tmp_path: Path) -> None:
    fruit(tmp_path / "fruit", 1)
    write(tmp_path / "fruit/d.yaml", SPLITS)
    fruit(tmp_path / "other", 2)
    (tmp_path / "links").mkdir()
    for folder in ("links", "other"):
        (tmp_path / folder / "l.yaml").symlink_to("../fruit/d.yaml")
    source = open_source(tmp_path / "links/l.yaml")
    assert splits(source)["train"] == ["1.png"]
    assert f"the folder of its target, {tmp_path}/fruit" in source.warnings[0]
    assert splits(open_source(tmp_path / "other/l.yaml"))["train"] == ["2.png"]


def test_a_yaml_in_a_folder_behind_a_link(tmp_path: Path) -> None:
    fruit(tmp_path / "disk/fruit", 1)
    write(tmp_path / "disk/conf/d.yaml", f"path: ../fruit\n{SPLITS}")
    (tmp_path / "conf").symlink_to("disk/conf")
    source = open_source(tmp_path / "conf/d.yaml")
    assert splits(source)["train"] == ["1.png"]
    assert [reading.picture and len(reading.picture.boxes) for reading in source.series[0].read()]


def test_lists_of_other_tools(tmp_path: Path) -> None:
    """CVAT begins lines with `data/`, darknet with a folder of its own, Windows uses `\\`."""
    fruit(tmp_path, 1, 2)
    write(tmp_path / "cvat.txt", "data/images/train/1.png\r\ndata/images/train/2.png\r\n")
    write(tmp_path / "darknet.txt", "/home/me/darknet/images/val/1.png\n.\\images\\val\\2.png\n")
    source = open_source(
        write(tmp_path / "d.yaml", "train: cvat.txt\nval: darknet.txt\nnames: [a, b, c]\n")
    )
    assert splits(source) == {"train": ["1.png", "2.png"], "val": ["1.png", "2.png"]}
    assert source.failures == ()
    assert [("there is no data/images" in w, "and so on" in w) for w in source.warnings] == [
        (True, True),
        (False, True),
    ]


def test_a_listed_picture_is_not_looked_for_by_its_name_alone(tmp_path: Path) -> None:
    put(tmp_path / "images/1.png")
    put(tmp_path / "2.png")
    write(tmp_path / "list.txt", "images/1.png\n/far/away/2.png\nimages/2.png\n")
    source = open_source(write(tmp_path / "d.yaml", "train: list.txt\nnc: 1\n"))
    assert splits(source) == {"train": ["1.png"]}
    assert ["2.png: no such picture" in failure for failure in source.failures] == [True, True]


def test_lists_of_folders_and_of_lists(tmp_path: Path) -> None:
    fruit(tmp_path, 1, 2)
    write(tmp_path / "all.txt", "images/train\nmore.txt\n")
    write(tmp_path / "more.txt", "images/val/2.png\nall.txt\n")
    source = open_source(write(tmp_path / "d.yaml", "train: [[all.txt], []]\nnames: [a, b, c]\n"))
    assert splits(source) == {"train": ["train/1.png", "train/2.png", "val/2.png"]}
    assert [failure.rpartition(": ")[2] for failure in source.failures] == [
        "this list names itself"
    ]


def test_lines_are_relative_to_the_working_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fruit(tmp_path / "fruit", 1)
    write(tmp_path / "lists/train.txt", "fruit/images/train/1.png\n")
    yaml = write(tmp_path / "lists/d.yaml", "train: train.txt\nnames: [a, b, c]\n")
    monkeypatch.chdir(tmp_path)
    assert splits(open_source(yaml)) == {"train": ["1.png"]}


def test_entries_without_pictures_are_reported(tmp_path: Path) -> None:
    put(tmp_path / "images/1.png")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "gone").symlink_to("nowhere")
    write(tmp_path / "notes.md", "x")
    text = (
        f"train: [images, 'images/*.png', bytes.txt, gone, notes.md, {'x' * 5000}, 'a?']\nnc: 1\n"
    )
    source = open_source(write(tmp_path / "d.yaml", text))
    assert splits(source) == {"train": ["1.png"]}
    endings = [
        "patterns are not expanded",
        "not a text file",
        "leads nowhere",
        "a list file (.txt)",
    ]
    assert len(source.failures) == 6
    for ending, failure in zip(endings, source.failures, strict=False):
        assert ending in failure


def test_a_missing_test_split_is_no_failure(tmp_path: Path) -> None:
    fruit(tmp_path, 1)
    source = open_source(write(tmp_path / "d.yaml", f"{SPLITS}test: ../test/images\n"))
    assert source.failures == ()
    (warning,) = source.warnings
    assert "test: no such folder or list" in warning
    assert "left out" in warning
    for empty in ("", "[]", '""', "~"):
        source = open_source(write(tmp_path / "d.yaml", f"{SPLITS}test: {empty}\n"))
        assert source.warnings == source.failures == ()
    (tmp_path / "images/test").mkdir()
    source = open_source(write(tmp_path / "d.yaml", f"{SPLITS}test: images/test\n"))
    assert "no picture in the folder" in source.warnings[0]
    with pytest.raises(RinrInputError, match="no pictures"):
        open_source(write(tmp_path / "d.yaml", "test: nowhere\nnc: 1\n"))


def test_each_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of folders that paths may be relative to does not matter."""
    fruit(tmp_path, 1)
    listed: list[str] = []
    scandir = os.scandir

    def counted(path: str) -> object:
        listed.append(os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    text = f"train: {tmp_path}/images/train\nval: /gone/images/x\nnames: [a, b, c]\n"
    source = open_source(write(tmp_path / "conf/d.yaml", text))
    assert len(source.failures) == 1
    assert listed.count(f"{tmp_path}/images/train") == 1


def test_lists_that_name_lists_are_read_once_each(tmp_path: Path) -> None:
    """Ten levels that name the next one a thousand times would take forever."""
    put(tmp_path / "a.png")
    for level in range(9):
        write(tmp_path / f"{level}.txt", f"{level + 1}.txt\n" * 1000)
    write(tmp_path / "9.txt", "a.png\n")
    (series,) = open_source(write(tmp_path / "data.yaml", "train: 0.txt\n")).series
    assert [ref.name for ref in series.refs] == ["a.png"]


def test_lists_that_are_too_deep_or_too_wide(tmp_path: Path) -> None:
    put(tmp_path / "images/a.png")
    for level in range(400):
        write(tmp_path / f"{level}.txt", f"{level + 1}.txt\n")
    write(tmp_path / "wide.txt", "a/" * 5000 + "b.png\nimages/a.png\n")
    yaml = write(tmp_path / "data.yaml", "train: images\nval: [0.txt, wide.txt]\n")
    source = open_source(yaml)
    deep, wide = source.failures
    assert f"{tmp_path}/10.txt: lists name lists at more than 10 levels" in deep
    assert f"a/...: no such picture (in {tmp_path}/wide.txt)" in wide
    assert [len(series.refs) for series in source.series] == [1, 1]

"""Links to pictures, labels and folders: each path has its own name and its own labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from rinrcodec.sources.discover import open_source
from rinrcodec.sources.source import Series

from .tiny_sources import LABEL, put, write


def labelled(series: Series) -> dict[str, int]:
    """The number of boxes by name; -1 where a picture cannot be read."""
    return {item.name: len(item.picture.boxes) if item.picture else -1 for item in series.read()}


def link(path: Path, target: Path | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("form", ["yaml", "folder"])
def test_pictures_of_a_pool(tmp_path: Path, form: str) -> None:
    """Labels are those of the link's path; those of the target do not count."""
    pool = tmp_path / "pool/images"
    put(pool / "77.png")
    write(tmp_path / "pool/labels/77.txt", LABEL * 3)
    put(pool / "78.png")
    write(tmp_path / "pool/labels/78.txt", LABEL * 3)
    link(tmp_path / "set/images/train/a.png", pool / "77.png")
    link(tmp_path / "set/images/train/b.png", "../../../pool/images/77.png")
    link(tmp_path / "set/images/train/c.png", pool / "78.png")
    write(tmp_path / "set/labels/train/a.txt", LABEL)
    link(tmp_path / "set/labels/train/b.txt", tmp_path / "pool/labels/77.txt")
    yaml = write(tmp_path / "set/d.yaml", "train: images/train\nnc: 3\n")
    source = open_source(yaml if form == "yaml" else tmp_path / "set/images/train")
    (series,) = source.series
    assert labelled(series) == {"a.png": 1, "b.png": 3, "c.png": 0}
    missing = [item.warnings for item in series.read()][2]
    assert "set/labels/train/c.txt: there is no such label file" in missing[0]


def test_a_split_behind_a_link(tmp_path: Path) -> None:
    put(tmp_path / "pool/train/a.png")
    write(tmp_path / "set/labels/train/a.txt", LABEL)
    link(tmp_path / "set/images/train", tmp_path / "pool/train")
    source = open_source(write(tmp_path / "set/d.yaml", "train: images/train\nnc: 3\n"))
    assert labelled(source.series[0]) == {"a.png": 1}
    assert labelled(open_source(tmp_path / "set/images").series[0]) == {"train/a.png": 1}


def test_two_links_to_a_folder_are_two_folders(tmp_path: Path) -> None:
    put(tmp_path / "pool/a.png")
    for number, name in enumerate(("day", "night")):
        link(tmp_path / f"images/{name}", "../pool")
        write(tmp_path / f"labels/{name}/a.txt", LABEL * number)
    (series,) = open_source(tmp_path / "images").series
    assert labelled(series) == {"day/a.png": 0, "night/a.png": 1}


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    put(tmp_path / "images/a.png")
    write(tmp_path / "labels/a.txt", LABEL)
    link(tmp_path / "images/b.png", "gone.png")
    link(tmp_path / "images/self.png", "self.png")
    for i in range(5):
        link(tmp_path / f"images/cam{i}", "/gone/cam")
    yaml = write(tmp_path / "d.yaml", "train: images\nnc: 3\n")
    for source in (open_source(tmp_path / "images"), open_source(yaml)):
        assert [failure.split("/images")[-1] for failure in source.failures] == [
            *(f"/cam{i}: this link leads nowhere and is ignored" for i in range(3)),
            ": 2 more links that lead nowhere",
        ]
        (series,) = source.series
        assert labelled(series) == {"a.png": 1, "b.png": -1, "self.png": -1}


def test_a_label_that_is_a_broken_link_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    put(tmp_path / "images/a.png")
    write(tmp_path / "images/a.txt", LABEL)
    link(tmp_path / "labels/a.txt", "gone.txt")
    (reading,) = open_source(tmp_path / "images").series[0].read()
    assert reading.picture is not None
    assert reading.picture.boxes == ()


def test_a_listed_broken_link_is_named(tmp_path: Path) -> None:
    put(tmp_path / "images/a.png")
    link(tmp_path / "images/b.png", "gone.png")
    write(tmp_path / "list.txt", "images/a.png\nimages/b.png\n")
    source = open_source(write(tmp_path / "d.yaml", "train: list.txt\nnc: 3\n"))
    (failure,) = source.failures
    assert failure.endswith("images/b.png: this link leads nowhere")

"""Sources list pictures and their labels the way YOLO does, and read them lazily and in order."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from rinrcodec.errors import RinrInputError
from rinrcodec.limits import Limits
from rinrcodec.sources.discover import open_source

from .tiny_sources import BOX, LABEL, boxes, names, put, write


def test_one_image_with_labels_by_the_yolo_rule(tmp_path: Path) -> None:
    put(tmp_path / "images/val/ü.png")
    write(tmp_path / "labels/val/ü.txt", LABEL)
    source = open_source(tmp_path / "images/val/ü.png")
    assert source.kind == "image"
    assert names(source.series[0]) == ["ü.png"]
    assert boxes(source.series[0]) == [(BOX,)]
    assert boxes(open_source(tmp_path / "images/val/ü.png", labels="none").series[0]) == [()]


def test_one_image_without_labels_gives_no_warning(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (reading,) = open_source(put(tmp_path / "a.png")).series[0].read()
    assert reading.picture is not None
    assert reading.warnings == ()


def test_a_folder_tree_is_sorted_mirrored_and_skips_what_is_no_picture(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.PNG", "a/1.jpg", "a.png", ".hidden/x.png", ".y.png"):
        put(tmp_path / "frames" / name)
    write(tmp_path / "frames/notes.txt", "x")
    source = open_source(tmp_path / "frames")
    assert source.series[0].name == "frames"
    assert names(source.series[0]) == ["a.png", "a/1.jpg", "a/2.PNG", "b.png"]
    (warning,) = source.warnings
    assert warning.startswith(f"{tmp_path / 'frames'}: no labels were found")
    assert open_source(tmp_path / "frames", labels="none").warnings == ()


def test_numbers_in_names_count_by_their_value(tmp_path: Path) -> None:
    """Frames numbered without leading zeros are in the order of time, too."""
    wanted = ["cam1/f1.png", "cam1/f2.png", "cam1/f10.png", "cam01/f3.png", "cam10/f1.png"]
    for name in sorted(wanted):
        put(tmp_path / "images" / name)
    data = write(tmp_path / "data.yaml", "train: images\n")
    for source in (open_source(tmp_path / "images"), open_source(data)):
        order = names(source.series[0])
        # Equal numbers are sorted by their spelling, folder by folder.
        assert order == [wanted[3], *wanted[:3], wanted[4]]


def test_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b1.png", "a2.png", "c/a10.png", "c/a9.png"):
        put(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for source in (".", tmp_path):
        order = names(open_source(source).series[0])
        assert order == ["a2.png", "b1.png", "c/a9.png", "c/a10.png"]


def test_a_link_that_leads_back_up_ends(tmp_path: Path) -> None:
    put(tmp_path / "frames/a.png")
    (tmp_path / "frames/loop").symlink_to(tmp_path / "frames", target_is_directory=True)
    assert names(open_source(tmp_path / "frames").series[0]) == ["a.png"]


@pytest.mark.parametrize("label", ["labels/s/a.txt", "frames/labels/s/a.txt", "frames/s/a.txt"])
def test_labels_next_to_or_inside_a_folder(tmp_path: Path, label: str) -> None:
    put(tmp_path / "frames/s/a.png")
    write(tmp_path / label, LABEL)
    assert boxes(open_source(tmp_path / "frames").series[0]) == [(BOX,)]


def test_only_the_last_images_folder_is_replaced(tmp_path: Path) -> None:
    put(tmp_path / "images/x/images/a.png")
    write(tmp_path / "images/x/labels/a.txt", LABEL)
    assert boxes(open_source(tmp_path / "images/x/images").series[0]) == [(BOX,)]


def test_a_given_folder_of_labels(tmp_path: Path) -> None:
    put(tmp_path / "frames/s/a.png")
    write(tmp_path / "mine/s/a.txt", LABEL)
    write(tmp_path / "labels/s/a.txt", "")
    source = open_source(tmp_path / "frames", labels=tmp_path / "mine")
    assert boxes(source.series[0]) == [(BOX,)]
    with pytest.raises(RinrInputError, match="nowhere: no such folder of labels"):
        open_source(tmp_path / "frames", labels=tmp_path / "nowhere")


def test_missing_labels_and_labels_without_a_picture_are_named(tmp_path: Path) -> None:
    put(tmp_path / "images/a.png")
    put(tmp_path / "images/b.png")
    write(tmp_path / "labels/a.txt", LABEL)
    write(tmp_path / "labels/gone.txt", LABEL)
    write(tmp_path / "labels/classes.txt", "car")
    source = open_source(tmp_path / "images")
    (orphan,) = source.lost_labels
    assert "gone.txt: labels without a picture" in orphan
    first, second = source.series[0].read()
    assert first.warnings == ()
    assert "b.txt: there is no such label file" in second.warnings[0]
    assert second.picture is not None
    assert second.picture.boxes == ()


def test_an_unreadable_picture_stops_no_other(tmp_path: Path) -> None:
    put(tmp_path / "f/a.png")
    write(tmp_path / "f/b.png", "text")
    put(tmp_path / "f/c.png")
    for jobs in (1, 3):
        readings = list(open_source(tmp_path / "f").series[0].read(jobs=jobs))
        assert [reading.error is None for reading in readings] == [True, False, True]
        assert "b.png: not a picture" in str(readings[1].error)


def test_pictures_are_read_in_order_and_only_when_asked_for(tmp_path: Path) -> None:
    for i in range(9):
        put(tmp_path / f"f/{i}.png", i)
    series = open_source(tmp_path / "f").series[0]
    for jobs in (1, 2, 20):
        values = [item.picture.pixels[0, 0] for item in series.read(3, jobs=jobs) if item.picture]
        assert values == [3, 4, 5, 6, 7, 8]
    reader = series.read(jobs=1)
    next(reader)
    (tmp_path / "f/8.png").unlink()
    assert [reading.error is None for reading in reader] == [True] * 7 + [False]


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_nothing_to_read_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RinrInputError, match=f"{name}: "):
        open_source(tmp_path / name)


def test_more_boxes_than_the_limit_are_an_error_of_that_picture(tmp_path: Path) -> None:
    put(tmp_path / "images/a.png")
    put(tmp_path / "images/b.png")
    write(tmp_path / "labels/a.txt", LABEL)
    write(tmp_path / "labels/b.txt", LABEL + LABEL)
    first, second = open_source(tmp_path / "images").series[0].read(limits=Limits(max_boxes=1))
    assert first.error is None
    assert "b.txt: 2 boxes, at most 1" in str(second.error)


def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "locked/b.png", "lost+found/c.png", "gone/d.png"):
        put(tmp_path / name)
    scandir = os.scandir
    refused = {"lost+found": PermissionError(errno.EACCES, "Permission denied")}
    refused["gone"] = FileNotFoundError(errno.ENOENT, "No such file")  # type: ignore[assignment]

    def refuse(path: str) -> object:
        if error := refused.get(Path(path).name):
            error.filename = str(path)
            raise error
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert names(open_source(tmp_path).series[0]) == ["a.png", "locked/b.png"]
    refused["locked"] = PermissionError(errno.EACCES, "Permission denied")
    source = open_source(tmp_path)
    assert names(source.series[0]) == ["a.png"]
    (failure,) = source.failures
    assert failure.startswith(f"{tmp_path}/locked: this folder cannot be listed and is ignored")
    with pytest.raises(PermissionError, match=f"Permission denied: '{tmp_path}/locked'"):
        open_source(tmp_path / "locked")

"""What is read belongs together: stamps tell of files that changed, digests of their bytes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from rinrcodec import storage
from rinrcodec.errors import RinrInputError, RinrLimitError
from rinrcodec.limits import Limits
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.readings import ImageRef, Reading, read_image
from rinrcodec.storage import local

LABEL = "2 0.5 0.5 0.5 0.5\n"


@pytest.fixture
def ref(tmp_path: Path) -> ImageRef:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "images/a.png")
    (tmp_path / "labels/a.txt").write_text(LABEL)
    (only,) = open_source(tmp_path / "images").series[0].refs
    return only


def error(reading: Reading) -> str:
    assert reading.picture is None
    assert reading.digest == ""
    return str(reading.error)


def test_stamps_come_with_the_listing(ref: ImageRef) -> None:
    assert ref.label is not None
    assert ref.stamp == storage.stamp_of(ref.path)
    assert ref.label_stamp == storage.stamp_of(ref.label)
    assert ref.stamp.split("-")[0] == str(ref.path.stat().st_size)


def test_the_digest_is_that_of_both_files(ref: ImageRef) -> None:
    assert ref.label is not None
    first = read_image(ref).digest
    assert len(first) == 64
    assert read_image(replace(ref, name="b.png")).digest == first
    assert read_image(replace(ref, label=None)).digest != first
    ref.label.write_text("")
    again = replace(ref, label_stamp=storage.stamp_of(ref.label))
    assert read_image(again).digest == read_image(replace(ref, label=None)).digest
    ref.label.write_text(LABEL)
    assert read_image(replace(ref, label_stamp="")).digest == first


@pytest.mark.parametrize("which", ["images/a.png", "labels/a.txt"])
@pytest.mark.parametrize("how", ["size", "time"])
def test_a_file_that_changed_since_is_an_error(
    tmp_path: Path, ref: ImageRef, which: str, how: str
) -> None:
    file = tmp_path / which
    if how == "size":
        file.write_bytes(file.read_bytes() + b"\n")
    else:
        os.utime(file, ns=(1, 1))
    said = error(read_image(ref))
    assert said.startswith(f"{file}: changed after this run began; wait until")
    assert read_image(replace(ref, stamp="", label_stamp="")).error is None


def test_a_label_file_that_is_gone_is_an_error_where_it_was_listed(ref: ImageRef) -> None:
    assert ref.label is not None
    ref.label.unlink()
    assert "a.txt: was removed after this run began" in error(read_image(ref))
    assert "there is no such label file" in read_image(replace(ref, label_stamp="")).warnings[0]


def test_a_file_that_changes_while_it_is_read(
    ref: ImageRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = iter(["4-1", "4-2"])
    monkeypatch.setattr(local, "local_stamp", lambda stat: next(stamps))  # noqa: ARG005
    with pytest.raises(RinrInputError, match=r"a\.png: changed while it was read; wait"):
        storage.read_file(ref.path)


def test_a_file_of_too_many_bytes_is_not_read(ref: ImageRef) -> None:
    with ref.path.open("r+b") as file:
        file.truncate(2**26 + 2**12)
    small = replace(ref, stamp="")
    assert "bytes, at most 67,108,880 are read" in error(
        read_image(small, limits=Limits(max_pixels=1))
    )
    with pytest.raises(RinrLimitError, match="at most 4 are read"):
        storage.read_file(ref.path, most=4)


def test_files_below_a_folder(tmp_path: Path, ref: ImageRef) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/a").write_text("x")
    (tmp_path / "images/.b").write_text("x")
    (tmp_path / "images-2").write_text("x")
    (tmp_path / "nowhere").symlink_to("gone")
    files = storage.files_below(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path, _ in files]
    assert names == ["images-2", "images/a.png", "labels/a.txt", "nowhere"]
    assert [bool(stamp) for _, stamp in files] == [True, True, True, False]
    assert files[1] == (ref.path, ref.stamp)
    assert storage.files_below(tmp_path / "gone") == []

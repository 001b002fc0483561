"""Whole writes at any path, and errors that name the output."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from rinrcodec.errors import RinrError
from rinrcodec.storage import read_file, to_path
from rinrcodec.storage.atomic import create_file, move, write_text, write_whole, writing


def test_files_are_written_created_and_moved(remote: str, tmp_path: Path) -> None:
    for folder in (tmp_path, to_path(remote)):
        write_text(folder / "deep/er/a.txt", "ü")
        assert read_file(folder / "deep/er/a.txt") == "ü".encode()
        write_whole(folder / "b", b"1")
        assert not create_file(folder / "b", b"2")
        move(folder / "b", folder / "c")
        assert create_file(folder / "b", b"2")
        assert (read_file(folder / "b"), read_file(folder / "c")) == (b"2", b"1")


@pytest.mark.parametrize("name", ["out", "out/a", "out/.rinr-work/x", ".rinr-1.tmp"])
def test_an_error_names_the_output(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match="No space") as caught, writing(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space", str(tmp_path / name))
    assert caught.value.filename == str(tmp_path / "out")


def test_an_error_of_a_pack_names_the_output(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, writing(tmp_path):
        raise RinrError("cannot be written") from OSError(errno.ENOSPC, "No space")
    assert caught.value.filename == str(tmp_path)


@pytest.mark.parametrize(
    "error", [OSError("no number"), OSError(errno.EIO, "x", "/elsewhere"), RinrError("x")]
)
def test_other_errors_keep_their_type(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, writing(tmp_path / "out"):
        raise error
    assert caught.value is error


def test_an_error_of_a_store_names_the_output(memory: str) -> None:
    with pytest.raises(OSError, match="x") as caught, writing(to_path(memory)):
        raise OSError(errno.EIO, "x", f"{memory}/a")
    assert caught.value.filename == memory

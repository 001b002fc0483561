"""Local files: behaviour beyond the contract of all storages."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from rinrcodec.errors import RinrInputError
from rinrcodec.storage import files_below, local, storage_of
from rinrcodec.storage.atomic import move
from rinrcodec.storage.byte_source import StreamSource
from rinrcodec.storage.replacing import replacing


def test_a_link_that_leads_back_up_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a/file").write_bytes(b"x")
    (tmp_path / "nowhere").symlink_to("gone")
    stamps = {path.relative_to(tmp_path).as_posix(): stamp for path, stamp in files_below(tmp_path)}
    assert stamps.keys() == {"a/file", "nowhere"}
    assert (stamps["nowhere"], bool(stamps["a/file"])) == ("", True)


def listed(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path, _ in files_below(folder)]


def test_a_folder_with_two_links_is_listed_under_both(tmp_path: Path) -> None:
    (tmp_path / "pool/deep").mkdir(parents=True)
    (tmp_path / "pool/deep/file").write_bytes(b"x")
    (tmp_path / "top").mkdir()
    for name in ("a", "b"):
        (tmp_path / "top" / name).symlink_to("../pool")
    (tmp_path / "top/c").symlink_to("../pool/deep")
    assert listed(tmp_path / "top") == ["a/deep/file", "b/deep/file", "c/file"]


def test_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"x")
        (tmp_path / name / "other").symlink_to(f"../{other}")
    (tmp_path / "self").symlink_to("self")
    assert listed(tmp_path) == ["a/file", "a/other/file", "b/file", "b/other/file", "self"]


def test_links_that_multiply_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty folders with two links to the next one have a million paths."""
    monkeypatch.setattr(local, "_MOST_REPEATED", 3000)
    for i in range(20):
        (tmp_path / f"{i}").mkdir()
        for name in ("x", "y"):
            (tmp_path / f"{i}/{name}").symlink_to(f"../{i + 1}")
    with pytest.raises(RinrInputError, match="lead to the same files more than 3,000 times"):
        files_below(tmp_path / "0")
    assert len(files_below(tmp_path / "15")) == 2**5


def test_replacing_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "a"

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"x")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with replacing(path) as temporary:
        temporary.write_bytes(b"x")
        assert not path.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("durable", [True, False])
def test_durable_writes_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    storage_of(tmp_path).write_whole(tmp_path / "a", b"x", durable=durable)
    assert len(synced) == (2 if durable else 0)  # the file, and the folder that has its name


def test_a_move_to_another_disk_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def refuse(path: Path, destination: Path) -> Any:
        if path.name == "a":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return replace(path, destination)

    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", refuse)
    move(tmp_path / "a", tmp_path / "b")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"b": b"new"}


def test_a_system_without_pread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"0123")
    monkeypatch.delattr(os, "pread", raising=False)
    source = storage_of(tmp_path).open_ranges(tmp_path / "a")
    assert isinstance(source, StreamSource)
    assert source.read(1, 2) == b"12"
    source.close()
    with pytest.raises(ValueError, match="closed"):
        source.read(0, 1)


@pytest.mark.parametrize(
    ("number", "passes"), [(errno.EIO, True), (errno.ESTALE, True), (errno.EACCES, False)]
)
def test_only_temporary_errors_may_pass(tmp_path: Path, number: int, passes: bool) -> None:
    assert storage_of(tmp_path).may_pass(tmp_path, OSError(number, "x")) is passes

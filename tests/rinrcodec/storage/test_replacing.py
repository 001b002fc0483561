"""Files that are replaced in one step: permissions, links, special files, full disks."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rinrcodec
from rinrcodec.errors import RinrError
from rinrcodec.storage import to_path
from rinrcodec.storage.atomic import create_file, move, named_file, write_whole
from rinrcodec.storage.replacing import copy_permissions, replacing

posix = pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
@given(bits=st.integers(0, 0o777))
def test_a_replaced_file_keeps_its_mode(
    tmp_path_factory: pytest.TempPathFactory, bits: int
) -> None:
    folder = tmp_path_factory.mktemp("modes")
    old, moved = folder / "a", folder / "b"
    for path in (old, moved):
        path.write_bytes(b"old")
        path.chmod(bits)
    write_whole(old, b"new", durable=False)
    write_whole(folder / "fresh", b"newer", durable=False)
    move(folder / "fresh", moved)
    assert (mode(old), mode(moved)) == (bits, bits)
    for path in (old, moved):
        path.chmod(0o600)
    assert (old.read_bytes(), moved.read_bytes()) == (b"new", b"newer")


@posix
def test_bits_that_run_programs_as_others_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o6755)
    write_whole(path, b"new")
    assert mode(path) == 0o755


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_new_file_follows_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "a", b"new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a") == 0o666 & ~mask


@posix
def test_the_temporary_file_of_a_private_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with replacing(path) as temporary:
        temporary.write_bytes(b"secret")
        assert mode(temporary) == 0o600
    assert (mode(path), path.read_bytes()) == (0o600, b"secret")


@posix
def test_a_group_that_cannot_be_kept_gets_what_everyone_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    old, new = tmp_path / "old", tmp_path / "new"
    for path in (old, new):
        path.write_bytes(b"x")
    if os.getuid() == 0:
        os.chown(old, -1, 12345)
    elif old.stat().st_gid in os.getgroups():
        pytest.skip("needs a file of another group")
    old.chmod(0o664)
    monkeypatch.setattr(os, "chown", refuse)
    copy_permissions(old, new)
    assert mode(new) == 0o644


@posix
def test_the_owner_is_kept(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root gives files away")
    path = tmp_path / "a"
    path.write_bytes(b"old")
    os.chown(path, 1234, 2345)
    write_whole(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


@posix
def test_a_link_is_replaced_in_folders_and_followed_where_a_user_names_it(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_whole(named_file(link), b"new")
    assert (link.is_symlink(), real.read_bytes()) == (True, b"new")
    write_whole(link, b"newer")
    assert (link.is_symlink(), link.read_bytes(), real.read_bytes()) == (False, b"newer", b"new")


def special(folder: Path, kind: str) -> Path:
    path = folder / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    elif kind == "device":
        path.symlink_to(os.devnull)
    else:
        path.symlink_to(folder / "gone")
    return path


@posix
@pytest.mark.parametrize("kind", ["folder", "FIFO", "socket", "device", "does not exist"])
def test_special_files_are_refused_and_kept(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    path = special(tmp_path, kind)
    before = path.lstat()
    with pytest.raises(OSError, match=kind) as caught:
        named_file(path)
    assert caught.value.filename == str(path.resolve() if kind == "device" else path)
    with pytest.raises(RinrError, match=f"cannot be written: is .*{kind}"):
        rinrcodec.save(tiny_pack(), path)
    if not path.is_symlink():
        with pytest.raises(OSError, match=kind):
            write_whole(path, b"new")
    assert path.lstat() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_reported_first(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        named_file(tmp_path / "no/a")


@posix
def test_a_write_protected_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of the system is replaced, because root may write everything."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    for refused, words in ((path, "is write-protected"), (tmp_path, "its folder is write-prot")):
        monkeypatch.setattr(os, "access", lambda asked, _, refused=refused: asked != refused)
        with pytest.raises(PermissionError, match=words):
            named_file(path)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["fsync", "chmod", "replace", "close"])
def test_a_step_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)

    def fail(*_: object) -> None:
        raise error

    class Closing:
        """A file whose last bytes do not fit."""

        def __init__(self, file: object) -> None:
            self.file = file

        def __enter__(self) -> object:
            return self.file.__enter__()  # type: ignore[attr-defined]

        def __exit__(self, *args: object) -> None:
            self.file.__exit__(*args)  # type: ignore[attr-defined]
            raise error

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif step == "close":
        original = Path.open
        monkeypatch.setattr(Path, "open", lambda *args: Closing(original(*args)))
    else:
        monkeypatch.setattr(Path, step, fail)
    with pytest.raises(type(error)):
        write_whole(path, b"new")
    monkeypatch.undo()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"a": b"old"}
    assert os.name == "nt" or mode(path) == 0o640


def test_a_folder_that_cannot_be_flushed_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the new file is there. Some file systems flush no folders."""
    flushed: list[int] = []

    def flush(number: int) -> None:
        flushed.append(number)
        if len(flushed) == 2:
            raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr(os, "fsync", flush)
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def test_an_incomplete_file_never_gets_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None: ...

        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, "full")

    original = Path.open

    def full(path: Path, way: str) -> Full:
        original(path, way).close()  # type: ignore[call-overload]
        return Full()

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="full"):
        create_file(tmp_path / "a", b"new")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
    assert create_file(tmp_path / "a", b"new")


def test_a_store_takes_paths_as_they_are(memory: str) -> None:
    path = to_path(memory)
    assert named_file(path) == path


def tiny_pack() -> rinrcodec.Pack:
    pixels = np.full((8, 8, 3), 90, np.uint8)
    return rinrcodec.encode([pixels], preset="fast", background="siren", steps=1, device="cpu")

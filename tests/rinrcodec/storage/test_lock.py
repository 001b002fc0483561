"""The lock of an output: by the operating system on a disk, by a lease in a bucket."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from rinrcodec.errors import RinrInputError
from rinrcodec.storage import lock as lock_module
from rinrcodec.storage import names_in, to_path
from rinrcodec.storage.atomic import write_whole
from rinrcodec.storage.lock import LOCK, MARKER, locked

HOLDER = """
import sys, time
from pathlib import Path
from rinrcodec.storage.lock import locked
with locked(Path(sys.argv[1]), Path("out")):
    print("held", flush=True)
    time.sleep(600)
"""


def test_one_holder_at_a_time_and_no_file_is_left(tmp_path: Path) -> None:
    root = tmp_path / "work"
    with locked(root, tmp_path):
        with pytest.raises(RinrInputError) as refused:
            locked(root, tmp_path).__enter__()
        assert str(refused.value) == (
            f"another compress is writing to {tmp_path}; wait for it, or give another `out`"
        )
        assert (root / LOCK).exists()
    assert not root.exists()
    with locked(root, tmp_path) as check:
        (root / "part").touch()
        check()
    assert sorted(path.name for path in root.iterdir()) == [LOCK, MARKER, "part"]


@pytest.mark.parametrize("existed", [True, False])
def test_an_empty_folder_created_for_the_run_is_removed(existed: bool, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if existed:
        out.mkdir()
    with locked(out / "work", out):
        pass
    assert out.exists() is existed
    with locked(out / "work", out):
        (out / "result").touch()
    assert [path.name for path in out.iterdir()] == ["result"]


def test_a_folder_that_cannot_be_made_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below /proc, for example, creating a folder fails with "no such file"."""

    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(FileNotFoundError), locked(tmp_path / "nope" / "work", tmp_path / "nope"):
        pass


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    root = tmp_path / "work"
    command = [sys.executable, "-c", HOLDER, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(RinrInputError, match="another compress is writing to"):
                locked(root, tmp_path).__enter__()
        finally:
            holder.kill()
        assert holder.wait(timeout=60) in (-signal.SIGKILL, 1)
    assert (root / LOCK).exists()
    with locked(root, tmp_path):
        pass
    assert not root.exists()


def test_a_lock_file_that_its_holder_removed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if another run ended between the moments that this one opened the file and locked it."""
    root = tmp_path / "work"
    lock_descriptor = lock_module.lock_descriptor
    attempts: list[int] = []

    def late(descriptor: int, *, blocking: bool) -> bool:
        if not attempts:
            (root / LOCK).unlink()
            root.rmdir()
        attempts.append(descriptor)
        return lock_descriptor(descriptor, blocking=blocking)

    monkeypatch.setattr(lock_module, "lock_descriptor", late)
    with locked(root, tmp_path):
        assert len(attempts) == 2
        assert (root / LOCK).exists()


def everything(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def link_to_a_folder(root: Path, elsewhere: Path) -> None:
    root.symlink_to(elsewhere)


def dangling_link(root: Path, elsewhere: Path) -> None:
    root.symlink_to(elsewhere / "absent")


def a_file(root: Path, elsewhere: Path) -> None:  # noqa: ARG001
    root.write_bytes(b"mine")


def folder_of_another_program(root: Path, elsewhere: Path) -> None:  # noqa: ARG001
    (root / "deep").mkdir(parents=True)
    (root / "deep/file").write_bytes(b"mine")


def another_marker(root: Path, elsewhere: Path) -> None:  # noqa: ARG001
    root.mkdir()
    (root / MARKER).write_bytes(b"another program's")


def linked_marker(root: Path, elsewhere: Path) -> None:
    root.mkdir()
    (root / MARKER).symlink_to(elsewhere / "file")


def linked_lock(root: Path, elsewhere: Path) -> None:
    root.mkdir()
    (root / LOCK).symlink_to(elsewhere / "file")


def lock_that_leads_nowhere(root: Path, elsewhere: Path) -> None:
    root.mkdir()
    (root / LOCK).symlink_to(elsewhere / "absent")


def lock_folder(root: Path, elsewhere: Path) -> None:  # noqa: ARG001
    (root / LOCK).mkdir(parents=True)


def lock_pipe(root: Path, elsewhere: Path) -> None:  # noqa: ARG001
    root.mkdir()
    os.mkfifo(root / LOCK)


HARMFUL = [
    link_to_a_folder, dangling_link, a_file, folder_of_another_program, another_marker,
    linked_marker, linked_lock, lock_that_leads_nowhere, lock_folder, lock_pipe,
]  # fmt: skip


@pytest.mark.parametrize("make", HARMFUL, ids=lambda make: make.__name__)
def test_a_folder_that_is_not_ours_is_refused_and_left_as_it_is(
    make: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(b"mine, too")
    out.mkdir()
    make(out / "work", elsewhere)
    before, paths = everything(tmp_path), sorted(tmp_path.rglob("*"))
    for _ in range(2):
        with pytest.raises(RinrInputError) as refused, locked(out / "work", out):
            pass
        assert str(refused.value).startswith(str(out / "work"))
        assert (everything(tmp_path), sorted(tmp_path.rglob("*"))) == (before, paths)


@pytest.mark.parametrize("text", [None, b"", b"Unfinished work of"])
def test_a_folder_that_a_full_disk_left_is_used(text: bytes | None, tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    if text is not None:
        (root / MARKER).write_bytes(text)
    with locked(root, tmp_path):
        assert {path.name for path in root.iterdir()} == {LOCK, MARKER}
    assert not root.exists()


def test_a_lock_that_is_replaced_all_the_time_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "_MOST_ATTEMPTS", 9)
    monkeypatch.setattr(os.path, "samestat", lambda *_: False)
    with (
        pytest.raises(RinrInputError, match="it was replaced 9 times while it was locked"),
        locked(tmp_path / "work", tmp_path),
    ):
        pass


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, *, blocking: bool) -> bool:  # noqa: ARG001
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(lock_module, "lock_descriptor", refuse)


def test_a_file_system_without_locks_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch)
    messages: list[str] = []
    with locked(tmp_path / "work", tmp_path / "out", on_message=messages.append):
        pass
    (message,) = messages
    assert message.startswith(f"warning: {tmp_path}/out: no locks on this file system (")
    assert not (tmp_path / "work").exists()


def test_messages_are_warnings_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locks(monkeypatch)
    with (
        pytest.warns(RuntimeWarning, match=f"^{tmp_path}: no locks on this file system"),
        locked(tmp_path / "work", tmp_path),
    ):
        pass


def test_windows_closes_before_it_removes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows removes no file that is open."""
    calls: list[str] = []

    def noted(name: str, call: Callable[..., None]) -> Callable[..., None]:
        def noting(*args: object, **options: object) -> None:
            calls.append(name)
            call(*args, **options)

        return noting

    monkeypatch.setattr(lock_module, "sys", SimpleNamespace(platform="win32"))
    with locked(tmp_path / "work", tmp_path):
        monkeypatch.setattr(os, "close", noted("closed", os.close))
        monkeypatch.setattr(Path, "unlink", noted("removed", Path.unlink))
    assert calls == ["closed", "removed", "removed"]
    assert not (tmp_path / "work").exists()


def test_a_lease_is_given_back(remote: str) -> None:
    root = to_path(f"{remote}/work")
    with locked(root, root.parent) as check:
        assert names_in(root) == [LOCK]
        check()
    assert names_in(root) == []


def test_the_lease_of_a_dead_holder_runs_out(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "LEASE_S", 0.1)
    root = to_path(f"{memory}/work")
    write_whole(root / LOCK, json.dumps({"host": "gone", "pid": 7, "token": "x"}).encode())
    messages: list[str] = []
    with locked(root, root.parent, on_message=messages.append) as check:
        check()
    assert messages == [
        f"process 7 of gone was writing to {memory}; waiting 0 s to see whether it still is"
    ]

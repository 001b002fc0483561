"""The lock of an output on this machine."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rinrcodec.errors import RinrInputError
from rinrcodec.storage import lock as lock_module


def test_one_at_a_time_and_nothing_is_left(tmp_path: Path) -> None:
    root = tmp_path / "work"
    with lock_module.locked(root, tmp_path):
        with pytest.raises(RinrInputError, match="another compress is writing to"):
            lock_module.locked(root, tmp_path).__enter__()
        assert (root / lock_module.LOCK).exists()
    assert not root.exists()
    with lock_module.locked(root, tmp_path):
        (root / "part").touch()
    assert sorted(path.name for path in root.iterdir()) == [lock_module.LOCK, "part"]


@pytest.mark.parametrize("stood", [True, False])
def test_an_output_folder_that_stays_empty_goes_if_it_was_made_for_it(
    stood: bool, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if stood:
        out.mkdir()
    with lock_module.locked(out / "work", out):
        pass
    assert out.exists() is stood
    with lock_module.locked(out / "work", out):
        (out / "result").touch()
    assert [path.name for path in out.iterdir()] == ["result"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has locks everywhere")
def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import fcntl

    def refuse(*_: int) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with lock_module.locked(tmp_path / "work", tmp_path / "out"):
        pass
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {tmp_path}/out: no locks on this file system (")
    assert not (tmp_path / "work").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="shows elsewhere what is called there")
def test_windows_locks_one_byte_and_closes_before_it_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    def locking(descriptor: int, mode: int, n_bytes: int) -> None:
        calls.append((mode, n_bytes))
        os.fstat(descriptor)
        if len(calls) > 1:
            raise PermissionError(errno.EACCES, "held")

    unlink = Path.unlink

    def noted(path: Path) -> None:
        calls.append("removed")
        unlink(path)

    close = os.close
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    monkeypatch.setattr(lock_module, "sys", SimpleNamespace(platform="win32"))
    with lock_module.locked(tmp_path / "work", tmp_path):
        with pytest.raises(RinrInputError, match="another compress is writing to"):
            lock_module.locked(tmp_path / "work", tmp_path).__enter__()
        monkeypatch.setattr(os, "close", lambda one: (calls.append("closed"), close(one)))
        monkeypatch.setattr(Path, "unlink", noted)
    assert calls == [(2, 1), (2, 1), "closed", "removed"]
    assert not (tmp_path / "work").exists()

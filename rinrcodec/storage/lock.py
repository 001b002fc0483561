"""One `compress` at a time in one output, on this machine and in a bucket."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rinrcodec.errors import RinrInputError
from rinrcodec.storage.places import is_remote
from rinrcodec.storage.stores import create_object, read_range, remove_file, write_object

__all__ = ["LOCK", "locked"]

LOCK = "lock"
# A bucket has no locks that end with their process: whoever holds one renews it, and one that
# nobody renewed for so many seconds has no holder any more.
LEASE_S = 30.0
RENEWALS = 5
_MOST_BYTES = 4096


@contextmanager
def locked(root: Path, out: Path) -> Iterator[Callable[[], None]]:
    """Hold the work folder of an output, as no other process can meanwhile.

    Gives a function to call before anything is published. Both raise `RinrInputError` where
    another process holds the folder: at the beginning, and in a bucket also when this process was
    held up for so long that another took it for dead.
    """
    if is_remote(root):
        with _leased(root / LOCK, out) as check:
            yield check
    else:
        with _file_locked(root, out):
            yield lambda: None


@contextmanager
def _file_locked(root: Path, out: Path) -> Iterator[None]:
    """The folder goes when nothing else is in it, and the one around it if it was made here."""
    file = root / LOCK
    parent_stood = root.parent.exists()
    while True:
        try:
            root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # who held it before is just removing the folder
            continue
        try:
            if not _lock(descriptor, out):
                raise RinrInputError(
                    f"another compress is writing to {out}; wait for it, or give another -o"
                )
            # Whoever held the lock before may have removed the file since it was opened here.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), file.stat()):
                    break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield
    finally:
        if sys.platform == "win32":  # which removes no file that is open, also of another run
            os.close(descriptor)
        with contextlib.suppress(OSError):
            if {path.name for path in root.iterdir()} == {LOCK}:
                file.unlink()
                root.rmdir()
                if not parent_stood:
                    root.parent.rmdir()
        if sys.platform != "win32":
            os.close(descriptor)


def _lock(descriptor: int, out: Path) -> bool:
    """Whether nobody else holds the file."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        click.echo(
            f"warning: {out}: no locks on this file system ({error.strerror}), so two runs that "
            "write to it are not kept apart",
            err=True,
        )
    return True


@contextmanager
def _leased(file: Path, out: Path) -> Iterator[Callable[[], None]]:
    mine = {"host": socket.gethostname(), "pid": os.getpid(), "token": secrets.token_hex(8)}
    if not create_object(file, _text(mine)):
        _wait_for_the_end(file, out)
        if not create_object(file, _text(mine)):
            raise RinrInputError(
                f"another compress is writing to {out}; wait for it, or give another -o"
            )

    def check() -> None:
        if (_holder(file) or {}).get("token") != mine["token"]:
            raise RinrInputError(
                f"another compress took {out} over, as this one had not been heard of for "
                f"{LEASE_S:.0f} s; let that one finish"
            )

    stop = threading.Event()
    renewing = threading.Thread(target=_renew, args=(file, mine, stop), daemon=True)
    renewing.start()
    try:
        yield check
    finally:
        stop.set()
        renewing.join()
        with contextlib.suppress(OSError):
            if (_holder(file) or {}).get("token") == mine["token"]:
                remove_file(file)


def _renew(file: Path, holder: dict[str, object], stop: threading.Event) -> None:
    while not stop.wait(LEASE_S / RENEWALS):
        with contextlib.suppress(OSError):  # the next one may get through
            if (_holder(file) or holder).get("token") == holder["token"]:
                write_object(file, _text(holder))


def _wait_for_the_end(file: Path, out: Path) -> None:
    """Return when the holder is gone; raise `RinrInputError` where it shows that it is not.

    Clocks of machines differ, so what is looked at is whether the file changes.
    """
    before = _holder(file)
    if before is not None:
        click.echo(
            f"{out} was being written to by process {before.get('pid')} of {before.get('host')}; "
            f"seeing for {LEASE_S:.0f} s whether it still is",
            err=True,
        )
    end = time.monotonic() + LEASE_S
    while before is not None and time.monotonic() < end:
        time.sleep(LEASE_S / RENEWALS / 2)
        now = _holder(file)
        if now is not None and now != before:
            raise RinrInputError(
                f"another compress is writing to {out}: process {now.get('pid')} of "
                f"{now.get('host')}; wait for it, or give another -o"
            )
        if now is None:
            return
    remove_file(file)


def _holder(file: Path) -> dict[str, object] | None:
    try:
        # Not `read_file`, which minds that the file changes meanwhile: its holder renews it.
        holder = json.loads(read_range(file, 0, _MOST_BYTES))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _text(holder: dict[str, object]) -> bytes:
    return json.dumps({**holder, "renewed": time.time()}).encode()

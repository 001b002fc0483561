"""One `compress` at a time in one output, on a local disk or in a bucket.

A local folder has a lock of the operating system, which ends with its process. A bucket has no such
locks: there a run holds a lease, an object that it renews.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import lock_descriptor

from rinrcodec.errors import RinrInputError
from rinrcodec.printing import printable
from rinrcodec.storage.atomic import create_file, write_whole
from rinrcodec.storage.files import read_range, remove_file, storage_of

__all__ = ["LOCK", "locked"]

LOCK = "lock"
# A lease that nobody renewed for so many seconds has no holder any more.
LEASE_S = 30.0
RENEWALS = 5
_MOST_BYTES = 4096
# How often a folder may vanish between its making and the making of a file in it.
_MOST_ATTEMPTS = 1000


def _warn(message: str) -> None:
    warnings.warn(printable(message.removeprefix("warning: ")), RuntimeWarning, stacklevel=2)


@contextmanager
def locked(
    root: Path, out: Path, *, on_message: Callable[[str], None] = _warn
) -> Iterator[Callable[[], None]]:
    """Hold the work folder of an output, so that no other process can hold it.

    Args:
        root: the work folder. It is made, and removed at the end if nothing else is in it.
        out: the output, for messages.
        on_message: called with text that is not an error: the file system has no locks, or a lease
            of another process has to run out first. By default a `RuntimeWarning`.

    Yields:
        A function to call before anything is published. It raises `RinrInputError` if another
        process took the lease, because this one did not renew it in time.

    Raises:
        RinrInputError: another process holds the folder.
    """
    if storage_of(root).has_locks:
        with _file_locked(root, out, on_message):
            yield lambda: None
    else:
        with _leased(root / LOCK, out, on_message) as check:
            yield check


@contextmanager
def _file_locked(root: Path, out: Path, on_message: Callable[[str], None]) -> Iterator[None]:
    """Remove the folder when nothing else is in it, and the one around it if it was made here."""
    file = root / LOCK
    parent_existed = root.parent.exists()
    for attempt in itertools.count(1):
        try:
            root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            # Its last holder may be removing the folder right now, but not that often.
            if attempt == _MOST_ATTEMPTS:
                raise
            continue
        try:
            if not _lock(descriptor, out, on_message):
                raise RinrInputError(_refusal(out))
            # The last holder may have removed the file after it was opened here.
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
        if sys.platform == "win32":  # cannot remove an open file; nor can another run's be removed
            os.close(descriptor)
        with contextlib.suppress(OSError):
            if {path.name for path in root.iterdir()} == {LOCK}:
                file.unlink()
                root.rmdir()
                if not parent_existed:
                    root.parent.rmdir()
        if sys.platform != "win32":
            os.close(descriptor)


def _lock(descriptor: int, out: Path, on_message: Callable[[str], None]) -> bool:
    """Return whether nobody else holds the file."""
    # Not `FileLock`: whether it removes its file, or hides errors, depends on its release.
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        on_message(
            f"warning: {out}: no locks on this file system ({error.strerror}), so two runs that "
            "write to it are not kept apart"
        )
        return True


def _refusal(out: Path, holder: str = "") -> str:
    return f"another compress is writing to {out}{holder}; wait for it, or give another -o"


@contextmanager
def _leased(
    file: Path, out: Path, on_message: Callable[[str], None]
) -> Iterator[Callable[[], None]]:
    mine = {"host": socket.gethostname(), "pid": os.getpid(), "token": secrets.token_hex(8)}
    if not create_file(file, _text(mine)):
        _wait_for_the_end(file, out, on_message)
        if not create_file(file, _text(mine)):
            raise RinrInputError(_refusal(out))

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
        with contextlib.suppress(OSError):  # the next renewal may get through
            if (_holder(file) or holder).get("token") == holder["token"]:
                write_whole(file, _text(holder))


def _wait_for_the_end(file: Path, out: Path, on_message: Callable[[str], None]) -> None:
    """Return when the holder is gone; raise `RinrInputError` when it renews its lease.

    Clocks of machines differ, so only a change of the file counts.
    """
    before = _holder(file)
    if before is not None:
        on_message(
            f"{out} was being written to by process {before.get('pid')} of {before.get('host')}; "
            f"seeing for {LEASE_S:.0f} s whether it still is"
        )
    end = time.monotonic() + LEASE_S
    while before is not None and time.monotonic() < end:
        time.sleep(LEASE_S / RENEWALS / 2)
        now = _holder(file)
        if now is not None and now != before:
            holder = f": process {now.get('pid')} of {now.get('host')}"
            raise RinrInputError(_refusal(out, holder))
        if now is None:
            return
    remove_file(file)


def _holder(file: Path) -> dict[str, object] | None:
    try:
        # Not `read_file`, which refuses a file that changes meanwhile, as by a renewal.
        holder = json.loads(read_range(file, 0, _MOST_BYTES))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _text(holder: dict[str, object]) -> bytes:
    return json.dumps({**holder, "renewed": time.time()}).encode()

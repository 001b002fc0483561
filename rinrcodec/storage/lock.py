"""One `compress` at a time in one output, on a local disk or in a bucket.

A local folder has a lock of the operating system, which ends with its process. A bucket has no such
locks: there a run holds a lease, an object that it renews.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import stat
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
from rinrcodec.storage.own_paths import obstacle

__all__ = ["LOCK", "MARKER", "locked"]

LOCK = "lock"
# Says that a folder was made here: everything in it may be removed.
MARKER = "made-by-rinrcodec.txt"
_MARKER_TEXT = (
    b"Unfinished work of rinrcodec compress, which removes this folder when it is done.\n"
)
# A lease that nobody renewed for so many seconds has no holder any more.
LEASE_S = 30.0
RENEWALS = 5
_MOST_BYTES = 4096
# How often a folder or lock may vanish between its making and its use.
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
        RinrInputError: another process holds the folder, or it is not one that this module made:
            a link, a file, or the folder of another program.
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
    parent_existed = root.parent.exists()
    descriptor = _held(root, out, on_message)
    try:
        _mark(root)
        yield
    finally:
        if sys.platform == "win32":  # cannot remove an open file; nor can another run's be removed
            os.close(descriptor)
        with contextlib.suppress(OSError):
            if _names_in(root) <= {LOCK, MARKER}:
                (root / MARKER).unlink(missing_ok=True)
                (root / LOCK).unlink()
                root.rmdir()
                if not parent_existed:
                    root.parent.rmdir()
        if sys.platform != "win32":
            os.close(descriptor)


def _held(root: Path, out: Path, on_message: Callable[[str], None]) -> int:
    """Make the folder and its lock file; return the descriptor of the file, which is locked."""
    file = root / LOCK
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                root.mkdir()
            _check_own(root)
            descriptor = _open_lock(file)
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
                if os.path.samestat(os.fstat(descriptor), file.lstat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise RinrInputError(
        f"{file}: it was replaced {_MOST_ATTEMPTS:,} times while it was locked; give another `out`"
    )


def _open_lock(file: Path) -> int:
    """Open or make the lock file. It is never written to, and never a link or a device."""
    _refuse_others(file)
    flags = os.O_RDWR | os.O_CREAT
    # A name may become a link, or a pipe that nobody writes to, after it was looked at.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(file, flags, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RinrInputError(f"{file} is not a regular file; move it away")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_others(file: Path) -> None:
    """Raise `RinrInputError` for a link or a pipe in the place of a file of our own."""
    problem = obstacle(file, file.parent)
    if problem is not None:
        raise RinrInputError(problem)


def _check_own(root: Path) -> None:
    """Raise `RinrInputError` unless a work folder is a real one of ours, or has nothing in it.

    Else a link, or another program's folder of that name, would be emptied.
    """
    mode = root.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise RinrInputError(
            f"{root}: it is a link. compress keeps its unfinished work in a folder of this name "
            "and follows no link there: remove the link, or give another `out`"
        )
    if not stat.S_ISDIR(mode):
        raise RinrInputError(
            f"{root}: it is a file. compress keeps its unfinished work in a folder of this name: "
            "move the file, or give another `out`"
        )
    names = _names_in(root)
    if MARKER in names:
        marker = root / MARKER
        _refuse_others(marker)
        with marker.open("rb") as opened:
            # A full disk may have cut it.
            if _MARKER_TEXT.startswith(opened.read(len(_MARKER_TEXT) + 1)):
                return
    if foreign := sorted(names - {LOCK}):
        raise RinrInputError(
            f"{root}: it holds {foreign[0]!r} and no {MARKER} as compress writes it, so another "
            "program or release made it. Move the folder away, or give another `out`"
        )


def _mark(root: Path) -> None:
    """Write the marker of a folder whose lock is held."""
    _check_own(root)
    with contextlib.suppress(FileExistsError), (root / MARKER).open("xb") as file:
        file.write(_MARKER_TEXT)


def _names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


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
    return f"another compress is writing to {out}{holder}; wait for it, or give another `out`"


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
                f"another compress took over {out}, because this one did not renew its lock for "
                f"{LEASE_S:.0f} s; let the other one finish"
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
            f"process {before.get('pid')} of {before.get('host')} was writing to {out}; "
            f"waiting {LEASE_S:.0f} s to see whether it still is"
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
    except (ValueError, RecursionError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _text(holder: dict[str, object]) -> bytes:
    return json.dumps({**holder, "renewed": time.time()}).encode()

"""Files that wait, never end or cannot be opened, for tests of everything that reads files."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["ODD_KINDS", "MakeOdd", "in_time", "make_odd"]

MakeOdd = Callable[[Path], None]
# Kind -> what the message about it says.
ODD_KINDS = {
    "fifo": "a FIFO or pipe, not a regular file",
    "socket": "a socket, not a regular file",
    "device": "a device, not a regular file",
    "endless": "a file of the kernel, not a regular file",
    "loop": "",
    "locked": "Permission denied",
}
_LIMIT = 60  # seconds; a hang would last forever


@contextmanager
def in_time() -> Iterator[None]:
    """Raise `TimeoutError` in a block that waits for a file forever."""

    def stop(*_: object) -> None:
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def make_odd(kind: str, monkeypatch: pytest.MonkeyPatch) -> MakeOdd:
    """Give what makes a file of a kind of `ODD_KINDS`."""

    def sock(path: Path) -> None:
        with monkeypatch.context() as patch, socket.socket(socket.AF_UNIX) as one:
            patch.chdir(path.parent)  # the name of a socket has 107 bytes at most
            one.bind(path.name)

    def lock(path: Path) -> None:
        path.write_bytes(b"secret")
        real = os.open

        def refuse(name: object, *args: object, **options: object) -> int:
            # As a file of mode 000, which root may read.
            if str(name) == str(path):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(name, *args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", refuse)

    return {
        "fifo": os.mkfifo,
        "socket": sock,
        "device": lambda path: path.symlink_to("/dev/zero"),
        # It has terabytes, and says that it has none.
        "endless": lambda path: path.symlink_to("/proc/self/pagemap"),
        "loop": lambda path: path.symlink_to(path.name),
        "locked": lock,
    }[kind]

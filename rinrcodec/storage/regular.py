"""Opening files of this machine: regular files alone, and no more bytes than they say they have.

Folders come from strangers. Opening a FIFO may wait forever, opening a device may do something,
and `/dev/zero` or a file of `/proc` never ends although its size is 0. `local.py` and
`byte_source.py` open every file here, and look at the open file, not at its name.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from rinrcodec.errors import RinrInputError

__all__ = [
    "check_regular",
    "kernel_devices",
    "kind_of",
    "naming_file",
    "open_binary",
    "open_regular",
    "read_at_most",
    "read_whole",
]

# O_NONBLOCK: where a FIFO takes the place of a file after the first look, opening it returns.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NONBLOCK")
)
_KINDS = {
    stat.S_IFIFO: "a FIFO or pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_KERNEL = ("/proc", "/sys", "/sys/fs/cgroup", "/sys/kernel/debug", "/sys/kernel/tracing")
# In one call; the memory is taken as it fills.
_BLOCK = 1 << 30


def check_regular(path: Path, status: os.stat_result) -> None:
    """Raise `OSError` unless this is the status of a regular file on a disk.

    Raises:
        IsADirectoryError: It is a folder.
        OSError: It is a FIFO, a socket, a device or a file of the kernel; its number is `EINVAL`.
    """
    mode = status.st_mode
    if stat.S_ISREG(mode) and status.st_dev not in kernel_devices():
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    kind = kind_of(mode) or "a file of the kernel"
    message = f"{kind}, not a regular file; put a file in its place"
    raise OSError(errno.EINVAL, message, str(path))


def kind_of(mode: int) -> str | None:
    """Return what a FIFO, a socket or a device is, by its mode; None of anything else.

    Example:
        >>> kind_of(stat.S_IFIFO | 0o600)
        'a FIFO or pipe'
    """
    return _KINDS.get(stat.S_IFMT(mode))


@cache
def kernel_devices() -> frozenset[int]:
    """Return the device numbers of /proc and /sys, whose files are made up as they are read."""
    found = set()
    for name in _KERNEL:
        with suppress(OSError):
            if Path(name).is_mount():
                found.add(Path(name).stat().st_dev)
    # Where they are folders of a disk, its files are as any.
    return frozenset(found - {Path("/").stat().st_dev})


def open_regular(path: str | os.PathLike[str]) -> tuple[int, os.stat_result]:
    """Open a regular file, also one that a link leads to, without waiting for anything.

    Returns:
        A descriptor, which the caller closes, and the status of the open file.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    file = Path(path)
    # Before it is opened: opening a tape rewinds it, and a socket cannot be opened at all.
    check_regular(file, file.stat())
    descriptor = os.open(file, _FLAGS)
    try:
        status = os.fstat(descriptor)
        check_regular(file, status)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def open_binary(path: Path) -> BinaryIO:
    """Open a regular file as `open(path, "rb")` does; raises as `open_regular`."""
    descriptor, _ = open_regular(path)
    return io.BufferedReader(_Raw(descriptor, path))


class _Raw(io.FileIO):
    """An open file whose errors name it."""

    def __init__(self, descriptor: int, path: Path) -> None:
        super().__init__(descriptor)
        self.name = str(path)

    def readinto(self, buffer: Any) -> int:
        with naming_file(self.name):
            n_bytes: int | None = super().readinto(buffer)
            if n_bytes is None:
                raise BlockingIOError
            return n_bytes


def read_at_most(descriptor: int, length: int, path: Path) -> bytes:
    """Read from the position of a file on: `length` bytes, or fewer at its end.

    Raises:
        OSError: The file waits for data, as some files of `/proc` do.
    """
    parts: list[bytes] = []
    with naming_file(str(path)):
        while length > 0 and (part := os.read(descriptor, min(length, _BLOCK))):
            parts.append(part)
            length -= len(part)
    return b"".join(parts)


def read_whole(descriptor: int, size: int, path: Path) -> bytes:
    """Read a file whose status gives this size, and not a byte more.

    Raises:
        RinrInputError: It has more bytes. Files of `/proc` give 0 as their size.
    """
    data = read_at_most(descriptor, size + 1, path)
    if len(data) > size:
        raise RinrInputError(
            f"{path}: has more bytes than its size of {size:,} says; wait until nothing writes to "
            "it, or copy it to a disk"
        )
    return data


@contextmanager
def naming_file(name: str) -> Iterator[None]:
    """Let the errors of reading a descriptor name its file."""
    try:
        yield
    except BlockingIOError:
        raise OSError(errno.EINVAL, "it has no data to read at the moment", name) from None
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, name) from error

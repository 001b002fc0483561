"""Where a reader's bytes come from: a path, a URL, bytes in memory, or an open binary file."""

from __future__ import annotations

import io
import os
import threading
import weakref
from pathlib import Path
from typing import BinaryIO, Protocol

from rinrcodec.formats.header import HEADER_SIZE, MOST_STRUCTURE, BytesLike
from rinrcodec.storage import as_place, is_remote, read_range, size_in, stamp_of

__all__ = ["ByteSource", "open_bytes"]


class ByteSource(Protocol):
    """Random access to bytes; `read` may return fewer than asked for only at the end."""

    name: str
    size: int

    def read(self, offset: int, length: int) -> bytes: ...

    def changed(self) -> bool:
        """Whether this is not the file any more that was opened."""
        ...

    def close(self) -> None: ...


def open_bytes(source: BytesLike) -> ByteSource:
    """Open a path or URL (which may be closed again) or wrap bytes or a seekable binary file."""
    if isinstance(source, bytes):
        return _Bytes(source)
    if (path := as_place(source)) is None:
        return _Stream(source, owned=False)  # type: ignore[arg-type]
    if is_remote(path):
        return _Object(path)
    return _File(path) if hasattr(os, "pread") else _Stream(path.open("rb"))


class _File:
    """Reads at an offset, so threads and forked processes share the descriptor without a lock."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        stat = os.fstat(fd)
        self.size = stat.st_size
        self._modified = stat.st_mtime_ns
        self._fd = fd
        self.close = weakref.finalize(self, os.close, fd)

    def read(self, offset: int, length: int) -> bytes:
        if not self.close.alive:
            raise ValueError(f"{self.name}: the reader is closed")
        data = os.pread(self._fd, length, offset)
        while 0 < len(data) < length:  # signals and 2 GiB limits shorten reads
            more = os.pread(self._fd, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def changed(self) -> bool:
        stat = os.fstat(self._fd)
        return (stat.st_size, stat.st_mtime_ns) != (self.size, self._modified)


class _Object:
    """Reads ranges of an object behind a URL, each in a request of its own; keeps none of them.

    But for what every opening begins with: the user block and the HDF5 structure, in one range.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._stamp = stamp_of(path)
        self.size = size_in(self._stamp)
        self._head = read_range(path, 0, HEADER_SIZE + MOST_STRUCTURE) if self.size else b""
        self._open = True

    def read(self, offset: int, length: int) -> bytes:
        if not self._open:
            raise ValueError(f"{self.name}: the reader is closed")
        stop = min(offset + length, self.size)
        if stop <= len(self._head):
            return self._head[offset:stop]
        if stop <= offset:
            return b""
        try:
            return read_range(self._path, offset, stop)
        except OSError:
            if not self.changed():
                raise
            return b""  # the caller says that it has changed

    def changed(self) -> bool:
        try:
            return stamp_of(self._path) != self._stamp
        except (FileNotFoundError, IsADirectoryError):
            return True

    def close(self) -> None:
        self._open = False


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.name = "<bytes>"
        self.size = len(data)
        self._data = data

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def changed(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing to release."""


class _Stream:
    """A file object has one position, so threads take turns; it must not cross a fork."""

    def __init__(self, file: BinaryIO, *, owned: bool = True) -> None:
        self.name = str(getattr(file, "name", "<file>"))
        self._file = file
        self._owned = owned
        self._lock = threading.Lock()
        self.size = file.seek(0, io.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(length)
            while 0 < len(data) < length:
                more = self._file.read(length - len(data))
                if not more:
                    break
                data += more
            return data

    def changed(self) -> bool:
        return False

    def close(self) -> None:
        if self._owned:
            self._file.close()

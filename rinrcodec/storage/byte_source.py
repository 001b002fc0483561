"""Random access to bytes: of a local file, an object of a store, an open file, or memory.

A pack reader (`formats`) reads through one of these. `Storage.open_ranges` picks one for a path.
"""

from __future__ import annotations

import io
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from rinrcodec.storage.stamps import size_in

__all__ = ["ByteSource", "FileSource", "MemorySource", "ObjectSource", "StreamSource"]


class ByteSource(Protocol):
    """Random access to bytes; `read` may return fewer than requested only at the end."""

    name: str
    size: int

    def read(self, offset: int, length: int) -> bytes: ...

    def changed(self) -> bool:
        """Whether the file was replaced, modified or removed since it was opened."""
        ...

    def close(self) -> None: ...


class FileSource:
    """Reads at an offset, so threads and forked processes share the descriptor without a lock."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        stat = os.fstat(descriptor)
        self.size = stat.st_size
        self._modified = stat.st_mtime_ns
        self._descriptor = descriptor
        self.close = weakref.finalize(self, os.close, descriptor)

    def read(self, offset: int, length: int) -> bytes:
        if not self.close.alive:
            raise ValueError(f"{self.name}: the reader is closed")
        data = os.pread(self._descriptor, length, offset)
        while 0 < len(data) < length:  # signals and 2 GiB limits shorten reads
            more = os.pread(self._descriptor, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def changed(self) -> bool:
        stat = os.fstat(self._descriptor)
        return (stat.st_size, stat.st_mtime_ns) != (self.size, self._modified)


class ObjectSource:
    """Reads ranges of an object, each in a request of its own, and keeps none of them.

    The exception is the head, with which every reader begins: it is fetched once.
    """

    def __init__(
        self,
        path: Path,
        *,
        head: int,
        stamp_of: Callable[[Path], str],
        read_range: Callable[[Path, int, int], bytes],
    ) -> None:
        self.name = str(path)
        self._path = path
        self._stamp_of, self._read_range = stamp_of, read_range
        self._stamp = stamp_of(path)
        self.size = size_in(self._stamp)
        self._head = read_range(path, 0, head) if self.size and head else b""
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
            return self._read_range(self._path, offset, stop)
        except OSError:
            if not self.changed():
                raise
            return b""  # the caller reports the change

    def changed(self) -> bool:
        try:
            return self._stamp_of(self._path) != self._stamp
        except (FileNotFoundError, IsADirectoryError):
            return True

    def close(self) -> None:
        self._open = False


class StreamSource:
    """A file object has one position, so threads take turns; it must not cross a fork."""

    def __init__(self, file: BinaryIO, *, owned: bool) -> None:
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
        """Close the file if it is `owned`."""
        if self._owned:
            self._file.close()


class MemorySource:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.name = "<bytes>"
        self.size = len(data)
        self._data = data

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

    def changed(self) -> bool:
        return False

    def close(self) -> None:
        """Release nothing."""

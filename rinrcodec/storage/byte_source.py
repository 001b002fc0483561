"""Random access to bytes: of a local file, an open file, or memory. Objects: `remote.py`.

A pack reader (`formats`) reads through one of these. `Storage.open_ranges` picks one for a path.
"""

from __future__ import annotations

import io
import os
import threading
import weakref
from pathlib import Path
from typing import BinaryIO, Protocol

__all__ = ["ByteSource", "FileSource", "MemorySource", "StreamSource"]


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

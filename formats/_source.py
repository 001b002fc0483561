"""Where a reader's bytes come from: a path, bytes in memory, or an open binary file."""

from __future__ import annotations

import io
import os
import threading
import weakref
from pathlib import Path
from typing import BinaryIO, Protocol

from rinrcodec.formats.header import BytesLike

__all__ = ["ByteSource", "open_bytes"]


class ByteSource(Protocol):
    """Random access to bytes; `read` may return fewer than asked for only at the end."""

    name: str
    size: int

    def read(self, offset: int, length: int) -> bytes: ...

    def close(self) -> None: ...


def open_bytes(source: BytesLike) -> ByteSource:
    """Open a path (which may be closed again) or wrap bytes or a seekable binary file."""
    if isinstance(source, (str, os.PathLike)):
        return _File(Path(source)) if hasattr(os, "pread") else _Stream(Path(source).open("rb"))
    if isinstance(source, bytes):
        return _Bytes(source)
    return _Stream(source, owned=False)


class _File:
    """Reads at an offset, so threads and forked processes share the descriptor without a lock."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        self.size = os.fstat(fd).st_size
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


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.name = "<bytes>"
        self.size = len(data)
        self._data = data

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]

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

    def close(self) -> None:
        if self._owned:
            self._file.close()

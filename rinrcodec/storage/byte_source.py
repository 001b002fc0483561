"""Random access to bytes: of a local file, an object of a store, an open file, or memory.

A pack reader (`formats`) reads through one of these. `Storage.open_ranges` picks one for a path.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.storage.fork_lock import ForkSafeLock
from rinrcodec.storage.regular import naming_file, open_regular
from rinrcodec.storage.stamps import size_in

__all__ = [
    "Buffer",
    "ByteSource",
    "FileSource",
    "MemorySource",
    "ObjectSource",
    "StreamSource",
    "is_buffer",
    "source_of",
]

# Bytes in memory. `collections.abc.Buffer` would say it, from Python 3.12 on.
Buffer: TypeAlias = bytes | bytearray | memoryview | mmap.mmap | NDArray[np.uint8]


class ByteSource(Protocol):
    """Random access to bytes; `read` may return fewer than requested only at the end."""

    name: str
    size: int

    def read(self, offset: int, length: int) -> bytes: ...

    def changed(self) -> bool:
        """Return whether the file was replaced, modified or removed since it was opened."""
        ...

    def close(self) -> None: ...


class _Descriptor:
    """A descriptor that closes when nothing refers to it any more.

    A thread that reads refers to it. Were it closed under the thread, its number could by then be
    that of another file.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.number)


class FileSource:
    """Reads at an offset, so threads and forked processes share the descriptor without a lock."""

    def __init__(self, path: Path) -> None:
        try:
            descriptor, _ = open_regular(path)
        except FileNotFoundError:
            raise FileNotFoundError(errno.ENOENT, "there is no such file", str(path)) from None
        self._begin(_Descriptor(descriptor), str(path), None)

    @classmethod
    def of_file(cls, file: io.BufferedReader | io.FileIO, name: str) -> FileSource:
        """Read an open file by a descriptor of its own; its position does not matter."""
        source = cls.__new__(cls)
        source._begin(_Descriptor(os.dup(file.fileno())), name, file)
        return source

    def _begin(self, descriptor: _Descriptor, name: str, file: IO[bytes] | None) -> None:
        self.name = name
        status = os.fstat(descriptor.number)
        self.size = status.st_size
        self._modified = status.st_mtime_ns
        self._open: _Descriptor | None = descriptor
        self._file = file

    def read(self, offset: int, length: int) -> bytes:
        descriptor = self._descriptor()
        # Space after its end needs no memory.
        length = max(0, min(length, self.size - offset))
        with naming_file(self.name):
            data = os.pread(descriptor.number, length, offset)
            while 0 < len(data) < length:  # signals and 2 GiB limits shorten reads
                more = os.pread(descriptor.number, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        return data

    def changed(self) -> bool:
        status = os.fstat(self._descriptor().number)
        return (status.st_size, status.st_mtime_ns) != (self.size, self._modified)

    def close(self) -> None:
        """Close the descriptor, as soon as no other thread reads from it."""
        self._open = None

    def _descriptor(self) -> _Descriptor:
        descriptor = self._open
        if descriptor is None:
            raise ValueError(f"{self.name}: the reader is closed")
        if self._file is not None and self._file.closed:
            raise RinrError(_closed("I/O operation on closed file"))
        return descriptor


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
    """A file object has one position, so threads take turns; it must not cross a fork.

    An ordinary file of the disk is read through `FileSource.of_file` instead.
    """

    def __init__(self, file: BinaryIO, *, owned: bool) -> None:
        self.name = str(getattr(file, "name", None) or "<file>")
        self._file = file
        self._owned = owned
        self._lock = ForkSafeLock()
        try:
            size: int | None = file.seek(0, io.SEEK_END)
            self.size = file.tell() if size is None else size
        except (OSError, ValueError) as error:
            if not isinstance(error, OSError):
                raise RinrInputError(f"{self.name}: {_closed(error)}") from error
            if not isinstance(error, io.UnsupportedOperation) and error.errno != errno.ESPIPE:
                raise
            raise RinrInputError(
                f"{self.name}: has no random access ({error}); "
                "read it whole and open the bytes: rinrcodec.open(file.read())"
            ) from error

    def read(self, offset: int, length: int) -> bytes:
        with self._lock:
            try:
                self._file.seek(offset)
                data = self._read(length)
                while 0 < len(data) < length:
                    more = self._read(length - len(data))
                    if not more:
                        break
                    data += more
            except ValueError as error:
                if isinstance(error, OSError):
                    raise
                if self._owned:
                    raise ValueError(f"{self.name}: the reader is closed") from error
                raise RinrError(_closed(error)) from error
            return data

    def _read(self, length: int) -> bytes:
        data: Any = self._file.read(length)
        if isinstance(data, str):
            raise RinrError('it is open as text; open it with mode "rb"')
        return bytes(data or b"")

    def changed(self) -> bool:
        return False

    def close(self) -> None:
        """Close the file if it is `owned`."""
        if self._owned:
            self._file.close()


class MemorySource:
    """Bytes in memory: those of a buffer, which are not copied."""

    def __init__(self, data: Buffer) -> None:
        self.name = "<bytes>" if isinstance(data, bytes) else f"<{type(data).__name__}>"
        self._data: bytes | mmap.mmap | memoryview | None
        try:
            # A view of a memory map would keep its owner from closing it.
            self._data = data if isinstance(data, (bytes, mmap.mmap)) else _view(data)
            self.size = len(self._data)
        except (ValueError, BufferError) as error:
            raise RinrInputError(f"{self.name}: cannot be read: {error}") from error

    def read(self, offset: int, length: int) -> bytes:
        data = self._data  # another thread may close it from here on
        if data is None:
            raise ValueError(f"{self.name}: the reader is closed")
        try:
            return bytes(data[offset : offset + length])
        except ValueError as error:
            raise RinrError(_closed(error)) from error

    def whole(self) -> bytes:
        """Return a copy of all bytes."""
        return self.read(0, self.size)

    def changed(self) -> bool:
        return False

    def close(self) -> None:
        """Let go of the buffer, so that its owner may resize or free it."""
        if isinstance(self._data, memoryview):
            self._data.release()
        if not isinstance(self._data, bytes):
            self._data = None


def is_buffer(source: object) -> bool:
    """Return whether an object holds bytes in memory, as `bytes`, a memory map or an array does."""
    try:
        memoryview(source).release()  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        return isinstance(source, (mmap.mmap, memoryview))
    return True


def source_of(source: object) -> ByteSource:
    """Wrap a buffer or an open file; raise `RinrInputError` for an object that is neither."""
    if is_buffer(source):
        return MemorySource(source)  # type: ignore[arg-type]
    if not all(callable(getattr(source, name, None)) for name in ("read", "seek")):
        raise RinrInputError(
            f"cannot open a value of type {type(source).__name__}: pass a path, a URL, bytes "
            "(also as a bytearray, memoryview, mmap or uint8 array) or a seekable binary file"
        )
    # No subclass, which may read in another way.
    if type(source) in (io.BufferedReader, io.FileIO) and _is_on_disk(source):
        file = cast(io.FileIO, source)
        return FileSource.of_file(file, str(getattr(file, "name", None) or "<file>"))
    return StreamSource(source, owned=False)  # type: ignore[arg-type]


def _is_on_disk(file: Any) -> bool:
    """Return whether this is an open file on disk with random access."""
    try:
        on_disk = file.readable() and stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError):  # it is closed, or has no descriptor
        return False
    return on_disk and hasattr(os, "pread")


def _closed(error: object) -> str:
    """Describe the error without a name, which readers put before it."""
    return f"it was closed ({error}); keep it open until its reader is closed"


def _view(data: bytearray | memoryview | NDArray[np.uint8]) -> memoryview:
    view = memoryview(cast(Any, data))
    if view.ndim != 1 or view.format not in {"B", "b", "c"}:
        raise RinrInputError(
            f"a {type(data).__name__} of {view.ndim} dimensions and items of format "
            f"{view.format!r} is not the bytes of a file; pass uint8 with one dimension"
        )
    # What has gaps is copied.
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())

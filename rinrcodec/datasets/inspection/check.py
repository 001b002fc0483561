"""Checking files, some at a time: each is read once, or fetched once from its store."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from rinrcodec.datasets.inspection.inventory import ListedFile
from rinrcodec.datasets.inspection.runs import missing
from rinrcodec.datasets.manifest import FileRecord, read_record
from rinrcodec.errors import RinrError, reason
from rinrcodec.formats import PackReader
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.storage import storage_of

__all__ = ["Checked", "check_files"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a file: how many frames it holds, or what is wrong with it."""

    path: Path
    n_frames: int = 0
    error: str | None = None


def check_files(
    files: Sequence[ListedFile], *, jobs: int, limits: Limits = DEFAULT_LIMITS
) -> Generator[Checked, None, None]:
    """Check files in `jobs` threads and give what comes of each, in order.

    Closing the iterator ends the threads at their next read.
    """
    stop = threading.Event()
    ahead: deque[Future[Checked]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for file in files:
                if len(ahead) >= 4 * jobs:
                    yield ahead.popleft().result()
                ahead.append(pool.submit(_check, file, stop, limits))
            while ahead:
                yield ahead.popleft().result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _check(file: ListedFile, stop: threading.Event, limits: Limits) -> Checked:
    try:
        with _opened(file, stop) as opened:
            record = None if file.record is None else read_record(cast(IO[bytes], opened))
            if not file.is_pack:
                return Checked(file.path, 0, _difference(file, record))
            with PackReader(cast(BinaryIO, opened), limits=limits) as reader:
                reader.verify()
                n_frames = reader.n_frames
    except FileNotFoundError as error:
        if file.manifest is None:
            return Checked(file.path, 0, reason(file.path, error))
        return Checked(file.path, 0, missing(file.path, file.manifest))
    except (RinrError, OSError) as error:
        return Checked(file.path, 0, reason(file.path, error))
    difference = _difference(file, record)
    if difference is None and file.n_frames not in (None, n_frames):
        difference = (
            f"{file.path}: it has {n_frames:,} frames, and {file.manifest} says {file.n_frames:,}; "
            "the manifest is wrong, compress with --overwrite makes another"
        )
    return Checked(file.path, n_frames, difference)


def _difference(file: ListedFile, actual: FileRecord | None) -> str | None:
    """What sets a file apart from what was written, where it is as such in order."""
    wanted = file.record
    if wanted is None or actual is None or actual == wanted:
        return None
    if actual.bytes != wanted.bytes:
        what = f"has {actual.bytes:,} bytes, and {wanted.bytes:,} when compress wrote it"
    else:
        what = f"has the SHA-256 {actual.sha256}, and {wanted.sha256} when compress wrote it"
    if not file.is_pack:
        todo = "it was changed, so fetch it again, or remove it and compress with --resume"
    else:
        todo = (
            "another sound pack has its name, so move it away, then fetch the right one or run the "
            "compress that made the folder with --resume"
        )
    return f"{file.path}: it {what}; {todo}"


@contextmanager
def _opened(file: ListedFile, stop: threading.Event) -> Iterator[_Stoppable]:
    """Open a file, or a copy of an object, at its start."""

    def check_stop() -> None:
        if stop.is_set():
            raise _StoppedError

    path = file.path
    with storage_of(path).open_file(path, size=file.size, on_block=check_stop) as opened:
        yield _Stoppable(opened, path, stop)


class _Stoppable:
    """As much of an open file as a reader needs; a read raises once `stop` is set."""

    def __init__(self, file: IO[bytes], path: Path, stop: threading.Event) -> None:
        self.name = str(path)
        self._file = file
        self._stop = stop

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def read(self, length: int) -> bytes:
        if self._stop.is_set():
            raise _StoppedError
        return self._file.read(length)


class _StoppedError(Exception):
    """Nobody wants to know any more."""

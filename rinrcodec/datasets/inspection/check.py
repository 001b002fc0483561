"""Checking files, some at a time: each is read once, or fetched once from its store."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

from rinrcodec.datasets.inspection.inventory import ListedFile
from rinrcodec.datasets.inspection.runs import missing
from rinrcodec.datasets.manifest import FileRecord, read_record
from rinrcodec.decodable import check_file
from rinrcodec.errors import MissingExtraError, RinrError, reason
from rinrcodec.formats import PackReader
from rinrcodec.formats.checks import naming
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.storage import storage_of

__all__ = ["Checked", "check_files"]

# What is larger is done in one thread at a time, so that `jobs` do not multiply the memory.
_LARGE_CHUNK = 2**22
_LARGE_FRAME = 2**22
_alone = threading.Lock()
_SECONDS = 0.25  # between two calls of `on_share`


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a file: how many frames it holds, or what is wrong with it.

    unchecked: why its frames could not be checked here, None where they were.
    """

    path: Path
    n_frames: int = 0
    error: str | None = None
    unchecked: str | None = None


def check_files(
    files: Sequence[ListedFile],
    *,
    jobs: int,
    decode: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    on_share: Callable[[float], object] | None = None,
) -> Generator[Checked, None, None]:
    """Check files in `jobs` threads and give the result of each, in order.

    Closing the iterator ends the threads at their next read or frame.

    Args:
        files: The files.
        jobs: How many files are checked at a time.
        decode: Compute the pixels of all frames, too.
        limits: For every file.
        on_share: Called now and then while this waits for a file whose frames are decoded, with
            how many files are done; fractions count.
    """
    options = _Options(decode, limits)
    done = 0
    stop = threading.Event()
    ahead: deque[Future[Checked]] = deque()

    def next_result() -> Checked:
        nonlocal done
        while on_share is not None and not wait([ahead[0]], _SECONDS).done:
            on_share(done + sum(list(options.shares.values())))
        checked = ahead.popleft().result()
        options.shares.pop(checked.path, None)
        done += 1
        return checked

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for file in files:
                if len(ahead) >= 4 * jobs:
                    yield next_result()
                ahead.append(pool.submit(_check, file, stop, options))
            while ahead:
                yield next_result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Options:
    decode: bool
    limits: Limits
    shares: dict[Path, float] = field(default_factory=dict)  # of files whose frames are decoded


def _check(file: ListedFile, stop: threading.Event, options: _Options) -> Checked:
    unchecked: str | None = None
    try:
        with _opened(file, stop) as opened:
            record = None if file.record is None else read_record(cast(IO[bytes], opened))
            if not file.is_pack:
                return Checked(file.path, 0, _difference(file, record))
            with PackReader(cast(BinaryIO, opened), limits=options.limits) as reader:
                with _alone if reader.largest_chunk > _LARGE_CHUNK else nullcontext():
                    unchecked = _check_frames(file.path, reader)
                n_frames = reader.n_frames
                if options.decode and unchecked is None:
                    unchecked = _decode(file.path, reader, stop, options)
    except FileNotFoundError as error:
        if file.manifest is None:
            return Checked(file.path, 0, reason(file.path, error))
        return Checked(file.path, 0, missing(file.path, file.manifest))
    except (RinrError, OSError) as error:
        return Checked(file.path, 0, reason(file.path, error))
    except MemoryError:
        return Checked(
            file.path, 0, f"{file.path}: there is too little memory to check it; use `jobs=1`"
        )
    difference = _difference(file, record)
    if difference is None and file.n_frames not in (None, n_frames):
        difference = (
            f"{file.path}: it has {n_frames:,} frames, and {file.manifest} says {file.n_frames:,}; "
            "the manifest is wrong, compress with `overwrite=True` makes another"
        )
    return Checked(file.path, n_frames, difference, unchecked)


def _decode(path: Path, reader: PackReader, stop: threading.Event, options: _Options) -> str | None:
    """Decode all frames, one at a time; large ones in one thread at a time.

    Returns why they are not decoded, where they are not.
    """
    from rinrcodec.decoder import Decoder

    decoder = Decoder(reader, limits=options.limits)
    for index, frame in enumerate(reader.all_frames()):
        if stop.is_set():
            raise _StoppedError
        with (
            naming(reader.name),
            _alone if frame.width * frame.height > _LARGE_FRAME else nullcontext(),
        ):
            try:
                decoder.pixels(index)
            except MissingExtraError as error:
                return f"{path}: frames not decoded, as {error}"
        options.shares[path] = (index + 1) / reader.n_frames
    return None


def _check_frames(path: Path, reader: PackReader) -> str | None:
    """Check a file; return why its frames are not checked, where they are not."""
    try:
        unknown = check_file(reader)
    except ImportError as error:  # by a family of networks, on a device without torch
        if not isinstance(error, MissingExtraError) and error.name != "torch":
            raise
        reader.verify()
        hint = MissingExtraError("torch", "torch")
        return f"{path}: the file is as it was written; frames not checked, as {hint}"
    if not unknown:
        return None
    return f"{path}: frames not checked, as {'; '.join(unknown.values())}"


def _difference(file: ListedFile, actual: FileRecord | None) -> str | None:
    """Describe how a file differs from the one that was written, if its content is valid."""
    wanted = file.record
    if wanted is None or actual is None or actual == wanted:
        return None
    if actual.bytes != wanted.bytes:
        what = f"has {actual.bytes:,} bytes, and {wanted.bytes:,} when compress wrote it"
    else:
        what = f"has the SHA-256 {actual.sha256}, and {wanted.sha256} when compress wrote it"
    if not file.is_pack:
        todo = "it was changed, so fetch it again, or remove it and compress with `resume=True`"
    else:
        todo = (
            "another sound pack has its name, so move it away, then fetch the right one or run the "
            "compress that made the folder with `resume=True`"
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

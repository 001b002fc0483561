"""What any bytes may do to the reader: be read or be refused, soon and in little memory.

`check` holds one input against that. The fuzzer calls it on what it makes up, and a test on every
file of the corpus, so a finding fails in both.
"""

from __future__ import annotations

import gc
import io
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

try:
    import resource
except ImportError:  # Windows
    resource = None

from rinrcodec.decoder import decode
from rinrcodec.errors import RinrFormatError, RinrLimitError
from rinrcodec.families.pyramid import entropy
from rinrcodec.files import RinrFile
from rinrcodec.formats import read_header
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Frame

__all__ = ["DEFAULT_MEMORY", "SECONDS", "SMALL", "SMALL_MEMORY", "Finding", "Outcome", "check"]

SECONDS = 1.0  # of CPU time, for all that is done with an input under one set of limits
SMALL = Limits(
    max_frames=256,
    max_pixels=2**18,
    max_boxes=256,
    max_groups=16,
    max_params=2**12,
    max_scales=2**8,
    max_name_bytes=2**8,
    max_metadata_bytes=2**12,
    max_label_bytes=2**12,
    max_chunk_bytes=2**16,
    max_shared_bytes=2**16,
    max_frames_bytes=2**16,
    max_directory_bytes=2**14,
    max_work=2**31,  # a row of latents counts as 2**29, however small it is
)
# What reading may take at its peak. Under small limits, sixteen chunks of 2**16 bytes are kept, and
# items of a byte become Python objects of some fifty. The default limits are for opening alone: a
# directory of 2**24 bytes as text, numbers and objects.
SMALL_MEMORY = 24 * 2**20
DEFAULT_MEMORY = 160 * 2**20
_SLACK = 40 * 2**20  # of the fence, for memory that allocators reserve
STATM = Path("/proc/self/statm")
# Under the default limits, files that declare more are opened but not read to their end.
_DECLARED = 2**20
_PIXELS = 2**10  # of a frame that is decoded
_PLAIN_PIXELS = 64  # of one whose latents are decoded in plain Python, too
_PREDICTED = 2  # frames of latents that are decoded before it
_CHECKED = 2  # frames of a file whose coded rows are decoded
_DECODED = 2  # frames of a file, one of latents
_FRAMES = 64
_MESSAGE = 2_000  # characters: nobody reads more, and a terminal shall not be flooded

Refusal = RinrFormatError | RinrLimitError


class Finding(AssertionError):  # noqa: N818
    """Something that no input may cause."""


class Outcome(Enum):
    """How far an input came."""

    REFUSED = "refused on opening"
    DAMAGED = "opened, then refused"
    SOUND = "verified"


def check(data: bytes, *, exact: bool = True, seconds: float = SECONDS) -> Outcome:
    """Read `data` in every way; raises `Finding`, or what the reader raises against its promise.

    First under small limits. Where these refuse it, then under the default ones. `exact` counts
    every byte that is allocated, which takes five times as long; otherwise allocations fail that
    go far over the bound, on Linux.
    """
    bounded = partial(_bounded, exact=exact, seconds=seconds)
    outcome, refusal = bounded(lambda: _read(data, SMALL), SMALL_MEMORY)
    if isinstance(refusal, RinrLimitError):
        outcome, _ = bounded(lambda: _read(data, DEFAULT_LIMITS), DEFAULT_MEMORY)
    return outcome


Result = tuple[Outcome, Refusal | None]


def _bounded(read: Callable[[], Result], memory: int, *, exact: bool, seconds: float) -> Result:
    """The result of `read`, unless it takes too much CPU time (twice) or memory."""
    took = []
    for _ in range(2):  # the second time without what a first call pays for, and other bad luck
        with _counted(memory) if exact else _fenced(memory + _SLACK):
            start = time.process_time()
            result = read()
            took.append(time.process_time() - start)
        if took[-1] <= seconds:
            return result
        gc.collect()
    raise Finding(f"it takes {min(took):.2f} s of CPU time: expected at most {seconds} s")


@contextmanager
def _counted(most: int) -> Iterator[None]:
    """Raises `Finding` where Python, NumPy and zstandard have more than `most` bytes at once."""
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        yield
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        if not running:
            tracemalloc.stop()
    if peak > most:
        raise Finding(f"it takes {peak:,} bytes of memory: expected at most {most:,}")


@contextmanager
def _fenced(most: int) -> Iterator[None]:
    """Make allocations of any library fail once the process has grown by `most` bytes."""
    if resource is None or not STATM.exists():
        yield
        return
    pages = int(STATM.read_text(encoding="ascii").split(" ", 1)[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


class _Reading:
    """One input under one set of limits: what was refused, and why."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []

    def do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Return the result of the call, or None if it refuses. Other errors reach the caller."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                return call(*arguments)
            except (RinrFormatError, RinrLimitError) as error:
                if len(str(error)) > _MESSAGE:
                    raise Finding(f"a sentence of {len(str(error)):,} characters") from error
                self.refusals.append(error)
        return None

    def result(self, outcome: Outcome) -> Result:
        limit = (error for error in self.refusals if isinstance(error, RinrLimitError))
        return outcome, next(limit, next(iter(self.refusals), None))


def _read(data: bytes, limits: Limits) -> Result:
    reading = _Reading()
    header = reading.do(lambda: read_header(data, limits=limits))
    source = data if limits is SMALL else io.BytesIO(data)
    file: RinrFile | None = reading.do(lambda: RinrFile(source, limits=limits))
    if file is None:
        return reading.result(Outcome.REFUSED)
    if header is None:
        raise Finding("it opens, but its header alone is refused")
    with file:
        reader = file.reader
        _ = (repr(reader), dict(file.info), reader.sizes().overhead)
        declared = sum(reader.row_bytes(number) for number in range(header.n_groups))
        declared = max(declared, int(reader._directory.chunks["size"].sum()))
        if limits is not SMALL and declared > _DECLARED:
            reading.do(file.frame, 0)
            return reading.result(Outcome.DAMAGED if reading.refusals else Outcome.SOUND)
        reading.do(reader.verify)
        sound = not reading.refusals
        frames = _read_all(reading, file)
        # What `verify` has passed must not turn out to be wrong later.
        if sound and reading.refusals:
            raise Finding(f"verified, but then refused: {reading.refusals[0]}")
        if file.n_frames <= _CHECKED:
            small = replace(SMALL, max_pixels=_PIXELS)
            again: RinrFile | None = reading.do(lambda: RinrFile(data, limits=small))
            if again is not None:
                with again:
                    reading.do(again.verify)
        _decode_some(reading, file, frames)
        return reading.result(Outcome.SOUND if sound else Outcome.DAMAGED)


def _read_all(reading: _Reading, file: RinrFile) -> dict[int, Frame]:
    """Every table by the ways that a user has; returns the frames that could be read."""
    names = reading.do(file.names)
    groups = reading.do(lambda: file.groups) or ()
    frames = {}
    n = file.n_frames
    for index in sorted({*range(min(n, _FRAMES)), n - 1}):
        frame = reading.do(file.frame, index)
        if frame is None:
            continue
        frames[index] = frame
        if names is not None and names[index] != frame.name:
            raise Finding(f"frame {index} is {frame.name!r}, in the list {names[index]!r}")
    for number, group in enumerate(groups):
        rows = reading.do(file.read_rows, number, range(group.n_rows))
        last = reading.do(file.read_rows, number, [group.n_rows - 1] if group.n_rows else [])
        if rows is not None and (last is None or not _is_end(rows, last)):
            raise Finding(f"the last row of group {number} is not that of the whole group")
    return frames


def _is_end(rows: Any, last: Any) -> bool:
    n = len(last.codes)
    start = len(rows.codes) - n
    return (
        np.array_equal(rows.codes[start:], last.codes)
        and rows.scales[start:].tobytes() == last.scales.tobytes()
        and rows.coded[start:] == last.coded
    )


def _decode_some(reading: _Reading, file: RinrFile, frames: dict[int, Frame]) -> None:
    groups = reading.do(lambda: file.groups)
    if groups is None:
        return
    left = _DECODED
    for index, frame in reversed(frames.items()):
        coded = groups[frame.background.group].spec.family == "pyramid"
        size = frame.width * frame.height
        if left > 0 and size <= _PIXELS and not (coded and frame.time > _PREDICTED):
            left -= _DECODED if coded else 1
            made = partial(decode, file.reader, index, limits=SMALL)
            pixels: torch.Tensor | None = reading.do(made)
            if coded and size <= _PLAIN_PIXELS:
                with _plainly():
                    others = reading.do(made)
                if (pixels is None) != (others is None) or (
                    pixels is not None and not torch.equal(pixels, others)
                ):
                    raise Finding(f"frame {index} is another one for the decoder in plain Python")
            if pixels is None:
                continue
            if pixels.dtype != torch.uint8 or pixels.shape != (3, frame.height, frame.width):
                raise Finding(f"frame {index} has pixels {pixels.dtype} {tuple(pixels.shape)}")


_plain_table = cache(entropy._table.__wrapped__)


@contextmanager
def _plainly() -> Iterator[None]:
    """Latents are decoded as where constriction is not installed."""
    before = entropy.constriction, entropy._table
    entropy.constriction, entropy._table = None, _plain_table
    try:
        yield
    finally:
        entropy.constriction, entropy._table = before

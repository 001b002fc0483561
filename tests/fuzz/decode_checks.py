"""What any bytes may do to the decoder: become pixels or be refused, soon and in little memory.

`check` holds one input against that, as `reader_checks.check` does for reading. What `verify` calls
sound must decode, and a frame must have the same pixels alone and with others.
"""

from __future__ import annotations

import gc
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from reader_checks import _MESSAGE, SMALL, Finding, Outcome, _counted, _fenced
from torch import Tensor

from rinrcodec.errors import RinrDeviceError, RinrError, RinrLimitError
from rinrcodec.files import RinrFile
from rinrcodec.limits import Limits
from rinrcodec.pack import Frame

__all__ = ["LIMITS", "MEMORY", "SECONDS", "check"]

SECONDS = 2.0  # of CPU time for one call: opening, verifying, or decoding frames
MEMORY = 500 * 2**20
LIMITS = Limits(
    **{
        **{name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__},
        "max_frames": 6,
        "max_pixels": 2**12,
        "max_boxes": 32,
        "max_verify_bytes": 2**22,
        "max_verify_work": 2**32,
    }
)
_PARTS: tuple[dict[str, Any], ...] = (
    {"region": True},
    {"scale": 0.5},
    {"scale": 1.5},
    {"objects": False},
)


def check(data: bytes, *, exact: bool = True, seconds: float = SECONDS) -> Outcome:
    """Decode the frames of `data`; raises `Finding`, or what decoding raises against its promise.

    exact: count every byte that Python and NumPy allocate. Otherwise, and for what torch and dav1d
    allocate, allocations fail that go over the bound, on Linux.
    """
    slowest = []
    for _ in range(2):  # the second time without what a first call pays for
        calls = _Calls()
        with _fenced(MEMORY), _counted(MEMORY) if exact else _nothing():
            outcome = _decode(data, calls)
        slowest.append(calls.slowest)
        if calls.slowest <= seconds:
            return outcome
        gc.collect()
    raise Finding(f"a call takes {min(slowest):.2f} s of CPU time: expected at most {seconds} s")


@contextmanager
def _nothing() -> Iterator[None]:
    yield


class _Calls:
    """The calls that are made for one input."""

    def __init__(self) -> None:
        self.slowest = 0.0  # seconds of CPU time

    def tried(self, call: Callable[[], Any]) -> tuple[Any, RinrError | None]:
        """Return the result of a call, or its refusal. Other errors reach the caller."""
        start = time.process_time()
        try:
            return _tried(call)
        finally:
            self.slowest = max(self.slowest, time.process_time() - start)


def _tried(call: Callable[[], Any]) -> tuple[Any, RinrError | None]:
    """Return the result of a call, or its refusal. Other errors reach the caller."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return call(), None
        except (MemoryError, RinrDeviceError) as error:
            raise Finding(f"it takes over {MEMORY:,} bytes of memory: {error}") from error
        except RinrError as error:
            if len(str(error)) > _MESSAGE:
                raise Finding(f"a sentence of {len(str(error)):,} characters") from error
            return None, error


def _decode(data: bytes, calls: _Calls) -> Outcome:
    file, refusal = calls.tried(lambda: RinrFile(data, limits=LIMITS))
    if file is None:
        return Outcome.REFUSED
    with file:
        _, refusal = calls.tried(file.verify)
        alone: dict[int, Tensor] = {}
        refused: RinrError | None = None
        n = file.n_frames
        for index in sorted({0, n - 1}):
            # A reader of its own each time: no frame may depend on those before it.
            pixels, error = calls.tried(partial(_fresh, data, index))
            refused = refused or error
            if pixels is not None:
                _check_pixels(file.frame(index), pixels)
                alone[index] = pixels
        if refusal is None and refused is not None:
            raise Finding(f"verified, but then refused: {refused}")
        if alone:
            if len(alone) > 1:
                _check_batch(file, alone, calls)
            # One way for every second input: they take as long as all else together.
            way = zlib.crc32(data) // 16 % (2 * len(_PARTS))
            if way < len(_PARTS):
                _decode_part(file, next(iter(alone)), _PARTS[way], calls)
        return Outcome.DAMAGED if refusal else Outcome.SOUND


def _fresh(data: bytes, index: int) -> Tensor:
    with RinrFile(data, limits=LIMITS) as file:
        return file.decode(index)


def _check_pixels(frame: Frame, pixels: Tensor) -> None:
    if pixels.dtype != torch.uint8 or pixels.shape != (3, frame.height, frame.width):
        raise Finding(f"a frame has pixels {pixels.dtype} {tuple(pixels.shape)}")


def _check_batch(file: RinrFile, alone: dict[int, Tensor], calls: _Calls) -> None:
    """Frames together, backwards: the same pixels, unless all of them are too much at once."""
    numbers = list(reversed(alone))
    together, error = calls.tried(lambda: file.decode(numbers))
    if error is not None:
        if isinstance(error, RinrLimitError):
            return
        raise Finding(f"frames decode alone, but not together: {error}")
    for index, pixels in zip(numbers, together, strict=True):
        if not torch.equal(pixels, alone[index]):
            raise Finding(f"frame {index} has other pixels in a batch")


def _decode_part(file: RinrFile, index: int, options: dict[str, Any], calls: _Calls) -> None:
    """A region, or a coarser or finer grid, of a frame that decodes."""
    if "region" in options:
        frame = file.frame(index)
        width, height = -(-frame.width // 2), -(-frame.height // 3)
        corner = (frame.width - width, frame.height - height)
        options = {"region": (*corner, width, height)}
    _, error = calls.tried(partial(file.decode, index, **options))
    if error is not None and not isinstance(error, RinrLimitError):
        raise Finding(f"a frame decodes, but not with {options}: {error}")

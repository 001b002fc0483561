"""Times of the parts of decoding, without a line in the decoder for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

from harness.timing import synchronize

# The functions that do each part; one that calls another of them is counted without it.
PARTS = {
    "read": (
        "rinrcodec.formats.reader.PackReader.frame",
        "rinrcodec.formats.reader.PackReader.read_rows",
    ),
    "zstd": ("rinrcodec.formats._zstd.decompress",),
    "dequantise": ("rinrcodec.compute.quantize.dequantize",),
    "forward": (
        "rinrcodec.compute.grids.Grid.coords",
        "rinrcodec.families.siren.evaluate.evaluate",
    ),
    "paste": (
        "rinrcodec.decoder.Decoder._paste_objects",
        "rinrcodec.decoder.Decoder._decode_and_paste",
        "rinrcodec.compute.compose.apply_object",
    ),
    "round": (
        "rinrcodec.decoder.to_pixels",
        "rinrcodec.decoder.as_rgb",
    ),
}


@dataclass(frozen=True)
class Clock:
    """Seconds of the wall or, with `cpu`, of this process on the CPU.

    On a machine that has other work too, the CPU time of one thread is about what the wall would
    show if it had none. It says nothing of a GPU.
    """

    device: str
    cpu: bool

    def now(self) -> float:
        synchronize(self.device)
        return time.process_time() if self.cpu else time.perf_counter()


@dataclass
class Stopwatch:
    """Seconds spent in every part of `PARTS` while it is `running`."""

    clock: Clock
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    _inside: list[float] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        with ExitStack() as stack:
            for part, names in PARTS.items():
                for name in names:
                    stack.enter_context(patch(name, self._timed(part, resolve_name(name))))
            yield

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            self._inside.append(0.0)
            start = self.clock.now()
            try:
                return function(*arguments, **options)
            finally:
                spent = self.clock.now() - start
                self.seconds[part] += spent - self._inside.pop()
                if self._inside:
                    self._inside[-1] += spent

        return timed

"""SIGTERM and SIGHUP end a command as Ctrl-C does: finished work is kept, nothing is left over."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interrupted_code", "interruptible"]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
# While a command cleans up, further signals would stop that halfway.
_GRACE_S = 5.0
_received: list[tuple[int, float]] = []


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `KeyboardInterrupt` in the block for each of the signals, for the first one at once.

    Signals in the 5 s after one are ignored, because that one is being answered. Signals that are
    ignored when the block begins, as under `nohup`, stay ignored.
    """
    _received.clear()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, _answer)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupted_code() -> int:
    """Return the exit code of a shell for the signal that came: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + (_received[0][0] if _received else signal.SIGINT)


def _answer(number: int, _: FrameType | None) -> None:
    now = time.monotonic()
    if _received and now - _received[-1][1] < _GRACE_S:
        return
    _received.append((number, now))
    raise KeyboardInterrupt

"""SIGTERM and SIGHUP end a command as Ctrl-C does: finished work is kept, nothing is left over."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

__all__ = ["answer_signals", "exit_on_interrupt", "interrupted_code"]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
# While a command cleans up, further signals would stop that halfway.
_GRACE_S = 5.0
_received: list[tuple[int, float]] = []


def exit_on_interrupt() -> None:
    """End the process at Ctrl-C from now until `answer_signals`, with one line and no traceback.

    An exception in the middle of an import could surface as another one, or not at all.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


def answer_signals() -> None:
    """Raise `KeyboardInterrupt` in the main thread for each of the signals, until the process ends.

    Signals in the 5 s after one are ignored, because that one is being answered. Signals that are
    ignored already, as under `nohup`, stay ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, _answer)


def interrupted_code() -> int:
    """Return the exit code of a shell for the signal that came: 130 for Ctrl-C, 143 for SIGTERM."""
    # Python ends itself with SIGINT if an interruption has left code from a string, such as that of
    # a dataclass. Running such code once more clears this.
    exec("")
    return 128 + (_received[0][0] if _received else signal.SIGINT)


def _exit(number: int, _: FrameType | None) -> None:
    try:
        os.write(2, b"interrupted\n")
    finally:  # nothing was begun that would have to be cleaned up
        os._exit(128 + number)


def _answer(number: int, _: FrameType | None) -> None:
    now = time.monotonic()
    if _received and now - _received[-1][1] < _GRACE_S:
        return
    _received.append((number, now))
    raise KeyboardInterrupt

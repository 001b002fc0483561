"""Reports of a long call while it runs: its progress, and notes for people.

`compress`, `decompress` and `verify` take the callbacks. What they say also goes to the logger
`rinrcodec` (docs/notebooks.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from rinrcodec.display.live import Meter, Records, best_view, metering
from rinrcodec.errors import RinrUsageError
from rinrcodec.printing import printable

__all__ = [
    "MESSAGES",
    "Hint",
    "Messages",
    "OnMessage",
    "OnProgress",
    "Progress",
    "ignore",
    "reporting",
]

# The logger of what callbacks get, too, and results hold.
MESSAGES = "rinrcodec.messages"
_SHOW_AFTER_S = 1.0
_messages = logging.getLogger(MESSAGES)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a call is.

    Attributes:
        stage: "fitting", "decoding" or "verifying".
        done: how many of `total` frames (of `verify`: files) are done; fractions count, and it
            never falls.
        total: how many there are.
        label: what is worked on, such as the name of a split; empty where there is no such name.
        failed: how many of those that are done are known to have failed.

    Example:
        >>> from rinrcodec import Progress
        >>> Progress("fitting", 2.5, 10).done
        2.5
    """

    stage: str
    done: float
    total: float
    label: str = ""
    failed: int = 0


class Hint(str):
    """A message to show in any case, also where other messages are dropped.

    It says how to resume after the error that is about to be raised, or that the output is not
    protected from a second run.
    """

    __slots__ = ()


OnProgress = Callable[[Progress], object]
OnMessage = Callable[[str], object]


def ignore(_: object) -> None:
    """Drop a report: the callback where the caller gave none."""


@contextmanager
def reporting(
    on_progress: OnProgress | Literal["auto"] | None, label: str, *, unit: str = "frames"
) -> Iterator[OnProgress]:
    """Give what to call with every `Progress`.

    Args:
        on_progress: a callback; None drops the reports, "auto" draws a bar in a notebook and on a
            terminal, and logs elsewhere.
        label: what is shown before the first report.
        unit: what is counted.

    Raises:
        RinrUsageError: It is anything else.
    """
    if on_progress is None:
        yield ignore
    elif callable(on_progress):
        yield on_progress
    elif on_progress != "auto":
        raise RinrUsageError(f'on_progress={on_progress!r}: expected a function, "auto" or None')
    else:
        meter = Meter(best_view(unit, Records), label=label, unit=unit, after=_SHOW_AFTER_S)
        with metering(meter):
            yield lambda report: meter.report(
                report.done, report.total, report.label or report.stage, failed=report.failed
            )


class Messages:
    """Hands notes for people to a callback and to the logger, and every text to the logger once."""

    def __init__(self, on_message: OnMessage | None = None) -> None:
        self._on_message = on_message or ignore
        self._logged: set[str] = set()

    def __call__(self, message: str) -> None:
        """Take a note; one that begins with "warning: " is logged as such."""
        text = message.removeprefix("warning: ")
        serious = text != message or isinstance(message, Hint)
        self._log(logging.WARNING if serious else logging.INFO, text)
        self._on_message(message)

    def log(self, *texts: Iterable[str]) -> None:
        """Log the warnings and failures of a result that were not told before."""
        for some in texts:
            for text in some:
                self._log(logging.WARNING, text)

    def _log(self, level: int, text: str) -> None:
        if text not in self._logged:
            self._logged.add(text)
            _messages.log(level, "%s", printable(text))

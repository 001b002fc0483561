"""How far long work is: a bar in a notebook or on a terminal, lines or log records elsewhere.

The functions of the library and the command line report to a `Meter`. It never stops the work: a
view that cannot be drawn is closed.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from html import escape
from math import floor
from typing import Any, Protocol

from rinrcodec.printing import printable

__all__ = ["Lines", "Meter", "Records", "Silent", "State", "View", "best_view", "metering"]

# Lines and records come a little more often than every ten seconds, also on a slow machine.
FIRST_S = 3.0
EVERY_S = 6.0
_LOOK_S = 0.5
_REDRAW_S = 0.25  # of a notebook
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """How far work is.

    Attributes:
        label: what is worked on.
        done, total: in units, such as frames; a total of None is not known yet.
        unit: what is counted.
        seconds: since it began.
        failed: how many units of those that are done failed.
    """

    label: str
    done: float = 0
    total: float | None = None
    unit: str = "frames"
    seconds: float = 0
    failed: int = 0

    def __str__(self) -> str:
        since = str(timedelta(seconds=int(self.seconds)))
        label = printable(self.label)
        if not self.total:
            return f"{label}: {since}"
        # Rounded down: 100 % is said when all is done, not before.
        share = floor(1000 * self.done / self.total) / 10
        return f"{label}: {share:.1f} % of {self.total:,.0f} {self.unit}{self.failures}, {since}"

    @property
    def failures(self) -> str:
        """The number of failures as text, after a comma; "" if there are none."""
        return f", {self.failed:,} failed" if self.failed else ""


class View(Protocol):
    """Where a state is shown; `show` is called often, and draws when it is time to."""

    def show(self, state: State) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Shows nothing."""

    def show(self, state: State) -> None:
        pass

    def close(self) -> None:
        pass


class Lines:
    """A line of text now and then, such as for a log file."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._due = FIRST_S

    def show(self, state: State) -> None:
        if state.seconds >= self._due:
            self._due = state.seconds + EVERY_S
            self._write(str(state))

    def close(self) -> None:
        pass


class Records(Lines):
    """Records of the logger `rinrcodec`, of the level INFO."""

    def __init__(self) -> None:
        super().__init__(lambda line: _log.info("%s", line))


class TerminalBar:
    """A bar of rich on the standard error."""

    def __init__(self, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._unit = unit
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            Remaining(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=None, count="")

    def show(self, state: State) -> None:
        count = ""
        if state.total:
            count = f"{floor(state.done)}/{state.total:.0f} {self._unit}{state.failures}"
        self._bar.update(
            self._task,
            completed=state.done,
            total=state.total,
            description=printable(state.label),
            count=count,
        )
        self._bar.start()  # which draws, and does nothing the next time

    def close(self) -> None:
        self._bar.stop()


class NotebookBar:
    """A bar of HTML in the output of a cell; needs no widgets."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._due = 0.0
        self._last: State | None = None

    def show(self, state: State) -> None:
        self._last = state
        if state.seconds >= self._due:
            self._due = state.seconds + _REDRAW_S
            self._draw(state)

    def close(self) -> None:
        if self._last is not None:
            self._draw(self._last)

    def _draw(self, state: State) -> None:
        from IPython.display import HTML, display

        value = f' value="{state.done / state.total:.4f}"' if state.total else ""
        html = HTML(f"<progress{value}></progress> {escape(str(state))}")
        if self._handle is None:
            self._handle = display(html, display_id=True)
        else:
            self._handle.update(html)


class Meter:
    """Takes reports of how far work is, from any thread, and shows them.

    Args:
        make_view: makes the view when there is something to show.
        label: what is worked on, until a report says it.
        unit: what is counted.
        after: seconds before anything is shown, so that short work shows nothing.
        clock: gives seconds.
    """

    def __init__(
        self,
        make_view: Callable[[], View],
        *,
        label: str,
        unit: str = "frames",
        after: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_view = make_view
        self._view: View | None = None
        self._after = after
        self._clock = clock
        self._began = clock()
        self._state = State(label, unit=unit)
        self._lock = threading.Lock()
        self._ended = False

    def report(
        self,
        done: float,
        total: float | None = None,
        label: str | None = None,
        *,
        failed: int = 0,
    ) -> None:
        """Take how much is done; a total or label of None stays as it was."""
        with self._lock:
            known = self._state
            self._state = replace(
                known,
                done=done,
                total=known.total if total is None else total,
                label=label or known.label,
                failed=failed,
            )
            self._show(at_once=True)
            if self._state.total and done >= self._state.total:
                self._end()

    def tick(self) -> None:
        """Show that the work is alive, also where nothing is reported for long."""
        with self._lock:
            self._show(at_once=False)

    def close(self) -> None:
        """Remove what is shown, or leave its last state."""
        with self._lock:
            self._end()
            self._ended = True

    def _show(self, *, at_once: bool) -> None:
        seconds = self._clock() - self._began
        if self._ended or seconds < (self._after if at_once else max(self._after, 1.0)):
            return
        try:
            if self._view is None:
                self._view = self._make_view()
            self._view.show(replace(self._state, seconds=seconds))
        except Exception:  # a terminal that is gone, a kernel that cannot draw
            _log.debug("progress cannot be shown", exc_info=True)
            self._ended = True

    def _end(self) -> None:
        """Close a bar with its last state; lines go on, as there may be more to do."""
        if self._view is None or isinstance(self._view, Lines):
            return
        try:
            if not self._ended:
                self._view.close()
        except Exception:
            _log.debug("progress cannot be shown", exc_info=True)
        self._ended = True


@contextmanager
def metering(meter: Meter) -> Iterator[Meter]:
    """Let a thread tick the meter while the block runs, and close it at the end."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_LOOK_S):
            meter.tick()

    thread = threading.Thread(target=beat, name="rinrcodec-progress", daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        over.set()
        thread.join()
        meter.close()


def best_view(unit: str, otherwise: Callable[[], View]) -> Callable[[], View]:
    """Return what makes a bar, where this is a notebook or a terminal, or `otherwise`."""
    if threading.current_thread() is not threading.main_thread():
        return otherwise  # several bars would overwrite each other
    if _in_notebook():
        return NotebookBar
    if _on_terminal():
        return lambda: TerminalBar(unit)
    return otherwise


def _in_notebook() -> bool:
    """Return whether IPython runs here and shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)()
    # As rich and tqdm do it: the shell of a terminal has another name.
    return type(shell).__name__ in ("ZMQInteractiveShell", "Shell")


def _on_terminal() -> bool:
    """Return whether the standard error is a terminal that can redraw a line."""
    try:
        is_terminal = sys.stderr.isatty()
    except (AttributeError, ValueError):  # none at all, or closed
        return False
    return is_terminal and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")

"""A progress bar on a terminal, nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from rinrcodec.printing import printable

if TYPE_CHECKING:
    from rinrcodec.datasets.progress import Progress

__all__ = ["Bar", "drawing", "progress"]


class Bar(Protocol):
    """What long work reports to: how much is done (fractions count), and where it is."""

    def update(self, done: float, *, label: str | None = None) -> None: ...


class _Silent:
    def update(self, done: float, *, label: str | None = None) -> None:
        pass


@contextmanager
def progress(
    label: str, total: float, *, unit: str = "frames", quiet: bool = False
) -> Iterator[Bar]:
    """Show a bar of `total` units on the standard error, if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    bar = RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn(f"{{task.completed:.0f}}/{{task.total:.0f}} {unit}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )

    class _Bar:
        def update(self, done: float, *, label: str | None = None) -> None:
            shown = None if label is None else printable(label)
            bar.update(task, completed=done, description=shown)

    with bar:
        task = bar.add_task(printable(label), total=total)
        yield _Bar()


@contextmanager
def drawing(*, unit: str = "frames", quiet: bool = False) -> Iterator[Callable[[Progress], None]]:
    """Draw what a call of the library reports, as a bar from its first report to its last."""
    with ExitStack() as stack:
        bar: Bar | None = None

        def draw(report: Progress) -> None:
            nonlocal bar
            label = report.label or report.stage
            if bar is None:
                shown = progress(label, report.total, unit=unit, quiet=quiet)
                bar = stack.enter_context(shown)
            bar.update(report.done, label=label)
            if report.done >= report.total:
                stack.close()

        yield draw

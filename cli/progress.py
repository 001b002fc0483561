"""A progress bar on a terminal, nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Progress", "progress"]


class Progress(Protocol):
    """What long work reports to: how much is done (fractions count), and where it is."""

    def update(self, done: float, *, label: str | None = None) -> None: ...


class _Silent:
    def update(self, done: float, *, label: str | None = None) -> None:
        pass


@contextmanager
def progress(
    label: str, total: float, *, unit: str = "frames", quiet: bool = False
) -> Iterator[Progress]:
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
        TextColumn(f"{{task.completed:.0f}}/{{task.total:.0f}} {unit}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )

    class _Bar:
        def update(self, done: float, *, label: str | None = None) -> None:
            bar.update(task, completed=done, description=label)

    with bar:
        task = bar.add_task(label, total=total)
        yield _Bar()

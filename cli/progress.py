"""How far a command is: a bar on a terminal, a line every few seconds anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rinrcodec.cli.output import say
from rinrcodec.display.live import Lines, Meter, Silent, best_view, metering

if TYPE_CHECKING:
    from rinrcodec.datasets.progress import Progress

__all__ = ["Bar", "drawing", "progress"]


class Bar(Protocol):
    """The interface for long work to report its progress (fractions count) and its place."""

    def update(self, done: float, *, label: str | None = None) -> None: ...


class _Bar:
    def __init__(self, meter: Meter, total: float) -> None:
        self._meter = meter
        self._total = total

    def update(self, done: float, *, label: str | None = None) -> None:
        self._meter.report(done, self._total, label)


@contextmanager
def progress(
    label: str, total: float, *, unit: str = "frames", quiet: bool = False
) -> Iterator[Bar]:
    """Show how much of `total` units is done, on the standard error."""
    with _metering(label, unit, quiet=quiet) as meter:
        meter.report(0, total)
        yield _Bar(meter, total)


@contextmanager
def drawing(
    label: str = "starting", *, unit: str = "frames", quiet: bool = False
) -> Iterator[Callable[[Progress], None]]:
    """Show what a call of the library reports; `label` is shown before its first report."""
    with _metering(label, unit, quiet=quiet) as meter:

        def draw(report: Progress) -> None:
            label = report.label or report.stage
            meter.report(report.done, report.total, label, failed=report.failed)

        yield draw


@contextmanager
def _metering(label: str, unit: str, *, quiet: bool) -> Iterator[Meter]:
    def lines() -> Lines:
        return Lines(lambda line: say(line, err=True))

    if quiet:
        yield Meter(Silent, label=label)
        return
    with metering(Meter(best_view(unit, lines), label=label, unit=unit)) as meter:
        yield meter

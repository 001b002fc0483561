"""The tables of a report as plain text, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rinrcodec.cli.views.fog_table import duration
from rinrcodec.cli.views.report.words import db, milliseconds, size, times
from rinrcodec.evaluation.comparison import OURS, Comparison, method_label
from rinrcodec.evaluation.measure import Figures, Frame
from rinrcodec.evaluation.report import Report
from rinrcodec.evaluation.speed import Speed

__all__ = ["Table", "background_table", "fog_table", "frame_table", "mean_table"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first column is text, the others are numbers.

    marked: the number of the row to point out. best: (row, column) of the cells to point out.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: int | None = None
    best: frozenset[tuple[int, int]] = frozenset()


def mean_table(figures: Figures) -> Table:
    """Return the means of every method, ours marked, with the best PSNR of each column."""
    header, rows = _mean_rows(
        "codec",
        [
            (method_label(method), mean, figures.speeds[method])
            for method, mean in figures.means().items()
        ],
    )
    parts = ("psnr", "background_psnr", "object_psnr")
    best = [
        (number, column)
        for column, part in enumerate(parts, header.index("frame dB"))
        for number in _largest([getattr(mean, part) for mean in figures.means().values()])
    ]
    return Table(header, rows, 0, frozenset(best))


def background_table(report: Report) -> Table:
    """Return the means of our backgrounds at their own sizes, that of the report marked."""
    figures = report.figures
    lines = [(figures.preset, figures.means()[OURS], figures.speeds[OURS])]
    lines += [(other.preset, other.mean(), other.speed) for other in report.others]
    return Table(*_mean_rows("preset, background", lines), 0)


def _mean_rows(
    what: str, lines: Sequence[tuple[str, Comparison, Speed]]
) -> tuple[list[str], list[list[str]]]:
    """The header and rows of means, each with its name and times."""
    header = [what, "bytes a frame", "bits/pixel", "frame dB", "background dB", "objects dB"]
    rows = [
        [
            name,
            size(mean.n_bytes),
            f"{mean.bpp:.3f}",
            db(mean.psnr),
            db(mean.background_psnr),
            db(mean.object_psnr),
            milliseconds(speed.encode),
            milliseconds(speed.decode),
        ]
        for name, mean, speed in lines
    ]
    return [*header, "encode", "decode"], rows


def _largest(values: Sequence[float | None]) -> list[int]:
    """The numbers of the largest values, several if they are equal."""
    largest = max((value for value in values if value is not None), default=None)
    return [i for i, value in enumerate(values) if value is not None and value == largest]


def frame_table(figures: Figures) -> Table:
    """Return every frame, with its PSNR outside and inside the boxes in every codec."""
    methods = [coded.codec for coded in figures.frames[0].coded]
    header = ["frame", "pixels", "boxes", figures.source, ".rinr", *map(method_label, methods)]
    return Table(header, [_frame_cells(frame) for frame in figures.frames])


def _frame_cells(frame: Frame) -> list[str]:
    picture = frame.picture
    return [
        picture.name,
        f"{picture.width}x{picture.height}",
        str(len(picture.boxes)),
        size(frame.source_bytes),
        size(frame.comparisons[0].n_bytes),
        *map(_both_parts, frame.comparisons),
    ]


def _both_parts(comparison: Comparison) -> str:
    return f"{db(comparison.background_psnr)} / {db(comparison.object_psnr)}"


def fog_table(report: Report) -> Table:
    """Return every way through the fog or around it: bytes and time."""
    direct = report.scenario.direct().n_bytes
    rows = [
        [
            way.way if way.way.startswith("train") else f"{way.codec}, {way.way}",
            size(way.n_bytes),
            times(direct / way.n_bytes),
            duration(way.seconds(report.bandwidth)),
        ]
        for way in report.scenario.transfers()
    ]
    return Table(["way", "moved", "times less", "time"], rows)

"""The tables of a report as plain text, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rinrcodec.cli.views.fog_table import duration
from rinrcodec.cli.views.report.words import db, milliseconds, size, times
from rinrcodec.evaluation.measure import Measured
from rinrcodec.evaluation.report import Report
from rinrcodec.evaluation.rows import CodedFrame, Row

__all__ = ["Table", "fog_table", "frame_table", "row_table"]

# Measures of accuracy, by their names in `Accuracy`.
_MAP = {"map50_95": "mAP50-95", "map50": "mAP50"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first column is text, the others are numbers.

    marked: the number of the row to point out. best: (row, column) of the cells to point out.
    notes: for each row what to show below its first cell, if anything.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: int | None = None
    best: frozenset[tuple[int, int]] = frozenset()
    notes: Sequence[str] = ()


def row_table(report: Report) -> Table:
    """Return all recipes and the data as it is, with the advised one marked.

    The best of each column is in colour, without the data as it is.
    """
    measured = report.measured
    rows = [*measured.rows, measured.source]
    qualities: dict[str, Callable[[Row], float | None]] = {}
    if measured.has_objects:
        qualities["objects dB"] = lambda row: row.quality.objects
        qualities["background dB"] = lambda row: row.quality.background
    qualities["frame dB"] = lambda row: row.quality.frame
    accuracies = ("map50_95", "map50") if measured.has_accuracy else ()
    header = [
        "recipe",
        "bytes a frame",
        *map(_MAP.__getitem__, accuracies),
        *qualities,
        "encode",
        "decode",
        "bits/pixel",
    ]

    def is_copy(row: Row) -> bool:
        return all(math.isinf(frame.quality.frame) for frame in row.frames)

    cells = [
        [
            row.name,
            size(row.n_bytes),
            *(f"{getattr(row.accuracy, name):.3f}" for name in accuracies),
            *("exact" if is_copy(row) else db(value(row)) for value in qualities.values()),
            milliseconds(row.speed.encode) if row.speed.encode else "-",
            milliseconds(row.speed.decode) if row.speed.decode else "-",
            f"{row.bpp:.3f}",
        ]
        for row in rows
    ]
    best = [
        (number, header.index(name))
        for name, value in qualities.items()
        for number in _largest([value(row) for row in measured.rows])
    ]
    best += [
        (number, header.index(_MAP[name]))
        for name in accuracies
        for number in _largest([getattr(row.accuracy, name) or None for row in measured.rows])
    ]
    notes = [row.recipe.settings for row in rows]
    return Table(header, cells, rows.index(report.advice.row), frozenset(best), notes)


def _largest(values: Sequence[float | None]) -> list[int]:
    """Return the numbers of the largest values, several if they are equal."""
    largest = max((value for value in values if value is not None), default=None)
    return [i for i, value in enumerate(values) if value is not None and value == largest]


def frame_table(measured: Measured) -> Table:
    """Return every frame, with its bytes and PSNR in every recipe."""
    rows = [measured.source, *measured.rows]
    header = ["frame", "pixels", "boxes", *(row.name for row in rows)]
    cells = [
        [
            picture.name,
            f"{picture.width}x{picture.height}",
            str(len(picture.boxes)),
            *(_figures(row.frames[number], with_parts=measured.has_objects) for row in rows),
        ]
        for number, picture in enumerate(measured.pictures)
    ]
    return Table(header, cells)


def _figures(frame: CodedFrame, *, with_parts: bool) -> str:
    quality = frame.quality
    parts = (quality.background, quality.objects) if with_parts else (quality.frame,)
    return f"{size(frame.n_bytes)}: {' / '.join(map(db, parts))}"


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
    return Table(["way", "sent", "times less", "time"], rows)

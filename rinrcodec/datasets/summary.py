"""What a run of `compress` comes to: figures for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rinrcodec.datasets.manifest import FileRecord
from rinrcodec.datasets.names import shown_name
from rinrcodec.datasets.work import FittedPart
from rinrcodec.metrics import mean_db

__all__ = ["Row", "print_table", "row_as_json", "summarise", "total"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the summary. PSNR values are means over frames, in dB; None where none is."""

    name: str
    frames: int
    boxes: int
    object_inrs: int
    source_bytes: int
    bytes: int
    pixels: int
    psnr_frame: float | None
    psnr_background: float | None
    psnr_objects: float | None
    seconds: float

    @property
    def ratio(self) -> float | None:
        """Source bytes per byte of output."""
        return self.source_bytes / self.bytes if self.source_bytes and self.bytes else None

    @property
    def bits_per_pixel(self) -> float | None:
        return 8 * self.bytes / self.pixels if self.pixels else None


def summarise(name: str, parts: Sequence[FittedPart], files: Iterable[FileRecord]) -> Row:
    """The figures of one series, from its parts and the files written."""
    quality = [item for part in parts for item in part.quality]
    return Row(
        name=name,
        frames=sum(len(part.names) for part in parts),
        boxes=sum(part.boxes for part in parts),
        object_inrs=sum(part.object_inrs for part in parts),
        source_bytes=sum(part.source_bytes for part in parts),
        bytes=sum(file.bytes for file in files),
        pixels=sum(part.pixels for part in parts),
        psnr_frame=mean_db(item[0] for item in quality),
        psnr_background=mean_db(item[1] for item in quality),
        psnr_objects=mean_db(item[2] for item in quality),
        seconds=sum(part.seconds for part in parts),
    )


def total(rows: Sequence[tuple[Row, Sequence[FittedPart]]]) -> Row:
    """All series as one."""
    whole = summarise("total", [part for _, parts in rows for part in parts], ())
    return replace(whole, bytes=sum(row.bytes for row, _ in rows))


def row_as_json(row: Row) -> dict[str, Any]:
    """A row as JSON."""
    return {**asdict(row), "ratio": row.ratio, "bits_per_pixel": row.bits_per_pixel}


def print_table(rows: Sequence[Row]) -> None:
    """Print the summary to the standard output."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Narrow enough for 80 columns, also with a long name of a series.
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="ellipsis", no_wrap=True)
    for heading in ("frames", "source", ".rinr", "ratio", "bpp"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("background\nPSNR dB", justify="right", no_wrap=True)
    table.add_column("objects\nPSNR dB", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(shown_name(row.name)),  # not markup, whatever brackets it has
            f"{row.frames:,}",
            _size(row.source_bytes),
            _size(row.bytes),
            _number(row.ratio, 1, "x"),
            _number(row.bits_per_pixel, 3),
            _number(row.psnr_background, 2),
            _number(row.psnr_objects, 2),
            f"{row.seconds:,.1f}",
        )
    Console().print(table)


def _number(value: float | None, digits: int, unit: str = "") -> str:
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def _size(value: int) -> str:
    if value < 10_000:
        return f"{value:,} B"
    return f"{value / 1e3:,.0f} kB" if value < 10_000_000 else f"{value / 1e6:,.0f} MB"

"""The table that `rinrcodec compress` ends with."""

from __future__ import annotations

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rinrcodec.datasets.names import shown_name
from rinrcodec.datasets.summary import CompressResult

__all__ = ["print_summary"]


def print_summary(result: CompressResult) -> None:
    """Print a line for every series and, of several, one for all of them."""
    lines = result.series if len(result.series) == 1 else (*result.series, result.total)
    # Narrow enough for 80 columns, also with a long name of a series.
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="ellipsis", no_wrap=True)
    for heading in ("frames", "source", ".rinr", "ratio", "bpp"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("background\nPSNR dB", justify="right", no_wrap=True)
    table.add_column("objects\nPSNR dB", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            Text(shown_name(line.name)),  # not markup, also with brackets
            f"{line.frames:,}",
            _size(line.source_bytes),
            _size(line.bytes),
            _number(line.ratio, 1, "x"),
            _number(line.bits_per_pixel, 3),
            _number(line.psnr_background, 2),
            _number(line.psnr_objects, 2),
            f"{line.seconds:,.1f}",
        )
    Console().print(table)
    if result.total.bytes > result.total.source_bytes > 0:
        click.echo("larger than its source: pass a lower --quality or another --background")


def _number(value: float | None, digits: int, unit: str = "") -> str:
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def _size(value: int) -> str:
    if value < 10_000:
        return f"{value:,} B"
    return f"{value / 1e3:,.0f} kB" if value < 10_000_000 else f"{value / 1e6:,.0f} MB"

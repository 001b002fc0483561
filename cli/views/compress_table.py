"""The table that `rinrcodec compress` ends with."""

from __future__ import annotations

from rinrcodec.cli.output import print_table, say
from rinrcodec.datasets.summary import CompressResult

__all__ = ["print_summary"]


_HEADINGS = (
    *("", "frames", "source", ".rinr", "ratio", "bpp"),
    *("background\nPSNR dB", "objects\nPSNR dB", "seconds"),
)


def print_summary(result: CompressResult) -> None:
    """Print a line for every series and, of several, one for all of them."""
    lines = result.series if len(result.series) == 1 else (*result.series, result.total)
    # Narrow enough for 80 columns, also with a long name of a series.
    print_table(
        _HEADINGS,
        [
            (
                line.name,
                f"{line.frames:,}",
                _size(line.source_bytes),
                _size(line.bytes),
                _number(line.ratio, 1, "x"),
                _number(line.bits_per_pixel, 3),
                _number(line.psnr_background, 2),
                _number(line.psnr_objects, 2),
                f"{line.seconds:,.1f}",
            )
            for line in lines
        ],
    )
    if result.total.bytes > result.total.source_bytes > 0:
        say("larger than its source: pass a lower --quality or another --background")


def _number(value: float | None, digits: int, unit: str = "") -> str:
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def _size(value: int) -> str:
    if value < 10_000:
        return f"{value:,} B"
    return f"{value / 1e3:,.0f} kB" if value < 10_000_000 else f"{value / 1e6:,.0f} MB"

"""Numbers as a report shows them."""

from __future__ import annotations

import math

__all__ = ["db", "milliseconds", "size", "times"]


def db(value: float | None) -> str:
    """Format a PSNR: `27.5`, `exact`, or a dash for a part without pixels."""
    if value is None:
        return "-"
    return "exact" if math.isinf(value) else f"{value:.1f}"


def size(n_bytes: float) -> str:
    """Format bytes: `640 B`, `7.1 kB`, `1.2 MB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:,.1f} {name}"
    return f"{n_bytes:.0f} B"


def milliseconds(seconds: float) -> str:
    """Format a short time: `0.4 ms`, `84 ms`, `12.2 s`."""
    if seconds >= 1:
        return f"{seconds:,.1f} s"
    return f"{1000 * seconds:.1f} ms" if seconds < 0.01 else f"{1000 * seconds:.0f} ms"


def times(value: float) -> str:
    """Format a ratio: `4.7x`."""
    return f"{value:.1f}x" if value < 100 else f"{value:,.0f}x"

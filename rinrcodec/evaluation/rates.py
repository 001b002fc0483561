"""Rate against quality: curves, the bytes at a quality, and the Bjontegaard delta rate.

A point is (bytes, PSNR in dB). `benchmarks/` and users who compare codecs call this. It needs
SciPy (extra `demo`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rinrcodec.errors import MissingExtraError, RinrInputError

if TYPE_CHECKING:
    from scipy.interpolate import PchipInterpolator

__all__ = ["bd_rate", "bytes_at", "rate_curve"]

Point = tuple[float, float]


def rate_curve(points: Iterable[Point]) -> list[Point]:
    """Return the points (bytes, PSNR in dB) that no other beats, from the smallest to the largest.

    Both bytes and PSNR increase along them, as `bd_rate` requires. A codec that is asked for all
    its qualities has points that are larger than others and no better.

    Example:
        >>> rate_curve([(300, 32.0), (200, 30.0), (250, 29.5)])
        [(200, 30.0), (300, 32.0)]
    """
    curve: list[Point] = []
    for size, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if not curve or quality > curve[-1][1]:
            curve.append((size, quality))
    return curve


def bytes_at(points: Iterable[Point], quality: float) -> float | None:
    """Return the bytes of a curve at a quality; None where it has no points around it.

    Their logarithm is interpolated between those points.

    Args:
        points: (bytes, PSNR in dB, or another measure of quality), in any order. Only those that no
            other beats count.
        quality: In the unit of the points.

    Example:
        >>> round(bytes_at([(1000, 30.0), (4000, 36.0)], 33.0), 6)
        2000.0
        >>> bytes_at([(1000, 30.0), (4000, 36.0)], 37.0)
    """
    curve = rate_curve(points)
    if not curve or not curve[0][1] <= quality <= curve[-1][1]:
        return None
    sizes, qualities = zip(*curve, strict=True)
    return float(np.exp(np.interp(quality, qualities, np.log(sizes))))


def bd_rate(ours: Iterable[Point], anchor: Iterable[Point]) -> float:
    """Return the Bjontegaard delta rate: how many percent more bytes `ours` takes than `anchor`.

    The logarithm of the bytes is a function of the PSNR: the monotone piecewise cubic of Fritsch
    and Carlson (1980; PCHIP), which video standards use in place of the single cubic of Bjontegaard
    (VCEG-M33). The difference of the two functions is averaged over the PSNR that both curves
    have. Nothing is extrapolated.

    Args:
        ours: Two or more points (bytes, PSNR in dB), in any order.
        anchor: The same for the codec to compare with.

    Returns:
        The percentage; -10 means ten percent fewer bytes at equal PSNR.

    Raises:
        RinrInputError: A curve has fewer than two points or bytes that are not positive, its PSNR
            does not increase with its bytes, or the curves share no range of PSNR.
        MissingExtraError: SciPy is not installed.

    Example:
        >>> anchor = [(1000, 30.0), (2000, 33.0), (4000, 36.0)]
        >>> round(bd_rate([(900, 30.0), (1800, 33.0), (3600, 36.0)], anchor), 6)
        -10.0
    """
    curves = [_curve(ours, "ours"), _curve(anchor, "anchor")]
    low = max(qualities[0] for qualities, _ in curves)
    high = min(qualities[-1] for qualities, _ in curves)
    if low >= high:
        ranges = " and ".join(f"{x[0]:.2f} to {x[-1]:.2f} dB" for x, _ in curves)
        raise RinrInputError(
            f"the curves share no range of PSNR: ours and anchor have {ranges}; give more points"
        )
    areas = [_cubic(*curve).integrate(low, high) for curve in curves]
    return 100 * math.expm1(float(areas[0] - areas[1]) / (high - low))


def _cubic(qualities: NDArray[np.float64], log_bytes: NDArray[np.float64]) -> PchipInterpolator:
    try:
        from scipy.interpolate import PchipInterpolator
    except ImportError as error:
        raise MissingExtraError("scipy", "demo") from error
    return PchipInterpolator(qualities, log_bytes)


def _curve(points: Iterable[Point], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the PSNR and the logarithm of the bytes of a curve.

    Both are float64 [N] and increasing.
    """
    table = np.array(sorted(points), dtype=np.float64).reshape(-1, 2)
    if len(table) < 2:
        raise RinrInputError(f"the curve {name!r} has {len(table)} points: expected two or more")
    sizes, qualities = table.T
    if not (np.isfinite(table).all() and sizes[0] > 0):
        raise RinrInputError(
            f"the curve {name!r} has {table.tolist()}: expected finite, positive bytes"
        )
    stuck = np.flatnonzero((np.diff(qualities) <= 0) | (np.diff(sizes) <= 0))
    if stuck.size:
        (a, p), (b, q) = table[stuck[0]], table[stuck[0] + 1]
        raise RinrInputError(
            f"the curve {name!r} goes from {p:.2f} dB at {a:,.0f} bytes to {q:.2f} dB at "
            f"{b:,.0f}: expected PSNR to increase with bytes (`rate_curve` drops what is beaten)"
        )
    return qualities, np.log(sizes)

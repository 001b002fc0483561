"""Accuracy over bytes: points, the Bjontegaard delta rate, and its interval over pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from accuracy_parts.work import Looked
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.accuracy import Accuracy, average_precision
from rinrcodec.evaluation.rates import bd_rate, bytes_at, rate_curve

__all__ = ["Interval", "Table", "delta_rate", "more_bytes", "point"]

Figure = Callable[[Accuracy], float]
Seen = Sequence[Looked]  # of all pictures of a set, in one coding


# What a 95 % interval leaves out on each side.
TAIL = 0.025
# In place of a rate where the anchor has no points around ours: all accuracies of ours are higher,
# so that the anchor would need more bytes than its largest point, or they are lower.
HIGHER, LOWER = -math.inf, math.inf


@dataclass(frozen=True)
class Interval:
    """A delta rate in percent, and its 95 % interval over resampled sets of the pictures.

    rate: None where the anchor has no points around ours.
    low, high: None where the interval is open to that side: in more than 2.5 % of the resampled
        sets, the anchor has no points around ours there.
    lost: the share of all resampled sets in which it has none.
    """

    rate: float | None
    low: float | None = None
    high: float | None = None
    lost: float = 0.0

    def text(self, number: Callable[[float], str] = "{:+.0f}".format, unit: str = " %") -> str:
        """Return it as a table has it, with `lost` where it matters.

        Args:
            number: How a rate is shown; what it shows must increase with the rate.
            unit: What follows the rate, but not its bounds.
        """
        if self.rate is None:
            return "-"
        words = []
        if self.low is not None and self.high is not None:
            words.append(f"{number(self.low)} to {number(self.high)}")
        elif self.low is not None:
            words.append(f"at least {number(self.low)}")
        elif self.high is not None:
            words.append(f"at most {number(self.high)}")
        if self.lost > TAIL:
            words.append(f"{100 * self.lost:.0f} % without")
        rate = f"{number(self.rate)}{unit}"
        return f"{rate} ({'; '.join(words)})" if words else rate


def point(seen: Seen, numbers: Sequence[int] | None = None) -> tuple[float, Accuracy]:
    """Return mean bytes and accuracy over the pictures of these numbers (None: all)."""
    chosen = seen if numbers is None else [seen[number] for number in numbers]
    size = float(np.mean([one.n_bytes for one in chosen]))
    return size, average_precision([one.matches for one in chosen])


class Table:
    """The points of all codings on chosen pictures and on resampled sets of them.

    Every coding sees the same resampled sets, so their differences are those of the codings.

    Args:
        seen: By the name of a coding.
        numbers: The pictures.
        figure: What counts of an accuracy.
        samples: How many resampled sets; 0 for no interval.
    """

    def __init__(
        self, seen: Mapping[str, Seen], numbers: Sequence[int], figure: Figure, *, samples: int
    ) -> None:
        draw = np.random.default_rng(0)
        draws = [draw.choice(numbers, len(numbers)).tolist() for _ in range(samples)]
        self._points: dict[str, list[tuple[float, float]]] = {}
        for name, its in seen.items():
            rows = [point(its, sample) for sample in (list(numbers), *draws)]
            self._points[name] = [(size, figure(accuracy)) for size, accuracy in rows]

    def points(self, names: Sequence[str], sample: int = 0) -> list[tuple[float, float]]:
        """Return (bytes, figure) of these codings; sample 0 are the pictures themselves."""
        return [self._points[name][sample] for name in names]

    def delta(self, ours: Sequence[str], anchor: Sequence[str]) -> Interval:
        """Return how many percent more bytes `ours` takes at equal accuracy."""
        return self._interval(
            lambda sample: delta_rate(self.points(ours, sample), self.points(anchor, sample))
        )

    def saving(
        self, coding: str, anchor: Sequence[str], *, at: str | None = None, share: float = 1.0
    ) -> Interval:
        """Return how many percent more bytes one coding takes than the anchor.

        Args:
            coding: The name of the coding.
            anchor: The names of the codings of the anchor.
            at: The anchor has the accuracy of this coding; None for that of `coding`.
            share: The anchor has this share of that accuracy.
        """

        def rate(sample: int) -> float:
            (size, _), (_, accuracy) = self.points([coding, at or coding], sample)
            return more_bytes((size, share * accuracy), self.points(anchor, sample))

        return self._interval(rate)

    def _interval(self, rate_of: Callable[[int], float]) -> Interval:
        n_samples = len(next(iter(self._points.values())))
        rate, *others = [rate_of(sample) for sample in range(n_samples)]
        known = rate if math.isfinite(rate) else None
        if not others:
            return Interval(known)
        # Those without a rate count on their side, and of a side that is not known on both.
        lows = [HIGHER if math.isnan(one) else one for one in others]
        highs = [LOWER if math.isnan(one) else one for one in others]
        lost = sum(not math.isfinite(one) for one in others) / len(others)
        low, high = _percentile(lows, TAIL, "lower"), _percentile(highs, 1 - TAIL, "higher")
        return Interval(known, low, high, lost)


def _percentile(
    values: Sequence[float], share: float, method: Literal["lower", "higher"]
) -> float | None:
    """Return the value of the sample at or outside of this share; None where it has no rate."""
    value = float(np.quantile(values, share, method=method))
    return value if math.isfinite(value) else None


def more_bytes(one: tuple[float, float], anchor: Sequence[tuple[float, float]]) -> float:
    """Return how many percent more bytes a point takes than the anchor, between those around it.

    `HIGHER` or `LOWER` where the anchor has no points around it.
    """
    size = bytes_at(anchor, one[1])
    if size is None:
        return HIGHER if one[1] > max(accuracy for _, accuracy in anchor) else LOWER
    return 100 * (one[0] / size - 1)


def delta_rate(ours: Sequence[tuple[float, float]], anchor: Sequence[tuple[float, float]]) -> float:
    """Return `bd_rate` with accuracy in place of PSNR.

    `HIGHER` or `LOWER` where the curves share no range of it; NaN where one of them is a point.
    """
    curves = rate_curve(ours), rate_curve(anchor)
    try:
        return bd_rate(*curves)
    except RinrInputError:
        our_range, its_range = ([accuracy for _, accuracy in curve] for curve in curves)
        if our_range[0] >= its_range[-1]:
            return HIGHER
        return LOWER if our_range[-1] <= its_range[0] else math.nan

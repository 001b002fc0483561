"""Accuracy over bytes: points, the Bjontegaard delta rate, and its interval over pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accuracy_parts.work import Looked
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.accuracy import Accuracy, average_precision
from rinrcodec.evaluation.rates import bd_rate, rate_curve

__all__ = ["Interval", "Table", "delta_rate", "more_bytes", "point"]

Figure = Callable[[Accuracy], float]
Seen = Sequence[Looked]  # of all pictures of a set, in one coding


@dataclass(frozen=True)
class Interval:
    """A delta rate in percent, and the bounds of 95 % of those of the resampled sets.

    None where the curves share no range of accuracy. lost: the share of the resampled sets of which
    that is true.
    """

    rate: float | None
    low: float | None = None
    high: float | None = None
    lost: float = 0.0

    def text(self) -> str:
        """Return it as a table has it."""
        if self.rate is None:
            return "-"
        if self.low is None or self.high is None:
            return f"{self.rate:+.0f} %"
        return f"{self.rate:+.0f} % ({self.low:+.0f} to {self.high:+.0f})"


def point(seen: Seen, numbers: Sequence[int] | None = None) -> tuple[float, Accuracy]:
    """Mean bytes and accuracy over the pictures of these numbers (None: all)."""
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

    def saving(self, coding: str, anchor: Sequence[str]) -> Interval:
        """Return how many percent more bytes one coding takes than the anchor at its accuracy."""
        return self._interval(
            lambda sample: more_bytes(self.points([coding], sample)[0], self.points(anchor, sample))
        )

    def _interval(self, rate_of: Callable[[int], float | None]) -> Interval:
        n_samples = len(next(iter(self._points.values())))
        rate, *others = [rate_of(sample) for sample in range(n_samples)]
        known = [one for one in others if one is not None]
        if rate is None or not known:
            return Interval(rate)
        low, high = np.percentile(known, [2.5, 97.5])
        return Interval(rate, float(low), float(high), 1 - len(known) / len(others))


def more_bytes(one: tuple[float, float], anchor: Sequence[tuple[float, float]]) -> float | None:
    """How many percent more bytes a point takes than the anchor, between the points around it.

    None where the anchor has no points of that accuracy around it.
    """
    sizes, accuracies = np.array(rate_curve(anchor)).T
    if not accuracies[0] <= one[1] <= accuracies[-1]:
        return None
    size = np.exp(np.interp(one[1], accuracies, np.log(sizes)))
    return float(100 * (one[0] / size - 1))


def delta_rate(
    ours: Sequence[tuple[float, float]], anchor: Sequence[tuple[float, float]]
) -> float | None:
    """`bd_rate` with accuracy in place of PSNR; None where the curves share no range of it."""
    try:
        return bd_rate(rate_curve(ours), rate_curve(anchor))
    except RinrInputError:
        return None

"""Latents as bytes: integers coded with Laplace distributions, to the same bits on every machine.

A latent v with a mean of m eighths is split at the integer nearest to the mean, c = (m + 4) // 8
rounded down, and the residual v - c is coded with the table of its scale and of f = m - 8 c. The
tables are integers that follow from correctly rounded decimal arithmetic (`frequencies`), so no
floating point unit, compiler or library has a say in them.

The coder is the range coder of constriction (Bamler, arXiv:2201.01741): words of 32 bits, a state
of 64, probabilities of 24. The stream is its words, most significant byte first, without the zero
bytes at its end. It has no length, no checksum and no mark at its end: the container has.
"""

from __future__ import annotations

import builtins
from bisect import bisect_right
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rinrcodec.errors import RinrError, RinrFormatError, RinrInputError

try:
    import constriction
except ImportError:  # it has no wheel for every machine: see `_PlainDecoder`
    constriction = None

__all__ = [
    "LARGEST",
    "MEAN_STEPS",
    "N_SCALES",
    "LatentDecoder",
    "LatentEncoder",
    "bits",
    "frequencies",
]

MEAN_STEPS = 8
N_SCALES = 61
LARGEST = 127

_TOTAL = 2**24
_HALF = MEAN_STEPS // 2
_REACH = 2 * LARGEST  # of a residual: the latent at one end of the range, its mean at the other
_SYMBOLS = 2 * _REACH + 1

# Everything is said, so that nothing comes from what a program has made its default.
_ARITHMETIC = Context(
    prec=50, rounding=ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999, clamp=0, flags=[], traps=[]
)

_Integers = NDArray[np.integer[Any]]


@cache
def frequencies(scale: int, fraction: int) -> NDArray[np.int32]:
    """Compute how many of 2 ** 24 parts every residual gets: int32 [509], from -254 to 254.

    scale: index i, 0 to 60, of the Laplace scale exp(-3 + i / 8); fraction: -4 to 3, eighths by
    which the mean exceeds the integer that residuals count from. Every residual gets one part; the
    cumulative distribution between -254.5 and 254.5, rounded to integers, divides the others.
    Raises RinrInputError for a table that does not exist.
    """
    if not (0 <= scale < N_SCALES and -_HALF <= fraction < _HALF):
        raise RinrInputError(
            f"there is no table for scale {scale} and fraction {fraction}: "
            f"scales are 0 to {N_SCALES - 1}, fractions {-_HALF} to {_HALF - 1}"
        )
    with localcontext(_ARITHMETIC):
        steepness = (Decimal(24 - scale) / 8).exp()
        # Twice the mass beyond either edge of residual 0. From there it falls by a constant ratio.
        left = (steepness * (-_HALF - fraction) / MEAN_STEPS).exp()
        right = (steepness * (-_HALF + fraction) / MEAN_STEPS).exp()
        ratio = (-steepness).exp()
        powers = [Decimal(1)]
        for _ in range(_REACH):
            powers.append(powers[-1] * ratio)
        edges = [left * power for power in reversed(powers)]
        edges += [2 - right * power for power in powers]
        parts = (_TOTAL - _SYMBOLS) / (edges[-1] - edges[0])
        cumulative = [round((edge - edges[0]) * parts) for edge in edges]
    counts = (np.diff(cumulative) + 1).astype(np.int32)
    counts.setflags(write=False)
    return counts


class _Table(NamedTuple):
    model: Any  # constriction's; without it, where in 2 ** 24 parts every residual begins
    bits: NDArray[np.float64]  # [509]


@cache
def _table(key: int) -> _Table:
    scale, fraction = divmod(key, MEAN_STEPS)
    counts = frequencies(scale, fraction - _HALF)
    # constriction gives every symbol one part and divides the others in proportion: weights that
    # already add up to the others are scaled by exactly 1, and float64 holds all of the sums.
    if constriction is None:
        model = [0, *np.cumsum(counts).tolist()]
    else:
        model = constriction.stream.model.Categorical(counts - 1.0, perfect=False)
    return _Table(model, 24 - np.log2(counts))


class _Plan(NamedTuple):
    """The order in which the latents of one call are coded: table by table."""

    centers: NDArray[np.int32]
    order: NDArray[np.intp]
    runs: list[tuple[_Table, slice]]  # runs of `order` that share a table


def _checked(name: str, array: _Integers, lowest: int, highest: int) -> NDArray[np.int32]:
    array = np.asarray(array)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise RinrInputError(
            f"{name} are {array.dtype} of shape {array.shape}: expected a 1-D array of integers"
        )
    if array.size and (array.min() < lowest or array.max() > highest):
        raise RinrInputError(
            f"{name} range from {array.min()} to {array.max()}: "
            f"they must be between {lowest} and {highest}"
        )
    return array.astype(np.int32)


def _plan(means: _Integers, scales: _Integers) -> _Plan:
    means = _checked("means", means, -LARGEST * MEAN_STEPS, LARGEST * MEAN_STEPS)
    scales = _checked("scales", scales, 0, N_SCALES - 1)
    if len(means) != len(scales):
        raise RinrInputError(f"{len(means)} means but {len(scales)} scales: give as many of each")
    centers = (means + _HALF) // MEAN_STEPS
    # Sixteen bits, which NumPy sorts by radix.
    keys = (scales * MEAN_STEPS + means - centers * MEAN_STEPS + _HALF).astype(np.uint16)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=np.uint16(0xFFFF))).tolist()
    runs = [
        (_table(int(keys[start])), slice(start, stop))
        for start, stop in pairwise([*starts, len(keys)])
    ]
    return _Plan(centers, order, runs)


def _symbols(values: _Integers, plan: _Plan) -> NDArray[np.int32]:
    """Compute the index in its table of every latent, in the order of coding."""
    values = _checked("values", values, -LARGEST, LARGEST)
    if len(values) != len(plan.order):
        raise RinrInputError(
            f"{len(values)} values but {len(plan.order)} means: give as many of each"
        )
    symbols: NDArray[np.int32] = (values - plan.centers + _REACH)[plan.order]
    return symbols


def bits(values: _Integers, means: _Integers, scales: _Integers) -> NDArray[np.float64]:
    """Compute the bits that the tables charge for every value: float64 [n].

    The arguments are those of `put`.
    """
    plan = _plan(means, scales)
    symbols = _symbols(values, plan)
    costs = np.empty(len(symbols))
    for table, run in plan.runs:
        costs[plan.order[run]] = table.bits[symbols[run]]
    return costs


def _end(lower: int, width: int) -> bytes:
    """Return the eight bytes that end a stream whose last number is in [lower, lower + width).

    constriction picks that number by whole words, we the one with most zero bytes at its end: a
    decoder reads zeros beyond the end, so those, and any before them, need not be stored.
    """
    for zeros in (56, 48, 40, 32):
        number = -(-lower >> zeros) << zeros
        if number < min(lower + width, 2**64):
            return number.to_bytes(8, "big")
    return bytes(8)  # rounding up carries into the words before, where constriction has added it


class LatentEncoder:
    """Codes latents, call after call, into one stream that `LatentDecoder` takes back."""

    def __init__(self) -> None:
        if constriction is None:
            raise RinrError(
                "coding latents needs the package constriction, which is not installed (it has no "
                "wheel for Linux on ARM: encode on another machine; decoding works without it)"
            )
        self._coder = constriction.stream.queue.RangeEncoder()

    def put(self, values: _Integers, means: _Integers, scales: _Integers) -> None:
        """Code integer arrays [n]; n may be 0.

        values: -127 to 127; means: eighths, -1016 to 1016; scales: 0 to 60, index i means a
        Laplace scale of exp(-3 + i / 8). Raises RinrInputError, with nothing coded, for anything
        else.
        """
        plan = _plan(means, scales)
        symbols = _symbols(values, plan)
        for table, run in plan.runs:
            self._coder.encode(symbols[run], table.model)

    def bytes(self) -> builtins.bytes:
        """Return the stream of all values put so far.

        It takes about one byte more than the sum of `bits`.
        """
        settled, (lower, width) = self._coder.pos()
        words: NDArray[np.uint32] = self._coder.get_compressed()[:settled]
        return (words.astype(">u4").tobytes() + _end(lower, width)).rstrip(b"\0")


class _PlainDecoder:
    """The decoder of constriction in plain Python: the same values, several times slower."""

    def __init__(self, words: NDArray[np.uint32]) -> None:
        self._words = iter(words.tolist())
        self._offset = next(self._words, 0) << 32 | next(self._words, 0)
        self._width = 2**64 - 1

    def decode(self, edges: list[int], count: int) -> NDArray[np.int32]:
        """Decode the next `count` symbols, of a table whose symbols begin at `edges`."""
        symbols = np.empty(count, np.int32)
        for k in range(count):
            part = self._width >> 24
            position = self._offset // part
            if position >= _TOTAL:
                raise AssertionError("a place beyond the end of its table")
            symbol = bisect_right(edges, position) - 1
            self._offset -= part * edges[symbol]
            self._width = part * (edges[symbol + 1] - edges[symbol])
            if self._width < 2**32:
                self._offset = self._offset << 32 | next(self._words, 0)
                self._width <<= 32
            symbols[k] = symbol
        return symbols


class LatentDecoder:
    """Takes latents out of a stream of `LatentEncoder`, by calls with its means and scales.

    Damage is noticed where it leads out of the range of latents. Elsewhere it is not, and latents
    come out that were never put in: the container's checksums are there to find it.
    """

    def __init__(self, data: bytes) -> None:
        whole = data.ljust(max(4, len(data) + -len(data) % 4), b"\0")
        words = np.frombuffer(whole, ">u4").astype(np.uint32)
        self._coder: Any
        if constriction is None:
            self._coder = _PlainDecoder(words)
        else:
            self._coder = constriction.stream.queue.RangeDecoder(words)

    def take(self, means: _Integers, scales: _Integers) -> NDArray[np.int32]:
        """Decode the values, int32 [n] from -127 to 127, that were put with these means and scales.

        Raises RinrInputError for arguments that `put` refuses, and RinrFormatError where the stream
        cannot come from `put`.
        """
        plan = _plan(means, scales)
        symbols = np.empty(len(plan.order), np.int32)
        for table, run in plan.runs:
            try:
                symbols[run] = self._coder.decode(table.model, run.stop - run.start)
            except AssertionError as error:  # how both decoders refuse data that no encoder writes
                raise RinrFormatError(f"the coded latents are damaged: {error}") from error
        values = plan.centers - _REACH
        values[plan.order] += symbols
        if values.size and (values.min() < -LARGEST or values.max() > LARGEST):
            raise RinrFormatError(
                f"the coded latents are damaged: they range from {values.min()} to {values.max()}, "
                f"outside of {-LARGEST} to {LARGEST}"
            )
        return values

"""Which recipe to use at which bandwidth, from measured rows alone.

Recipes that take more bytes than all others do not count. One that another beats both inside and
outside the boxes at as many bytes is out, unless it needs no fog and the other does. Of those left
the one with the sharpest objects is best (the best frame, where there are no boxes), as long as it
gets the data to its users sooner than sending it as it is. At a higher bandwidth the next best
counts, and in the end the data as it is, which nobody has to encode. Where both take about the same
time, by times that a busy machine makes longer, a sentence says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.fog import Codec, Device, Transfer, pays_below, serverless, through_fog
from rinrcodec.evaluation.rows import Row

__all__ = ["Advice", "Band", "advise", "beats", "codec_of", "comparable", "transfer"]

# Sizes that differ by less than this share count as equal.
_SIZE_TOLERANCE = 0.06
# Times of busy machines, and so the bandwidths that follow from them, differ by this factor.
_TIME_FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class Band:
    """Use `row` up to `below` bytes a second, from the last band on."""

    row: Row
    below: float


@dataclass(frozen=True, slots=True)
class Advice:
    """The advice for `bandwidth` bytes a second, and the reasons.

    Attributes:
        row: the recipe to use; the source, for the data as it is.
        bands: what to use at every other bandwidth, from slow to fast; the last one has no end.
    """

    bandwidth: float
    row: Row
    bands: tuple[Band, ...]
    headline: str
    reasons: tuple[str, ...]


def codec_of(row: Row, source: Row) -> Codec:
    """Return what the fog has to know of a recipe; `source` is the data as it is, of alpha 1."""
    encode = 0.0 if row is source else row.speed.encode
    return Codec(row.name, row.n_bytes / source.n_bytes, encode, row.speed.decode)


def transfer(
    row: Row, source: Row, devices: Sequence[Device], *, broadcast: bool = False
) -> Transfer:
    """Return what it costs to get the data to its users in a recipe."""
    way = through_fog if row.at_fog else serverless
    return way(devices, codec_of(row, source), broadcast=broadcast)


def beats(one: Row, other: Row) -> bool:
    """Return whether a recipe beats another.

    It is better inside or outside the boxes, worse in neither, and not larger.
    """
    mine, others = (one.inside, one.outside), (other.inside, other.outside)
    if mine == others or one.n_bytes > other.n_bytes * (1 + _SIZE_TOLERANCE):
        return False
    return all(a >= b for a, b in zip(mine, others, strict=True))


def comparable(rows: Sequence[Row], most_bytes: float) -> list[Row]:
    """Return the rows of at most about these bytes a frame."""
    return [row for row in rows if row.n_bytes <= most_bytes * (1 + _SIZE_TOLERANCE)]


def advise(
    rows: Sequence[Row],
    devices: Sequence[Device],
    *,
    bandwidth: float,
    source: Row,
    most_bytes: float = math.inf,
    broadcast: bool = False,
) -> Advice:
    """Choose among `rows` for these devices.

    Args:
        rows: At least one, of different names.
        devices: Who holds how much, and for how many others.
        bandwidth: Of the link that all share, in bytes a second.
        source: The data as it is.
        most_bytes: Of a frame; larger recipes are not advised, as better quality is no surprise.
        broadcast: One transmission reaches all.

    Raises:
        RinrInputError: There are no rows, or the bandwidth is none.
    """
    if not (math.isfinite(bandwidth) and bandwidth > 0):
        raise RinrInputError(f"bandwidth is {bandwidth}: expected bytes a second above 0")
    options = comparable(rows, most_bytes)
    if not options:
        raise RinrInputError("no codecs to choose from; expected at least one")
    direct = serverless(devices, codec_of(source, source), broadcast=broadcast)
    left = [row for row in options if not any(_ousts(other, row) for other in options)]
    left.sort(key=lambda row: (row.inside, row.outside), reverse=True)
    below = {
        row.name: pays_below(transfer(row, source, devices, broadcast=broadcast), direct)
        for row in options
    }
    bands: list[Band] = []
    for row in left:
        if below[row.name] > (bands[-1].below if bands else 0):
            bands.append(Band(row, below[row.name]))
    if not bands or math.isfinite(bands[-1].below):
        bands.append(Band(source, math.inf))
    use = next(band.row for band in bands if bandwidth < band.below)
    todo = _as_it_is(source) if use is source else use.name
    headline = f"At {_speed(bandwidth)}, {'send' if use is source else 'use'} {todo}."
    reasons = [
        _quality(options, left),
        *_better_outside(left),
        *_about_equal(left, below, use, bandwidth, source),
        *_too_slow(left, below, use, bandwidth, source),
        _bands(bands, source),
        *_larger(rows, options),
        *_beaten(options),
    ]
    return Advice(bandwidth, use, tuple(bands), headline, tuple(reasons))


def _ousts(one: Row, other: Row) -> bool:
    return beats(one, other) and (other.at_fog or not one.at_fog)


def _as_it_is(source: Row) -> str:
    return " ".join(filter(None, ("the", source.name, source.recipe.settings)))


def _quality(options: Sequence[Row], left: Sequence[Row]) -> str:
    best = left[0]
    what = "over the frame" if best.quality.objects is None else "inside the boxes"
    ranked = sorted(options, key=lambda row: row.inside, reverse=True)
    rest = ", ".join(f"{o.name} {_db(o.inside)} at {_size(o)}" for o in ranked if o is not best)
    return f"{best.name} has {_db(best.inside)} {what} at {_size(best)} a frame" + (
        f"; {rest}." if rest else "."
    )


def _better_outside(left: Sequence[Row]) -> list[str]:
    best = left[0]
    other = max(left, key=lambda row: row.outside)
    if other is best or other.outside == best.outside:
        return []
    return [
        f"Where the background counts as much, {other.name} is better: "
        f"{_db(other.outside)} outside the boxes, {best.name} {_db(best.outside)}."
    ]


def _is_about_equal(below: float, bandwidth: float) -> bool:
    """Return whether a codec that pays below a bandwidth takes about as long as the source here."""
    return bandwidth / _TIME_FACTOR <= below <= bandwidth * _TIME_FACTOR


def _about_equal(
    left: Sequence[Row], below: dict[str, float], use: Row, bandwidth: float, source: Row
) -> list[str]:
    """List the codec to use, and better ones, whose time is about that of the source."""
    last = left.index(use) + 1 if use in left else len(left)
    return [
        f"At {_speed(bandwidth)}, {row.name} and {_as_it_is(source)} take about the same time: "
        f"{row.name} pays below about {_speed(below[row.name])}, and times on a busy machine "
        "differ by as much."
        for row in left[:last]
        if _is_about_equal(below[row.name], bandwidth)
    ]


def _too_slow(
    left: Sequence[Row], below: dict[str, float], use: Row, bandwidth: float, source: Row
) -> list[str]:
    """List the better codecs that are slower than the source, and so cannot be used."""
    better = left[: left.index(use)] if use in left else left
    return [
        f"At {_speed(bandwidth)} {row.name} takes longer than it saves: it pays below "
        f"{_speed(below[row.name])}."
        if below[row.name]
        else f"{row.name} at {_size(row)} a frame moves no less than the {source.name}, of "
        f"{_size(source)}."
        for row in better
        if not _is_about_equal(below[row.name], bandwidth)
    ]


def _bands(bands: Sequence[Band], source: Row) -> str:
    def name(row: Row) -> str:
        return _as_it_is(source) if row is source else row.name

    if len(bands) == 1:
        return f"That holds at any bandwidth: {name(bands[0].row)}."
    parts = []
    last = 0.0
    for band in bands:
        low, high = f"{last / 1e6:.3g}", f"{band.below / 1e6:.3g}"
        if not last:
            parts.append(f"below {high} MB/s {name(band.row)}")
        elif math.isinf(band.below):
            parts.append(f"above {low} MB/s {name(band.row)}")
        else:
            parts.append(f"from {low} to {high} MB/s {name(band.row)}")
        last = band.below
    return f"At other bandwidths: {'; '.join(parts)}."


def _larger(rows: Sequence[Row], options: Sequence[Row]) -> list[str]:
    names = [f"{row.name} ({_size(row)})" for row in rows if row not in options]
    if not names:
        return []
    return [f"Not compared, because of more bytes: {_listed(names)}."]


def _beaten(options: Sequence[Row]) -> list[str]:
    """List the codecs that need a fog and are beaten by one that does not."""
    lines = []
    for row in (row for row in options if row.at_fog):
        better = [other.name for other in options if beats(other, row)]
        if better:
            everywhere = row.quality.objects is None
            where = "everywhere" if everywhere else "inside and outside the boxes"
            lines.append(f"{row.name} is beaten {where} by {_listed(better)}.")
    return lines


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _db(value: float) -> str:
    return "no error" if math.isinf(value) else f"{value:.1f} dB"


def _speed(bandwidth: float) -> str:
    return f"{bandwidth / 1e6:.3g} MB/s"


def _size(row: Row) -> str:
    return f"{row.n_bytes / 1000:.3g} kB" if row.n_bytes >= 1000 else f"{row.n_bytes:.0f} B"

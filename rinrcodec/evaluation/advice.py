"""Which codec to use at which bandwidth, from measured figures alone.

Codecs are compared at about the same bytes. One that another beats both inside and outside the
boxes is out, unless it needs no fog and the other does. Of those left the one with the sharpest
objects is best (the best frame, where there are no boxes), as long as it gets the data to its users
sooner than sending it as it is. At a higher bandwidth the next best counts, and in the end the data
as it is, which nobody has to encode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.fog import Codec, Device, Transfer, pays_below, serverless, through_fog

__all__ = ["Advice", "Band", "Option", "advise"]


@dataclass(frozen=True, slots=True)
class Option:
    """A codec with its quality on the data in question: PSNR in dB, None for a part not there.

    at_fog: only a fog node can encode it; every device can do so otherwise.
    """

    codec: Codec
    frame: float
    background: float | None = None
    objects: float | None = None
    at_fog: bool = False

    @property
    def name(self) -> str:
        return self.codec.name

    @property
    def inside(self) -> float:
        """What counts first: the objects; the frame where there are none."""
        return self.frame if self.objects is None else self.objects

    @property
    def outside(self) -> float:
        return self.frame if self.background is None else self.background

    def beats(self, other: Option) -> bool:
        """Better inside or outside the boxes, and worse in neither."""
        mine, others = (self.inside, self.outside), (other.inside, other.outside)
        return mine != others and all(a >= b for a, b in zip(mine, others, strict=True))

    def transfer(self, devices: Sequence[Device], *, broadcast: bool = False) -> Transfer:
        """What it costs to get the data to its users in this codec."""
        way = through_fog if self.at_fog else serverless
        return way(devices, self.codec, broadcast=broadcast)


@dataclass(frozen=True, slots=True)
class Band:
    """Use `name` (None: the data as it is) up to `below` bytes a second, from the last band on."""

    name: str | None
    below: float


@dataclass(frozen=True, slots=True)
class Advice:
    """What to use at `bandwidth` bytes a second (`use` is None for the data as it is), and why.

    bands: what to use at every other bandwidth, from slow to fast; the last one has no end.
    """

    bandwidth: float
    use: str | None
    bands: tuple[Band, ...]
    headline: str
    reasons: tuple[str, ...]


def advise(
    options: Sequence[Option],
    devices: Sequence[Device],
    *,
    bandwidth: float,
    source: Codec,
    broadcast: bool = False,
) -> Advice:
    """Choose among `options` for these devices; `source` is the data as it is, of alpha 1.

    Raises `RinrInputError` without options and for a bandwidth that is none.
    """
    if not options:
        raise RinrInputError("no codecs to choose from: want at least one")
    if not (math.isfinite(bandwidth) and bandwidth > 0):
        raise RinrInputError(f"bandwidth is {bandwidth}: want bytes a second above 0")
    direct = serverless(devices, source, broadcast=broadcast)
    left = [o for o in options if not any(_ousts(other, o) for other in options)]
    left.sort(key=lambda option: (option.inside, option.outside), reverse=True)
    below = {
        option.name: pays_below(option.transfer(devices, broadcast=broadcast), direct)
        for option in options
    }
    bands: list[Band] = []
    for option in left:
        if below[option.name] > (bands[-1].below if bands else 0):
            bands.append(Band(option.name, below[option.name]))
    if not bands or math.isfinite(bands[-1].below):
        bands.append(Band(None, math.inf))
    use = next(band.name for band in bands if bandwidth < band.below)
    speed = f"{bandwidth / 1e6:.3g} MB/s"
    headline = f"At {speed}, " + (f"use {use}." if use else f"send the {source.name} as they are.")
    reasons = [
        _quality(options, left),
        *_better_outside(left),
        *_too_slow(left, below, use, speed, source),
        _bands(bands, source),
        *_beaten(options),
    ]
    return Advice(bandwidth, use, tuple(bands), headline, tuple(reasons))


def _ousts(one: Option, other: Option) -> bool:
    return one.beats(other) and (other.at_fog or not one.at_fog)


def _quality(options: Sequence[Option], left: Sequence[Option]) -> str:
    best = left[0]
    what = "inside the boxes" if best.objects is not None else "over the frame"
    ranked = sorted(options, key=lambda option: option.inside, reverse=True)
    rest = ", ".join(f"{o.name} {_db(o.inside)}" for o in ranked if o is not best)
    return f"At about the same bytes {best.name} has {_db(best.inside)} {what}" + (
        f"; {rest}." if rest else "."
    )


def _better_outside(left: Sequence[Option]) -> list[str]:
    best = left[0]
    other = max(left, key=lambda option: option.outside)
    if other is best:
        return []
    return [
        f"Where the background counts as much, {other.name} is better: "
        f"{_db(other.outside)} outside the boxes, {best.name} {_db(best.outside)}."
    ]


def _too_slow(
    left: Sequence[Option], below: dict[str, float], use: str | None, speed: str, source: Codec
) -> list[str]:
    """The codecs that would be better than the one to use, were they not slower than the source."""
    better = []
    for option in left:
        if option.name == use:
            break
        better.append(option)
    return [
        f"At {speed} {option.name} takes longer than it saves: it pays below "
        f"{below[option.name] / 1e6:.3g} MB/s."
        if below[option.name]
        else f"{option.name} at these bytes moves no less than the {source.name} do."
        for option in better
    ]


def _bands(bands: Sequence[Band], source: Codec) -> str:
    if len(bands) == 1:
        what = bands[0].name or f"the {source.name} as they are"
        return f"That holds at any bandwidth: {what}."
    parts = []
    last = 0.0
    for band in bands:
        name = band.name or f"the {source.name} as they are"
        low, high = f"{last / 1e6:.3g}", f"{band.below / 1e6:.3g}"
        if not last:
            parts.append(f"below {high} MB/s {name}")
        elif math.isinf(band.below):
            parts.append(f"above {low} MB/s {name}")
        else:
            parts.append(f"from {low} to {high} MB/s {name}")
        last = band.below
    return f"At other bandwidths: {'; '.join(parts)}."


def _beaten(options: Sequence[Option]) -> list[str]:
    """What beats the codecs that need a fog, which is a lot to ask for nothing."""
    lines = []
    for option in (option for option in options if option.at_fog):
        better = [other.name for other in options if other.beats(option)]
        if better:
            where = "inside and outside the boxes" if option.objects is not None else "everywhere"
            lines.append(f"{option.name} is beaten {where} by {_listed(better)}.")
    return lines


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _db(value: float) -> str:
    return "no error" if math.isinf(value) else f"{value:.1f} dB"

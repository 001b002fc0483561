"""Some frames of a source, spread evenly over it: what measurements are made on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from rinrcodec.errors import RinrInputError
from rinrcodec.picture import Picture
from rinrcodec.sources.readings import Reading, read_image
from rinrcodec.sources.source import Series, Source

__all__ = ["evenly_spread", "iterate_pictures", "read_pictures"]


def evenly_spread(count: int, total: int) -> list[int]:
    """Return the middles of `count` equal runs of `range(total)`, or all of a shorter range."""
    if count < 1:
        raise RinrInputError(f"{count} frames: expected 1 or more")
    count = min(count, total)
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]


def read_pictures(source: Source, indices: Sequence[int] | None = None) -> list[Picture]:
    """Read the pictures of a source with the given numbers, which increase over all series.

    indices: None takes them all. Where there are several series, a picture's name begins with that
    of its series. Raises `RinrInputError` for a picture that cannot be read.
    """
    return list(iterate_pictures(source, indices))


def iterate_pictures(source: Source, indices: Sequence[int] | None = None) -> Iterator[Picture]:
    """Yield the pictures of `read_pictures` one at a time. A video is decoded once."""
    several = len(source.series) > 1
    start = 0
    for series in source.series:
        numbers = range(start, start + len(series))
        wanted = numbers if indices is None else [i for i in indices if i in numbers]
        for reading in _read(series, [i - start for i in wanted]):
            if reading.picture is None:
                raise RinrInputError(reading.error)
            name = f"{series.name}/{reading.name}" if several else reading.name
            yield replace(reading.picture, name=name)
        start = numbers.stop


def _read(series: Series, indices: Sequence[int]) -> Iterator[Reading]:
    if series.video is None:
        yield from (read_image(series.refs[i]) for i in indices)
    elif indices:
        wanted = set(indices)
        frames = enumerate(islice(series.read(), indices[-1] + 1))
        yield from (reading for i, reading in frames if i in wanted)

"""Read the pictures of shards again, to compare them with those that were fitted.

Stamps change without the contents: by `touch`, `rsync` or a checkout. So `--resume` reads the
pictures of such shards, which takes far less time than to fit them.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby, islice

from rinrcodec.datasets.shards import Shard
from rinrcodec.datasets.work_folder import FittedPart, FittedShard, Work
from rinrcodec.errors import plain
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.sources.pictures.depth import DepthRange
from rinrcodec.sources.readings import Reading

__all__ = ["Contents", "read_contents", "usable_parts", "with_messages"]

_READ_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Contents:
    """The present state of the pictures of a shard.

    inputs: as `Shard.inputs`. count: of its pictures. failures: a message for each of those that
    cannot be read. lost: one for each label that cannot be understood.
    """

    inputs: str
    count: int
    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    lost: tuple[str, ...]


def read_contents(
    shards: Sequence[Shard],
    *,
    depth_range: DepthRange | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[Shard, Contents]:
    """Read the pictures of shards; shards of one series must follow each other.

    A video is decoded once for all its shards. depth_range and limits: those of the fit, or its
    pictures and messages would be others.

    Raises `RinrSourceError` or `OSError` where a disk or store fails, and `RinrInputError` for a
    video that is gone.
    """
    contents: dict[Shard, Contents] = {}
    for video, group in groupby(shards, key=lambda shard: shard.series.video):
        members = list(group)
        if video is not None:
            contents |= _read_video(members, limits)
            continue
        for shard in members:
            readings = shard.read(
                0, jobs=os.cpu_count() or 1, depth_range=depth_range, limits=limits
            )
            contents[shard] = _contents(shard, readings)
    return contents


def with_messages(known: FittedShard, now: Contents) -> FittedShard:
    """Return a shard with the current messages about its pictures, which did not change."""
    if not known.parts:  # of a video with fewer frames than it declares
        return known
    first, *others = known.parts
    all_of_them = replace(
        first, failures=list(now.failures), warnings=list(now.warnings), lost=list(now.lost)
    )
    parts = [all_of_them]
    parts += [replace(part, failures=[], warnings=[], lost=[]) for part in others]
    return replace(known, parts=parts)


def usable_parts(
    work: Work,
    shard: Shard,
    *,
    depth_range: DepthRange | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> list[FittedPart]:
    """Return the parts of an unfinished shard whose pictures are unchanged; remove the others.

    Parts are read again from the first one whose stamps differ, or that has a picture that could
    not be read. depth_range and limits: those of the fit.
    """
    parts = work.parts(shard)
    usable: list[FittedPart] = []
    stop = 0
    if all(part.shard_names == shard.names for part in parts):
        for part in parts:
            if part.stamps != shard.stamps_of(part.start, part.stop) or part.failures:
                break
            usable.append(part)
            stop = part.stop
        if len(usable) < len(parts):
            rest = shard.read(stop, jobs=_READ_AHEAD, depth_range=depth_range, limits=limits)
            with closing(_generator(rest)) as readings:
                for part in parts[len(usable) :]:
                    again = _again(part, islice(readings, part.count))
                    if again is None:
                        break
                    usable.append(again)
                    stop = part.stop
    if len(usable) < len(parts):
        work.drop_parts(shard, after=stop)
    return usable


def _again(part: FittedPart, readings: Iterable[Reading]) -> FittedPart | None:
    """Return a part with the current messages, None if its pictures changed."""
    digests, failures, warnings, lost = _summary(readings)
    if digests != part.digests:
        return None
    return replace(part, failures=failures, warnings=warnings, lost=lost)


def _read_video(shards: Sequence[Shard], limits: Limits) -> dict[Shard, Contents]:
    contents = {}
    position = shards[0].start
    with closing(_generator(shards[0].series.read(position, limits=limits))) as readings:
        for shard in shards:
            for _ in islice(readings, shard.start - position):
                pass
            mine = readings if shard.last else islice(readings, shard.count)
            contents[shard] = _contents(shard, mine)
            position = shard.start + shard.count
    return contents


def _contents(shard: Shard, readings: Iterable[Reading]) -> Contents:
    digests, failures, warnings, lost = _summary(readings)
    inputs = shard.inputs(digests)
    return Contents(inputs, len(digests), tuple(failures), tuple(warnings), tuple(lost))


def _summary(
    readings: Iterable[Reading],
) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the digests and messages of readings, keeping no picture in memory."""
    digests: list[str] = []
    failures: list[str] = []
    warnings: list[str] = []
    lost: list[str] = []
    for reading in readings:
        digests.append(reading.digest)
        if reading.error is not None:
            failures.append(plain(reading.error))
        warnings += reading.warnings
        lost += reading.lost
    return digests, failures, warnings, lost


def _generator(readings: Iterator[Reading]) -> Generator[Reading, None, None]:
    """Yield all readings from a generator, which can be closed."""
    yield from readings

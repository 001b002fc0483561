"""Encoding av1 backgrounds: the quality of every row, and which frames share one.

1. two frames of every group are coded as stills: they show the bytes for an error
2. the whole group is coded as a video of no larger error, quickly and then well
3. where the video takes more bytes, the other frames are coded as stills, too

The error says nothing of stills that are tuned for accuracy. So those of step 1 are tuned for PSNR,
and a video is kept where it takes fewer bytes than stills that a detector sees as well as those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rinrcodec.compute.parallel import parallel_map
from rinrcodec.families.av1.colour import to_planes
from rinrcodec.families.av1.decode import row_pixels
from rinrcodec.families.av1.layout import row_spec
from rinrcodec.families.av1.resize import shrunk
from rinrcodec.families.av1.settings import Av1Settings
from rinrcodec.families.av1.stream import SMALLEST_SIDE, encode_still, encode_video
from rinrcodec.families.interface import FitContext, FittedRows
from rinrcodec.metrics import LARGEST_DB, psnr
from rinrcodec.pack import Group, Spec
from rinrcodec.picture import Picture, alike
from rinrcodec.targets import Target

__all__ = ["fit_rows", "least_level", "quality_of"]

# Levels of quality, from the worst on: AV1 has 64 of them, and each library has its own scale.
_LEVELS = 64
_DB_PER_LEVEL = 0.35
_GUESSES = 4  # of a search, before it halves what is left
_START = 20
_QUICK_SPEED = 9
_QUICK_PRESET = 10
_HOPELESS = 1.3  # times the bytes of stills, of a video coded quickly
# Bytes of stills tuned for accuracy, over those of stills tuned for PSNR that a detector sees as
# well.
_TUNED = 0.75


@dataclass(frozen=True, slots=True)
class _Row:
    """A coded row: the numbers of its pictures, and its bytes.

    psnr: the mean over its frames, against `_Job.reference`, in dB.
    """

    spec: Spec
    members: Sequence[int]
    coded: bytes
    psnr: float


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """Pictures of one size and mode to code as one row.

    spec: of the row.
    pictures: as they are coded, shrunk.
    reference: pictures that decoded rows are compared with. For a target PSNR, these are the
        frames. Otherwise they are the shrunk pictures: the PSNR leaves out the error of shrinking.
    compared: the spec that decodes rows to the size of `reference`.
    """

    spec: Spec
    pictures: Sequence[NDArray[np.uint8]]
    reference: Sequence[NDArray[np.uint8]]
    compared: Spec

    @classmethod
    def of(
        cls,
        frames: Sequence[NDArray[np.uint8]],
        settings: Av1Settings,
        target: Target,
        chroma: str,
        bits: int,
    ) -> _Job:
        channels = 1 if frames[0].ndim == 2 else 3
        spec = row_spec(channels, chroma, bits, settings.shrink)
        pictures = [shrunk(pixels, settings.shrink) for pixels in frames]
        if target.psnr is not None:
            return cls(spec, pictures, frames, spec)
        return cls(spec, pictures, pictures, row_spec(channels, chroma, bits))

    def row(self, members: Sequence[int], coded: bytes) -> _Row:
        height, width = self.reference[0].shape[:2]
        decoded = row_pixels(self.compared, coded, (width, height))
        values = [
            min(psnr(frame, got.reshape(frame.shape)), LARGEST_DB)
            for frame, got in zip(self.reference, decoded, strict=True)
        ]
        return _Row(self.spec, members, coded, sum(values) / len(values))


def fit_rows(
    pictures: Sequence[Picture], settings: Av1Settings, context: FitContext
) -> list[FittedRows]:
    """Encode all pictures, on all cores of the CPU, and group the rows by their specs."""

    def counted(row: _Row) -> _Row:
        first = pictures[row.members[0]]
        count = context.counted(settings.work_of(first.width * first.height))
        count(len(row.members), 1)
        return row

    tuned = context.target.tuned_for == "accuracy"
    for_psnr = replace(context.target, tune="psnr")

    def still(i: int) -> _Row:
        return counted(_still(i, pictures[i].pixels, settings, context.target))

    def sample(i: int) -> _Row:
        return _still(i, pictures[i].pixels, settings, for_psnr) if tuned else still(i)

    def video(members: Sequence[int]) -> _Row | None:
        its = [samples[i] for i in _samples(members)]
        frames = [pictures[i].pixels for i in members]
        row = _video(members, frames, its, settings, context.target)
        return row and counted(row)

    groups = [
        members
        for members in _groups(pictures, settings)
        if _can_join(pictures, members, settings.shrink)
    ]
    first = [i for members in groups for i in _samples(members)]
    samples: dict[int, _Row] = dict(zip(first, parallel_map(sample, first, None), strict=True))
    stills = {} if tuned else dict(samples)
    videos = [row for row in parallel_map(video, groups, None) if row is not None]
    joined = {i for row in videos for i in row.members}
    rest = [i for i in range(len(pictures)) if i not in joined and i not in stills]
    stills.update(zip(rest, parallel_map(still, rest, None), strict=True))
    rows = [*videos, *(stills[i] for i in sorted(stills) if i not in joined)]
    return _grouped(rows)


def least_level(quality: Callable[[int], float], wanted: float, start: int) -> int:
    """Find the lowest level whose quality in dB is at least the one that is wanted.

    Where no level reaches it, the result is 63.

    Args:
        quality: The quality of a level from 0 to 63, the higher the better. It is asked for few.
        wanted: The quality to reach.
        start: The level to ask for first.
    """
    low, high = -1, _LEVELS - 1
    level = start
    for asked in range(_LEVELS):
        reached = quality(level)
        if reached >= wanted:
            high = level
        else:
            low = level
        if high - low <= 1:
            break
        guess = level + round((wanted - reached) / _DB_PER_LEVEL)
        if asked >= _GUESSES:
            guess = (low + high) // 2
        level = min(max(guess, low + 1), high - 1)
    return high


def _groups(pictures: Sequence[Picture], settings: Av1Settings) -> list[list[int]]:
    """Return the numbers of the pictures that may share a row: parts of a sequence."""
    groups = []
    for members in alike(pictures):
        first = pictures[members[0]]
        while members:
            count = settings.group_size(len(members), first.width * first.height)
            groups.append(members[:count])
            members = members[count:]
    return groups


def _can_join(pictures: Sequence[Picture], members: Sequence[int], shrink: int) -> bool:
    first = pictures[members[0]]
    return len(members) > 1 and -(-min(first.width, first.height) // shrink) >= SMALLEST_SIDE


def _samples(members: Sequence[int]) -> list[int]:
    """Return sample frames of a group, to estimate the bytes of stills."""
    return [members[0], members[len(members) // 2]]


def _still(i: int, pixels: NDArray[np.uint8], settings: Av1Settings, target: Target) -> _Row:
    job = _Job.of([pixels], settings, target, "400" if pixels.ndim == 2 else "444", 8)

    def coded(quality: int, speed: int) -> _Row:
        row = encode_still(job.pictures[0], quality=quality, speed=speed, tune=target.tuned_for)
        return job.row([i], row)

    if target.psnr is None:
        quality = settings.default_quality if target.quality is None else target.quality
        return coded(round(quality), settings.speed)
    rows: dict[int, _Row] = {}

    def reached(level: int) -> float:
        rows[level] = coded(quality_of(level), settings.speed)
        return rows[level].psnr

    start = least_level(
        lambda level: coded(quality_of(level), _QUICK_SPEED).psnr, target.psnr, _START
    )
    level = least_level(reached, target.psnr, start)
    return rows[level] if level in rows else coded(quality_of(level), settings.speed)


def _video(
    members: Sequence[int],
    frames: Sequence[NDArray[np.uint8]],
    samples: Sequence[_Row],
    settings: Av1Settings,
    target: Target,
) -> _Row | None:
    """Encode all frames as one row; return None if stills of the same error take fewer bytes."""
    job = _Job.of(frames, settings, target, "420", 10)
    planes = [to_planes(pixels) for pixels in job.pictures]
    wanted = target.psnr
    if wanted is None:
        wanted = sum(row.psnr for row in samples) / len(samples)
    n_bytes = sum(len(row.coded) for row in samples) * len(members) / len(samples)
    if target.tuned_for == "accuracy":
        n_bytes *= _TUNED

    def best(preset: int, start: int) -> tuple[int, _Row]:
        rows: dict[int, _Row] = {}

        def reached(level: int) -> float:
            row = encode_video(planes, crf=_crf_of(level), preset=preset)
            rows[level] = job.row(members, row)
            return rows[level].psnr

        level = least_level(reached, wanted, start)
        if level not in rows:
            reached(level)
        return level, rows[level]

    level, row = best(_QUICK_PRESET, _START)
    if row.psnr < wanted or len(row.coded) > _HOPELESS * n_bytes:
        return None
    _, row = best(settings.preset, level)
    return row if row.psnr >= wanted and len(row.coded) < n_bytes else None


def quality_of(level: int) -> int:
    """Return the quality of AVIF files, 0 to 100, for a level."""
    return round(level * 100 / (_LEVELS - 1))


def _crf_of(level: int) -> int:
    """Return the rate factor of SVT-AV1, 63 to 1, for a level."""
    return max(1, _LEVELS - 1 - level)


def _grouped(rows: Sequence[_Row]) -> list[FittedRows]:
    by_spec: dict[Spec, list[_Row]] = {}
    for row in rows:
        by_spec.setdefault(row.spec, []).append(row)
    fitted = []
    for spec, its in by_spec.items():
        group = Group.of_bytes(spec, [row.coded for row in its])
        members = [[(i, float(k)) for k, i in enumerate(row.members)] for row in its]
        fitted.append(FittedRows(group, members))
    return fitted

"""Encoding with a `pyramid` background: which pictures share a row, and the rows on all cores."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise

from rinrcodec.boxes import Region
from rinrcodec.compute.compose import pixel_tensor
from rinrcodec.compute.parallel import cores, parallel_map
from rinrcodec.families.interface import FitContext
from rinrcodec.families.pyramid.fit import Trial, fit_pyramid, trial
from rinrcodec.families.pyramid.settings import STEP_WORK, PyramidSettings
from rinrcodec.pack import Spec
from rinrcodec.picture import Picture, alike
from rinrcodec.targets import Target

__all__ = ["FittedRow", "fit_rows"]

_TRIAL_FRAMES = 3
_TRIAL_BYTES = 4 / 3  # of what a whole fit leaves


@dataclass(frozen=True, slots=True)
class FittedRow:
    """A row of latents: the numbers of its pictures, in its order, and its coded bytes."""

    spec: Spec
    members: Sequence[int]
    coded: bytes


@dataclass(frozen=True, slots=True)
class _Row:
    members: Sequence[int]
    predicted: bool = False


class _StoppedError(Exception):
    """Ends a fit whose result nobody wants any more."""


def fit_rows(
    pictures: Sequence[Picture], settings: PyramidSettings, context: FitContext
) -> list[FittedRow]:
    """Fit the rows of all pictures, on all cores of a CPU.

    Trials take one core for each candidate row.
    """
    stop = threading.Event()

    def on_step(count: Callable[[int, int], None], n_frames: int, steps: int) -> None:
        # A large frame takes minutes, which nobody waits for who interrupts.
        if stop.is_set():
            raise _StoppedError
        if steps:
            count(n_frames, steps)

    def spec(members: Sequence[int]) -> Spec:
        return settings.spec(pictures[members[0]].channels)

    def regions(picture: Picture) -> Sequence[Region]:
        return [box.region(picture.width, picture.height) for box in picture.boxes]

    def plan(members: Sequence[int]) -> list[_Row]:
        few = [pictures[i] for i in members[:_TRIAL_FRAMES]]
        area = few[0].width * few[0].height
        if len(few) == 1 or settings.predicted(area) == 1:
            # Alone, or too large to be tried, and so to share networks.
            return _rows(members, Trial(False, math.inf), context.target, settings, area)
        few = few[: settings.predicted(area)]
        tried = trial(
            spec(members),
            [pixel_tensor(picture) for picture in few],
            [regions(picture) for picture in few],
            settings,
            target=context.target,
            seed=context.seed,
            device=context.device,
            # Its steps are not counted as progress, but end with an interruption.
            on_step=partial(on_step, lambda *_: None),
        )
        return _rows(members, tried, context.target, settings, area)

    def fit(row: _Row, threads: int) -> FittedRow:
        row_pictures = [pictures[i] for i in row.members]
        area = row_pictures[0].width * row_pictures[0].height
        coded = fit_pyramid(
            spec(row.members),
            [pixel_tensor(picture) for picture in row_pictures],
            [regions(picture) for picture in row_pictures],
            settings,
            target=context.target,
            predicted=row.predicted,
            seed=context.seed,
            device=context.device,
            threads=threads,
            on_step=partial(on_step, context.counted(area * STEP_WORK)),
        )
        return FittedRow(spec(row.members), row.members, coded)

    candidates = [
        run for members in alike(pictures) for run in _members(pictures, members, settings)
    ]
    rows = list(chain(*parallel_map(plan, candidates, context.device, stop=stop)))
    # Rows have a core each; where there are fewer rows than cores, the frames of a row.
    threads = max(1, cores() // len(rows)) if context.device.type == "cpu" else 1
    return parallel_map(partial(fit, threads=threads), rows, context.device, stop=stop)


def _members(
    pictures: Sequence[Picture], members: Sequence[int], settings: PyramidSettings
) -> list[Sequence[int]]:
    """Return the numbers of similar pictures that might share a row."""
    first = pictures[members[0]]
    return _cut(members, settings.rows(len(members), first.width * first.height))


def _rows(
    members: Sequence[int], tried: Trial, target: Target, settings: PyramidSettings, area: int
) -> list[_Row]:
    """Choose the rows that store similar pictures best, by the result of a trial."""
    n_bytes = tried.n_bytes if target.n_bytes is None else target.n_bytes * _TRIAL_BYTES
    count = 1 if n_bytes < settings.shared_below else len(members)
    if tried.predicted:
        count = -(-len(members) // settings.predicted(area))
    return [_Row(run, tried.predicted and len(run) > 1) for run in _cut(members, count)]


def _cut(members: Sequence[int], count: int) -> list[Sequence[int]]:
    """Cut a sequence into `count` runs of about the same length."""
    ends = [k * len(members) // count for k in range(count + 1)]
    return [members[start:end] for start, end in pairwise(ends)]

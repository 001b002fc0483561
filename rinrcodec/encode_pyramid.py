"""Encoding with a `pyramid` background: which pictures share a row, and the rows on all cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise

import numpy as np
import torch
from torch import Tensor

from rinrcodec.fit_pyramid import Trial, fit_pyramid, trial
from rinrcodec.images import Picture, alike
from rinrcodec.model import Group, Rows, Spec
from rinrcodec.parallel import cores, parallel_map
from rinrcodec.presets import PyramidPart, Target

__all__ = ["WORK", "FittedRow", "fit_rows", "pyramid_group"]

WORK = 1_000  # about how many multiplications a pixel takes in a step


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
    pictures: Sequence[Picture],
    pixels: Callable[[Picture], Tensor],
    part: PyramidPart,
    *,
    target: Target,
    seed: int,
    device: torch.device,
    counted: Callable[[float], Callable[[int, int], None]],
) -> list[FittedRow]:
    """The rows of all pictures, on all cores of a CPU.

    pixels: gives the uint8 tensor [h, w, 1 or 3] of a picture; counted: for the work of a step of a
    frame, what is called as (frames, steps) when that many were done, from several threads.
    """
    stop = threading.Event()

    def on_step(count: Callable[[int, int], None], n_frames: int, steps: int) -> None:
        # A large frame takes minutes, which nobody waits for who interrupts.
        if stop.is_set():
            raise _StoppedError
        count(n_frames, steps)

    def spec(members: Sequence[int]) -> Spec:
        return part.spec(1 if pictures[members[0]].pixels.ndim == 2 else 3)

    def plan(members: Sequence[int]) -> list[_Row]:
        if len(members) == 1:
            return [_Row(members)]
        found = trial(
            spec(members),
            [pixels(pictures[i]) for i in members],
            part,
            target=target,
            seed=seed,
            device=device,
            # Its steps are not counted as progress, but end with an interruption.
            on_step=partial(on_step, lambda *_: None),
        )
        return _rows(members, found, target, part)

    def fit(row: _Row) -> FittedRow:
        own = [pictures[i] for i in row.members]
        width, height = own[0].width, own[0].height
        coded = fit_pyramid(
            spec(row.members),
            [pixels(picture) for picture in own],
            [[box.region(width, height) for box in picture.boxes] for picture in own],
            part,
            target=target,
            predicted=row.predicted,
            seed=seed,
            device=device,
            threads=threads,
            on_step=partial(on_step, counted(width * height * WORK)),
        )
        return FittedRow(spec(row.members), row.members, coded)

    rows = list(chain(*parallel_map(plan, _members(pictures, part), device, stop=stop)))
    # Rows have a core each; where there are fewer rows than cores, the frames of a row.
    threads = max(1, cores() // len(rows)) if device.type == "cpu" else 1
    return parallel_map(fit, rows, device, stop=stop)


def _rows(members: Sequence[int], found: Trial, target: Target, part: PyramidPart) -> list[_Row]:
    """How pictures that are alike are best stored, by what a trial has found."""
    n_bytes = found.n_bytes if target.n_bytes is None else target.n_bytes
    together = len(members) if n_bytes < part.shared_below else 1
    length = part.chunk if found.predicted else together
    parts = [members[k : k + length] for k in range(0, len(members), length)]
    return [_Row(own, found.predicted and len(own) > 1) for own in parts]


def _members(pictures: Sequence[Picture], part: PyramidPart) -> list[list[int]]:
    """The numbers of pictures that might share a row: those that are `alike`, in order."""
    result = []
    for members in alike(pictures):
        first = pictures[members[0]]
        count = part.rows(len(members), first.width * first.height)
        ends = [k * len(members) // count for k in range(count + 1)]
        result += [members[start:end] for start, end in pairwise(ends)]
    return result


def pyramid_group(spec: Spec, coded: Sequence[bytes]) -> Group:
    """The group of rows that have nothing but coded bytes."""
    codes, scales = np.zeros((len(coded), 0), np.int8), np.zeros((len(coded), 0), np.float32)
    return Group(spec, 8, Rows(codes, scales, tuple(coded)))

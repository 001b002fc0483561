"""Encoding with a `pyramid` background: which pictures share a row, and the rows on all cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import torch
from torch import Tensor

from rinrcodec.fit_pyramid import fit_pyramid, prediction_pays
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
    rows = _members(pictures, part)
    # Rows have a core each; where there are fewer rows than cores, the frames of a row.
    threads = max(1, cores() // len(rows)) if device.type == "cpu" else 1

    def fit(members: Sequence[int]) -> list[FittedRow]:
        own = [pictures[i] for i in members]
        first = own[0]
        spec = part.spec(1 if first.pixels.ndim == 2 else 3)
        frames = [pixels(picture) for picture in own]
        regions = [[box.region(first.width, first.height) for box in p.boxes] for p in own]
        count = counted(first.width * first.height * WORK)

        def on_step(n_frames: int, steps: int) -> None:
            # A large frame takes minutes, which nobody waits for who interrupts.
            if stop.is_set():
                raise _StoppedError
            count(n_frames, steps)

        # Its steps are not counted as progress, but end with an interruption.
        predicted = len(members) > 1 and prediction_pays(
            spec,
            frames,
            part,
            lmbda=target.lmbda,
            seed=seed,
            device=device,
            on_step=lambda *_: on_step(0, 0),
        )
        length = part.chunk if predicted else len(members)
        found = []
        for start in range(0, len(members), length):
            some = slice(start, start + length)
            coded = fit_pyramid(
                spec,
                frames[some],
                regions[some],
                part,
                target=target,
                predicted=predicted and len(frames[some]) > 1,
                seed=seed,
                device=device,
                threads=threads,
                on_step=on_step,
            )
            found.append(FittedRow(spec, members[some], coded))
        return found

    return list(chain(*parallel_map(fit, rows, device, stop=stop)))


def _members(pictures: Sequence[Picture], part: PyramidPart) -> list[list[int]]:
    """The numbers of the pictures of every row: pictures that are `alike`, in order."""
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

"""Coded rows of the pyramid family, for its tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from pyramid_weights import SPEC, arithmetic_weights, random_latents

from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.latents import (
    Change,
    DecodedFrames,
    PyramidRow,
    best_scale,
    changed_weights,
    decode_row,
    steps_of,
)

CPU = torch.device("cpu")
NAMES = tuple(arithmetic_weights())
Frame = list[list[NDArray[np.int32]]]


def frames_of(width: int, height: int, n: int, largest: int, seed: int) -> list[Frame]:
    latents = random_latents(width, height, n, largest, seed)
    return [[[g[k].int().numpy() for g in component] for component in latents] for k in range(n)]


def change(name: str, exponent: int, seed: int = 0) -> Change:
    count = arithmetic_weights()[name].numel()
    codes = np.random.default_rng(seed).integers(-127, 128, count, np.int32)
    return Change(exponent, best_scale(codes), codes)


def a_row(
    width: int = 9,
    height: int = 6,
    n: int = 1,
    *,
    largest: int = 5,
    seed: int = 0,
    predicted: bool = False,
    changes: Mapping[str, Change] | None = None,
) -> PyramidRow:
    steps = np.random.default_rng(seed).integers(-64, 64, (n, 2, pyramid.LEVELS), np.int32)
    frames = frames_of(width, height, n, largest, seed)
    return PyramidRow(changes or {}, steps, frames, predicted)


def decoded(
    data: bytes, size: tuple[int, int] = (9, 6), frames: tuple[int, ...] = (0,)
) -> DecodedFrames:
    return decode_row(SPEC, data, size, frames, CPU)


def wanted(row: PyramidRow, frame: int) -> list[list[NDArray[np.int32]]]:
    """The latents of a frame, those before it added where they predict it."""
    first = 0 if row.predicted else frame
    return [
        [
            np.sum([row.latents[k][c][level] for k in range(first, frame + 1)], 0)
            for level in range(len(component))
        ]
        for c, component in enumerate(row.latents[frame])
    ]


def check(row: PyramidRow, decoded: DecodedFrames, frames: tuple[int, ...]) -> None:
    for k, frame in enumerate(frames):
        for component, others in zip(decoded.latents, wanted(row, frame), strict=True):
            for grid, expected in zip(component, others, strict=True):
                assert np.array_equal(grid[k].numpy(), expected)
    assert torch.equal(decoded.steps, steps_of(row.step_codes[list(frames)]))
    for name, weight in changed_weights(SPEC, row.changes).items():
        assert torch.equal(decoded.weights[name], weight), name

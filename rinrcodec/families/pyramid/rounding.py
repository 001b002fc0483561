"""How coarsely the networks of a `pyramid` row are stored: tensor by tensor, as far as it pays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from rinrcodec.families.pyramid.entropy import LARGEST, bits
from rinrcodec.families.pyramid.latents import (
    FINEST_CHANGE,
    Change,
    best_scale,
    changed,
    clip_codes,
)

__all__ = ["change_bits", "choose_changes"]

_COARSEST_CHANGE = 2
_PATIENCE = 2  # finer ones are tried until as many have been worse than the best

Weights = Mapping[str, Tensor]


@torch.no_grad()
def choose_changes(
    start: Weights,
    weights: Weights,
    names: Iterable[str],
    loss: Callable[[str, Weights], float],
    per_bit: float,
) -> dict[str, Change]:
    """Choose the changes of the fitted tensors from the start, by name; leave out empty ones.

    loss(name, weights): that part of the loss which the named tensor has a say in; per_bit: what a
    bit adds to it. Tensors are rounded one after the other, to the multiples of a power of two that
    make the sum smallest.
    """
    now = dict(weights)
    chosen: dict[str, Change] = {}
    for name in names:
        difference = (weights[name] - start[name]).flatten()
        best, least = None, loss(name, now | {name: start[name]})
        worse = 0
        for exponent in range(_COARSEST_CHANGE, FINEST_CHANGE + 1):
            codes = clip_codes(difference * 2.0**exponent)
            if not codes.any():  # the start again, at the cost of its bits
                continue
            change = Change(exponent, best_scale(codes), codes)
            cost = loss(name, now | {name: changed(start[name], change)})
            cost += per_bit * change_bits(change)
            if cost < least:
                best, least, worse = change, cost, 0
            else:
                worse += best is not None
            if worse == _PATIENCE or np.abs(codes).max() == LARGEST:
                break
        now[name] = changed(start[name], best)
        if best is not None:
            chosen[name] = best
    return chosen


def change_bits(change: Change) -> float:
    """Estimate how many bits a change takes."""
    none = np.zeros(len(change.codes), np.int32)
    return float(bits(change.codes, none, none + change.scale).sum()) + 8

"""How networks are fitted, and the result: shared by the families that fit networks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rinrcodec.pack import Rows

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Fitted", "Recipe", "schedule"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of INR is fitted.

    steps: Adam steps. The learning rate rises over `warmup` steps and falls as a cosine that
        reaches zero after `schedule` steps (None: after `steps`). For the network of a sequence
        all three count epochs, which see every frame once.
    samples: pixels drawn per step without replacement; None takes every pixel in every step. For
        the network of a sequence: frames per step; None takes one.
    quantized: share of the steps, the last ones, that see the quantised weights.
    ssim: for the network of a sequence, the share of 1 - SSIM in the loss; the absolute error is
        the rest. With 0 the loss is the squared error, as for all other networks.
    """

    steps: int
    learning_rate: float
    samples: int | None
    warmup: int = 100
    betas: tuple[float, float] = (0.9, 0.999)
    quantized: float = 0.2
    schedule: int | None = None
    ssim: float = 0.0

    def with_steps(self, steps: int) -> Recipe:
        """Return the recipe with another number of steps, and a warm-up that fits into them."""
        return replace(self, steps=steps, warmup=min(self.warmup, steps // 4))


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The result of a fit of n INRs.

    rows: their quantised weights.
    weights: float32 [n, params], from which the rows were quantised.
    """

    rows: Rows
    weights: Tensor


def schedule(step: int, recipe: Recipe) -> float:
    """Return the share of the learning rate at a step: a linear warm-up, then a cosine to zero.

    Args:
        step: Counts from 0.
        recipe: Its `warmup`, `schedule` and `steps` count.
    """
    rise = min(1.0, (step + 1) / (recipe.warmup + 1))
    return rise * (0.5 + 0.5 * math.cos(math.pi * step / (recipe.schedule or recipe.steps)))

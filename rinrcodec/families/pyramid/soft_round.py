"""Soft rounding: how latents come to be integers while they are fitted, and still have gradients.

Noise takes the part of rounding errors; both fade from the first to the last soft step (C3,
section 3; the schedule is that of COOL-CHIC 5).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["noisy", "soft_schedule"]

_TEMPERATURE = (0.35, 0.08)  # from the first to the last soft step
_NOISE = (0.22, 0.15)  # its standard deviation


def soft_schedule(progress: float) -> tuple[float, float, float]:
    """Return the settings at `progress` (0 to 1) of the soft steps.

    They are the share of the learning rate, the temperature and the noise.
    """
    factor = max(0.01, 0.5 + 0.5 * math.cos(math.pi * progress))
    temperature, noise = (
        first + (last - first) * progress for first, last in (_TEMPERATURE, _NOISE)
    )
    return factor, temperature, noise


def noisy(latents: Tensor, temperature: float, noise: float, generator: torch.Generator) -> Tensor:
    """Mix latents with their rounded values, and add noise of a given spread."""
    once = _soft_round(latents, temperature)
    shake = torch.randn(latents.shape, generator=generator, device=latents.device)
    return _soft_round(once + shake * noise, temperature)


def _soft_round(x: Tensor, temperature: float) -> Tensor:
    """Interpolate between the identity and rounding.

    See Agustsson and Theis, NeurIPS 2020, section 4.1.
    """
    floor = x.floor()
    bend = torch.tanh((x - floor - 0.5) / temperature)
    return floor + 0.5 + bend / (2 * math.tanh(0.5 / temperature))

"""Networks for tests of the pyramid family, made by arithmetic that no library can change."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.pack import Spec

SPEC = Spec.of("pyramid", out=3, start="a")
GREY = Spec.of("pyramid", out=1, start="a")


def shapes() -> dict[str, tuple[int, ...]]:
    """Of every tensor of a start, in its order."""
    fresh = pyramid.fresh_weights(torch.Generator().manual_seed(0))
    return {name: tuple(tensor.shape) for name, tensor in fresh.items()}


def arithmetic_weights(largest: int = 400) -> dict[str, Tensor]:
    """Multiples of the units between -largest and largest, which look like noise; float32."""
    return {name: weight.clone() for name, weight in _arithmetic_weights(largest).items()}


@cache
def _arithmetic_weights(largest: int) -> dict[str, Tensor]:
    weights, at = {}, 1
    for name, shape in shapes().items():
        count = torch.Size(shape).numel()
        codes = (torch.arange(at, at + count) * 2_654_435_761 >> 7) % (2 * largest + 1) - largest
        weights[name] = codes.view(shape).float() * pyramid.unit_of(name)
        at += count
    return weights


def exact(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `pass_tables` and `code_latents` want."""
    return {name: weight.double() for name, weight in weights.items()}


def random_latents(
    width: int, height: int, n: int = 1, largest: int = 127, seed: int = 0
) -> list[list[Tensor]]:
    """Integer grids of n frames, float64 [n, h, w], by component."""
    generator = torch.Generator().manual_seed(seed)
    return [
        [
            torch.randint(-largest, largest + 1, (n, *size), generator=generator).double()
            for size in sizes
        ]
        for sizes in pyramid.grid_sizes(width, height)
    ]

"""The `pyramid` family: quantised latent grids, a small synthesis network, and a context network.

A frame is a pyramid of integer grids, from its own size down to 1/64 of it, for a luma-like and two
chroma-like components. Synthesis upsamples and mixes them to colours. The context network predicts
the distribution of every latent from those that were decoded before it. The
class of codec is that of COOL-CHIC (Ladune et al., ICCV 2023) and C3 (Kim et al., CVPR 2024); in
place of their raster order, each grid is decoded in seven passes (luma) or four, so that the number
of steps does not depend on the size of the frame.

No network starts from nothing: a *start* comes with the package, and a file holds what its own
networks differ by. Networks are dicts of tensors by name, as `start_weights` gives them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib import resources
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rinrcodec.errors import RinrFormatError
from rinrcodec.families.pyramid.entropy import LARGEST, MEAN_STEPS, N_SCALES
from rinrcodec.families.pyramid.ops import (
    PASSES,
    contexts,
    convolve,
    laplace_bits,
    pass_inputs,
    sharpen,
    surrounded,
    upsample,
)
from rinrcodec.pack import Spec

__all__ = [
    "COMPONENTS",
    "CONTEXT_UNIT",
    "LEVELS",
    "STARTS",
    "channels",
    "check",
    "context_inputs",
    "fresh_weights",
    "grid_sizes",
    "latent_bits",
    "pass_bits",
    "pass_tables",
    "start_weights",
    "synthesize",
]

LEVELS = 7
# The finest level of each component.
COMPONENTS = (0, 1, 1)
STARTS = ("a",)
# Weights of the context network are multiples of this, so that float64 computes it exactly, in any
# order: inputs have 7 bits, changed weights at most 18, and there are fewer than 64 of each.
CONTEXT_UNIT = 2.0**-10
_SYNTHESIS_UNIT = 2.0**-12
_LOG_SCALES = (-3.0, 4.5)
_HIDDEN = 16  # of the context network and of the synthesis
# Of a pass: what is known of a site takes half a kilobyte. On a GPU few calls matter more.
_SITES_AT_ONCE = {"cpu": 1 << 13, "cuda": 1 << 20}
_PIXELS_AT_ONCE = 1 << 16  # whose colours are computed together

Weights = Mapping[str, Tensor]


def check(spec: Spec) -> None:
    """Raise `RinrFormatError` when the spec is not one that this family can build."""
    if sorted(name for name, _ in spec.config) != ["out", "start"]:
        raise RinrFormatError(f"the pyramid spec {spec.to_json()}: expected out and start")
    if spec["out"] not in (1, 3) or isinstance(spec["out"], float):
        raise RinrFormatError(f"the pyramid spec {spec.to_json()}: expected out of 1 or 3")
    if spec["start"] not in STARTS:
        raise RinrFormatError(
            f"the pyramid spec {spec.to_json()} names a start that this version lacks (it has "
            f"{', '.join(STARTS)}); a newer rinrcodec may have it"
        )


def channels(spec: Spec) -> int:
    """Return the output values per pixel: 3 for RGB, 1 for grey."""
    return int(spec["out"])


@lru_cache(maxsize=256)
def grid_sizes(width: int, height: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return for every component the (height, width) of its grids, the finest first."""
    sizes = [(-(-height // 2**level), -(-width // 2**level)) for level in range(LEVELS)]
    return tuple(tuple(sizes[first:]) for first in COMPONENTS)


def fresh_weights(generator: torch.Generator) -> dict[str, Tensor]:
    """Return untrained networks, from which a start is trained.

    With them, latents add up to a blurred picture.
    """
    weights: dict[str, Tensor] = {}

    def matrix(outputs: int, inputs: int, scale: float) -> Tensor:
        return torch.randn(outputs, inputs, generator=generator) * scale / math.sqrt(inputs)

    for component, passes in enumerate(PASSES):
        for number, one in enumerate(passes):
            inputs = 2 * (10 + len(one.neighbours) + component)
            name = f"context.{component}{number}"
            hidden = torch.cat([matrix(_HIDDEN, inputs, 0.5), torch.zeros(_HIDDEN, LEVELS)], 1)
            weights[f"{name}.hidden"] = hidden
            weights[f"{name}.out"] = matrix(2, _HIDDEN, 0.1)
            weights[f"{name}.skip"] = torch.zeros(2, inputs + LEVELS)
            weights[f"{name}.bias"] = torch.tensor([0.0, -1.0])
    bicubic = torch.tensor([-0.0351562, -0.1054687, 0.2617187, 0.8789063])
    weights["kernel.up"] = bicubic.repeat(2, LEVELS - 1, 1)
    # Neither these nor the filters may start as zeros: products of two of them, and a ReLU of 0,
    # have no gradients there.
    weights["kernel.sharpen"] = torch.tensor([0.0, 0.0, 0.0, 0.1]).repeat(2, LEVELS, 1)
    inputs = LEVELS + len(COMPONENTS) - 1
    weights["synthesis.hidden"] = matrix(_HIDDEN, inputs, 1.0)
    weights["synthesis.hidden_bias"] = torch.zeros(_HIDDEN)
    weights["synthesis.out"] = matrix(3, _HIDDEN, 0.02)
    weights["synthesis.out_bias"] = torch.zeros(3)
    colours = torch.tensor([[1.0, 1.0, -0.5], [1.0, 0.0, 0.5], [1.0, -1.0, -0.5]])
    weights["synthesis.skip"] = torch.cat([colours[:, :1].repeat(1, LEVELS), colours[:, 1:]], 1)
    for layer in range(2):
        weights[f"filter.{layer}"] = matrix(3, 27, 0.15).view(3, 3, 3, 3)
        weights[f"filter.{layer}_bias"] = torch.full((3,), 0.02)
    return weights


def unit_of(name: str) -> float:
    """Return the unit of which the weights of a start's tensor are multiples."""
    return CONTEXT_UNIT if name.startswith("context") else _SYNTHESIS_UNIT


@cache
def _start_arrays(start: str) -> dict[str, NDArray[Any]]:
    path = resources.files("rinrcodec.families.pyramid") / f"pyramid_{start}.npz"
    with path.open("rb") as file, np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def start_weights(spec: Spec, device: torch.device | None = None) -> dict[str, Tensor]:
    """Read the networks of the start that the spec names, float32, by name."""
    arrays = _start_arrays(str(spec["start"]))
    return {
        name: torch.from_numpy(array.astype(np.float32) * np.float32(unit_of(name))).to(device)
        for name, array in arrays.items()
        if name != "steps"
    }


def usual_steps(spec: Spec, lmbda: float) -> Tensor:
    """Return the logarithms of quantisation steps that frames usually get: float32 [2, LEVELS]."""
    fixed, slope = torch.from_numpy(_start_arrays(str(spec["start"]))["steps"])
    result: Tensor = fixed + slope * math.log(lmbda)
    return result


def synthesize(
    weights: Weights, latents: Sequence[Sequence[Tensor]], steps: Tensor, out: int
) -> Tensor:
    """Compute the signal of n frames in about [-1, 1]: float32 [n, out, height, width].

    latents: for every component its grids [n, h, w], the finest first, in units of their steps;
    steps: [n, 2, LEVELS], one for luma and one for both chromas. Has gradients.
    """
    stacked = _features(weights, latents, steps)
    count, n, height, width = stacked.shape
    flat = stacked.reshape(count, -1)
    del stacked
    signal = _mixed(weights, flat).view(3, n, height, width)
    del flat
    signal = _with_filter(signal, weights, 0, relu=True)
    signal = _with_filter(signal, weights, 1, relu=False)
    signal = signal.transpose(0, 1)
    return signal.mean(1, keepdim=True) if out == 1 else signal


def _features(weights: Weights, latents: Sequence[Sequence[Tensor]], steps: Tensor) -> Tensor:
    """Enlarge the grids of all components to the size of the frame: [channels, n, h, w]."""
    features: list[Tensor] = []
    for component, first in enumerate(COMPONENTS):
        kind = min(component, 1)
        feature = None
        for level in range(LEVELS - 1, -1, -1):
            if level >= first:
                grid = latents[component][level - first] * steps[:, kind, level, None, None]
                grid = sharpen(grid[None], weights["kernel.sharpen"][kind, level])
                if feature is None:
                    feature = grid
                elif kind:
                    feature = feature + grid
                else:
                    feature = torch.cat([grid, feature])
            if level and feature is not None:
                height, width = latents[0][level - 1].shape[1:]
                kernel = weights["kernel.up"][kind, level - 1]
                feature = _finer(feature, kernel, height, width)
        assert feature is not None
        features.append(feature)
    return torch.cat(features)


def _finer(feature: Tensor, kernel: Tensor, height: int, width: int) -> Tensor:
    """Enlarge grids [channels, n, h, w] twice and crop them to a size."""
    if torch.is_grad_enabled():
        return upsample(feature, kernel)[:, :, :height, :width]
    # Grid by grid: intermediate values take several times the memory of a result.
    finer = feature.new_empty(*feature.shape[:2], height, width)
    for one, result in zip(feature.split(1), finer.split(1), strict=True):
        result.copy_(upsample(one, kernel)[:, :, :height, :width])
    return finer


def _mixed(weights: Weights, flat: Tensor) -> Tensor:
    """Mix features [channels, pixels] to colours [3, pixels]."""
    if torch.is_grad_enabled() or flat.shape[1] <= _PIXELS_AT_ONCE:
        return _colours(weights, flat)
    mixed = flat.new_empty(3, flat.shape[1])
    for part, result in zip(
        flat.split(_PIXELS_AT_ONCE, 1), mixed.split(_PIXELS_AT_ONCE, 1), strict=True
    ):
        result.copy_(_colours(weights, part))
    return mixed


def _colours(weights: Weights, flat: Tensor) -> Tensor:
    hidden = torch.addmm(
        weights["synthesis.hidden_bias"][:, None], weights["synthesis.hidden"], flat
    ).relu_()
    mixed = torch.addmm(weights["synthesis.out_bias"][:, None], weights["synthesis.out"], hidden)
    return mixed + weights["synthesis.skip"] @ flat


def _with_filter(signal: Tensor, weights: Weights, layer: int, *, relu: bool) -> Tensor:
    """Add a 3 x 3 filter of a signal [3, n, h, w] to it."""
    added = convolve(signal, weights[f"filter.{layer}"], weights[f"filter.{layer}_bias"])
    if torch.is_grad_enabled():
        return signal + (added.relu() if relu else added)
    return signal.add_(added.relu_() if relu else added)


def _context_network(weights: Weights, name: str, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Compute means and logarithms of scales [...] from inputs [inputs, ...]; exact in float64."""
    flat = inputs.reshape(len(inputs), -1)
    hidden = (weights[f"{name}.hidden"] @ flat).relu_()
    outputs = torch.addmm(weights[f"{name}.bias"][:, None], weights[f"{name}.out"], hidden)
    outputs = (outputs + weights[f"{name}.skip"] @ flat).view(2, *inputs.shape[1:])
    return outputs[0], outputs[1].clamp(*_LOG_SCALES)


def latent_bits(weights: Weights, latents: Sequence[Sequence[Tensor]]) -> Tensor:
    """Estimate how many bits the latents of n frames take: float32 [n]. Has gradients."""
    total = torch.zeros((), device=latents[0][0].device)
    for name, inputs, values in context_inputs(latents):
        total = total + pass_bits(weights, name, inputs, values)
    return total


def context_inputs(
    latents: Sequence[Sequence[Tensor]],
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield (network name, inputs, values) for each pass, with all levels concatenated."""
    for component, first in enumerate(COMPONENTS):
        others = [latents[c][first - COMPONENTS[c] :] for c in range(component)]
        inputs, values = contexts(latents[component], others, LEVELS)
        for number in range(len(PASSES[component])):
            yield f"context.{component}{number}", inputs[number], values[number]


def pass_bits(weights: Weights, name: str, inputs: Tensor, values: Tensor) -> Tensor:
    """Estimate how many bits the values of a pass take: [n].

    The arguments are those that `context_inputs` gives.
    """
    means, log_scales = _context_network(weights, name, inputs)
    return laplace_bits(values, means, log_scales).sum(1)


def pass_tables(
    weights: Weights,
    component: int,
    level: int,
    number: int,
    latents: Sequence[Sequence[Tensor]],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Compute how the sites of a pass are coded.

    Returns means in eighths and scale indices, int32 [sites].

    weights: float64, rounded to `CONTEXT_UNIT`; latents: float64 grids [1, h, w] of all components,
    of which only what is coded before the pass is read. Everything is an integer multiple of a
    power of two and below 2 ** 53 of them, so every device gives the same numbers.
    """
    first = COMPONENTS[component]
    component_grids = latents[component]
    k = level - first
    coarser = component_grids[k + 1] if k + 1 < len(component_grids) else None
    coarsest = component_grids[k + 2] if k + 2 < len(component_grids) else None
    others = [latents[c][level - COMPONENTS[c]] for c in range(component)]
    one = PASSES[component][number]
    parts = pass_inputs(one, surrounded(component_grids[k]), coarser, coarsest, others)
    lines, columns = parts[0].shape[1:]
    device = parts[0].device
    tables = torch.empty((2, lines, columns), dtype=torch.int32, device=device)
    # Some sites at a time, which changes nothing but the memory that it takes.
    wide = max(1, min(_SITES_AT_ONCE[device.type], columns))
    high = _SITES_AT_ONCE[device.type] // wide
    for top, left in product(range(0, lines, high), range(0, columns, wide)):
        y, x = slice(top, top + high), slice(left, left + wide)
        known = torch.stack([part[0, y, x] for part in parts])
        which = known.new_zeros(LEVELS, *known.shape[1:])
        which[level] = 1
        inputs = torch.cat([known, known.abs(), which])
        means, log_scales = _context_network(weights, f"context.{component}{number}", inputs)
        largest = LARGEST * MEAN_STEPS
        eighths = (means * MEAN_STEPS + 0.5).floor_().clamp_(-largest, largest)
        index = ((log_scales - _LOG_SCALES[0]) * 8 + 0.5).floor_().clamp_(0, N_SCALES - 1)
        tables[:, y, x] = torch.stack([eighths, index])
    both = tables.view(2, -1).cpu().numpy()
    return both[0], both[1]

"""Fitting a `pyramid` row: latents by Adam, its networks by SOAP, from the start of the package.

A step sees latents that are soft-rounded and noisy, less of both as it goes on, so that rounding
has a gradient at first and nothing left to do at the end (C3, section 3; COOL-CHIC 5 has the
schedule of noise, temperature and SOAP). Then latents are rounded for good, the networks adapt to
them, and what they differ by from the start is rounded as coarsely as pays.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rinrcodec.entropy import LARGEST, bits
from rinrcodec.families import pyramid
from rinrcodec.fit import to_signal
from rinrcodec.latents import (
    FINEST_CHANGE,
    Change,
    PyramidRow,
    best_scale,
    changed_group,
    clip_codes,
    encode_row,
    step_codes,
    steps_of,
)
from rinrcodec.model import Spec
from rinrcodec.presets import PyramidPart, Target
from rinrcodec.soap import Soap

__all__ = [
    "LATENT_BETAS",
    "LATENT_GAIN",
    "fit_pyramid",
    "noisy",
    "prediction_pays",
    "soft_schedule",
]

Region = tuple[int, int, int, int]

LATENT_GAIN = 16.0  # latents are 16 times their parameters: Adam moves them by that much faster
LATENT_BETAS = (0.6, 0.95)
_TEMPERATURE = (0.35, 0.08)  # of soft rounding, from the first to the last soft step
_NOISE = (0.22, 0.15)  # its standard deviation
_HARD = 0.1  # share of the steps that see rounded latents
_HARD_RATE = 0.05  # the learning rate there, as a share of the first one
_CONTROLS = 40  # how often a fit looks where it stands, from _CONTROL_FROM of its soft steps on:
_CONTROL_FROM = 0.15  # before, quality says little about what it will be
_WEIGHED_AT = 0.6  # of the soft steps: what the networks will take is judged for a target of bytes
_DECIBELS = 2.5  # about what PSNR falls by when lambda grows by a factor of e
_COARSEST_CHANGE = 2
_TRIAL_FRAMES = 3
_TRIAL_SHARE = 6  # of the steps, one in so many


def fit_pyramid(
    spec: Spec,
    frames: Sequence[Tensor],
    regions: Sequence[Sequence[Region]],
    part: PyramidPart,
    *,
    target: Target,
    predicted: bool = False,
    seed: int,
    device: torch.device,
    on_step: Callable[[int, int], None] | None = None,
) -> bytes:
    """The coded bytes of one row for 1 to 8 frames of one size.

    frames: uint8 [h, w, 1 or 3]; regions: for every frame the (left, top, right, bottom) of its
    objects, where errors count more. on_step: called as on_step(frames, steps done since the last
    call). Bit for bit reproducible on one CPU for the same frames and seed.
    """
    fit = _Fit(spec, frames, regions, part, target, predicted, seed, device)
    _run(fit, part.recipe.steps, on_step)
    return encode_row(spec, fit.row())


def prediction_pays(
    spec: Spec,
    frames: Sequence[Tensor],
    part: PyramidPart,
    *,
    lmbda: float | None,
    seed: int,
    device: torch.device,
    on_step: Callable[[int, int], None] | None = None,
) -> bool:
    """Whether frames are better coded as what they differ by: found by two short fits of a few.

    lmbda: at which they are compared, None for the preset's: a target that moves it would compare
    losses of two kinds. Other arguments as of `fit_pyramid`.
    """
    target = Target(lmbda=lmbda)
    losses = []
    for predicted in (False, True):
        few = frames[:_TRIAL_FRAMES]
        fit = _Fit(spec, few, [[]] * len(few), part, target, predicted, seed, device)
        _run(fit, max(1, part.recipe.steps // _TRIAL_SHARE), on_step)
        with torch.no_grad():
            losses.append(float(fit._loss(fit._measure(fit.weights, fit.rounded, fit.steps))))
    return losses[1] < losses[0]


def _run(fit: _Fit, steps: int, on_step: Callable[[int, int], None] | None) -> None:
    frames = len(fit.wanted)
    soft = steps - int(steps * _HARD)
    for step in range(soft):
        fit.soft_step(step / soft)
        if step >= _CONTROL_FROM * soft and step % max(1, soft // _CONTROLS) == 0:
            fit.control()
        if step == int(_WEIGHED_AT * soft):
            fit.weigh_networks()
        if on_step is not None:
            on_step(frames, 1)
    fit.round_latents()
    for step in range(steps - soft):
        fit.hard_step(1 - step / (steps - soft))
        if on_step is not None:
            on_step(frames, 1)


@dataclass(slots=True)
class _Measured:
    """What frames cost, [n] each: mean squared errors on [0, 1], in all with the weight of objects,
    and outside and inside of the boxes; bits of their latents."""

    weighted: Tensor
    outside: Tensor
    inside: Tensor
    bits: Tensor


class _Fit:
    def __init__(
        self,
        spec: Spec,
        frames: Sequence[Tensor],
        regions: Sequence[Sequence[Region]],
        part: PyramidPart,
        target: Target,
        predicted: bool,
        seed: int,
        device: torch.device,
    ) -> None:
        self.spec, self.part, self.target, self.predicted = spec, part, target, predicted
        self.wanted = to_signal(torch.stack(list(frames)).permute(0, 3, 1, 2).to(device))
        n, self.out, self.height, self.width = self.wanted.shape
        self.objects = torch.zeros(n, 1, self.height, self.width, device=device)
        for frame, own in enumerate(regions):
            for left, top, right, bottom in own:
                self.objects[frame, 0, top:bottom, left:right] = 1
        self.shares = self.objects.mean((1, 2, 3))
        first = math.log(target.lmbda or part.lmbda)
        self.log_lambda = torch.full((n,), first, device=device)
        self.log_weight = torch.full((n,), math.log(part.object_weight), device=device)
        self.network_bytes = 0.0  # of a frame
        self.generator = torch.Generator(device).manual_seed(
            zlib.crc32(f"{seed} {spec.to_json()} {self.width}x{self.height}".encode())
        )
        sizes = pyramid.grid_sizes(self.width, self.height)
        self.latents = [
            [torch.zeros(n, *size, device=device).requires_grad_() for size in own] for own in sizes
        ]
        self.start = pyramid.start_weights(spec, device)
        groups = pyramid.weight_groups(self.start)
        self.adapted = {group: groups[group] for group in part.adapted}
        self.weights = {name: weight.clone() for name, weight in self.start.items()}
        fitted = [self.weights[name] for names in self.adapted.values() for name in names]
        usual = pyramid.usual_steps(spec, math.exp(first)).to(device)
        self.log_steps = usual.clone().requires_grad_()
        flat = [grid for own in self.latents for grid in own]
        rate = part.recipe.learning_rate
        self.adam = torch.optim.Adam(
            [
                {"params": flat, "lr": rate, "betas": LATENT_BETAS},
                {"params": [self.log_steps], "lr": rate, "betas": (0.9, 0.99)},
            ],
            eps=1e-12,
            fused=True,
        )
        self.soap = Soap([weight.requires_grad_() for weight in fitted])

    def soft_step(self, progress: float) -> None:
        factor, temperature, noise = soft_schedule(progress)
        rate = self.part.recipe.learning_rate * factor
        for group in self.adam.param_groups:
            group["lr"] = rate
        latents = [
            [noisy(grid * LATENT_GAIN, temperature, noise, self.generator) for grid in own]
            for own in self.latents
        ]
        self._loss(self._measure(self.weights, latents, self.log_steps.exp())).backward()
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        self.soap.step(rate)

    def _measure(
        self, weights: Mapping[str, Tensor], latents: Sequence[Sequence[Tensor]], steps: Tensor
    ) -> _Measured:
        rate = pyramid.latent_bits(weights, latents)
        return self._quality(self._signal(weights, latents, steps), rate)

    def _signal(
        self, weights: Mapping[str, Tensor], latents: Sequence[Sequence[Tensor]], steps: Tensor
    ) -> Tensor:
        if self.predicted:
            latents = [[grid.cumsum(0) for grid in own] for own in latents]
        steps = steps.expand(len(self.wanted), -1, -1)
        return pyramid.synthesize(weights, latents, steps, self.out)

    def _quality(self, signal: Tensor, rate: Tensor) -> _Measured:
        error = (signal - self.wanted).square().mean(1, keepdim=True) / 4
        mean = error.mean((1, 2, 3))
        part = (error * self.objects).mean((1, 2, 3))
        outside = (mean - part) / (1 - self.shares).clamp_min(1e-9)
        inside = part / self.shares.clamp_min(1e-9)
        return _Measured(mean + (self.log_weight.exp() - 1) * part, outside, inside, rate)

    def _loss(self, found: _Measured) -> Tensor:
        per_pixel = found.bits / (self.height * self.width)
        return (self._fair() * (found.weighted + self.log_lambda.exp() * per_pixel)).sum()

    def _fair(self) -> Tensor:
        """Factors of mean 1 by which no frame of a high lambda decides alone what all share."""
        factors = (-0.5 * self.log_lambda).exp()
        return factors / factors.mean()

    def weigh_networks(self) -> None:
        """Find what the networks take of a target of bytes."""
        if self.target.n_bytes is not None:
            self.round_latents()
            changes = self.row().changes.values()
            self.network_bytes = sum(map(_change_bits, changes)) / 8 / len(self.wanted)

    @torch.no_grad()
    def control(self) -> None:
        """Move lambda, and the weight of the objects, towards what the target asks for."""
        target = self.target
        if target.psnr is None and target.n_bytes is None and target.objects_psnr is None:
            return
        found = self._measure(self.weights, self._rounded(), self.log_steps.exp())
        if target.psnr is not None:
            error = found.outside
            if target.objects_psnr is None:
                error = error * (1 - self.shares) + found.inside * self.shares
            missed = (_psnr(error) - target.psnr) / _DECIBELS
            # A frame that is all objects has no background to be measured.
            there = 1.0 if target.objects_psnr is None else self.shares < 1
            self.log_lambda += 0.5 * missed * there
        elif target.n_bytes is not None:
            # What the networks take is a guess, and coarser ones take less: latents keep a half.
            wanted = max(target.n_bytes / 2, target.n_bytes - self.network_bytes)
            self.log_lambda += 0.7 * (found.bits / 8 / wanted).clamp_min(1e-3).log()
        self.log_lambda.clamp_(math.log(1e-6), math.log(0.1))
        if target.objects_psnr is not None:
            missing = (target.objects_psnr - _psnr(found.inside)) * (self.shares > 0)
            self.log_weight += 0.5 * missing / _DECIBELS
            self.log_weight.clamp_(0.0, math.log(1e4))

    def _rounded(self) -> list[list[Tensor]]:
        return [
            [(grid.detach() * LATENT_GAIN).round().clamp(-LARGEST, LARGEST) for grid in own]
            for own in self.latents
        ]

    def round_latents(self) -> None:
        """From here on only the networks change."""
        self.rounded = self._rounded()
        self.step_codes = step_codes(self.log_steps)
        self.steps = steps_of(self.step_codes).to(self.wanted.device)

    def hard_step(self, left: float) -> None:
        if not self.adapted:
            return
        found = self._measure(self.weights, self.rounded, self.steps)
        self._loss(found).backward()
        self.soap.step(self.part.recipe.learning_rate * _HARD_RATE * left)

    @torch.no_grad()
    def row(self) -> PyramidRow:
        """The row, its changes rounded as coarsely as lambda says, group by group."""
        chosen: dict[str, Change] = {}
        # A bit of the networks counts as one of a frame of the middle lambda.
        middle = (self._fair() * self.log_lambda.exp()).mean()
        lmbda = float(middle) / (self.height * self.width)
        weights = {name: weight.detach().clone() for name, weight in self.weights.items()}
        for group, names in self.adapted.items():
            difference = torch.cat([(weights[k] - self.start[k]).flatten() for k in names])
            tried: list[tuple[float, Change | None]] = []
            for exponent in [None, *range(_COARSEST_CHANGE, FINEST_CHANGE + 1)]:
                change = None if exponent is None else _change(difference, exponent)
                trial = weights | self._rounded_group(names, change)
                cost = 0.0 if change is None else lmbda * _change_bits(change)
                tried.append((float(self._part_of_loss(group, trial)) + cost, change))
                if change is not None and np.abs(change.codes).max() == LARGEST:
                    break
            best = min(tried, key=lambda pair: pair[0])[1]
            weights |= self._rounded_group(names, best)
            if best is not None:
                chosen[group] = best
        latents = [
            [[grid[k].to(torch.int32).cpu().numpy() for grid in own] for own in self.rounded]
            for k in range(len(self.wanted))
        ]
        return PyramidRow(chosen, self.step_codes, latents, self.predicted)

    def _rounded_group(self, names: Sequence[str], change: Change | None) -> dict[str, Tensor]:
        if change is None:
            return {name: self.start[name] for name in names}
        return changed_group(self.start, names, change)

    def _part_of_loss(self, group: str, weights: Mapping[str, Tensor]) -> Tensor:
        """That part of the loss which the weights of a group have a say in."""
        if group.startswith("context"):
            rate = pyramid.latent_bits(weights, self.rounded)
            weighted = self._fair() * self.log_lambda.exp() * rate
            return weighted.sum() / (self.height * self.width)
        nothing = self.wanted.new_zeros(len(self.wanted))
        signal = self._signal(weights, self.rounded, self.steps)
        return (self._fair() * self._quality(signal, nothing).weighted).sum()


def soft_schedule(progress: float) -> tuple[float, float, float]:
    """Share of the learning rate, temperature and noise at `progress` (0 to 1) of soft steps."""
    factor = max(0.01, 0.5 + 0.5 * math.cos(math.pi * progress))
    temperature, noise = (
        first + (last - first) * progress for first, last in (_TEMPERATURE, _NOISE)
    )
    return factor, temperature, noise


def noisy(latents: Tensor, temperature: float, noise: float, generator: torch.Generator) -> Tensor:
    """Latents between what they are and what they will be rounded to, with noise of that spread."""
    once = _soft_round(latents, temperature)
    shake = torch.randn(latents.shape, generator=generator, device=latents.device)
    return _soft_round(once + shake * noise, temperature)


def _soft_round(x: Tensor, temperature: float) -> Tensor:
    """Between the identity and rounding (Agustsson and Theis, NeurIPS 2020, section 4.1)."""
    floor = x.floor()
    bend = torch.tanh((x - floor - 0.5) / temperature)
    return floor + 0.5 + bend / (2 * math.tanh(0.5 / temperature))


def _psnr(error: Tensor) -> Tensor:
    return -10 * error.clamp_min(1e-10).log10()


def _change(difference: Tensor, exponent: int) -> Change:
    codes = clip_codes(difference * 2.0**exponent)
    return Change(exponent, best_scale(codes), codes)


def _change_bits(change: Change) -> float:
    codes: NDArray[np.int32] = change.codes
    none = np.zeros(len(codes), np.int32)
    return float(bits(codes, none, none + change.scale).sum()) + 8

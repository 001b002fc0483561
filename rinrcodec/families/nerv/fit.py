"""Fitting the network of a sequence: every epoch sees each frame once, in random order.

On a CPU each frame of a step goes to a core of its own, and their gradients are added in order, so
that the bits do not depend on the number of cores. On a GPU the frames of a step are one batch.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from rinrcodec.compute.compose import to_signal
from rinrcodec.compute.parallel import parallel_map, without_torch_threads
from rinrcodec.compute.quantize import fake_quantize, quantize, tensor_scales
from rinrcodec.families.fitting import Fitted, Recipe, schedule
from rinrcodec.families.nerv import network
from rinrcodec.pack import Spec

__all__ = ["fit_sequence", "ssim"]

_SCORES = 8
_WINDOW = 11
_SIGMA = 1.5


def fit_sequence(
    spec: Spec,
    frames: Sequence[Tensor],
    recipe: Recipe,
    *,
    times: Sequence[float],
    bits: int,
    seed: int,
    device: torch.device,
    on_step: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Fit one INR of `spec` to all frames of a sequence.

    frames: uint8 pictures [h, w, channels] of one size; times: the network's input for each.
    on_step: called as on_step(frames, epochs done since the last call).

    Bit for bit reproducible on one CPU for the same frames and seed, on any number of cores.
    """
    network.check(spec)
    sizes = network.tensor_sizes(spec)
    data = _Frames(spec, frames, times, recipe, device)
    n = len(frames)
    steps = math.ceil(n / data.per_step)
    in_steps = replace(
        recipe,
        steps=recipe.steps * steps,
        warmup=recipe.warmup * steps,
        schedule=recipe.schedule and recipe.schedule * steps,
    )
    quantized_from = recipe.steps - int(recipe.steps * recipe.quantized)
    score_every = max(1, int(recipe.steps * max(recipe.quantized, 0.1)) // _SCORES)
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {spec.to_json()}".encode()))
    weights = network.init(spec, 1, generator).to(device)
    optimizer = torch.optim.Adam([weights], lr=recipe.learning_rate, betas=recipe.betas, fused=True)
    best, best_scales = weights.clone(), tensor_scales(weights, sizes, bits)
    best_score = torch.full((), math.inf, device=device)
    scales: Tensor | None = None
    with without_torch_threads(device):
        for epoch in range(recipe.steps):
            if epoch == quantized_from:
                scales = tensor_scales(weights, sizes, bits)
            order = torch.randperm(n, generator=generator).to(device)
            for step, members in enumerate(order.split(data.per_step)):
                seen = weights if scales is None else fake_quantize(weights, scales, sizes, bits)
                factor = schedule(epoch * steps + step, in_steps)
                optimizer.param_groups[0]["lr"] = recipe.learning_rate * factor
                weights.grad = data.gradient(seen[0], members)[None]
                optimizer.step()
            left = recipe.steps - 1 - epoch
            if left % score_every == 0 and left < score_every * _SCORES:
                tried = tensor_scales(weights, sizes, bits) if scales is None else scales
                score = data.error(fake_quantize(weights, tried, sizes, bits)[0])
                better = score < best_score
                best_score = torch.where(better, score, best_score)
                best = torch.where(better, weights, best)
                best_scales = torch.where(better, tried, best_scales)
            if on_step is not None:
                on_step(n, 1)
    return Fitted(quantize(best, best_scales, sizes, bits), best)


class _Frames:
    """The frames of a sequence on its device, and how far weights [params] are from them."""

    def __init__(
        self,
        spec: Spec,
        frames: Sequence[Tensor],
        times: Sequence[float],
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        self.per_step = recipe.samples or 1
        self._spec, self._ssim, self._device = spec, recipe.ssim, device
        self._frames = torch.stack(list(frames)).permute(0, 3, 1, 2).to(device)
        self._times = torch.tensor(times, dtype=torch.float64, device=device)

    def gradient(self, weights: Tensor, members: Tensor) -> Tensor:
        """Compute the gradient [params] of the mean loss of some frames."""

        def of(batch: Tensor) -> Tensor:
            leaf = weights.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self._loss(*self._pair(leaf, batch)), leaf)
            return gradient * len(batch)

        total, *others = parallel_map(of, self._parts(members), self._device)
        for gradient in others:
            total += gradient
        return total.div_(len(members))

    def error(self, weights: Tensor) -> Tensor:
        """Compute the squared error over all frames, on the device."""

        def of(batch: Tensor) -> Tensor:
            return functional.mse_loss(*self._pair(weights, batch), reduction="sum")

        everything = torch.arange(len(self._frames), device=self._device)
        parts = [part for step in everything.split(self.per_step) for part in self._parts(step)]
        return torch.stack(parallel_map(of, parts, self._device)).sum()

    def _loss(self, output: Tensor, reference: Tensor) -> Tensor:
        if not self._ssim:
            return functional.mse_loss(output, reference)
        absolute = functional.l1_loss(output, reference) / 2  # of values from 0 to 1
        return (1 - self._ssim) * absolute + self._ssim * (1 - ssim(output, reference))

    def _parts(self, members: Tensor) -> tuple[Tensor, ...]:
        """Split the frames of a step into those that are computed together."""
        return torch.split(members, 1 if self._device.type == "cpu" else len(members))

    def _pair(self, weights: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output of the network for some frames, and the reference."""
        height, width = self._frames.shape[2:]
        output = network.forward(self._spec, weights, self._times[members])
        return output[..., :height, :width], to_signal(self._frames[members])


def ssim(one: Tensor, other: Tensor) -> Tensor:
    """Compute the mean SSIM of pictures [n, channels, h, w] in [-1, 1]; has a gradient.

    Gaussian windows of 11 pixels (fewer in smaller pictures) with a sigma of 1.5, inside the
    picture only (Wang et al. 2004, section III.B and III.C).
    """
    channels, height, width = one.shape[1:]
    one, other = (one + 1) / 2, (other + 1) / 2
    images = torch.cat([one, other, one * one, other * other, one * other])
    for axis, length in ((2, height), (3, width)):
        count = min(_WINDOW, length)
        offsets = torch.arange(count, device=one.device) - (count - 1) / 2
        window = torch.exp(-offsets.square() / (2 * _SIGMA**2))
        shape = [channels, 1, 1, 1]
        shape[axis] = count
        kernel = (window / window.sum()).view([count if k == axis else 1 for k in range(4)])
        images = functional.conv2d(images, kernel.expand(shape).contiguous(), groups=channels)
    a, b, aa, bb, ab = images.chunk(5)
    luminance, contrast = 0.01**2, 0.03**2
    covariance = 2 * (ab - a * b) + contrast
    variances = (aa - a * a) + (bb - b * b) + contrast
    return ((2 * a * b + luminance) * covariance / ((a * a + b * b + luminance) * variances)).mean()

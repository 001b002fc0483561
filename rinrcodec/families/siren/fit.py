"""Fitting: all INRs of one spec together, quantisation included.

The weights of a group are one tensor [n, params], each layer one batched product. A group is cut
into chunks whose layer activations stay in a core's cache on a CPU, or fill the memory of a GPU.
Nothing inside a step waits for the device: scores and best weights stay there to the end.
"""

from __future__ import annotations

import math
import threading
import zlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rinrcodec.compute.compose import to_signal
from rinrcodec.compute.devices import chunks_by_cost
from rinrcodec.compute.grids import normalize
from rinrcodec.compute.parallel import parallel_map
from rinrcodec.compute.quantize import fake_quantize, quantize, tensor_scales
from rinrcodec.families.fitting import Fitted, Recipe, schedule
from rinrcodec.families.siren import network
from rinrcodec.pack import Spec

__all__ = ["fit_group"]

_SCORE_PIXELS = 16_384
_SCORES = 8


def fit_group(
    spec: Spec,
    references: Sequence[Tensor],
    recipe: Recipe,
    *,
    bits: int,
    seed: int,
    device: torch.device,
    on_step: Callable[[int, int], None] | None = None,
    grouped: bool = True,
) -> Fitted:
    """Fit one INR of `spec` to each reference.

    references: pictures [h, w, channels], sizes may differ; uint8 pixels, or float32 values to be
        met as they are (residuals).
    on_step: called as on_step(INRs, steps done since the last call), from several threads on a CPU.
    grouped: False fits one by one, for comparison.

    Bit for bit reproducible on one CPU for the same references and seed, on any number of cores.
    """
    network.check(spec)
    areas = [reference.shape[0] * reference.shape[1] for reference in references]
    order = sorted(range(len(references)), key=lambda i: areas[i])
    pixels_per_step = [min(recipe.samples or areas[i], areas[i]) for i in order]
    stop = threading.Event()

    def fit_range(chunk: tuple[int, int]) -> tuple[Tensor, Tensor]:
        members = [references[i] for i in order[slice(*chunk)]]
        stream = zlib.crc32(f"{seed} {chunk[0]} {spec.to_json()}".encode())
        generator = torch.Generator(device).manual_seed(stream)
        return _fit_chunk(spec, members, recipe, bits, generator, on_step, stop)

    costs = (pixels_per_step, network.widest(spec), network.kept(spec))
    chunks = list(chunks_by_cost(*costs, device, grouped=grouped))
    fitted = parallel_map(fit_range, chunks, device, stop=stop)
    positions = torch.tensor(order, device=device).argsort()
    weights, scales = (torch.cat(parts)[positions] for parts in zip(*fitted, strict=True))
    return Fitted(quantize(weights, scales, network.tensor_sizes(spec), bits), weights)


def _fit_chunk(
    spec: Spec,
    references: Sequence[Tensor],
    recipe: Recipe,
    bits: int,
    generator: torch.Generator,
    on_step: Callable[[int, int], None] | None,
    stop: threading.Event,
) -> tuple[Tensor, Tensor]:
    """Fit the INRs of one chunk; return their best weights [n, params] and scales [n, tensors]."""
    sizes = network.tensor_sizes(spec)
    data = _Samples(references, recipe.samples, generator)
    weights = network.init(spec, len(references), generator).requires_grad_()
    optimizer = torch.optim.Adam([weights], lr=recipe.learning_rate, betas=recipe.betas, fused=True)
    best = weights.detach().clone()
    best_scales = tensor_scales(best, sizes, bits)
    best_score = torch.full((len(references),), math.inf, device=best.device)
    scales: Tensor | None = None
    rounded = best[:, : network.sensitive(spec)]
    quantized_from = recipe.steps - int(recipe.steps * recipe.quantized)
    score_every = max(1, int(recipe.steps * max(recipe.quantized, 0.1)) // _SCORES)
    report_every = max(1, recipe.steps // 50)
    score_batch = data.score_batch()
    reported = 0

    def loss_of(values: Tensor, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        coords, reference, share = batch
        return ((network.forward(spec, values, coords) - reference).square() * share).sum((1, 2))

    for step in range(recipe.steps):
        if stop.is_set():
            break
        if step == quantized_from:
            with torch.no_grad():
                weights.copy_(network.canonical(spec, weights))
                scales = tensor_scales(weights, sizes, bits)
                everything = fake_quantize(weights, scales, sizes, bits)
                rounded = everything[:, : rounded.shape[1]]
                weights[:, : rounded.shape[1]] = rounded
        seen = weights if scales is None else fake_quantize(weights, scales, sizes, bits)
        optimizer.param_groups[0]["lr"] = recipe.learning_rate * schedule(step, recipe)
        loss_of(seen, data.batch()).sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        left = recipe.steps - 1 - step
        with torch.no_grad():
            if scales is not None:
                weights[:, : rounded.shape[1]] = rounded
            if left % score_every == 0 and left < score_every * _SCORES:
                tried = network.canonical(spec, weights)
                tried_scales = tensor_scales(tried, sizes, bits) if scales is None else scales
                score = loss_of(fake_quantize(tried, tried_scales, sizes, bits), score_batch)
                better = score < best_score
                best_score = torch.where(better, score, best_score)
                best = torch.where(better[:, None], tried, best)
                best_scales = torch.where(better[:, None], tried_scales, best_scales)
        if on_step is not None and ((step + 1) % report_every == 0 or left == 0):
            on_step(len(references), step + 1 - reported)
            reported = step + 1
    return best, best_scales


class _Samples:
    """The pixels of a chunk on its device, and the batches drawn from them.

    A batch is (coords [n, p, 2], values [n, p, channels], share [n, p, 1]); the shares of an INR's
    pixels and channels sum to one, so the loss is a mean.
    """

    def __init__(
        self, references: Sequence[Tensor], samples: int | None, generator: torch.Generator
    ) -> None:
        device = generator.device
        channels = references[0].shape[2]
        self._values = torch.cat([t.reshape(-1, channels).to(device) for t in references])
        shapes = torch.tensor([t.shape[:2] for t in references], dtype=torch.int64)
        counts = shapes[:, 0] * shapes[:, 1]
        self._largest = int(counts.max())
        self._height, self._width = (shapes[:, i : i + 1].to(device) for i in (0, 1))
        self._offset = (counts.cumsum(0) - counts)[:, None].to(device)
        self._count = counts[:, None].to(device)
        self._generator = generator
        self._samples = samples
        whole = samples is None or self._largest <= samples
        self._whole_batch = self._every_pixel() if whole else None

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the pixels of a step: all, or one random pixel of each of `samples` equal strata.

        Strata are runs of the row-by-row order, so no pixel is drawn twice in a step.
        """
        if self._whole_batch is not None:
            return self._whole_batch
        assert self._samples is not None
        offsets = torch.rand(
            len(self._count), self._samples, generator=self._generator, device=self._count.device
        )
        return self._strata(offsets)

    def score_batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the fixed pixels on which weights are compared.

        These are all, or the middles of 16,384 strata.
        """
        if self._whole_batch is not None:
            return self._whole_batch
        if self._largest <= _SCORE_PIXELS:
            return self._every_pixel()
        return self._strata(
            torch.full((len(self._count), _SCORE_PIXELS), 0.5, device=self._count.device)
        )

    def _strata(self, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return one pixel of each stratum; `offsets` [n, strata] in [0, 1) chooses it."""
        strata = offsets.shape[1]
        edges = torch.arange(strata + 1, device=offsets.device) * self._count // strata
        first, last = edges[:, :-1], edges[:, 1:]
        index = first + (offsets * (last - first)).long()
        # An INR of fewer pixels than strata leaves some strata empty.
        filled = last > first
        share = filled / (filled.sum(1, keepdim=True) * self._values.shape[1])
        return self._gather(index.clamp(max=self._count - 1), share[:, :, None].float())

    def _every_pixel(self) -> tuple[Tensor, Tensor, Tensor]:
        index = torch.arange(self._largest, device=self._count.device).expand(len(self._count), -1)
        share = (index < self._count) / (self._count * self._values.shape[1])
        return self._gather(index.clamp(max=self._count - 1), share[:, :, None].float())

    def _gather(self, index: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        line = index // self._width
        x = normalize(index - line * self._width + 0.5, 0, self._width)
        y = normalize(line + 0.5, 0, self._height)
        values = self._values[index + self._offset]
        if values.dtype == torch.uint8:
            values = to_signal(values)
        return torch.stack([x, y], -1).float(), values, share

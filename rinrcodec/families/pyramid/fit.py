"""Fitting a `pyramid` row: latents by Adam, its networks by SOAP, from the start of the package.

A step sees latents that are soft-rounded and noisy, less of both towards the end, so that rounding
has a gradient at first and nothing left to do at the end (C3, section 3; COOL-CHIC 5 has the
schedule of noise, temperature and SOAP). Then latents are rounded for good, the networks adapt to
them, and what they differ by from the start is rounded as coarsely as pays.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rinrcodec.boxes import Region
from rinrcodec.compute.compose import to_signal
from rinrcodec.compute.parallel import parallel_map
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.entropy import LARGEST
from rinrcodec.families.pyramid.latents import Change, PyramidRow, encode_row, step_codes, steps_of
from rinrcodec.families.pyramid.rounding import change_bits, choose_changes
from rinrcodec.families.pyramid.settings import PyramidSettings
from rinrcodec.families.pyramid.soap import Soap
from rinrcodec.families.pyramid.soft_round import noisy, soft_schedule
from rinrcodec.pack import Spec
from rinrcodec.targets import Target

__all__ = [
    "LATENT_BETAS",
    "LATENT_GAIN",
    "Trial",
    "fit_pyramid",
    "trial",
]

LATENT_GAIN = 16.0  # latents are 16 times their parameters: Adam moves them by that much faster
LATENT_BETAS = (0.6, 0.95)
_HARD = 0.1  # share of the steps that see rounded latents
_HARD_RATE = 0.05  # the learning rate there, as a share of the first one
_CONTROLS = 40  # how often a fit is compared with its target, from _CONTROL_FROM of its soft steps
_CONTROL_FROM = 0.15  # on: before, its quality says little about the final one
_WEIGHED_AT = 0.6  # of the soft steps: what the networks will take is judged for a target of bytes
_SMALLEST_LAMBDA, _LARGEST_LAMBDA = 1e-6, 0.1  # that a target moves it to
_FAR = math.log(30)  # and how far a target of PSNR moves its logarithm
_DECIBELS = 2.5  # about what PSNR falls by when lambda grows by a factor of e
# The hidden layers of the context network are fitted where they are expected to pay: what they
# save of the bits that latents take at that share of the soft steps, and what a weight takes.
_WIDENED_AT = 0.15
_SAVED = 0.05
_BITS_OF_WEIGHT = 6.5
_ROUNDED_PIXELS = 2**19  # of frames that are looked at to round the networks
_ALL = slice(None)
_TRIAL_SHARE = 6  # of the steps, one in so many
_SHARING_COSTS = 0.1  # of the loss of large frames


def fit_pyramid(
    spec: Spec,
    frames: Sequence[Tensor],
    regions: Sequence[Sequence[Region]],
    settings: PyramidSettings,
    *,
    target: Target,
    predicted: bool = False,
    seed: int,
    device: torch.device,
    threads: int = 1,
    on_step: Callable[[int, int], None] | None = None,
) -> bytes:
    """Fit one row to 1 to `MOST_FRAMES` frames of one size; return its coded bytes.

    frames: uint8 [h, w, 1 or 3]; regions: for every frame those of its objects, where errors count
    more. threads: frames that a CPU works on at once, unless they are predicted. on_step: called as
    on_step(frames, steps done since the last call), and may raise to end the fit. Bit for bit
    reproducible on one CPU for the same frames and seed, with any number of threads, where torch
    itself is kept to one.
    """
    mapped: _Map = map
    if threads > 1:
        mapped = partial(parallel_map, device=device, threads=threads)
    fit = _Fit(spec, frames, regions, settings, target, predicted, seed, device, mapped)
    if on_step is not None:
        fit.check = partial(on_step, 0, 0)
    _run(fit, settings.recipe.steps, on_step)
    return encode_row(spec, fit.row())


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of a short fit of a few frames.

    predicted: whether frames are better coded as what they differ by from the one before; n_bytes:
    of a frame's latents where none is predicted, about a third more than a whole fit leaves.
    """

    predicted: bool
    n_bytes: float


def trial(
    spec: Spec,
    frames: Sequence[Tensor],
    regions: Sequence[Sequence[Region]],
    settings: PyramidSettings,
    *,
    target: Target,
    seed: int,
    device: torch.device,
    on_step: Callable[[int, int], None] | None = None,
) -> Trial:
    """Fit a few frames both ways. Arguments as of `fit_pyramid`."""
    # At one lambda: a target that moves it would compare losses of two kinds.
    fixed = Target(lmbda=_first_guess(target, settings)[0])
    losses, n_bytes = [], 0.0
    for predicted in (False, True):
        fit = _Fit(spec, frames, regions, settings, fixed, predicted, seed, device)
        _run(fit, max(1, settings.recipe.steps // _TRIAL_SHARE), on_step)
        with torch.no_grad():
            measured = fit._measure_all(fit.rounded, fit.steps)
            losses.append(float(fit._loss(measured)))
        if not predicted:
            n_bytes = float(measured.bits.mean()) / 8
    # Where frames would not share networks, those that do have to make up for it.
    rival = losses[0] * (1 - _SHARING_COSTS if n_bytes >= settings.shared_below else 1)
    return Trial(losses[1] < rival, n_bytes)


def _run(fit: _Fit, steps: int, on_step: Callable[[int, int], None] | None) -> None:
    frames = len(fit.reference)
    soft = steps - int(steps * _HARD)
    for step in range(soft):
        fit.soft_step(step / soft)
        if step >= _CONTROL_FROM * soft and step % max(1, soft // _CONTROLS) == 0:
            fit.control()
        if step == int(_WIDENED_AT * soft):
            fit.widen()
        if step == int(_WEIGHED_AT * soft):
            fit.weigh_networks()
        if on_step is not None:
            on_step(frames, 1)
    fit.round_latents()
    for step in range(steps - soft):
        fit.hard_step(1 - step / (steps - soft))
        if on_step is not None:
            on_step(frames, 1)


_Map = Callable[[Callable[[slice], list[Tensor]], Sequence[slice]], Iterable[list[Tensor]]]


@dataclass(slots=True)
class _Measured:
    """The cost of frames, [n] each.

    Mean squared errors on [0, 1]: in all, with the weight of objects, and outside and inside of the
    boxes; then the bits of their latents.
    """

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
        settings: PyramidSettings,
        target: Target,
        predicted: bool,
        seed: int,
        device: torch.device,
        mapped: _Map = map,
    ) -> None:
        self.map = mapped
        self.check: Callable[[], None] = lambda: None  # raises to end the fit
        self.spec, self.settings, self.target, self.predicted = spec, settings, target, predicted
        self.reference = to_signal(torch.stack(list(frames)).permute(0, 3, 1, 2).to(device))
        n, self.out, self.height, self.width = self.reference.shape
        self.objects = torch.zeros(n, 1, self.height, self.width, device=device)
        for frame, of_frame in enumerate(regions):
            for region in of_frame:
                self.objects[frame, 0][region.slices] = 1
        self.shares = self.objects.mean((1, 2, 3))
        # Frames in one batch: one on a CPU, whose caches hold it better than many; where frames are
        # predicted, all.
        at_once = (
            1 if device.type == "cpu" else max(1, settings.at_once // (self.height * self.width))
        )
        at_once = n if predicted else at_once
        self.batches = [slice(k, min(k + at_once, n)) for k in range(0, n, at_once)]
        lmbda, weight = _first_guess(target, settings)
        self.log_lambda = torch.full((n,), math.log(lmbda), device=device)
        self.log_weight = torch.full((n,), math.log(weight), device=device)
        # A short fit is not to leave what is likely: steps that have become tiny do not come back.
        far = math.inf if target.psnr is None else _FAR
        self.lambda_range = (
            max(math.log(_SMALLEST_LAMBDA), math.log(lmbda) - far),
            min(math.log(_LARGEST_LAMBDA), math.log(lmbda) + far),
        )
        self.network_bytes = 0.0  # of a frame
        first = zlib.crc32(f"{seed} {spec.to_json()} {self.width}x{self.height}".encode())
        self.generators = [
            torch.Generator(device).manual_seed(first + k) for k in range(len(self.batches))
        ]
        sizes = pyramid.grid_sizes(self.width, self.height)
        self.latents = [
            [torch.zeros(n, *size, device=device).requires_grad_() for size in shapes]
            for shapes in sizes
        ]
        self.start = pyramid.start_weights(spec, device)
        self.weights = {name: weight.clone() for name, weight in self.start.items()}
        # Hidden layers of the context network stay as they are, unless `widen` finds that they pay.
        self.fitted = [name for name in self.weights if not _is_hidden_context(name)]
        usual = pyramid.usual_steps(spec, lmbda).to(device)
        # Frames that are predicted are all in units of the same steps.
        self.log_steps = usual.repeat(1 if predicted else n, 1, 1).requires_grad_()
        flat = [grid for grids in self.latents for grid in grids]
        rate = settings.recipe.learning_rate
        self.adam = torch.optim.Adam(
            [
                {"params": flat, "lr": rate, "betas": LATENT_BETAS},
                {"params": [self.log_steps], "lr": rate, "betas": (0.9, 0.99)},
            ],
            eps=1e-12,
            fused=True,
        )
        self.soaps = [Soap([self.weights[name].requires_grad_() for name in self.fitted])]

    def soft_step(self, progress: float) -> None:
        factor, temperature, noise = soft_schedule(progress)
        rate = self.settings.recipe.learning_rate * factor
        for group in self.adam.param_groups:
            group["lr"] = rate

        def gradients(frames: slice) -> list[Tensor]:
            parameters = [
                [grid[frames].detach().requires_grad_() for grid in c] for c in self.latents
            ]
            generator = self.generators[self.batches.index(frames)]
            latents = [
                [noisy(grid * LATENT_GAIN, temperature, noise, generator) for grid in c]
                for c in parameters
            ]
            log_steps = self.log_steps[frames].detach().requires_grad_()
            measured = self._measure(self.weights, latents, log_steps.exp(), frames)
            return self._gradients(
                measured, frames, [*(grid for c in parameters for grid in c), log_steps]
            )

        leaves = [*(grid for c in self.latents for grid in c), self.log_steps]
        gradients_of_batches = list(self.map(gradients, self.batches))
        for k, leaf in enumerate(leaves):
            leaf.grad = torch.cat([of_batch[k] for of_batch in gradients_of_batches])
        self._share([of_batch[len(leaves) :] for of_batch in gradients_of_batches])
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        for soap in self.soaps:
            soap.step(rate)

    def _gradients(
        self, measured: _Measured, frames: slice, others: Sequence[Tensor] = ()
    ) -> list[Tensor]:
        """Compute the gradients of the loss of some frames for other leaves and the networks."""
        leaves = [*others, *(self.weights[name] for name in self.fitted)]
        grads = torch.autograd.grad(self._loss(measured, frames), leaves, allow_unused=True)
        return [
            torch.zeros_like(leaf) if grad is None else grad
            for leaf, grad in zip(leaves, grads, strict=True)
        ]

    def _share(self, gradients: Sequence[Sequence[Tensor]]) -> None:
        """Add the gradients of the networks, which all frames share, in the order of frames."""
        for name, *grads in zip(self.fitted, *gradients, strict=True):
            self.weights[name].grad = torch.stack(grads).sum(0)

    @torch.no_grad()
    def widen(self) -> None:
        """Fit the hidden layers of context networks, too, where they save more than they take."""
        taken = dict.fromkeys(range(len(pyramid.COMPONENTS)), 0.0)
        rounded = self._rounded()
        for frames in self.batches:
            latents = [[grid[frames] for grid in grids] for grids in rounded]
            for name, inputs, values in pyramid.context_inputs(latents):
                taken[_component(name)] += float(
                    pyramid.pass_bits(self.weights, name, inputs, values).sum()
                )
        more = []
        for component, n_bits in taken.items():
            hidden = [
                name
                for name in self.weights
                if _is_hidden_context(name) and _component(name) == component
            ]
            n_weights = sum(self.weights[name].numel() for name in hidden)
            if _SAVED * n_bits > _BITS_OF_WEIGHT * n_weights:
                more += hidden
        if more:
            self.soaps.append(Soap([self.weights[name].requires_grad_() for name in more]))
            self.fitted += more

    def _measure(
        self,
        weights: Mapping[str, Tensor],
        latents: Sequence[Sequence[Tensor]],
        steps: Tensor,
        frames: slice = _ALL,
    ) -> _Measured:
        """Measure some frames whose latents are given."""
        rate = pyramid.latent_bits(weights, latents)
        return self._quality(self._signal(weights, latents, steps), rate, frames)

    @torch.no_grad()
    def _measure_all(self, latents: Sequence[Sequence[Tensor]], steps: Tensor) -> _Measured:
        """Measure all frames with the networks as they are."""

        def measure(frames: slice) -> list[Tensor]:
            with torch.no_grad():
                batch = [[grid[frames] for grid in c] for c in latents]
                measured = self._measure(self.weights, batch, steps[frames], frames)
            return [measured.weighted, measured.outside, measured.inside, measured.bits]

        batches = list(self.map(measure, self.batches))
        return _Measured(*(torch.cat(values) for values in zip(*batches, strict=True)))

    def _signal(
        self, weights: Mapping[str, Tensor], latents: Sequence[Sequence[Tensor]], steps: Tensor
    ) -> Tensor:
        if self.predicted:
            latents = [[grid.cumsum(0) for grid in grids] for grids in latents]
        return pyramid.synthesize(weights, latents, steps, self.out)

    def _quality(self, signal: Tensor, rate: Tensor, frames: slice | list[int] = _ALL) -> _Measured:
        error = (signal - self.reference[frames]).square().mean(1, keepdim=True) / 4
        mean = error.mean((1, 2, 3))
        part = (error * self.objects[frames]).mean((1, 2, 3))
        shares, weight = self.shares[frames], self.log_weight[frames].exp()
        outside = (mean - part) / (1 - shares).clamp_min(1e-9)
        inside = part / shares.clamp_min(1e-9)
        return _Measured(mean + (weight - 1) * part, outside, inside, rate)

    def _loss(self, measured: _Measured, frames: slice = _ALL) -> Tensor:
        rate = self.log_lambda[frames].exp() * measured.bits / (self.height * self.width)
        loss: Tensor = (self._fair()[frames] * (measured.weighted + rate)).sum()
        return loss

    def _fair(self) -> Tensor:
        """Compute factors of mean 1, so that frames of a high lambda do not decide alone."""
        factors = (-0.5 * self.log_lambda).exp()
        return factors / factors.mean()

    def weigh_networks(self) -> None:
        """Find what the networks take of a target of bytes."""
        if self.target.n_bytes is not None:
            self.round_latents()
            changes = self.changes().values()
            self.network_bytes = sum(map(change_bits, changes)) / 8 / len(self.reference)

    @torch.no_grad()
    def control(self) -> None:
        """Move lambda, and the weight of the objects, towards what the target asks for."""
        target = self.target
        if target.psnr is None and target.n_bytes is None and target.objects_psnr is None:
            return
        before = self.log_lambda.clone()
        measured = self._measure_all(self._rounded(), self.log_steps.exp())
        if target.psnr is not None:
            error = measured.outside
            if target.objects_psnr is None:
                error = error * (1 - self.shares) + measured.inside * self.shares
            missed = (_psnr(error) - target.psnr) / _DECIBELS
            # A frame that is all objects has no background to be measured.
            there = 1.0 if target.objects_psnr is None else self.shares < 1
            self.log_lambda += 0.5 * missed * there
            self.log_lambda.clamp_(*self.lambda_range)
        elif target.n_bytes is not None:
            # What the networks take is a guess, and coarser ones take less: latents keep a half.
            n_bytes = max(target.n_bytes / 2, target.n_bytes - self.network_bytes)
            self.log_lambda += 0.7 * (measured.bits / 8 / n_bytes).clamp_min(1e-3).log()
            self.log_lambda.clamp_(*self.lambda_range)
        self._follow(self.log_lambda - before)
        if target.objects_psnr is not None:
            missing = (target.objects_psnr - _psnr(measured.inside)) * (self.shares > 0)
            self.log_weight += 0.5 * missing / _DECIBELS
            self.log_weight.clamp_(0.0, math.log(1e4))

    def _follow(self, moved: Tensor) -> None:
        """Give frames the steps that go with their lambda, and scale their latents to match."""
        slopes = pyramid.usual_steps(self.spec, math.e) - pyramid.usual_steps(self.spec, 1.0)
        if self.predicted:
            moved = moved.mean(0, keepdim=True)
        shift = slopes.to(moved) * moved[:, None, None]
        self.log_steps += shift
        for component, first in enumerate(pyramid.COMPONENTS):
            for k, grid in enumerate(self.latents[component]):
                grid *= (-shift[:, min(component, 1), first + k, None, None]).exp()

    def _rounded(self) -> list[list[Tensor]]:
        return [
            [(grid.detach() * LATENT_GAIN).round().clamp(-LARGEST, LARGEST) for grid in grids]
            for grids in self.latents
        ]

    def round_latents(self) -> None:
        """Round the latents; only the networks change after this."""
        self.rounded = self._rounded()
        self.step_codes = step_codes(self.log_steps.expand(len(self.reference), -1, -1))
        self.steps = steps_of(self.step_codes).to(self.reference.device)

    def hard_step(self, left: float) -> None:

        def gradients(frames: slice) -> list[Tensor]:
            latents = [[grid[frames] for grid in grids] for grids in self.rounded]
            measured = self._measure(self.weights, latents, self.steps[frames], frames)
            return self._gradients(measured, frames)

        self._share(list(self.map(gradients, self.batches)))
        for soap in self.soaps:
            soap.step(self.settings.recipe.learning_rate * _HARD_RATE * left)

    @torch.no_grad()
    def changes(self) -> dict[str, Change]:
        """Round the networks as coarsely as lambda allows and return their changes."""
        # Some frames represent all. Where frames are predicted, a signal needs the first ones.
        n = len(self.reference)
        count = max(1, min(n, _ROUNDED_PIXELS // (self.height * self.width)))
        spread = [k * n // count for k in range(count)]
        seen = list(range(count)) if self.predicted else spread
        latents = [[grid[spread] for grid in grids] for grids in self.rounded]
        inputs = {name: (x, values) for name, x, values in pyramid.context_inputs(latents)}
        latents = [[grid[seen] for grid in grids] for grids in self.rounded]
        fair = self._fair()
        of_rate = fair[spread] * self.log_lambda[spread].exp() / (self.height * self.width)
        nothing = torch.zeros_like(fair[seen])

        def loss(name: str, weights: Mapping[str, Tensor]) -> float:
            self.check()
            network = name.rpartition(".")[0]
            if network in inputs:
                return float(
                    (of_rate * pyramid.pass_bits(weights, network, *inputs[network])).sum()
                )
            signal = self._signal(weights, latents, self.steps[seen])
            return float((fair[seen] * self._quality(signal, nothing, seen).weighted).sum())

        # A bit of the networks counts as one of a frame of the middle lambda.
        per_bit = float(of_rate.mean()) * count / n
        return choose_changes(self.start, self.weights, self.fitted, loss, per_bit)

    def row(self) -> PyramidRow:
        """Return the row as it is stored."""
        frames = [
            [[grid[k].to(torch.int32).cpu().numpy() for grid in grids] for grids in self.rounded]
            for k in range(len(self.reference))
        ]
        return PyramidRow(self.changes(), self.step_codes, frames, self.predicted)


def _first_guess(target: Target, settings: PyramidSettings) -> tuple[float, float]:
    """Guess the lambda and the weight of objects to begin with; `control` corrects them."""
    if target.psnr is None:
        return target.lmbda or settings.lmbda, settings.object_weight
    # The mean squared error comes to about half of lambda, or to that over the weight.
    weight = settings.object_weight
    if target.objects_psnr is not None:
        weight = max(1.0, 10 ** ((target.objects_psnr - target.psnr) / 10))
    return min(2 * 10 ** (-target.psnr / 10), _LARGEST_LAMBDA), weight


def _is_hidden_context(name: str) -> bool:
    return name.startswith("context.") and name.endswith(".hidden")


def _component(name: str) -> int:
    """Return the component of a tensor, or of a network, of contexts."""
    return int(name.split(".")[1][0])


def _psnr(error: Tensor) -> Tensor:
    return -10 * error.clamp_min(1e-10).log10()

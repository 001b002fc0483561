from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from siren_specs import siren_spec
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from rinrcodec.compute.compose import to_signal
from rinrcodec.compute.devices import chunks_by_cost
from rinrcodec.compute.quantize import dequantize
from rinrcodec.families.fitting import Recipe
from rinrcodec.families.nerv.encode import NervBackgrounds
from rinrcodec.families.nerv.fit import fit_sequence
from rinrcodec.families.siren import network as siren
from rinrcodec.families.siren.fit import _Samples, fit_group
from rinrcodec.presets import get_preset

CPU = torch.device("cpu")
SPEC = siren_spec(3, 16)
FULL = Recipe(150, 3e-3, None, warmup=10)
DRAWN = Recipe(200, 3e-3, 256, warmup=10)


def pixels_of(picture: NDArray[np.uint8]) -> Tensor:
    return torch.tensor(picture)


def error_db(weights: Tensor, reference: Tensor) -> float:
    h, w = reference.shape[:2]
    rows, columns = ((torch.arange(n) + 0.5) * 2 / n - 1 for n in (h, w))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    outputs = siren.forward(SPEC, weights[None], torch.stack([x, y], -1).reshape(1, -1, 2))
    mse = (outputs[0].view(h, w, -1) - reference).square().mean() / 4
    return float(-10 * torch.log10(mse))


@pytest.mark.parametrize("recipe", [FULL, DRAWN])
def test_a_fit_learns_the_picture(picture: NDArray[np.uint8], recipe: Recipe) -> None:
    flat = float(-10 * torch.log10((to_signal(pixels_of(picture)) + 0.0).var() / 4))
    fitted = fit_group(SPEC, [pixels_of(picture)], recipe, bits=8, seed=0, device=CPU)
    quality = error_db(fitted.weights[0], to_signal(pixels_of(picture)))
    assert quality > flat + 8


def test_same_seed_same_weights_other_seed_others(picture: NDArray[np.uint8]) -> None:
    first, again, other = (
        fit_group(SPEC, [pixels_of(picture)], DRAWN, bits=8, seed=seed, device=CPU).rows.codes
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_targets_of_any_size_are_fitted_together_and_keep_their_order() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, 1), (40, 3), (1, 60), (7, 5), (30, 30)]
    colours = torch.rand(len(shapes), 3, generator=generator) * 1.6 - 0.8
    references = [c.expand(*shape, 3).clone() for c, shape in zip(colours, shapes, strict=True)]
    fitted = fit_group(SPEC, references, FULL, bits=16, seed=0, device=CPU)
    for row, reference in zip(fitted.weights, references, strict=True):
        assert error_db(row, reference) > 35


def test_uint8_and_the_same_floats_are_the_same_reference(picture: NDArray[np.uint8]) -> None:
    pixels = pixels_of(picture)
    rows = [
        fit_group(SPEC, [t], Recipe(5, 1e-3, 64), bits=8, seed=0, device=CPU).rows.codes
        for t in (pixels, to_signal(pixels))
    ]
    assert np.array_equal(*rows)


@pytest.mark.parametrize("bits", [6, 8, 16])
def test_quantised_weights_are_as_good_as_the_float_fit(
    picture: NDArray[np.uint8], bits: int
) -> None:
    """A smooth picture is the hardest case: its PSNR is far above a photograph's."""
    pixels = pixels_of(picture)
    recipe = Recipe(400, 3e-3, None, warmup=10)
    quantised, plain = (
        fit_group(SPEC, [pixels], replace(recipe, quantized=q), bits=b, seed=0, device=CPU)
        for q, b in ((0.3, bits), (0.0, 16))
    )
    stored = dequantize(quantised.rows, siren.tensor_sizes(SPEC), CPU)[0]
    loss = error_db(plain.weights[0], to_signal(pixels)) - error_db(stored, to_signal(pixels))
    assert loss < {6: 6.0, 8: 1.0, 16: 0.5}[bits]


class HostReads(TorchDispatchMode):
    """Counts operations that make the host wait for a value of a tensor."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.seen = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.seen += 1
        self.count += any(name.startswith(word) for word in self.WAITING)
        return func(*args, **(kwargs or {}))


def test_the_counter_of_host_reads_can_see_one() -> None:
    with HostReads() as reads:
        torch.ones(3).sum().item()
    assert reads.count == 1


@pytest.mark.parametrize("samples", [None, 128])
def test_no_step_waits_for_the_device(picture: NDArray[np.uint8], samples: int | None) -> None:
    counts = []
    for steps in (8, 40):
        with HostReads() as reads:
            recipe = Recipe(steps, 1e-3, samples, quantized=0.5)
            fit_group(SPEC, [pixels_of(picture)] * 2, recipe, bits=8, seed=0, device=CPU)
        assert reads.seen > 10 * steps
        counts.append(reads.count)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("ssim", [0.0, 0.3])
def test_no_step_of_a_sequence_waits_for_the_device(
    picture: NDArray[np.uint8], ssim: float
) -> None:
    frames = [pixels_of(picture)] * 3
    part = get_preset("fast", background="nerv").background
    assert isinstance(part, NervBackgrounds)
    spec = part.spec(picture.shape[1], picture.shape[0], len(frames), 3)
    counts = []
    for epochs in (8, 40):
        recipe = replace(part.recipe, steps=epochs, quantized=0.5, ssim=ssim)
        with HostReads() as reads:
            fit_sequence(spec, frames, recipe, times=[0, 1 / 3, 2 / 3], bits=8, seed=0, device=CPU)
        assert reads.seen > 10 * epochs
        counts.append(reads.count)
    assert counts[0] == counts[1]


def test_drawn_pixels_are_distinct_and_carry_their_own_values() -> None:
    height, width = 37, 53
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    values = torch.stack([x, y], -1).float()
    samples = _Samples([values, values[:20, :20]], 300, torch.Generator().manual_seed(0))
    coords, drawn, share = samples.batch()
    assert coords.shape == (2, 300, 2)
    sizes = torch.tensor([[[width, height]], [[20, 20]]])
    torch.testing.assert_close((coords + 1) / 2 * sizes - 0.5, drawn, atol=1e-4, rtol=0)
    for row in drawn:
        assert len({tuple(pixel.tolist()) for pixel in row}) == 300
    torch.testing.assert_close(share.expand(-1, -1, 2).sum((1, 2)), torch.ones(2))
    assert not torch.equal(samples.batch()[1], drawn)


def test_an_inr_of_few_pixels_counts_each_of_them_once() -> None:
    wide = torch.zeros(40, 40, 3)
    small = torch.arange(25.0).view(5, 5, 1).expand(-1, -1, 3)
    samples = _Samples([small, wide], 300, torch.Generator().manual_seed(0))
    for _, values, share in (samples.batch(), samples.score_batch()):
        counted = values[0, :, 0][share[0, :, 0] > 0]
        assert sorted(counted.tolist()) == list(range(25))
        assert share.expand(-1, -1, 3).sum((1, 2)).tolist() == pytest.approx([1, 1], abs=1e-4)


def test_padding_of_a_smaller_target_has_no_share_in_the_loss() -> None:
    samples = _Samples([torch.zeros(2, 2, 3), torch.zeros(4, 5, 3)], None, torch.Generator())
    _, _, share = samples.batch()
    assert share[0, :, 0].tolist() == [pytest.approx(1 / 12)] * 4 + [0.0] * 16
    assert share.expand(-1, -1, 3).sum((1, 2)).tolist() == pytest.approx([1, 1], abs=1e-4)


def test_chunks_cover_everything_in_order_and_respect_the_cache() -> None:
    pixels = [10] * 50 + [2_000] * 7 + [1_000_000] * 3
    ranges = list(chunks_by_cost(pixels, 40, 400, CPU))
    assert [a for a, _ in ranges] == [0] + [b for _, b in ranges[:-1]]
    assert ranges[-1][1] == len(pixels)
    for start, end in ranges:
        assert end - start == 1 or (end - start) * pixels[end - 1] * 40 * 4 <= 1 << 20
    assert len(ranges) < len(pixels) / 2
    assert list(chunks_by_cost(pixels, 40, 400, CPU, grouped=False)) == [
        (i, i + 1) for i in range(60)
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_cuda_steps_never_synchronise(picture: NDArray[np.uint8]) -> None:
    recipe = Recipe(20, 1e-3, 256, quantized=0.5)
    device = torch.device("cuda")

    done = 0

    def forbid(_inrs: int, steps: int) -> None:
        nonlocal done
        done += steps
        torch.cuda.set_sync_debug_mode("error" if done < recipe.steps else "default")

    try:
        fit_group(
            SPEC, [pixels_of(picture)] * 3, recipe, bits=8, seed=0, device=device, on_step=forbid
        )
    finally:
        torch.cuda.set_sync_debug_mode("default")

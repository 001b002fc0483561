from __future__ import annotations

import pytest
import torch

from rinrcodec.compute.quantize import (
    dequantize,
    fake_quantize,
    largest_code,
    quantize,
    tensor_scales,
)

SIZES = (20, 3, 7)


def weights(n: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    magnitudes = torch.tensor([0.01, 1.0, 300.0]).repeat_interleave(torch.tensor(SIZES))
    return torch.randn(n, sum(SIZES), generator=generator) * magnitudes


@pytest.mark.parametrize("bits", range(4, 17))
def test_the_fit_measures_the_decoded_values(bits: int) -> None:
    scales = tensor_scales(weights(), SIZES, bits)
    rows = quantize(weights(), scales, SIZES, bits)
    decoded = dequantize(rows, SIZES, torch.device("cpu"))
    assert torch.equal(decoded, fake_quantize(weights(), scales, SIZES, bits))
    assert rows.codes.itemsize == (1 if bits <= 8 else 2)
    assert abs(rows.codes.astype(int)).max() <= largest_code(bits)


@pytest.mark.parametrize("bits", [4, 8, 16])
def test_no_weight_is_off_by_more_than_half_a_step(bits: int) -> None:
    values = weights()
    scales = tensor_scales(values, SIZES, bits)
    steps = scales.repeat_interleave(torch.tensor(SIZES), 1)
    error = (fake_quantize(values, scales, SIZES, bits) - values).abs()
    assert (error <= steps * 0.5001).all()


def test_scales_are_exact_in_bfloat16_and_large_enough() -> None:
    values = weights()
    scales = tensor_scales(values, SIZES, 8)
    assert torch.equal(scales.bfloat16().float(), scales)
    peaks = torch.stack([part.abs().amax(1) for part in values.split(SIZES, 1)], 1)
    assert (scales * 127 >= peaks).all()
    assert (scales * 127 <= peaks * 1.01).all()


def test_all_zero_weights_stay_zero() -> None:
    zeros = torch.zeros(2, sum(SIZES))
    rows = quantize(zeros, tensor_scales(zeros, SIZES, 8), SIZES, 8)
    assert not rows.codes.any()
    assert not dequantize(rows, SIZES, torch.device("cpu")).any()


def test_gradients_pass_straight_through() -> None:
    values = weights().requires_grad_()
    fake_quantize(values, tensor_scales(values, SIZES, 4), SIZES, 4).sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, torch.ones_like(values))


def test_weights_that_outgrow_their_scale_are_clipped_and_rounding_twice_changes_nothing() -> None:
    values = weights()
    scales = tensor_scales(values, SIZES, 8)
    once = fake_quantize(values * 3, scales, SIZES, 8)
    assert abs(quantize(values * 3, scales, SIZES, 8).codes.astype(int)).max() == 127
    assert torch.equal(fake_quantize(once, scales, SIZES, 8), once)

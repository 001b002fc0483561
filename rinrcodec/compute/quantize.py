"""Weights as small integers: symmetric, one scale per tensor of every INR.

weight = code * scale with |code| <= 2 ** (bits - 1) - 1. Scales are rounded up to bfloat16, the
form in which they are stored, so that what is scored while fitting is what is decoded later.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rinrcodec.pack import Rows

__all__ = ["dequantize", "fake_quantize", "largest_code", "quantize", "tensor_scales"]

_SMALLEST_SCALE = 2.0**-60


def largest_code(bits: int) -> int:
    """Return the largest magnitude of a code of `bits` bits; the range is symmetric around zero."""
    return int(2 ** (bits - 1) - 1)


def tensor_scales(weights: Tensor, sizes: Sequence[int], bits: int) -> Tensor:
    """Return the scale of every tensor of every INR: float32 [n, tensors], exact in bfloat16.

    weights: [n, params], the tensors side by side; sizes: how many parameters each tensor has.
    """
    peaks = [part.abs().amax(1) for part in weights.detach().split(list(sizes), 1)]
    scales = (torch.stack(peaks, 1) / largest_code(bits)).clamp_min(_SMALLEST_SCALE)
    upper_half = (scales.float().view(torch.int32) + 0xFFFF) & ~0xFFFF
    return upper_half.view(torch.float32)


def _spread(scales: Tensor, sizes: Sequence[int]) -> Tensor:
    """Repeat scales [n, tensors] for every parameter: [n, params]."""
    columns = zip(scales.split(1, 1), sizes, strict=True)
    return torch.cat([column.expand(-1, size) for column, size in columns], 1)


def _codes(weights: Tensor, scales: Tensor, sizes: Sequence[int], bits: int) -> Tensor:
    largest = largest_code(bits)
    return (weights.detach() / _spread(scales, sizes)).round_().clamp_(-largest, largest)


def fake_quantize(weights: Tensor, scales: Tensor, sizes: Sequence[int], bits: int) -> Tensor:
    """Round weights to the values that they decode to; gradients pass straight through."""
    rounded = _codes(weights, scales, sizes, bits).mul_(_spread(scales, sizes))
    return weights + (rounded - weights.detach())


def quantize(weights: Tensor, scales: Tensor, sizes: Sequence[int], bits: int) -> Rows:
    """Return integer codes and scales, on the host."""
    codes = _codes(weights, scales, sizes, bits).cpu().numpy()
    integers = codes.astype(np.int8) if bits <= 8 else codes.astype(np.int16)
    return Rows(integers, scales.cpu().numpy())


def dequantize(rows: Rows, sizes: Sequence[int], device: torch.device) -> Tensor:
    """Return float32 weights [n, params] on `device`."""
    codes = torch.from_numpy(rows.codes).to(device)
    scales = torch.from_numpy(rows.scales).to(device)
    return codes.float() * _spread(scales, sizes)

"""SIREN: a small MLP with sine activations from pixel position to colour (Sitzmann et al. 2020).

The network of Rapid-INR and of Residual-INR's Rapid-INR variant: `depth` hidden layers of `width`,
h = sin(w0 (x W + b)), then a linear layer to `out` channels in [-1, 1]. `w0_first` is the factor of
the first layer and `w0` that of the others. Stored layer by layer: W [in, out] row by row, then b.

The gradient is written out. With h the input of a layer, z its output and g the gradient of z::

    hidden layer    a = w0 (h W + b)    z = sin(a)    d = w0 cos(a) g
    last layer                          z = h W + b   d = g

    gradients of    W: h^T d            b: sum of d over the pixels            h: d W^T
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from rinrcodec.errors import RinrFormatError
from rinrcodec.pack import Spec

__all__ = [
    "canonical",
    "channels",
    "check",
    "forward",
    "init",
    "kept",
    "sensitive",
    "tensor_sizes",
    "widest",
    "work",
]

_LARGEST = {"depth": 64, "width": 4096}
# In multiplications, roughly: a sine, and what a pixel takes however small its network is.
_SINE, _PIXEL = 16, 512


def check(spec: Spec) -> None:
    """Raise `RinrFormatError` if the spec is not one that this family can build."""
    for key, largest in _LARGEST.items():
        value = spec[key]
        if not isinstance(value, int) or not 1 <= value <= largest:
            raise RinrFormatError(
                f"siren {key}={value!r}: expected a whole number from 1 to {largest}"
            )
    if spec["out"] not in (1, 3):
        raise RinrFormatError(f"siren out={spec['out']!r}: expected 3 for RGB or 1 for grey")
    for key in ("w0", "w0_first"):
        value = spec[key]
        if isinstance(value, str) or not 0 < value <= 1e4:
            raise RinrFormatError(
                f"siren {key}={value!r}: expected a number above 0, at most 10000"
            )
    if len(spec.config) != 5:
        raise RinrFormatError(f"siren takes depth, width, out, w0, w0_first, got {spec.to_json()}")


def _layers(spec: Spec) -> list[tuple[int, int, float]]:
    """Return (inputs, outputs, w0) of every layer; the last one is linear."""
    depth, width, out = int(spec["depth"]), int(spec["width"]), int(spec["out"])
    hidden = [(width, width, float(spec["w0"]))] * (depth - 1)
    return [(2, width, float(spec["w0_first"])), *hidden, (width, out, 1.0)]


def tensor_sizes(spec: Spec) -> tuple[int, ...]:
    """Return the number of weights in each tensor: W [in * out], then b [out], layer by layer."""
    return tuple(size for i, o, _ in _layers(spec) for size in (i * o, o))


def channels(spec: Spec) -> int:
    """Return the output values per pixel: 3 for RGB, 1 for grey."""
    return int(spec["out"])


def widest(spec: Spec) -> int:
    """Return the most values that a layer gives for a pixel."""
    return max(int(spec["width"]), int(spec["out"]))


def work(spec: Spec) -> int:
    """Estimate the multiplications for a pixel; a sine counts as several."""
    return sum(tensor_sizes(spec)) + _SINE * int(spec["depth"]) * int(spec["width"]) + _PIXEL


def kept(spec: Spec) -> int:
    """Count the values kept for a pixel: inputs, cosines, and what layers pass on each way."""
    return (2 * int(spec["depth"]) + 4) * int(spec["width"])


def canonical(spec: Spec, weights: Tensor) -> Tensor:
    """Move biases by whole periods of their sine into [-pi / w0, pi / w0]."""
    parts = list(weights.split(tensor_sizes(spec), 1))
    for index, (_, _, w0) in enumerate(_layers(spec)[:-1]):
        period = 2 * math.pi / w0
        bias = parts[2 * index + 1]
        parts[2 * index + 1] = bias - period * (bias / period).round()
    return torch.cat(parts, 1)


def sensitive(spec: Spec) -> int:
    """Return the number of weights in the first layer, where an error moves the whole picture."""
    return sum(tensor_sizes(spec)[:2])


def init(spec: Spec, n: int, generator: torch.Generator) -> Tensor:
    """Draw uniform weights as in the SIREN paper, section 3.2; the output layer as a hidden one."""
    w0 = float(spec["w0"])
    parts = []
    for index, (inputs, outputs, _) in enumerate(_layers(spec)):
        weight_bound = 1 / inputs if index == 0 else math.sqrt(6 / inputs) / w0
        for count, bound in ((inputs * outputs, weight_bound), (outputs, 1 / math.sqrt(inputs))):
            unit = torch.rand(n, count, generator=generator, device=generator.device)
            parts.append((unit * 2 - 1) * bound)
    return torch.cat(parts, 1)


def forward(spec: Spec, weights: Tensor, coords: Tensor) -> Tensor:
    """Evaluate n INRs: float32 [n, pixels, out], with a gradient where `weights` need one.

    The weights are [n, params]; the coordinates are [1 or n, pixels, 2].
    """
    coords = coords.expand(len(weights), -1, -1)
    if torch.is_grad_enabled() and weights.requires_grad:
        outputs: Tensor = _Siren.apply(weights, coords, _layers(spec))
        return outputs
    return _evaluate(weights, coords, _layers(spec))


def _parameters(
    weights: Tensor, layers: list[tuple[int, int, float]]
) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Yield the matrix [n, inputs, outputs], the bias [n, outputs] and w0 of every layer."""
    start = 0
    for inputs, outputs, w0 in layers:
        end = start + inputs * outputs
        matrix = weights[:, start:end].view(-1, inputs, outputs)
        start = end + outputs
        yield matrix, weights[:, end:start], w0


def _evaluate(weights: Tensor, coords: Tensor, layers: list[tuple[int, int, float]]) -> Tensor:
    """Evaluate the network without its gradient: the same sums, with pixels as the inner axis.

    Layers are so narrow that rows of channels leave registers of a CPU half empty: it takes up to
    twice as long. The gradient wants them as rows, see `_Siren`.
    """
    *hidden_layers, (matrix, bias, _) = _parameters(weights, layers)
    hidden = coords.transpose(1, 2)
    for inner, inner_bias, w0 in hidden_layers:
        shift = (inner_bias * w0).unsqueeze(2)
        hidden = _product(shift, (inner * w0).transpose(1, 2), hidden).sin_()
    return _product(bias.unsqueeze(2), matrix.transpose(1, 2), hidden).transpose(1, 2)


def _product(shift: Tensor, matrix: Tensor, values: Tensor) -> Tensor:
    """Return shift [n, outputs, 1] + matrix [n, outputs, inputs] times values [n, inputs, pixels].

    On some CPUs, a product with one output or one input rounds differently in another batch. So a
    second one is added: a copy of the output, or an input of weight zero.
    """
    _, outputs, inputs = matrix.shape
    if outputs == 1:
        matrix = matrix.expand(-1, 2, -1)
    if inputs == 1:
        matrix, values = torch.nn.functional.pad(matrix, (0, 1)), values.expand(-1, 2, -1)
    return torch.baddbmm(shift, matrix, values)[:, :outputs]


class _Siren(torch.autograd.Function):
    """The network with its gradient written out: half of autograd's passes over memory."""

    @staticmethod
    def forward(
        ctx: Any, weights: Tensor, coords: Tensor, layers: list[tuple[int, int, float]]
    ) -> Tensor:
        *hidden_layers, (matrix, bias, _) = _parameters(weights, layers)
        hidden = coords
        kept = [hidden]  # each layer's input and, between two of them, the cosine of the angle
        for inner, inner_bias, w0 in hidden_layers:
            angle = torch.baddbmm((inner_bias * w0).unsqueeze(1), hidden, inner * w0)
            kept.append(torch.cos(angle))
            hidden = angle.sin_()
            kept.append(hidden)
        ctx.save_for_backward(weights, *kept)
        ctx.layers = layers
        return torch.baddbmm(bias.unsqueeze(1), hidden, matrix)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        weights, *kept = ctx.saved_tensors
        (flow,) = gradients
        result = torch.empty_like(weights)
        end = weights.shape[1]
        for index in reversed(range(len(ctx.layers))):
            inputs, outputs, w0 = ctx.layers[index]
            if index < len(ctx.layers) - 1:
                flow = flow.mul_(kept[2 * index + 1]).mul_(w0)
            bias_start = end - outputs
            start = bias_start - inputs * outputs
            torch.sum(flow, 1, out=result[:, bias_start:end])
            matrix_gradient = result[:, start:bias_start].view(-1, inputs, outputs)
            matrix_gradient.copy_(torch.bmm(kept[2 * index].transpose(1, 2), flow))
            if index:
                matrix = weights[:, start:bias_start].view(-1, inputs, outputs)
                flow = torch.bmm(flow, matrix.transpose(1, 2))
            end = start
        return result, None, None

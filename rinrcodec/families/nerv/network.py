"""NeRV: one convolutional network per sequence, from frame time to whole frames (Chen et al. 2021).

The network of Residual-INR's NeRV variant: the time t in [0, 1) becomes sines and cosines of
base**i * pi * t, an MLP turns these into a small grid of features, and blocks of a 3x3 convolution,
a pixel shuffle and a swish enlarge the grid by their strides. A 1x1 convolution and a sigmoid give
the colours. Grid times strides covers the frame; what is over on the right and below is cut off.

In formulas, with L = `levels`, G x H x W the grid of `features`, and s the stride of a block::

    e(t)  = [sin(base^i pi t), cos(base^i pi t)],  i = 0 .. L - 1         [2 L]
    h     = swish(swish(e W1 + b1) W2 + b2)                               [G, H, W]
    h     = swish(shuffle_s(conv3x3(h)))       for every block            [out, s H, s W]
    frame = 2 sigmoid(conv1x1(h)) - 1                                     [channels, height, width]

Stored layer by layer: W, then b. The MLP's W are [in, out], a convolution's [out, in, 3, 3].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from rinrcodec.errors import RinrFormatError
from rinrcodec.pack import Spec

__all__ = [
    "channels",
    "check",
    "forward",
    "init",
    "largest",
    "peak_bytes",
    "size",
    "tensor_sizes",
    "work",
]

_LARGEST = {"grid_width": 4096, "grid_height": 4096, "stem": 4096, "features": 4096, "levels": 128}
_LARGEST_WIDTH = 4096
_LARGEST_STRIDE = 16
# Of one layer, so that decoding a frame of an unknown file takes at most a few GB.
_MOST_VALUES = 2**28
# What an activation and a shuffle of a value take, in multiplications.
_VALUE_WORK = 64


def check(spec: Spec) -> None:
    """Raise `RinrFormatError` if the spec is not one that this family can build."""
    for key, most in _LARGEST.items():
        value = spec[key]
        if not isinstance(value, int) or not 1 <= value <= most:
            raise RinrFormatError(f"nerv {key}={value!r}: expected a whole number from 1 to {most}")
    if spec["out"] not in (1, 3):
        raise RinrFormatError(f"nerv out={spec['out']!r}: expected 3 for RGB or 1 for grey")
    base = spec["base"]
    if isinstance(base, str) or not 1 <= base <= 2:
        raise RinrFormatError(f"nerv base={base!r}: expected a number from 1 to 2")
    strides = _numbers(spec, "strides", _LARGEST_STRIDE)
    widths = _numbers(spec, "widths", _LARGEST_WIDTH)
    if len(strides) != len(widths):
        raise RinrFormatError(f"nerv has {len(strides)} strides but {len(widths)} widths")
    if len(spec.config) != len(_LARGEST) + 4:
        raise RinrFormatError(
            f"nerv takes {', '.join(sorted(_LARGEST))}, base, out, strides, widths, "
            f"got {spec.to_json()}"
        )
    if largest(spec) > _MOST_VALUES:
        raise RinrFormatError(
            f"nerv layers of {largest(spec):,} values: expected at most {_MOST_VALUES:,}; "
            "give fewer channels or smaller frames"
        )


def _numbers(spec: Spec, key: str, largest: int) -> tuple[int, ...]:
    """Parse a list of integers in a spec: "5,2,2,2"."""
    text = spec[key]
    words = text.split(",") if isinstance(text, str) else []
    # Long ones are no numbers here: Python refuses to convert thousands of digits.
    good = all(len(w) < 6 and w.isascii() and w.isdigit() and w == str(int(w)) for w in words)
    if not good or not 1 <= len(words) <= 8 or not all(1 <= int(w) <= largest for w in words):
        raise RinrFormatError(
            f"nerv {key}={text!r:.80}: expected 1 to 8 whole numbers from 1 to {largest}, with "
            "commas"
        )
    return tuple(map(int, words))


def _blocks(spec: Spec) -> list[tuple[int, int, int]]:
    """Return (inputs, outputs, stride) of every block."""
    strides = _numbers(spec, "strides", _LARGEST_STRIDE)
    widths = _numbers(spec, "widths", _LARGEST_WIDTH)
    return list(zip((int(spec["features"]), *widths), widths, strides, strict=False))


def _shapes(spec: Spec) -> list[tuple[int, ...]]:
    encoded, stem = 2 * int(spec["levels"]), int(spec["stem"])
    grid = int(spec["features"]) * int(spec["grid_height"]) * int(spec["grid_width"])
    shapes: list[tuple[int, ...]] = [(encoded, stem), (stem,), (stem, grid), (grid,)]
    for inputs, outputs, stride in _blocks(spec):
        shapes += [(outputs * stride**2, inputs, 3, 3), (outputs * stride**2,)]
    out = int(spec["out"])
    return [*shapes, (out, _blocks(spec)[-1][1], 1, 1), (out,)]


def tensor_sizes(spec: Spec) -> tuple[int, ...]:
    """Return the number of weights in each tensor: W, then b, layer by layer."""
    return tuple(math.prod(shape) for shape in _shapes(spec))


def channels(spec: Spec) -> int:
    """Return the output values per pixel: 3 for RGB, 1 for grey."""
    return int(spec["out"])


def size(spec: Spec) -> tuple[int, int]:
    """Return the width and height of the output, which covers the frame."""
    enlarged = math.prod(_numbers(spec, "strides", _LARGEST_STRIDE))
    return int(spec["grid_width"]) * enlarged, int(spec["grid_height"]) * enlarged


def largest(spec: Spec) -> int:
    """Return the values in the largest layer of a frame."""
    cells = int(spec["grid_width"]) * int(spec["grid_height"])
    values = [cells * int(spec["features"])]
    for _, outputs, stride in _blocks(spec):
        cells *= stride**2
        values.append(cells * outputs)
    return max(values)


def work(spec: Spec) -> int:
    """Return about how many multiplications a frame takes, values that hardly multiply included."""
    cells = int(spec["grid_width"]) * int(spec["grid_height"])
    total = sum(tensor_sizes(spec)[:4]) + _VALUE_WORK * cells * int(spec["features"])
    for inputs, outputs, stride in _blocks(spec):
        total += cells * 9 * inputs * outputs * stride**2
        cells *= stride**2
        total += _VALUE_WORK * cells * outputs
    return total + cells * channels(spec) * (_blocks(spec)[-1][1] + 2 * _VALUE_WORK)


def peak_bytes(spec: Spec) -> int:
    """Return the bytes of the layers that a frame has in memory at once."""
    cells = int(spec["grid_width"]) * int(spec["grid_height"])
    inner = cells * int(spec["features"])
    values = [2 * inner]
    for _, outputs, stride in _blocks(spec):
        cells *= stride**2
        # Of a block: its input, and its output before and after the shuffle.
        values.append(inner + 2 * cells * outputs)
        inner = cells * outputs
    values.append(inner + 3 * cells * channels(spec))
    return 4 * max(values)


def init(spec: Spec, n: int, generator: torch.Generator) -> Tensor:
    """Draw uniform weights that keep the variance of their inputs; biases are zero."""
    parts = []
    for shape in _shapes(spec):
        count = math.prod(shape)
        if len(shape) == 1:
            parts.append(torch.zeros(n, count, device=generator.device))
            continue
        inputs = shape[0] if len(shape) == 2 else math.prod(shape[1:])
        unit = torch.rand(n, count, generator=generator, device=generator.device)
        parts.append((unit * 2 - 1) * math.sqrt(3 / inputs))
    return torch.cat(parts, 1)


def forward(spec: Spec, weights: Tensor, times: Tensor) -> Tensor:
    """Compute the signal in [-1, 1] of one INR [params] for times [n].

    It is float32 [n, channels, height, width].
    """
    fits = torch.is_grad_enabled()
    shapes = _shapes(spec)
    flat = weights.split([math.prod(shape) for shape in shapes])
    parts = [part.view(shape) for part, shape in zip(flat, shapes, strict=True)]
    frequencies = float(spec["base"]) ** torch.arange(
        int(spec["levels"]), dtype=torch.float64, device=times.device
    )
    # In double precision: the highest frequencies go through thousands of periods.
    angles = times.double()[:, None] * frequencies * math.pi
    hidden = torch.cat([angles.sin(), angles.cos()], 1).to(weights.dtype)
    for index in (0, 2):
        hidden = functional.silu(torch.addmm(parts[index + 1], hidden, parts[index]))
    grid = (int(spec["features"]), int(spec["grid_height"]), int(spec["grid_width"]))
    hidden = hidden.view(-1, *grid)
    for index, (_, _, stride) in enumerate(_blocks(spec)):
        weight, bias = parts[4 + 2 * index : 6 + 2 * index]
        hidden = functional.conv2d(hidden, weight, bias, padding=1)
        # In place, without a gradient: a layer of a large frame takes a gigabyte.
        hidden = functional.silu(functional.pixel_shuffle(hidden, stride), inplace=not fits)
    colours = functional.conv2d(hidden, parts[-2], parts[-1])
    if fits:
        return colours.sigmoid() * 2 - 1
    return colours.sigmoid_().mul_(2).sub_(1)

"""The differentiable operations of the `pyramid` family, with gradients written out.

Autograd's own gradients of convolutions with one to three channels, and of many small slices, take
several times as long on a CPU. Grids are float tensors [..., height, width].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "NEIGHBOURS",
    "PASSES",
    "contexts",
    "convolve",
    "laplace_bits",
    "pass_inputs",
    "planes_of",
    "sharpen",
    "upsample",
]

# The sites of a grid are coded in four passes: row and column parity of each.
PASSES = ((0, 0), (1, 1), (0, 1), (1, 0))
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_STRAIGHT = ((-1, 0), (1, 0), (0, -1), (0, 1))
# What a pass knows of its own grid: what was coded by the passes before it.
NEIGHBOURS: tuple[tuple[tuple[int, int], ...], ...] = (
    (),
    _DIAGONAL,
    _STRAIGHT,
    _STRAIGHT + _DIAGONAL,
)
_COARSER = 10  # 3 x 3 sites of the next coarser grid, and one of the grid after it
_MOST_BITS = 24.0  # what the tables of `entropy` charge for the least likely value


class _Upsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        # One of the two output phases sees every second tap of the symmetric kernel, the other
        # phase the others, which are the same in reverse order.
        a, b, c, d = kernel.tolist()
        taps = (a, c, d, b)
        rows = _double(x, taps, -2)
        ctx.save_for_backward(x, rows)
        ctx.taps = taps
        return _double(rows, taps, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        x, rows = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1]
        grad_rows, one = _double_gradient(grads[0], rows, ctx.taps, -1, wanted)
        grad, other = _double_gradient(grad_rows, x, ctx.taps, -2, wanted)
        if not wanted:
            return grad, None
        a, c, d, b = (s + t for s, t in zip(one, other, strict=True))
        return grad, torch.stack([a, b, c, d])


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Grids twice as fine, by a separable symmetric kernel of 8 taps, of which `kernel` has 4."""
    result: Tensor = _Upsample.apply(x, kernel)
    return result


def _replicate(x: Tensor, axis: int) -> Tensor:
    first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
    return torch.cat([first, first, x, last, last], axis)


def _double(x: Tensor, taps: Sequence[float], axis: int) -> Tensor:
    n = x.shape[axis]
    padded = _replicate(x, axis)
    even, odd = padded.narrow(axis, 0, n) * taps[0], padded.narrow(axis, 4, n) * taps[0]
    for j in range(1, 4):
        even.add_(padded.narrow(axis, j, n), alpha=taps[j])
        odd.add_(padded.narrow(axis, 4 - j, n), alpha=taps[j])
    after = x.ndim + axis + 1
    return torch.stack([even, odd], after).flatten(after - 1, after)


def _double_gradient(
    grad: Tensor, x: Tensor, taps: Sequence[float], axis: int, wanted: bool
) -> tuple[Tensor, list[Tensor]]:
    """The gradients of `_double` for x, and, where wanted, for the four taps."""
    n = x.shape[axis]
    even, odd = grad.unflatten(axis, (n, 2)).unbind(axis if axis >= 0 else grad.ndim + axis + 1)
    shape = list(x.shape)
    shape[axis] += 4
    spread = x.new_zeros(shape)
    padded = _replicate(x, axis) if wanted else x
    of_taps = []
    for j in range(4):
        spread.narrow(axis, j, n).add_(even, alpha=taps[j])
        spread.narrow(axis, 4 - j, n).add_(odd, alpha=taps[j])
        if wanted:
            left, right = padded.narrow(axis, j, n), padded.narrow(axis, 4 - j, n)
            of_taps.append((left * even).sum() + (right * odd).sum())
    result = spread.narrow(axis, 2, n).contiguous()
    result.narrow(axis, 0, 1).add_(spread.narrow(axis, 0, 2).sum(axis, keepdim=True))
    result.narrow(axis, n - 1, 1).add_(spread.narrow(axis, n + 2, 2).sum(axis, keepdim=True))
    return result, of_taps


class _Sharpen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        taps = kernel.tolist()
        rows = _filtered(x, taps, -2)
        ctx.save_for_backward(x, rows)
        ctx.taps = taps
        return _filtered(rows, taps, -1).add_(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        x, rows = ctx.saved_tensors
        (grad,) = grads
        grad_rows = _filtered(grad, ctx.taps, -1)
        result = _filtered(grad_rows, ctx.taps, -2).add_(grad)
        if not ctx.needs_input_grad[1]:
            return result, None
        return result, _tap_gradients(grad, rows, -1) + _tap_gradients(grad_rows, x, -2)


def sharpen(x: Tensor, kernel: Tensor) -> Tensor:
    """x plus x through a separable symmetric kernel of 7 taps, the last of `kernel` the middle."""
    result: Tensor = _Sharpen.apply(x, kernel)
    return result


def _filtered(x: Tensor, taps: Sequence[float], axis: int) -> Tensor:
    n = x.shape[axis]
    result = x * taps[3]
    for away in range(1, min(4, n)):
        kept, tap = n - away, taps[3 - away]
        result.narrow(axis, 0, kept).add_(x.narrow(axis, away, kept), alpha=tap)
        result.narrow(axis, away, kept).add_(x.narrow(axis, 0, kept), alpha=tap)
    return result


def _tap_gradients(grad: Tensor, x: Tensor, axis: int) -> Tensor:
    n = x.shape[axis]
    found = [x.new_zeros(()) for _ in range(3)] + [(grad * x).sum()]
    for away in range(1, min(4, n)):
        kept = n - away
        before = (grad.narrow(axis, 0, kept) * x.narrow(axis, away, kept)).sum()
        behind = (grad.narrow(axis, away, kept) * x.narrow(axis, 0, kept)).sum()
        found[3 - away] = before + behind
    return torch.stack(found)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        padded = functional.pad(x.transpose(0, 1), (1, 1, 1, 1), mode="replicate")
        ctx.save_for_backward(padded, weight)
        return functional.conv2d(padded, weight, bias).transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        padded, weight = ctx.saved_tensors
        (grad,) = grads
        outputs, _, height, width = grad.shape
        spread = functional.pad(grad.transpose(0, 1), (2, 2, 2, 2))
        back = functional.conv2d(spread, weight.flip(2, 3).transpose(0, 1))
        for axis in (2, 3):
            last = back.shape[axis] - 1
            back.narrow(axis, 1, 1).add_(back.narrow(axis, 0, 1))
            back.narrow(axis, last - 1, 1).add_(back.narrow(axis, last, 1))
        flat = grad.reshape(outputs, -1)
        of_weight = torch.empty_like(weight)
        for i in range(3):
            for j in range(3):
                seen = padded[:, :, i : i + height, j : j + width].transpose(0, 1)
                of_weight[:, :, i, j] = flat @ seen.reshape(len(seen), -1).T
        return back[:, :, 1:-1, 1:-1].transpose(0, 1), of_weight, flat.sum(1)


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 3 x 3 convolution of x [channels, n, height, width], border pixels repeated outside."""
    result: Tensor = _Convolve.apply(x, weight, bias)
    return result


def planes_of(grid: Tensor) -> list[Tensor]:
    """The sites of each pass of a grid [n, h, w]: 4 x [n, ceil(h / 2) + 2, ceil(w / 2) + 2].

    A frame of zeros around stands for sites that do not exist.
    """
    n, height, width = grid.shape
    result = []
    for row, column in PASSES:
        plane = grid.new_zeros(n, -(-height // 2) + 2, -(-width // 2) + 2)
        sites = grid[:, row::2, column::2]
        plane[:, 1 : 1 + sites.shape[1], 1 : 1 + sites.shape[2]] = sites
        result.append(plane)
    return result


def _neighbour(number: int, dy: int, dx: int) -> tuple[int, slice, slice]:
    """In which pass, and where in its plane, the sites at (dy, dx) from those of a pass are."""
    row, column = PASSES[number]
    y, x = row + dy, column + dx
    top, left = 1 + y // 2, 1 + x // 2
    # The plane has one site more on each side; a slice to None would take too much.
    return PASSES.index((y % 2, x % 2)), slice(top, top - 2 or None), slice(left, left - 2 or None)


def pass_inputs(
    number: int,
    planes: Sequence[Tensor],
    coarser: Tensor | None,
    coarsest: Tensor | None,
    others: Sequence[Tensor],
) -> list[Tensor]:
    """What the context network is told about the sites of a pass: tensors [n, hh, ww].

    planes: of `planes_of`; coarser, coarsest: the next two coarser grids [n, h, w], None where
    there is none; others: the same grid of the components before this one.
    """
    n, height, width = planes[0].shape
    height, width = height - 2, width - 2
    row, column = PASSES[number]
    nothing = planes[0].new_zeros(n, height, width)
    inputs = [nothing] * _COARSER
    if coarser is not None:
        padded = functional.pad(coarser, (1, 1, 1, 1))
        for i in range(9):
            top, left = divmod(i, 3)
            inputs[i] = padded[:, top : top + height, left : left + width]
    if coarsest is not None:
        twice = coarsest.repeat_interleave(2, 1).repeat_interleave(2, 2)
        inputs[9] = twice[:, :height, :width]
    for dy, dx in NEIGHBOURS[number]:
        source, rows, columns = _neighbour(number, dy, dx)
        inputs.append(planes[source][:, rows, columns])
    for other in others:
        sites = other[:, row::2, column::2]
        missing = (0, width - sites.shape[2], 0, height - sites.shape[1])
        inputs.append(functional.pad(sites, missing))
    return inputs


class _Contexts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, levels: int, n_others: int, *grids: Tensor) -> tuple[Tensor, ...]:
        count = len(grids) // (1 + n_others)
        own, others = grids[:count], [grids[count * (1 + i) :][:count] for i in range(n_others)]
        n = len(own[0])
        shapes = [(-(-grid.shape[1] // 2), -(-grid.shape[2] // 2)) for grid in own]
        sites = sum(height * width for height, width in shapes)
        widths = [_COARSER + len(near) + n_others for near in NEIGHBOURS]
        inputs = [own[0].new_zeros(2 * width + levels, n, sites) for width in widths]
        values = [own[0].new_empty(n, sites) for _ in PASSES]
        start = 0
        for level, shape in enumerate(shapes):
            inside = slice(start, start + shape[0] * shape[1])
            planes = planes_of(own[level])
            coarser = own[level + 1] if level + 1 < count else None
            coarsest = own[level + 2] if level + 2 < count else None
            for number, width in enumerate(widths):
                found = pass_inputs(
                    number, planes, coarser, coarsest, [other[level] for other in others]
                )
                target = inputs[number][:, :, inside].unflatten(2, shape)
                for row, part in enumerate(found):
                    target[row] = part
                target[2 * width + levels - count + level] = 1
                values[number][:, inside].unflatten(1, shape)[:] = planes[number][:, 1:-1, 1:-1]
            start = inside.stop
        for width, part in zip(widths, inputs, strict=True):
            torch.abs(part[:width], out=part[width : 2 * width])
        ctx.save_for_backward(*inputs)
        ctx.layout = (shapes, [grid.shape for grid in own], widths, n_others)
        return (*inputs, *values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        shapes, sizes, widths, n_others = ctx.layout
        count = len(shapes)
        of_inputs = [
            torch.addcmul(grad[:width], grad[width : 2 * width], part[:width].sign())
            for width, grad, part in zip(widths, grads[:4], ctx.saved_tensors, strict=True)
        ]
        blank = of_inputs[0].new_zeros
        own = [blank(size) for size in sizes]
        others = [[blank(size) for size in sizes] for _ in range(n_others)]
        start = 0
        for level, (height, width) in enumerate(shapes):
            inside = slice(start, start + height * width)
            n = sizes[level][0]
            parts = [part[:, :, inside].unflatten(2, (height, width)) for part in of_inputs]
            planes = [blank(n, height + 2, width + 2) for _ in PASSES]
            if level + 1 < count:
                total = sum(part[:9] for part in parts)
                spread = blank(n, height + 2, width + 2)
                for i in range(9):
                    top, left = divmod(i, 3)
                    spread[:, top : top + height, left : left + width] += total[i]
                own[level + 1] += spread[:, 1:-1, 1:-1]
            if level + 2 < count:
                single = sum(part[9] for part in parts)
                even = functional.pad(single, (0, width % 2, 0, height % 2))
                own[level + 2] += even.unflatten(2, (-1, 2)).sum(3).unflatten(1, (-1, 2)).sum(2)
            for number, (row, column) in enumerate(PASSES):
                for k, (dy, dx) in enumerate(NEIGHBOURS[number]):
                    source, rows, columns = _neighbour(number, dy, dx)
                    planes[source][:, rows, columns] += parts[number][_COARSER + k]
                planes[number][:, 1:-1, 1:-1] += grads[4 + number][:, inside].unflatten(
                    1, (height, width)
                )
                for k, other in enumerate(others):
                    target = other[level][:, row::2, column::2]
                    part = parts[number][widths[number] - n_others + k]
                    target += part[:, : target.shape[1], : target.shape[2]]
            for (row, column), plane in zip(PASSES, planes, strict=True):
                target = own[level][:, row::2, column::2]
                target += plane[:, 1 : 1 + target.shape[1], 1 : 1 + target.shape[2]]
            start = inside.stop
        return (None, None, *own, *(grid for other in others for grid in other))


def contexts(
    grids: Sequence[Tensor], others: Sequence[Sequence[Tensor]], levels: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs of the context network and values for all sites of one component's grids, by pass.

    grids: [n, h, w] each, the finest first, the last of `levels` levels at the end; others: the
    grids of the components before, of the same sizes. The inputs of a pass are [inputs, n, sites]:
    `pass_inputs`, their magnitudes, and which level it is; the values [n, sites]. Sites lie level
    by level, the grids of uneven size filled up with zeros.
    """
    flat = [grid for other in others for grid in other]
    found = _Contexts.apply(levels, len(others), *grids, *flat)
    return list(found[:4]), list(found[4:])


class _LaplaceBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
        rate = torch.exp(-log_scales)
        offset = values - means
        away = offset.abs()
        ratio = torch.exp(-rate)
        near = away < 0.5  # the mean lies in the value's own unit interval
        above = 0.5 * torch.exp(-rate * (away + 0.5))
        below = 0.5 * torch.exp(-rate * (0.5 - away).clamp_min(0))
        inside = (1 - above - below).clamp_min(1e-6)
        nats = torch.where(near, -inside.log(), rate * (away - 0.5) - (0.5 * (1 - ratio)).log())
        of_away = torch.where(near, rate * (below - above) / inside, rate)
        of_rate = torch.where(
            near,
            -((0.5 + away) * above + (0.5 - away) * below) / inside,
            away - 0.5 - ratio / (1 - ratio),
        )
        bits = nats / math.log(2)
        factor = (bits < _MOST_BITS) / math.log(2)
        ctx.save_for_backward(of_away * offset.sign() * factor, -of_rate * rate * factor)
        return bits.clamp_max(_MOST_BITS)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        of_values, of_scales = ctx.saved_tensors
        found = of_values * grads[0]
        return found, -found, of_scales * grads[0]


def laplace_bits(values: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """Bits of values under Laplace distributions integrated over unit intervals, at most 24."""
    result: Tensor = _LaplaceBits.apply(values, means, log_scales)
    return result

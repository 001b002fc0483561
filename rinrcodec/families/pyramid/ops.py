"""The differentiable operations of the `pyramid` family, with gradients written out.

Autograd's own gradients of convolutions with one to three channels, and of many small slices, take
several times as long on a CPU. Grids are float tensors [..., height, width].

A grid is coded in passes. Each site has the number of its pass in this pattern, which repeats in
both directions from the first line and column. A pass is predicted from those before it::

    luma        chroma
    1 6 3 6     1 3
    7 5 7 5     4 2
    4 6 2 6
    7 5 7 5

The gradients, with g that of the result, U and K the filters of one axis as matrices, and * a 3 x 3
correlation::

    upsample      y = U (U x^T)^T         x: U^T (U^T g^T)^T
    sharpen       y = x + K (K x^T)^T     x: g + K (K g^T)^T, as K is symmetric
    convolve      y = W * x + b           x: flipped W * g    W: g times shifted x    b: sum of g
    laplace_bits  y = -log2(F(v + 1/2) - F(v - 1/2)), F the Laplace distribution of mean m and
                  scale 1 / r. With a = |v - m|, where a >= 1/2:
                  y ln 2 = r (a - 1/2) - ln((1 - exp(-r)) / 2)
                  derivatives of y ln 2 by    a: r    r: a - 1/2 - 1 / (exp(r) - 1)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "PASSES",
    "Pass",
    "contexts",
    "convolve",
    "laplace_bits",
    "pass_inputs",
    "sharpen",
    "surrounded",
    "upsample",
]

_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_STRAIGHT = ((-1, 0), (1, 0), (0, -1), (0, 1))
_COARSER = 10  # 3 x 3 sites of the next coarser grid, and one of the grid after it
_MARGIN = 3  # how far away the farthest neighbour is


class Pass(NamedTuple):
    """The sites of a grid that are coded at once: every `stride`-th line and column.

    line, column: the first of them. neighbours: (lines, columns) from a site to sites of earlier
    passes, from which its value is predicted.
    """

    stride: int
    line: int
    column: int
    neighbours: tuple[tuple[int, int], ...]

    def of(self, grid: Tensor) -> Tensor:
        """Return the sites of the pass: a view of a grid [..., h, w]."""
        return grid[..., self.line :: self.stride, self.column :: self.stride]

    def moved(self, padded: Tensor, margin: int, down: int, right: int, halved: int = 0) -> Tensor:
        """Return neighbours of the sites, in a grid with a margin or one that is half as fine."""
        height, width = (side - 2 * margin for side in padded.shape[-2:])
        stride, line, column = self.stride >> halved, self.line >> halved, self.column >> halved
        top, left = margin + line + down, margin + column + right
        return padded[
            ...,
            top : top + max(0, height - line) : stride,
            left : left + max(0, width - column) : stride,
        ]


def _passes(*kinds: tuple[int, int, int, tuple[tuple[int, int], ...]]) -> tuple[Pass, ...]:
    return tuple(Pass(*kind) for kind in kinds)


def _apart(offsets: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple((2 * down, 2 * right) for down, right in offsets)


# Of each component. Luma takes most of the bytes, and the quarter of its sites that come first is
# coded like a grid of its own.
_CHROMA = _passes(
    (2, 0, 0, ()),
    (2, 1, 1, _DIAGONAL),
    (2, 0, 1, _STRAIGHT),
    (2, 1, 0, _STRAIGHT + _DIAGONAL),
)
_LUMA = _passes(
    (4, 0, 0, ()),
    (4, 2, 2, _apart(_DIAGONAL)),
    (4, 0, 2, _apart(_STRAIGHT)),
    (4, 2, 0, _apart(_STRAIGHT + _DIAGONAL)),
    (2, 1, 1, _DIAGONAL),
    (2, 0, 1, (*_STRAIGHT, (0, -3), (0, 3))),
    (2, 1, 0, (*_STRAIGHT, *_DIAGONAL, (-3, 0), (3, 0), (0, -3), (0, 3))),
)
PASSES = (_LUMA, _CHROMA, _CHROMA)
_MOST_BITS = 24.0  # what the tables of `entropy` charge for the least likely value


class _Upsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        # One of the two output phases sees every second tap of the symmetric kernel, the other
        # phase the others, which are the same in reverse order.
        a, b, c, d = kernel.tolist()
        taps = (a, c, d, b)
        lines = _double(x, taps, -2)
        ctx.save_for_backward(x, lines)
        ctx.taps = taps
        return _double(lines, taps, -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        x, lines = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1]
        grad_lines, one = _double_gradient(grads[0], lines, ctx.taps, -1, wanted)
        grad, other = _double_gradient(grad_lines, x, ctx.taps, -2, wanted)
        if not wanted:
            return grad, None
        a, c, d, b = (s + t for s, t in zip(one, other, strict=True))
        return grad, torch.stack([a, b, c, d])


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Make grids twice as fine by a separable symmetric kernel of 8 taps.

    `kernel` has the 4 taps of one half.
    """
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
    """Return the gradients of `_double` for x and, if requested, for the four taps."""
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
        lines = _filtered(x, taps, -2)
        ctx.save_for_backward(x, lines)
        ctx.taps = taps
        return _filtered(lines, taps, -1).add_(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        x, lines = ctx.saved_tensors
        (grad,) = grads
        grad_lines = _filtered(grad, ctx.taps, -1)
        result = _filtered(grad_lines, ctx.taps, -2).add_(grad)
        if not ctx.needs_input_grad[1]:
            return result, None
        return result, _tap_gradients(grad, lines, -1) + _tap_gradients(grad_lines, x, -2)


def sharpen(x: Tensor, kernel: Tensor) -> Tensor:
    """Add x, filtered by a separable symmetric kernel of 7 taps, to x.

    The last value of `kernel` is the middle tap.
    """
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
    gradients = [x.new_zeros(()) for _ in range(3)] + [(grad * x).sum()]
    for away in range(1, min(4, n)):
        kept = n - away
        before = (grad.narrow(axis, 0, kept) * x.narrow(axis, away, kept)).sum()
        behind = (grad.narrow(axis, away, kept) * x.narrow(axis, 0, kept)).sum()
        gradients[3 - away] = before + behind
    return torch.stack(gradients)


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
    """Convolve x [channels, n, height, width] 3 x 3, repeating border pixels outside."""
    result: Tensor = _Convolve.apply(x, weight, bias)
    return result


def surrounded(grid: Tensor) -> Tensor:
    """Surround a grid [n, h, w] with zeros, for sites that do not exist."""
    return functional.pad(grid, (_MARGIN,) * 4)


def pass_inputs(
    one: Pass,
    padded: Tensor,
    coarser: Tensor | None,
    coarsest: Tensor | None,
    others: Sequence[Tensor],
) -> list[Tensor]:
    """Return the context network's inputs for the sites of a pass: tensors [n, lines, columns].

    padded: the grid, `surrounded`; coarser, coarsest: the next two coarser grids [n, h, w], None
    where there is none; others: the same grid of the components before this one.
    """
    inputs = [one.moved(padded, _MARGIN, down, right) for down, right in one.neighbours]
    inputs += [one.of(other) for other in others]
    sites = one.moved(padded, _MARGIN, 0, 0)
    coarse = [torch.zeros_like(sites)] * _COARSER
    lines, columns = sites.shape[1:]
    if coarser is not None:
        around = functional.pad(coarser, (1, 1, 1, 1))
        for i in range(9):
            down, right = divmod(i, 3)
            coarse[i] = one.moved(around, 1, down - 1, right - 1, 1)[:, :lines, :columns]
    if coarsest is not None:
        twice = coarsest.repeat_interleave(2, 1).repeat_interleave(2, 2)
        coarse[9] = one.moved(twice, 0, 0, 0, 1)[:, :lines, :columns]
    return coarse + inputs


class _Contexts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, levels: int, n_others: int, *grids: Tensor) -> tuple[Tensor, ...]:
        count = len(grids) // (1 + n_others)
        component = grids[:count]
        others = [grids[count * (1 + i) :][:count] for i in range(n_others)]
        n = len(component[0])
        passes = PASSES[n_others]
        shapes = [[one.of(grid).shape[1:] for grid in component] for one in passes]
        widths = [_COARSER + len(one.neighbours) + n_others for one in passes]
        inputs, values = [], []
        for sizes, width in zip(shapes, widths, strict=True):
            sites = sum(map(math.prod, sizes))
            inputs.append(component[0].new_zeros(2 * width + levels, n, sites))
            values.append(component[0].new_empty(n, sites))
        starts = [0] * len(passes)
        for level, grid in enumerate(component):
            padded = surrounded(grid)
            coarser = component[level + 1] if level + 1 < count else None
            coarsest = component[level + 2] if level + 2 < count else None
            same = [other[level] for other in others]
            for number, one in enumerate(passes):
                shape = shapes[number][level]
                inside = slice(starts[number], starts[number] + math.prod(shape))
                starts[number] = inside.stop
                if inside.start == inside.stop:
                    continue
                slots = inputs[number][:, :, inside].unflatten(2, shape)
                for k, part in enumerate(pass_inputs(one, padded, coarser, coarsest, same)):
                    slots[k] = part
                slots[2 * widths[number] + levels - count + level] = 1
                values[number][:, inside].unflatten(1, shape)[:] = one.of(grid)
        for width, part in zip(widths, inputs, strict=True):
            torch.abs(part[:width], out=part[width : 2 * width])
        ctx.save_for_backward(*inputs)
        ctx.layout = (shapes, [grid.shape for grid in component], widths, n_others)
        return (*inputs, *values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        shapes, sizes, widths, n_others = ctx.layout
        count, passes = len(sizes), PASSES[n_others]
        of_inputs = [
            torch.addcmul(grad[:width], grad[width : 2 * width], part[:width].sign())
            for width, grad, part in zip(widths, grads, ctx.saved_tensors, strict=False)
        ]
        blank = of_inputs[0].new_zeros
        of_component = [blank(size) for size in sizes]
        others = [[blank(size) for size in sizes] for _ in range(n_others)]
        starts = [0] * len(passes)
        for level, (n, height, width) in enumerate(sizes):
            padded = blank(n, height + 2 * _MARGIN, width + 2 * _MARGIN)
            half = (-(-height // 2), -(-width // 2))
            of_coarse = blank(_COARSER, n, *half)
            for number, one in enumerate(passes):
                shape = lines, columns = shapes[number][level]
                inside = slice(starts[number], starts[number] + lines * columns)
                starts[number] = inside.stop
                if inside.start == inside.stop:
                    continue
                part = of_inputs[number][:, :, inside].unflatten(2, shape)
                one.moved(of_coarse, 0, 0, 0, 1)[..., :lines, :columns] += part[:_COARSER]
                for k, (down, right) in enumerate(one.neighbours):
                    one.moved(padded, _MARGIN, down, right).add_(part[_COARSER + k])
                for k, other in enumerate(others):
                    one.of(other[level]).add_(part[widths[number] - n_others + k])
                values = grads[len(passes) + number][:, inside].unflatten(1, shape)
                one.of(of_component[level]).add_(values)
            of_component[level] += padded[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
            if level + 1 < count:
                spread = blank(n, half[0] + 2, half[1] + 2)
                for i in range(9):
                    top, left = divmod(i, 3)
                    spread[:, top : top + half[0], left : left + half[1]] += of_coarse[i]
                of_component[level + 1] += spread[:, 1:-1, 1:-1]
            if level + 2 < count:
                even = functional.pad(of_coarse[9], (0, half[1] % 2, 0, half[0] % 2))
                of_component[level + 2] += (
                    even.unflatten(2, (-1, 2)).sum(3).unflatten(1, (-1, 2)).sum(2)
                )
        return (None, None, *of_component, *(grid for other in others for grid in other))


def contexts(
    grids: Sequence[Tensor], others: Sequence[Sequence[Tensor]], levels: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Return context network inputs and values of one component's sites, by pass.

    grids: [n, h, w] each, the finest first, the last of `levels` levels at the end; others: the
    grids of the components before, of the same sizes. The inputs of a pass are [inputs, n, sites]:
    `pass_inputs`, their magnitudes, and which level it is; the values [n, sites]. Sites are in
    order of levels.
    """
    flat = [grid for other in others for grid in other]
    outputs = _Contexts.apply(levels, len(others), *grids, *flat)
    count = len(PASSES[len(others)])
    return list(outputs[:count]), list(outputs[count:])


class _LaplaceBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
        rate = torch.exp(-log_scales)
        offset = values - means
        away = offset.abs()
        ratio = torch.exp(-rate)
        near = away < 0.5  # the mean is in the value's own unit interval
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
        of_offsets, of_scales = ctx.saved_tensors
        gradient = of_offsets * grads[0]
        return gradient, -gradient, of_scales * grads[0]


def laplace_bits(values: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """Compute the bits of values, at most 24 each.

    The probabilities are Laplace distributions integrated over unit intervals.
    """
    result: Tensor = _LaplaceBits.apply(values, means, log_scales)
    return result

"""The operations of the pyramid family: their values by the book, and their gradients."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional

from rinrcodec.entropy import bits
from rinrcodec.families._pyramid_ops import (
    NEIGHBOURS,
    PASSES,
    contexts,
    convolve,
    laplace_bits,
    pass_inputs,
    planes_of,
    sharpen,
    upsample,
)

SIZES = [(1, 1), (1, 6), (2, 1), (3, 5), (4, 4), (8, 3)]


def numbers(*shape: int, seed: int = 0, gradient: bool = True) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(gradient)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("function", "taps"), [(upsample, 4), (sharpen, 4)])
def test_gradients_of_filters(function: object, taps: int, size: tuple[int, int]) -> None:
    grids, kernel = numbers(2, 1, *size), numbers(taps, seed=1)
    assert gradcheck(function, (grids, kernel))
    assert gradcheck(function, (grids, kernel.detach()))


@pytest.mark.parametrize("size", SIZES)
def test_gradients_of_convolutions(size: tuple[int, int]) -> None:
    assert gradcheck(
        convolve, (numbers(3, 2, *size), numbers(2, 3, 3, 3, seed=1), numbers(2, seed=2))
    )


@pytest.mark.parametrize("size", SIZES)
def test_upsampling_by_the_book(size: tuple[int, int]) -> None:
    """Eight taps a b c d d c b a, on a grid with zeros between its sites."""
    grid, kernel = numbers(1, 1, *size, gradient=False), numbers(4, seed=1, gradient=False)
    taps = torch.cat([kernel, kernel.flip(0)])
    padded = functional.pad(grid, (2, 2, 2, 2), mode="replicate")
    found = functional.conv_transpose2d(padded, taps.outer(taps)[None, None], stride=2)
    height, width = size
    # Site i of the padded grid spreads over 2 i ... 2 i + 7; the sites of the grid begin at 2.
    expected = found[:, :, 7 : 7 + 2 * height, 7 : 7 + 2 * width]
    torch.testing.assert_close(upsample(grid, kernel), expected)


@pytest.mark.parametrize("size", SIZES)
def test_sharpening_by_the_book(size: tuple[int, int]) -> None:
    grid, kernel = numbers(1, 1, *size, gradient=False), numbers(4, seed=1, gradient=False)
    taps = torch.cat([kernel, kernel[:3].flip(0)])
    found = functional.conv2d(grid, taps.outer(taps)[None, None], padding=3)
    torch.testing.assert_close(sharpen(grid, kernel), grid + found)


@pytest.mark.parametrize("size", SIZES)
def test_convolution_by_the_book(size: tuple[int, int]) -> None:
    x, weight = numbers(3, 2, *size, gradient=False), numbers(2, 3, 3, 3, seed=1, gradient=False)
    bias = numbers(2, seed=2, gradient=False)
    padded = functional.pad(x.transpose(0, 1), (1, 1, 1, 1), mode="replicate")
    expected = functional.conv2d(padded, weight, bias).transpose(0, 1)
    torch.testing.assert_close(convolve(x, weight, bias), expected)


def test_an_upsampled_constant_stays_one() -> None:
    kernel = torch.tensor([-0.1, 0.1, 0.3, 0.7])  # the taps of each phase add up to 1
    found = upsample(torch.full((1, 1, 3, 4), 5.0), kernel)
    torch.testing.assert_close(found, torch.full((1, 1, 6, 8), 5.0))


def pyramid(first: int, n: int = 2, size: tuple[int, int] = (5, 7), seed: int = 0) -> list[Tensor]:
    """Three levels of grids of a frame of `size`, from level `first` on."""
    shapes = [(-(-size[0] // 2**k), -(-size[1] // 2**k)) for k in range(first, first + 3)]
    return [numbers(n, *shape, seed=seed + k) for k, shape in enumerate(shapes)]


@pytest.mark.parametrize(
    ("size", "n_others"), [((1, 1), 2), ((2, 3), 0), ((5, 3), 1), ((4, 4), 0), ((3, 6), 2)]
)
def test_gradients_of_contexts(size: tuple[int, int], n_others: int) -> None:
    grids = pyramid(0, size=size)
    others = [pyramid(0, size=size, seed=10 * (k + 1)) for k in range(n_others)]
    flat = [grid for own in others for grid in own]

    def function(*given: Tensor) -> tuple[Tensor, ...]:
        own = given[: len(grids)]
        rest = [given[len(grids) * (1 + k) :][: len(grids)] for k in range(n_others)]
        inputs, values = contexts(own, rest, 4)
        return (*inputs, *values)

    assert gradcheck(function, (*grids, *flat), fast_mode=True)


def told(grids: list[Tensor], level: int, number: int, y: int, x: int) -> list[float]:
    """What the specification says a site knows, read from the grids one by one."""

    def site(grid: Tensor, row: int, column: int) -> float:
        inside = 0 <= row < grid.shape[0] and 0 <= column < grid.shape[1]
        return float(grid[row, column]) if inside else 0.0

    own = grids[level]
    found = [0.0] * 10
    if level + 1 < len(grids):
        for i in range(9):
            found[i] = site(grids[level + 1], y // 2 + i // 3 - 1, x // 2 + i % 3 - 1)
    if level + 2 < len(grids):
        found[9] = site(grids[level + 2], y // 4, x // 4)
    return found + [site(own, y + dy, x + dx) for dy, dx in NEIGHBOURS[number]]


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (6, 9), (8, 8)])
def test_contexts_by_the_book(size: tuple[int, int]) -> None:
    grids = pyramid(0, n=1, size=size)
    others = [pyramid(0, n=1, size=size, seed=10)]
    inputs, values = contexts(grids, others, 4)
    flat = [grid.detach()[0] for grid in grids]
    other = [grid.detach()[0] for grid in others[0]]
    start = 0
    for level, own in enumerate(flat):
        height, width = own.shape
        hh, ww = -(-height // 2), -(-width // 2)
        for number, (row, column) in enumerate(PASSES):
            part = inputs[number][:, 0, start : start + hh * ww].unflatten(1, (hh, ww))
            value = values[number].detach()[0, start : start + hh * ww].unflatten(0, (hh, ww))
            for y in range(row, height, 2):
                for x in range(column, width, 2):
                    expected = told(flat, level, number, y, x)
                    expected.append(float(other[level][y, x]))
                    which = [float(k == 1 + level) for k in range(4)]
                    found = part[:, y // 2, x // 2].tolist()
                    assert found == expected + [abs(v) for v in expected] + which
                    assert float(value[y // 2, x // 2]) == float(own[y, x])
        start += hh * ww


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 7), (8, 8)])
def test_fit_and_coding_are_told_the_same(size: tuple[int, int]) -> None:
    grids, others = pyramid(0, n=1, size=size), [pyramid(0, n=1, size=size, seed=10)]
    inputs, _ = contexts(grids, others, 4)
    start = 0
    for level, own in enumerate(grids):
        planes = planes_of(own)
        coarser = [*grids[level + 1 : level + 3], None, None]
        for number in range(len(PASSES)):
            found = torch.stack(
                pass_inputs(number, planes, coarser[0], coarser[1], [others[0][level]])
            ).flatten(2)
            sites = found.shape[2]
            seen = inputs[number][: len(found), :, start : start + sites]
            assert torch.equal(found, seen)
        start += sites


def test_passes_know_only_what_came_before() -> None:
    for number, (row, column) in enumerate(PASSES):
        for dy, dx in NEIGHBOURS[number]:
            assert PASSES.index(((row + dy) % 2, (column + dx) % 2)) < number


def test_planes_hold_every_site_once() -> None:
    for height, width in SIZES:
        grid = torch.arange(1.0, 1 + height * width).view(1, height, width)
        planes = planes_of(grid)
        found = torch.cat([plane.flatten() for plane in planes])
        assert found[found != 0].sort().values.tolist() == grid.flatten().tolist()
        for plane in planes:
            assert not plane[:, [0, -1]].any()
            assert not plane[:, :, [0, -1]].any()


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.499, 0.501, 1.7, -0.2, -0.7, -3.4])
@pytest.mark.parametrize("log_scale", [-1.0, 0.0, 2.0, 4.0])
def test_gradients_of_bits(offset: float, log_scale: float) -> None:
    values = torch.tensor([offset + 2.0], dtype=torch.float64, requires_grad=True)
    means = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    scales = torch.tensor([log_scale], dtype=torch.float64, requires_grad=True)
    assert laplace_bits(values, means, scales).item() < 24
    assert gradcheck(laplace_bits, (values, means, scales))


def test_what_is_out_of_reach_costs_24_bits_and_pulls_nothing() -> None:
    values = torch.tensor([100.0], requires_grad=True)
    means, scales = torch.zeros(1, requires_grad=True), torch.full((1,), -3.0, requires_grad=True)
    found = laplace_bits(values, means, scales)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert found.tolist() == [24.0]
    assert values.grad is not None
    assert values.grad.tolist() == [0.0]


def test_bits_of_the_fit_are_those_of_the_coder() -> None:
    rows = [(v, m, s) for v in (-9, -1, 0, 1, 4) for m in range(-20, 21, 3) for s in (8, 24, 40)]
    values, means, scales = torch.tensor(rows, dtype=torch.float64).T
    found = laplace_bits(values, means / 8, -3 + scales / 8)
    integers = [column.to(torch.int32).numpy() for column in (values, means, scales)]
    charged = torch.from_numpy(bits(*integers))
    cheap = charged < 16  # beyond, one part of every residual's is much of what it has
    assert cheap.sum() > 100
    torch.testing.assert_close(found[cheap], charged[cheap], atol=2e-2, rtol=2e-2)


def test_bits_have_no_steps() -> None:
    values = torch.linspace(-3, 3, 2001, dtype=torch.float64)
    for log_scale in (-3.0, -1.0, 1.0, 4.5):
        found = laplace_bits(values, torch.zeros(()), torch.full((), log_scale))
        steps = [abs(float(b - a)) for a, b in pairwise(found)]
        assert max(steps) < 1.1 * math.exp(-log_scale) * 0.003 / math.log(2) + 1e-9

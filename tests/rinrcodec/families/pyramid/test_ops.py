"""The operations of the pyramid family: their values by the book, and their gradients."""

from __future__ import annotations

import math
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional

from rinrcodec.families.pyramid.entropy import bits
from rinrcodec.families.pyramid.ops import (
    PASSES,
    Pass,
    contexts,
    convolve,
    laplace_bits,
    pass_inputs,
    sharpen,
    surrounded,
    upsample,
)

SIZES = [(1, 1), (1, 6), (2, 1), (3, 5), (4, 4), (8, 3)]
# Sizes at which some passes have no sites, or sites with no coarser site below them.
ODD_SIZES = [(1, 1), (2, 5), (13, 22)]
EVERY_PASS = [(c, number) for c, passes in enumerate(PASSES) for number in range(len(passes))]


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
    enlarged = functional.conv_transpose2d(padded, taps.outer(taps)[None, None], stride=2)
    height, width = size
    # Site i of the padded grid spreads over 2 i ... 2 i + 7; the sites of the grid begin at 2.
    expected = enlarged[:, :, 7 : 7 + 2 * height, 7 : 7 + 2 * width]
    torch.testing.assert_close(upsample(grid, kernel), expected)


@pytest.mark.parametrize("size", SIZES)
def test_sharpening_by_the_book(size: tuple[int, int]) -> None:
    grid, kernel = numbers(1, 1, *size, gradient=False), numbers(4, seed=1, gradient=False)
    taps = torch.cat([kernel, kernel[:3].flip(0)])
    filtered = functional.conv2d(grid, taps.outer(taps)[None, None], padding=3)
    torch.testing.assert_close(sharpen(grid, kernel), grid + filtered)


@pytest.mark.parametrize("size", SIZES)
def test_convolution_by_the_book(size: tuple[int, int]) -> None:
    x, weight = numbers(3, 2, *size, gradient=False), numbers(2, 3, 3, 3, seed=1, gradient=False)
    bias = numbers(2, seed=2, gradient=False)
    padded = functional.pad(x.transpose(0, 1), (1, 1, 1, 1), mode="replicate")
    expected = functional.conv2d(padded, weight, bias).transpose(0, 1)
    torch.testing.assert_close(convolve(x, weight, bias), expected)


def test_an_upsampled_constant_stays_one() -> None:
    kernel = torch.tensor([-0.1, 0.1, 0.3, 0.7])  # the taps of each phase add up to 1
    enlarged = upsample(torch.full((1, 1, 3, 4), 5.0), kernel)
    torch.testing.assert_close(enlarged, torch.full((1, 1, 6, 8), 5.0))


def grids_of(size: tuple[int, int], n: int = 2, seed: int = 0, levels: int = 3) -> list[Tensor]:
    """The last of 4 levels of grids: at first a frame of `size`."""
    shapes = [(-(-size[0] // 2**k), -(-size[1] // 2**k)) for k in range(levels)]
    return [numbers(n, *shape, seed=seed + k) for k, shape in enumerate(shapes)]


def others_of(size: tuple[int, int], count: int, n: int = 2) -> list[list[Tensor]]:
    return [grids_of(size, n, seed=10 * (k + 1)) for k in range(count)]


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (5, 3), (7, 6), (9, 4)])
@pytest.mark.parametrize("n_others", range(len(PASSES)))
def test_gradients_of_contexts(size: tuple[int, int], n_others: int) -> None:
    grids, others = grids_of(size), others_of(size, n_others)
    flat = [grid for component in others for grid in component]

    def function(*given: Tensor) -> tuple[Tensor, ...]:
        finer = given[: len(grids)]
        rest = [given[len(grids) * (1 + k) :][: len(grids)] for k in range(n_others)]
        inputs, values = contexts(finer, rest, 4)
        return (*inputs, *values)

    assert gradcheck(function, (*grids, *flat), fast_mode=True)


def test_every_gradient_of_contexts() -> None:
    """Every element is checked, not only one direction as above."""
    grids, others = grids_of((3, 5), n=1), others_of((3, 5), 1, n=1)

    def function(*given: Tensor) -> tuple[Tensor, ...]:
        inputs, values = contexts(given[:3], [given[3:]], 4)
        return (*inputs, *values)

    assert gradcheck(function, (*grids, *others[0]))


def sites_of(one: Pass, height: int, width: int) -> list[tuple[int, int]]:
    """The (line, column) of the sites of a pass, in the order of coding."""
    return [
        (y, x)
        for y in range(height)
        for x in range(width)
        if y % one.stride == one.line and x % one.stride == one.column
    ]


def site(grid: Tensor, line: int, column: int) -> float:
    inside = 0 <= line < grid.shape[0] and 0 <= column < grid.shape[1]
    return float(grid[line, column]) if inside else 0.0


def known_values(grids: list[Tensor], level: int, one: Pass, y: int, x: int) -> list[float]:
    """What the specification says a site knows, read from the grids one by one."""
    values = [0.0] * 10
    if level + 1 < len(grids):
        for i in range(9):
            values[i] = site(grids[level + 1], y // 2 + i // 3 - 1, x // 2 + i % 3 - 1)
    if level + 2 < len(grids):
        values[9] = site(grids[level + 2], y // 4, x // 4)
    return values + [site(grids[level], y + dy, x + dx) for dy, dx in one.neighbours]


@pytest.mark.parametrize("size", [*ODD_SIZES, (5, 7), (6, 9), (8, 8), (3, 1)])
@pytest.mark.parametrize("n_others", range(len(PASSES)))
def test_contexts_by_the_book(size: tuple[int, int], n_others: int) -> None:
    n = 2
    grids, others = grids_of(size, n), others_of(size, n_others, n)
    inputs, values = contexts(grids, others, 4)
    assert len(inputs) == len(values) == len(PASSES[n_others])
    for number, one in enumerate(PASSES[n_others]):
        expected_inputs, expected_values = [], []
        for frame in range(n):
            flat = [grid.detach()[frame] for grid in grids]
            rest = [[grid.detach()[frame] for grid in other] for other in others]
            sites, values_of_level = [], []
            for level, grid in enumerate(flat):
                for y, x in sites_of(one, *grid.shape):
                    known = known_values(flat, level, one, y, x)
                    known += [float(other[level][y, x]) for other in rest]
                    # Three grids are the levels 1 to 3 of the four.
                    which = [float(k == 1 + level) for k in range(4)]
                    sites.append(known + [abs(v) for v in known] + which)
                    values_of_level.append(float(grid[y, x]))
            expected_inputs.append(sites)
            expected_values.append(values_of_level)
        assert inputs[number].permute(1, 2, 0).tolist() == expected_inputs
        assert values[number].tolist() == expected_values


@pytest.mark.parametrize("size", [*ODD_SIZES, (1, 4), (5, 7), (8, 8)])
@pytest.mark.parametrize("n_others", range(len(PASSES)))
def test_fit_and_coding_have_the_same_inputs(size: tuple[int, int], n_others: int) -> None:
    grids, others = grids_of(size, n=1), others_of(size, n_others, n=1)
    inputs, values = contexts(grids, others, 4)
    starts = [0] * len(inputs)
    for level, grid in enumerate(grids):
        coarser = [*grids[level + 1 : level + 3], None, None]
        same = [other[level] for other in others]
        for number, one in enumerate(PASSES[n_others]):
            parts = pass_inputs(one, surrounded(grid), coarser[0], coarser[1], same)
            sites = one.of(grid)
            assert {part.shape for part in parts} == {sites.shape}
            stacked = torch.stack(parts).flatten(2)
            inside = slice(starts[number], starts[number] + sites.numel())
            starts[number] = inside.stop
            assert torch.equal(stacked, inputs[number][: len(stacked), :, inside])
            assert torch.equal(sites.flatten(1), values[number][:, inside])
    assert starts == [part.shape[2] for part in inputs]


def test_a_pass_is_coded_after_what_it_knows() -> None:
    """On a grid without borders, whose sides passes divide."""
    height, width = 16, 24
    for passes in PASSES:
        when = {
            site_number: number
            for number, one in enumerate(passes)
            for site_number in sites_of(one, height, width)
        }
        for number, one in enumerate(passes):
            assert len(set(one.neighbours)) == len(one.neighbours)
            for (y, x), (down, right) in product(sites_of(one, height, width), one.neighbours):
                near = ((y + down) % height, (x + right) % width)
                assert when[near] < number


@pytest.mark.parametrize("size", [*SIZES, *ODD_SIZES, (16, 16)])
def test_passes_hold_every_site_once(size: tuple[int, int]) -> None:
    grid = torch.arange(size[0] * size[1]).view(1, *size)
    for passes in PASSES:
        values = torch.cat([one.of(grid).flatten() for one in passes])
        assert values.sort().values.tolist() == grid.flatten().tolist()


@pytest.mark.parametrize("size", [*SIZES, *ODD_SIZES])
@pytest.mark.parametrize(("component", "number"), EVERY_PASS)
def test_sites_of_a_pass_by_plain_indexing(
    size: tuple[int, int], component: int, number: int
) -> None:
    one, grid = PASSES[component][number], numbers(2, *size, gradient=False)
    sites = sites_of(one, *size)
    assert one.of(grid).flatten(1).T.tolist() == [grid[:, y, x].tolist() for y, x in sites]
    changed = grid.clone()
    one.of(changed).fill_(9)  # a view
    assert (changed == 9).sum() == 2 * len(sites)
    for margin, (down, right) in product((0, 3), [(0, 0), *one.neighbours]):
        if not margin and (down or right):
            continue
        padded = functional.pad(grid, (margin,) * 4)
        moved = one.moved(padded, margin, down, right)
        assert moved.shape == one.of(grid).shape
        expected = [[site(values, y + down, x + right) for values in grid] for y, x in sites]
        assert moved.flatten(1).T.tolist() == expected


@pytest.mark.parametrize("size", [*SIZES, *ODD_SIZES])
@pytest.mark.parametrize(("component", "number"), EVERY_PASS)
def test_coarser_sites_of_a_pass_by_plain_indexing(
    size: tuple[int, int], component: int, number: int
) -> None:
    """In a grid that is half as fine, which may have a line or column more than the pass."""
    one = PASSES[component][number]
    lines, columns = one.of(torch.zeros(size)).shape
    half = numbers(2, -(-size[0] // 2), -(-size[1] // 2), gradient=False)
    padded = functional.pad(half, (1, 1, 1, 1))
    for down, right in product((-1, 0, 1), (-1, 0, 1)):
        moved = one.moved(padded, 1, down, right, 1)[:, :lines, :columns]
        assert moved.shape == (2, lines, columns)
        sites = [(y // 2 + down, x // 2 + right) for y, x in sites_of(one, *size)]
        expected = [[site(values, y, x) for values in half] for y, x in sites]
        assert moved.flatten(1).T.tolist() == expected


def test_a_margin_reaches_the_farthest_neighbours() -> None:
    grid = numbers(2, 5, 4, gradient=False)
    padded = surrounded(grid)
    margin = (padded.shape[1] - 5) // 2
    assert padded.shape == (2, 5 + 2 * margin, 4 + 2 * margin)
    assert torch.equal(padded[:, margin:-margin, margin:-margin], grid)
    assert padded.abs().sum() == grid.abs().sum()
    assert margin == max(
        abs(away)
        for passes in PASSES
        for one in passes
        for offset in one.neighbours
        for away in offset
    )


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.499, 0.501, 1.7, -0.2, -0.7, -3.4])
@pytest.mark.parametrize("log_scale", [-1.0, 0.0, 2.0, 4.0])
def test_gradients_of_bits(offset: float, log_scale: float) -> None:
    values = torch.tensor([offset + 2.0], dtype=torch.float64, requires_grad=True)
    means = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    scales = torch.tensor([log_scale], dtype=torch.float64, requires_grad=True)
    assert laplace_bits(values, means, scales).item() < 24
    assert gradcheck(laplace_bits, (values, means, scales))


def test_values_out_of_reach_cost_24_bits_without_gradient() -> None:
    values = torch.tensor([100.0], requires_grad=True)
    means, scales = torch.zeros(1, requires_grad=True), torch.full((1,), -3.0, requires_grad=True)
    bits = laplace_bits(values, means, scales)
    bits.sum().backward()  # type: ignore[no-untyped-call]
    assert bits.tolist() == [24.0]
    assert values.grad is not None
    assert values.grad.tolist() == [0.0]


def test_bits_of_the_fit_are_those_of_the_coder() -> None:
    rows = [(v, m, s) for v in (-9, -1, 0, 1, 4) for m in range(-20, 21, 3) for s in (8, 24, 40)]
    values, means, scales = torch.tensor(rows, dtype=torch.float64).T
    fitted = laplace_bits(values, means / 8, -3 + scales / 8)
    integers = [column.to(torch.int32).numpy() for column in (values, means, scales)]
    charged = torch.from_numpy(bits(*integers))
    cheap = charged < 16  # beyond, one part of every residual's is much of what it has
    assert cheap.sum() > 100
    torch.testing.assert_close(fitted[cheap], charged[cheap], atol=2e-2, rtol=2e-2)


def test_bits_have_no_steps() -> None:
    values = torch.linspace(-3, 3, 2001, dtype=torch.float64)
    for log_scale in (-3.0, -1.0, 1.0, 4.5):
        bits = laplace_bits(values, torch.zeros(()), torch.full((), log_scale))
        steps = [abs(float(b - a)) for a, b in pairwise(bits)]
        assert max(steps) < 1.1 * math.exp(-log_scale) * 0.003 / math.log(2) + 1e-9

"""The networks of the pyramid family: exact tables, their order, and the synthesis."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from pyramid_weights import GREY, SPEC, arithmetic_weights, exact, random_latents, shapes
from torch import Tensor
from torch.nn import functional

from rinrcodec.errors import RinrFormatError
from rinrcodec.families import check_group, family_of, object_family
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.entropy import bits
from rinrcodec.families.pyramid.latents import FINEST_CHANGE
from rinrcodec.families.pyramid.ops import PASSES, pass_inputs, surrounded
from rinrcodec.pack import GroupInfo, Spec

Tables = tuple[np.ndarray, np.ndarray]  # type: ignore[type-arg]
Grids = list[list[Tensor]]

# A change with an exponent of 0 moves a weight by at most 127; a start's weight is an int16.
LARGEST_UNITS = 127 * 1024 + 2**15
NETWORKS = tuple(
    f"context.{component}{number}"
    for component, passes in enumerate(PASSES)
    for number in range(len(passes))
)
STEPS = [
    (level, component, number)
    for level in range(pyramid.LEVELS - 1, -1, -1)
    for component, first in enumerate(pyramid.COMPONENTS)
    if level >= first
    for number in range(len(PASSES[component]))
]


def tables(weights: dict[str, Tensor], latents: Grids, step: tuple[int, int, int]) -> Tables:
    level, component, number = step
    return pyramid.pass_tables(weights, component, level, number, latents)


def sites_of(latents: Grids, step: tuple[int, int, int]) -> Tensor:
    """The latents that a step codes, [n, rows, columns]."""
    level, component, number = step
    return PASSES[component][number].of(latents[component][level - pyramid.COMPONENTS[component]])


def integer_tables(
    weights: dict[str, Tensor], latents: Grids, step: tuple[int, int, int]
) -> tuple[list[int], list[int], int]:
    """`pass_tables` with Python's integers, and the largest sum of magnitudes on the way."""
    level, component, number = step
    name = f"context.{component}{number}"
    component_grids = [grid[0].long().tolist() for grid in latents[component]]
    k = level - pyramid.COMPONENTS[component]
    grids = [*component_grids[k : k + 3], None, None]
    height, width = latents[component][k].shape[1:]
    others = [
        latents[c][level - pyramid.COMPONENTS[c]][0].long().tolist() for c in range(component)
    ]
    hidden, out, skip, bias = (
        (weights[f"{name}.{part}"] * 1024).long().tolist()
        for part in ("hidden", "out", "skip", "bias")
    )

    def site(grid: Any, y: int, x: int) -> int:
        inside = grid is not None and 0 <= y < len(grid) and 0 <= x < len(grid[0])
        return int(grid[y][x]) if inside else 0

    means, scales, most = [], [], 0
    stride, row, column, neighbours = PASSES[component][number]
    rows, columns = (range(first, side, stride) for first, side in ((row, height), (column, width)))
    for y, x in product(rows, columns):
        near = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        known = [site(grids[1], y // 2 + dy, x // 2 + dx) for dy, dx in near]
        known.append(site(grids[2], y // 4, x // 4))
        known += [site(grids[0], y + dy, x + dx) for dy, dx in neighbours]
        known += [site(other, y, x) for other in others]
        inputs = known + [abs(v) for v in known] + [int(i == level) for i in range(pyramid.LEVELS)]
        units = [sum(w * v for w, v in zip(line, inputs, strict=True)) for line in hidden]
        sums = []
        for o in range(2):
            terms = [w * max(u, 0) for w, u in zip(out[o], units, strict=True)]
            terms += [1024 * w * v for w, v in zip(skip[o], inputs, strict=True)]
            terms.append(bias[o] << 10)
            most = max(most, sum(map(abs, terms)))
            sums.append(sum(terms))
        means.append(max(-1016, min(1016, (8 * sums[0] + 2**19) >> 20)))
        scales.append(max(0, min(60, (8 * sums[1] + 24 * 2**20 + 2**19) >> 20)))
    return means, scales, most


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (5, 3), (18, 11)])
@pytest.mark.parametrize("largest", [40, 400, LARGEST_UNITS])
def test_tables_are_those_of_integers(size: tuple[int, int], largest: int) -> None:
    weights, latents = exact(arithmetic_weights(largest)), random_latents(*size, seed=largest)
    seen = set()
    for step in STEPS:
        means, scales = tables(weights, latents, step)
        assert (means.dtype, scales.dtype) == (np.int32, np.int32)
        wanted = integer_tables(weights, latents, step)
        assert means.tolist() == wanted[0]
        assert scales.tolist() == wanted[1]
        seen |= set(wanted[1])
    assert len(seen) > 1


def worst(number: int, component: int, signs: str = "same") -> tuple[dict[str, Tensor], Grids]:
    """Networks and latents as large as a file can have them, whose products all add up."""
    units = float(LARGEST_UNITS) / 1024
    weights = {
        name: torch.full(shape, units, dtype=torch.float64) for name, shape in shapes().items()
    }
    latents = random_latents(40, 40)  # sites of level 2 have all their neighbours
    for grid in (grid for component in latents for grid in component):
        grid.fill_(127)
    if signs == "mixed":
        name = f"context.{component}{number}"
        weights[f"{name}.out"][:, ::2] *= -1
        weights[f"{name}.skip"] *= -1
    return weights, latents


@pytest.mark.parametrize("component", range(3))
@pytest.mark.parametrize("signs", ["same", "mixed"])
def test_the_largest_numbers_of_a_file_are_below_2_to_the_53(component: int, signs: str) -> None:
    """Sums of magnitudes bound any order of summation, for all weights that a file can hold."""
    for number in range(len(PASSES[component])):
        weights, latents = worst(number, component, signs)
        step = (2, component, number)
        means, scales, most = integer_tables(weights, latents, step)
        assert most < 2**52  # units of 2 ** -20; times 8 is exact in a float
        coding = tables(weights, latents, step)
        assert coding[0].tolist() == means
        assert coding[1].tolist() == scales


def test_the_most_that_a_weight_can_be_is_what_this_file_takes() -> None:
    assert pyramid.CONTEXT_UNIT == 2.0**-FINEST_CHANGE == 1 / 1024
    assert LARGEST_UNITS < 2**24  # a float32 holds it
    for name, weight in pyramid.start_weights(SPEC).items():
        units = weight.double() / pyramid.unit_of(name)
        assert torch.equal(units, units.round()), name
        assert float(units.abs().max()) <= 2**15


def test_the_order_of_summation_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, latents = exact(arithmetic_weights(LARGEST_UNITS)), random_latents(23, 14)
    expected = [tables(weights, latents, step) for step in STEPS]
    network = pyramid._context_network
    generator = torch.Generator().manual_seed(5)

    def permuted(weights: dict[str, Tensor], name: str, inputs: Tensor) -> tuple[Tensor, Tensor]:
        order = torch.randperm(len(inputs), generator=generator)
        units = torch.randperm(16, generator=generator)
        changed = dict(weights)
        changed[f"{name}.hidden"] = weights[f"{name}.hidden"][units][:, order]
        changed[f"{name}.out"] = weights[f"{name}.out"][:, units]
        changed[f"{name}.skip"] = weights[f"{name}.skip"][:, order]
        return network(changed, name, inputs[order])

    monkeypatch.setattr(pyramid, "_context_network", permuted)
    for step, (means, scales) in zip(STEPS, expected, strict=True):
        coding = tables(weights, latents, step)
        assert np.array_equal(coding[0], means)
        assert np.array_equal(coding[1], scales)


def test_how_many_sites_are_computed_at_once_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights, latents = exact(arithmetic_weights()), random_latents(23, 14)
    expected = [tables(weights, latents, step) for step in STEPS]
    for sites in (1, 13, 30):
        monkeypatch.setattr(pyramid, "_SITES_AT_ONCE", {"cpu": sites})
        for step, (means, scales) in zip(STEPS, expected, strict=True):
            coding = tables(weights, latents, step)
            assert np.array_equal(coding[0], means)
            assert np.array_equal(coding[1], scales)


def test_a_large_pass_is_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    network = pyramid._context_network

    def watch(weights: dict[str, Tensor], name: str, inputs: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(inputs[0].numel())
        return network(weights, name, inputs)

    monkeypatch.setattr(pyramid, "_context_network", watch)
    means, _ = tables(exact(arithmetic_weights()), random_latents(300, 400), (0, 0, 6))
    assert max(seen) <= 8192 < sum(seen) == len(means) == 150 * 200


def test_threads_do_not_matter() -> None:
    weights, latents = exact(arithmetic_weights()), random_latents(300, 200)
    before = torch.get_num_threads()
    codings = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            codings.append([tables(weights, latents, step) for step in STEPS[-7:]])
    finally:
        torch.set_num_threads(before)
    assert all(
        np.array_equal(a, b)
        for one, two in zip(*codings, strict=True)
        for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (13, 22)])
def test_no_pass_knows_what_is_not_decoded_yet(size: tuple[int, int]) -> None:
    """Sites of later steps are huge, and change nothing."""
    weights, latents = exact(arithmetic_weights()), random_latents(*size)
    known = [[torch.full_like(grid, 1e9) for grid in component] for component in latents]
    for step in STEPS:
        coding = tables(weights, known, step)
        expected = tables(weights, latents, step)
        assert np.array_equal(coding[0], expected[0])
        assert np.array_equal(coding[1], expected[1])
        sites_of(known, step).copy_(sites_of(latents, step))
    assert all(
        torch.equal(a, b)
        for one, two in zip(known, latents, strict=True)
        for a, b in zip(one, two, strict=True)
    )


def known_to(latents: Grids, step: tuple[int, int, int]) -> set[tuple[int, int, int]]:
    """The steps of whose latents a step knows some, by the specification."""
    level, component, number = step
    stride, row, column, neighbours = PASSES[component][number]
    steps = set()

    def add(level: int, component: int, y: int, x: int) -> None:
        if level == pyramid.LEVELS:
            return
        height, width = latents[component][level - pyramid.COMPONENTS[component]].shape[1:]
        if 0 <= y < height and 0 <= x < width:
            (which,) = (
                k
                for k, one in enumerate(PASSES[component])
                if (y % one.stride, x % one.stride) == (one.line, one.column)
            )
            steps.add((level, component, which))

    height, width = latents[component][level - pyramid.COMPONENTS[component]].shape[1:]
    for y, x in product(range(row, height, stride), range(column, width, stride)):
        for i, j in neighbours:
            add(level, component, y + i, x + j)
        for other in range(component):
            add(level, other, y, x)
        for i, j in product((-1, 0, 1), (-1, 0, 1)):
            add(level + 1, component, y // 2 + i, x // 2 + j)
        add(min(level + 2, pyramid.LEVELS), component, y // 4, x // 4)
    return steps


@pytest.mark.slow
def test_a_poisoned_site_is_noticed_where_it_is_known() -> None:
    """The test above relies on this: steps depend on all that they know, and on nothing else."""
    weights, latents = exact(arithmetic_weights(60)), random_latents(13, 22, largest=3)
    for step in STEPS:
        expected = tables(weights, latents, step)
        noticed = set()
        for other in STEPS:
            sites = sites_of(latents, other)
            if not step[0] <= other[0] <= step[0] + 3 or not sites.numel():
                continue
            kept = sites.clone()
            for value in (-1e9, 1e9):  # a network at one end of its range stays there
                sites.fill_(value)
                pairs = zip(tables(weights, latents, step), expected, strict=True)
                if any(not np.array_equal(a, b) for a, b in pairs):
                    noticed.add(other)
                    break
            sites.copy_(kept)
        assert noticed == known_to(latents, step), step


def test_fit_and_coder_charge_about_the_same() -> None:
    """One network, asked by the fit for all sites and by the coder pass by pass."""
    weights = arithmetic_weights(60)
    latents = random_latents(37, 26, largest=3)
    estimated = float(
        pyramid.latent_bits(weights, [[g.float() for g in grids] for grids in latents])
    )
    charged = 0.0
    for step in STEPS:
        values = sites_of(latents, step).flatten().to(torch.int32).numpy()
        means, scales = tables(exact(weights), latents, step)
        charged += float(bits(values, means, scales).sum())
    assert estimated == pytest.approx(charged, rel=0.02)


def test_bits_of_frames_are_their_own() -> None:
    weights = arithmetic_weights(60)
    latents = [[g.float() for g in grids] for grids in random_latents(15, 9, n=3, largest=3)]
    together = pyramid.latent_bits(weights, latents)
    for k in range(3):
        alone = pyramid.latent_bits(weights, [[g[k : k + 1] for g in grids] for grids in latents])
        torch.testing.assert_close(alone[0], together[k])


def test_bits_of_a_pass_are_those_of_its_sites() -> None:
    """For all levels and each frame. They differ a little: the coder rounds means and scales."""
    weights = arithmetic_weights(60)
    latents = [[g.float() for g in grids] for grids in random_latents(21, 14, n=2, largest=3)]
    estimated = {}
    for name, inputs, values in pyramid.context_inputs(latents):
        assert inputs.shape[1:] == values.shape
        estimated[name] = pyramid.pass_bits(weights, name, inputs, values)
    assert list(estimated) == list(NETWORKS)
    torch.testing.assert_close(
        torch.stack(list(estimated.values())).sum(0), pyramid.latent_bits(weights, latents)
    )
    for k in range(2):
        grids = [[g[k : k + 1].double() for g in grids] for grids in latents]
        charged = dict.fromkeys(estimated, 0.0)
        for step in STEPS:
            values = sites_of(grids, step).flatten().to(torch.int32).numpy()
            name = f"context.{step[1]}{step[2]}"
            charged[name] += float(bits(values, *tables(exact(weights), grids, step)).sum())
        for name, n_bits in charged.items():
            assert float(estimated[name][k]) == pytest.approx(n_bits, rel=0.03, abs=0.5), name


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (9, 6)])
def test_bits_have_gradients(size: tuple[int, int]) -> None:
    """There are gradients for the latents, too: for coded ones and for those that predict them."""
    weights = {
        name: weight.double().requires_grad_()
        for name, weight in arithmetic_weights(100).items()
        if name.startswith("context")
    }
    generator = torch.Generator().manual_seed(4)
    latents = [
        [torch.randn(2, *shape, generator=generator).double().requires_grad_() for shape in sizes]
        for sizes in pyramid.grid_sizes(*size)
    ]
    flat = [grid for component in latents for grid in component]

    def function(*given: Tensor) -> Tensor:
        leaves = iter(given)
        grids = [[next(leaves) for _ in component] for component in latents]
        return pyramid.latent_bits({name: next(leaves) for name in weights}, grids)

    inputs = (*flat, *weights.values())
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True, eps=1e-7)


def book_synthesis(weights: dict[str, Tensor], latents: Grids, steps: Tensor) -> Tensor:
    """The synthesis of one frame with torch's own layers: [3, h, w]."""

    def upsampled(grid: Tensor, kernel: Tensor, size: torch.Size) -> Tensor:
        taps = torch.cat([kernel, kernel.flip(0)])
        padded = functional.pad(grid, (2, 2, 2, 2), mode="replicate")
        enlarged = functional.conv_transpose2d(padded, taps.outer(taps)[None, None], stride=2)
        return enlarged[:, :, 7 : 7 + size[0], 7 : 7 + size[1]]

    features = []
    for component, first in enumerate(pyramid.COMPONENTS):
        kind = min(component, 1)
        levels = []
        for level in range(first, pyramid.LEVELS):
            grid = latents[component][level - first][None].float() * steps[kind, level]
            kernel = weights["kernel.sharpen"][kind, level]
            taps = torch.cat([kernel, kernel[:3].flip(0)])
            grid = grid + functional.conv2d(grid, taps.outer(taps)[None, None], padding=3)
            for finer in range(level - 1, -1, -1):
                size = latents[0][finer].shape[1:]
                grid = upsampled(grid, weights["kernel.up"][kind, finer], size)
            levels.append(grid[0])
        features += levels if component == 0 else [torch.stack(levels).sum(0)]
    x = torch.cat(features)
    hidden = torch.einsum("oi,ihw->ohw", weights["synthesis.hidden"], x)
    hidden = (hidden + weights["synthesis.hidden_bias"][:, None, None]).relu()
    signal = torch.einsum("oi,ihw->ohw", weights["synthesis.out"], hidden)
    signal = signal + weights["synthesis.out_bias"][:, None, None]
    signal = signal + torch.einsum("oi,ihw->ohw", weights["synthesis.skip"], x)
    for layer in range(2):
        padded = functional.pad(signal[None], (1, 1, 1, 1), mode="replicate")
        kernel, bias = weights[f"filter.{layer}"], weights[f"filter.{layer}_bias"]
        filtered = functional.conv2d(padded, kernel, bias)[0]
        signal = signal + (filtered if layer else filtered.relu())
    return signal


@pytest.mark.parametrize("size", [(1, 1), (7, 2), (31, 18), (64, 48)])
def test_synthesis_by_the_book(size: tuple[int, int]) -> None:
    weights = arithmetic_weights(1000)
    latents = [[g.float() for g in grids] for grids in random_latents(*size, n=2, largest=5)]
    steps = torch.rand(2, 2, pyramid.LEVELS, generator=torch.Generator().manual_seed(1))
    signal = pyramid.synthesize(weights, latents, steps, 3)
    grey = pyramid.synthesize(weights, latents, steps, 1)
    assert signal.shape == (2, 3, size[1], size[0])
    torch.testing.assert_close(grey, signal.mean(1, keepdim=True))
    for k in range(2):
        expected = book_synthesis(
            weights, [[g[k : k + 1] for g in grids] for grids in latents], steps[k]
        )
        torch.testing.assert_close(signal[k], expected, rtol=1e-4, atol=1e-4)


def test_synthesis_has_gradients() -> None:
    weights = {k: w.double().requires_grad_() for k, w in arithmetic_weights(1000).items()}
    latents = random_latents(6, 5, largest=3)
    flat = [grid.requires_grad_() for component in latents for grid in component]
    steps = torch.rand(1, 2, pyramid.LEVELS, dtype=torch.float64).requires_grad_()
    names = [name for name in weights if not name.startswith("context")]

    def function(steps: Tensor, *given: Tensor) -> Tensor:
        leaves = iter(given)
        now = {name: next(leaves) for name in names}
        grids = [[next(leaves) for _ in component] for component in latents]
        return pyramid.synthesize(now, grids, steps, 3)

    inputs = (steps, *(weights[name] for name in names), *flat)
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True, atol=1e-3)


def test_grid_sizes() -> None:
    luma, *chroma = pyramid.grid_sizes(640, 359)
    assert luma[:3] == ((359, 640), (180, 320), (90, 160))
    assert luma[-1] == (6, 10)
    assert chroma == [luma[1:], luma[1:]]
    assert pyramid.grid_sizes(1, 1) == (((1, 1),) * 7, ((1, 1),) * 6, ((1, 1),) * 6)


def test_every_pass_has_a_network() -> None:
    parts = ("hidden", "out", "skip", "bias")
    expected = [f"{name}.{part}" for name in NETWORKS for part in parts]
    assert [name for name in shapes() if name.startswith("context")] == expected


def test_the_start_has_the_tensors_of_fresh_networks_in_their_order() -> None:
    start = pyramid.start_weights(SPEC)
    assert {name: tuple(tensor.shape) for name, tensor in start.items()} == shapes()
    assert list(start) == list(shapes())
    assert {tensor.dtype for tensor in start.values()} == {torch.float32}
    steps = pyramid.usual_steps(SPEC, 1e-3)
    assert (steps.shape, steps.dtype) == ((2, pyramid.LEVELS), torch.float32)
    assert torch.isfinite(steps).all()


def test_callers_get_a_copy_of_the_start() -> None:
    pyramid.start_weights(SPEC)["filter.0_bias"].fill_(9)
    assert float(pyramid.start_weights(SPEC)["filter.0_bias"].abs().max()) < 9


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "expected out and start"),
        ({"out": 3}, "expected out and start"),
        ({"out": 3, "start": "a", "width": 2}, "expected out and start"),
        ({"out": 2, "start": "a"}, "expected out of 1 or 3"),
        ({"out": 3.0, "start": "a"}, "expected out of 1 or 3"),
        ({"out": "3", "start": "a"}, "expected out of 1 or 3"),
        ({"out": 3, "start": "../a"}, r"names a start that this version lacks \(it has a\)"),
        ({"out": 3, "start": 1}, "names a start that this version lacks"),
    ],
)
def test_malformed_specs_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(RinrFormatError, match=message):
        pyramid.check(Spec.of("pyramid", **config))


def test_pyramid_codes_no_objects() -> None:
    with pytest.raises(RinrFormatError, match="'pyramid' codes backgrounds only"):
        object_family("pyramid")


def test_groups_have_coded_rows_and_nothing_else() -> None:
    assert check_group(GroupInfo(GREY, 8, 1, 0, 0, coded=True)) is family_of("pyramid")
    with pytest.raises(RinrFormatError, match="has no coded bytes"):
        check_group(GroupInfo(GREY, 8, 1, 0, 0))
    with pytest.raises(RinrFormatError, match="the group says 3 in 1"):
        check_group(GroupInfo(GREY, 8, 1, 3, 1, coded=True))


def test_inputs_are_as_many_as_the_networks_take() -> None:
    latents = random_latents(9, 9)
    for level, component, number in STEPS:
        k = level - pyramid.COMPONENTS[component]
        grids = [*latents[component], None, None]
        others = [latents[c][level - pyramid.COMPONENTS[c]] for c in range(component)]
        grid = latents[component][k]
        one = PASSES[component][number]
        inputs = pass_inputs(one, surrounded(grid), grids[k + 1], grids[k + 2], others)
        width = shapes()[f"context.{component}{number}.hidden"][1]
        assert 2 * len(inputs) + pyramid.LEVELS == width
        assert width < 64  # what the bound of exact sums counts on

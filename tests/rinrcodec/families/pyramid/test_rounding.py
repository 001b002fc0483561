"""How coarsely fitted tensors are stored: as far as it pays, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from rinrcodec.families.pyramid.entropy import LARGEST, bits
from rinrcodec.families.pyramid.latents import (
    FINEST_CHANGE,
    Change,
    best_scale,
    changed,
    clip_codes,
)
from rinrcodec.families.pyramid.rounding import change_bits, choose_changes

Weights = Mapping[str, Tensor]


def networks(*, spread: float = 0.1, seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A start of two tensors, and what was fitted from it."""
    generator = torch.Generator().manual_seed(seed)
    start = {
        "matrix": torch.randint(-9, 10, (6, 9), generator=generator) / 1024,
        "vector": torch.randint(-9, 10, (5,), generator=generator) / 1024,
    }
    fitted = {
        name: weight + spread * torch.randn(weight.shape, generator=generator)
        for name, weight in start.items()
    }
    return start, fitted


def squares(wanted: Weights) -> Callable[[str, Weights], float]:
    """A loss that is smallest for what was fitted."""
    return lambda name, weights: float((weights[name] - wanted[name]).square().sum())


def every_change(start: Weights, fitted: Weights, name: str) -> list[Change]:
    """The changes of all exponents, also of those that are not tried."""
    costs = []
    for exponent in range(2, FINEST_CHANGE + 1):
        codes = clip_codes((fitted[name] - start[name]).flatten() * 2.0**exponent)
        costs.append(Change(exponent, best_scale(codes), codes))
    return costs


@pytest.mark.parametrize("per_bit", [0.0, 1e-9, 1e-3])
def test_unchanged_tensors_have_no_change(per_bit: float) -> None:
    start, _ = networks()
    assert choose_changes(start, start, start, squares(start), per_bit) == {}


def test_nothing_is_changed_where_bits_cost_more_than_is_gained() -> None:
    start, fitted = networks()
    assert choose_changes(start, fitted, start, squares(fitted), 10.0) == {}
    assert choose_changes(start, fitted, start, lambda *_: 3.0, 1e-9) == {}


def test_nothing_is_changed_where_a_fit_made_it_worse() -> None:
    start, fitted = networks()
    assert choose_changes(start, fitted, start, squares(start), 0.0) == {}


def test_only_tensors_that_are_named_are_changed() -> None:
    start, fitted = networks()
    assert set(choose_changes(start, fitted, start, squares(fitted), 1e-6)) == set(start)
    assert set(choose_changes(start, fitted, ["vector"], squares(fitted), 1e-6)) == {"vector"}


def test_a_cheaper_bit_gives_finer_changes() -> None:
    start, fitted = networks()
    prices = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    by_price = [choose_changes(start, fitted, start, squares(fitted), price) for price in prices]
    for name in start:
        exponents = [changes[name].exponent for changes in by_price if name in changes]
        assert exponents == sorted(exponents)
        assert len(set(exponents)) > 2
        errors = [
            float((changed(start[name], changes.get(name)) - fitted[name]).abs().max())
            for changes in by_price
        ]
        assert errors == sorted(errors, reverse=True)


def test_more_frames_give_finer_changes() -> None:
    """All frames gain by the same change, whose bits are counted once."""
    start, fitted = networks()
    by_count = []
    for frames in (1, 8, 512):

        def loss(name: str, weights: Weights, frames: int = frames) -> float:
            return frames * squares(fitted)(name, weights)

        by_count.append(choose_changes(start, fitted, start, loss, 1e-3))
    for name in start:
        exponents = [changes[name].exponent for changes in by_count if name in changes]
        assert exponents == sorted(exponents)
        assert exponents[0] < exponents[-1]


@pytest.mark.parametrize("per_bit", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("spread", [0.003, 0.1, 3.0])
def test_the_cheapest_change_of_all_is_chosen(per_bit: float, spread: float) -> None:
    start, fitted = networks(spread=spread)
    loss = squares(fitted)
    chosen = choose_changes(start, fitted, start, loss, per_bit)

    def cost(name: str, change: Change | None) -> float:
        cost_of_bits = 0.0 if change is None else per_bit * change_bits(change)
        return loss(name, {name: changed(start[name], change)}) + cost_of_bits

    for name in start:
        least = min(cost(name, change) for change in [None, *every_change(start, fitted, name)])
        assert cost(name, chosen.get(name)) == pytest.approx(least)
        if name not in chosen:
            assert cost(name, None) == pytest.approx(least)


def test_a_loss_sees_what_will_be_decoded() -> None:
    """Tensors that were rounded before, and others as they were fitted."""
    start, fitted = networks()
    seen: list[tuple[str, dict[str, Tensor], float]] = []

    def loss(name: str, weights: Weights) -> float:
        assert set(weights) == set(start)
        value = squares(fitted)(name, weights)
        seen.append((name, dict(weights), value))
        return value

    chosen = choose_changes(start, fitted, ["vector", "matrix"], loss, 1e-5)
    decoded = {name: changed(start[name], chosen[name]) for name in start}
    for name, weights, _ in seen:
        other = "matrix" if name == "vector" else "vector"
        expected = decoded[other] if name == "matrix" else fitted[other]
        assert torch.equal(weights[other], expected)
    assert torch.equal(seen[0][1]["vector"], start["vector"])
    for name in start:
        scored = [
            value
            for scored_name, weights, value in seen
            if torch.equal(weights[name], decoded[name]) and scored_name == name
        ]
        assert scored == [squares(fitted)(name, decoded)]


def test_start_and_fit_are_left_as_they_are() -> None:
    start, fitted = networks()
    before = [
        {name: weight.clone() for name, weight in tensors.items()} for tensors in (start, fitted)
    ]
    choose_changes(start, fitted, start, squares(fitted), 1e-5)
    for tensors, others in zip((start, fitted), before, strict=True):
        assert all(torch.equal(tensors[name], others[name]) for name in tensors)


def test_changes_are_no_finer_than_their_codes_reach() -> None:
    """Where some codes are at their end, finer ones would only lose more."""
    start, fitted = networks(spread=0.0)
    fitted["vector"] = start["vector"] + torch.tensor([20.0, 0.3, 0.0, 0.0, 0.0])
    change = choose_changes(start, fitted, ["vector"], squares(fitted), 1e-9)["vector"]
    assert change.exponent == 2
    assert change.codes.tolist() == [80, 1, 0, 0, 0]
    fitted["vector"] = start["vector"] + torch.tensor([500.0, 0.0, 0.0, 0.0, 0.0])
    asked: list[str] = []

    def loss(name: str, weights: Weights) -> float:
        asked.append(name)
        return squares(fitted)(name, weights)

    change = choose_changes(start, fitted, ["vector"], loss, 1e-9)["vector"]
    assert (change.exponent, change.codes.tolist()) == (2, [LARGEST, 0, 0, 0, 0])
    assert len(asked) == 2


def test_changes_that_round_to_the_start_are_not_tried() -> None:
    start, fitted = networks(spread=0.0)
    fitted["vector"] = start["vector"] + 0.01
    tried: list[Tensor] = []

    def loss(name: str, weights: Weights) -> float:
        tried.append(weights[name])
        return squares(fitted)(name, weights)

    change = choose_changes(start, fitted, ["vector"], loss, 1e-9)["vector"]
    assert change.exponent > 5  # 0.01 is nothing in multiples of 1/32
    assert [torch.equal(weight, start["vector"]) for weight in tried].count(True) == 1


def test_few_changes_are_tried_beyond_the_best() -> None:
    start, fitted = networks()
    asked: list[str] = []

    def loss(name: str, weights: Weights) -> float:
        asked.append(name)
        return squares(fitted)(name, weights)

    tried = choose_changes(start, fitted, ["matrix"], loss, 1e-3)
    # The start, those from the coarsest to the best, and two that were worse.
    assert len(asked) == 1 + (tried["matrix"].exponent - 2 + 1) + 2


def test_bits_of_a_change_are_those_of_its_codes_and_a_byte() -> None:
    codes = np.array([0, -3, 1, 127, 0], np.int32)
    nothing = np.zeros_like(codes)
    for scale in (0, 20, 60):
        expected = float(bits(codes, nothing, nothing + scale).sum()) + 8
        assert change_bits(Change(5, scale, codes)) == pytest.approx(expected)

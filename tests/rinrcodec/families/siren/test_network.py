from __future__ import annotations

import math

import pytest
import torch
from siren_specs import siren_spec

from rinrcodec.errors import RinrFormatError
from rinrcodec.families import check_group, family_of
from rinrcodec.families.siren import network as siren
from rinrcodec.pack import GroupInfo, Spec


@pytest.mark.parametrize(
    ("depth", "width", "parameters"),
    [(10, 28, 7_479), (3, 10, 283), (3, 15, 573), (5, 17, 1_329), (5, 24, 2_547)],
)
def test_the_papers_networks_have_the_papers_parameter_counts(
    depth: int, width: int, parameters: int
) -> None:
    assert sum(siren.tensor_sizes(siren_spec(depth, width))) == parameters


def plain_forward(spec: Spec, row: torch.Tensor, coords: torch.Tensor) -> torch.Tensor:
    """The network written as the SIREN paper has it, one INR at a time, in float64."""
    hidden, start = coords, 0
    shapes = [(2, int(spec["width"]))]
    shapes += [(int(spec["width"]),) * 2] * (int(spec["depth"]) - 1)
    shapes += [(int(spec["width"]), int(spec["out"]))]
    for index, (inputs, outputs) in enumerate(shapes):
        matrix = row[start : start + inputs * outputs].view(inputs, outputs)
        start += inputs * outputs
        bias = row[start : start + outputs]
        start += outputs
        hidden = hidden @ matrix + bias
        if index < len(shapes) - 1:
            hidden = torch.sin(float(spec["w0_first" if index == 0 else "w0"]) * hidden)
    return hidden


@pytest.mark.parametrize("out", [1, 3])
def test_values_and_gradients_equal_the_plain_network(out: int) -> None:
    spec = siren_spec(3, 7, out=out, w0=20, w0_first=35)
    weights = siren.init(spec, 4, torch.Generator().manual_seed(1)).double().requires_grad_()
    coords = torch.rand(4, 11, 2, dtype=torch.float64) * 2 - 1
    outputs = siren.forward(spec, weights, coords)
    expected = torch.stack(
        [plain_forward(spec, w, c) for w, c in zip(weights, coords, strict=True)]
    )
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(siren.forward(spec, weights.detach(), coords), expected)

    factors = torch.rand_like(outputs)
    (ours,) = torch.autograd.grad((outputs * factors).sum(), weights)
    (plain,) = torch.autograd.grad((expected * factors).sum(), weights)
    torch.testing.assert_close(ours, plain)


def test_one_set_of_coords_serves_all_inrs() -> None:
    spec = siren_spec(2, 5)
    weights = siren.init(spec, 3, torch.Generator().manual_seed(0))
    coords = torch.rand(1, 9, 2)
    torch.testing.assert_close(
        siren.forward(spec, weights, coords), siren.forward(spec, weights, coords.repeat(3, 1, 1))
    )


def test_init_keeps_the_bounds_of_the_siren_paper() -> None:
    spec = siren_spec(2, 64, w0=30)
    first, _, hidden, _, last, _ = siren.init(spec, 2, torch.Generator().manual_seed(0)).split(
        siren.tensor_sizes(spec), 1
    )
    assert 0.45 < first.abs().max() <= 0.5
    for layer in (hidden, last):
        bound = math.sqrt(6 / 64) / 30
        assert 0.9 * bound < layer.abs().max() <= bound


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": 0},
        {"depth": 1.5},
        {"width": 100_000},
        {"out": 2},
        {"w0": "x"},
        {"w0": 0},
        {"z": 1},
    ],
)
def test_a_spec_that_cannot_be_built_is_refused(changes: dict[str, int | float | str]) -> None:
    config = {"depth": 3, "width": 8, "out": 3, "w0": 30.0, "w0_first": 30.0} | changes
    with pytest.raises(RinrFormatError):
        siren.check(Spec.of("siren", **config))


def test_an_incomplete_spec_and_an_unknown_family_are_refused() -> None:
    with pytest.raises(RinrFormatError, match="lacks 'depth'"):
        siren.check(Spec.of("siren", width=3))
    with pytest.raises(RinrFormatError, match="the family 'tea' is not installed"):
        family_of("tea")


def test_a_group_whose_rows_do_not_fit_its_spec_is_refused() -> None:
    spec = siren_spec(3, 10)
    check_group(GroupInfo(spec, 8, 1, 283, 8))
    with pytest.raises(RinrFormatError, match="283 parameters in 8 tensors"):
        check_group(GroupInfo(spec, 8, 1, 282, 8))


def test_canonical_weights_have_the_same_outputs_and_small_biases() -> None:
    spec = siren_spec(3, 6, w0=20, w0_first=35)
    weights = siren.init(spec, 3, torch.Generator().manual_seed(0)).double() * 3
    moved = siren.canonical(spec, weights)
    coords = torch.rand(3, 40, 2, dtype=torch.float64) * 2 - 1
    torch.testing.assert_close(
        siren.forward(spec, moved, coords), siren.forward(spec, weights, coords)
    )
    parts, before = (w.split(siren.tensor_sizes(spec), 1) for w in (moved, weights))
    for index, w0 in enumerate((35, 20, 20)):
        assert parts[2 * index + 1].abs().max() <= math.pi / w0 + 1e-9
        assert before[2 * index + 1].abs().max() > math.pi / w0
    for index in (0, 2, 4, 6, 7):
        assert torch.equal(parts[index], before[index])

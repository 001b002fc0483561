"""Targets of fits of the pyramid family: quality, size, lambda, and sharp objects."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pyramid_fits import (
    CPU,
    HEIGHT,
    SETTINGS,
    WIDTH,
    Pixels,
    a_fit,
    decoded,
    face,
    fit,
    shortened,
)
from torch import Tensor

import rinrcodec
from rinrcodec.boxes import Region
from rinrcodec.errors import RinrInputError
from rinrcodec.families.pyramid import fit as fit_module
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.fit import LATENT_GAIN, _Fit
from rinrcodec.families.pyramid.latents import Change, decode_row
from rinrcodec.families.pyramid.rounding import choose_changes
from rinrcodec.metrics import psnr
from rinrcodec.targets import Target


@pytest.fixture(scope="module")
def crop() -> Pixels:
    return face()


@pytest.mark.slow
def test_a_lower_lambda_gives_more_bytes_and_more_decibels(crop: Pixels) -> None:
    high, low = (
        fit([crop], target=Target(lmbda=lmbda), settings=shortened(24)) for lmbda in (1e-2, 1e-4)
    )
    assert len(low) > 1.5 * len(high)
    assert psnr(crop, decoded(low)) > psnr(crop, decoded(high)) + 1.5


@pytest.fixture
def free_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes of networks that take nothing, about as in a large frame.

    Leaving them out pays in a frame this small, and no target of quality expects that.
    """

    def choose(*args: Any) -> dict[str, Change]:
        return choose_changes(*args[:-1], per_bit=0.0)

    monkeypatch.setattr(fit_module, "choose_changes", choose)


@pytest.mark.slow
@pytest.mark.usefixtures("free_networks")
@pytest.mark.parametrize("wanted", [25.0, 27.0])
def test_a_target_psnr_is_approached(crop: Pixels, wanted: float) -> None:
    row = fit([crop], target=Target(psnr=wanted), settings=shortened(40))
    assert psnr(crop, decoded(row)) == pytest.approx(wanted, abs=0.7)


@pytest.mark.slow
@pytest.mark.parametrize(("wanted", "steps"), [(500, 100), (800, 60)])
def test_a_target_size_is_approached(crop: Pixels, wanted: int, steps: int) -> None:
    row = fit([crop], target=Target(n_bytes=wanted), settings=shortened(steps))
    assert len(row) == pytest.approx(wanted, rel=0.25)


@pytest.mark.slow
def test_objects_are_sharper_than_their_surroundings(crop: Pixels) -> None:
    box = Region(20, 10, 24, 24)
    inside = box.slices
    gains = []
    for weight in (1.0, 30.0):
        image = decoded(
            fit([crop], settings=replace(SETTINGS, object_weight=weight), regions=(box,))
        )
        outside = np.ones(crop.shape[:2], bool)
        outside[inside] = False
        gains.append(
            psnr(crop[inside], image[inside]) - psnr(crop[outside][None], image[outside][None])
        )
    assert gains[1] > gains[0] + 1.5


@pytest.mark.usefixtures("free_networks")
@pytest.mark.slow
def test_a_target_for_objects_is_approached(crop: Pixels) -> None:
    box = Region(20, 10, 24, 24)
    inside = box.slices
    target = Target(psnr=26, objects_psnr=31)
    image = decoded(fit([crop], target=target, regions=(box,), settings=shortened(40)))
    assert psnr(crop[inside], image[inside]) == pytest.approx(31, abs=2)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"psnr": 30.0, "lmbda": 1e-3}, "a target of lmbda and psnr: give one of them"),
        ({"psnr": 30.0, "n_bytes": 9}, "a target of psnr and n_bytes"),
        ({"psnr": 5.0}, "psnr=5.0: expected a number from 10 to 60"),
        ({"psnr": math.nan}, "psnr=nan"),
        ({"lmbda": 0.0}, "lmbda=0.0: expected a number from 0.000001 to 1"),
        ({"n_bytes": 0}, "n_bytes=0"),
        ({"psnr": "30"}, "psnr='30': expected a number from 10 to 60"),
        ({"objects_psnr": 99.0}, "objects_psnr=99.0"),
    ],
)
def test_malformed_targets_are_refused(target: dict[str, float], message: str) -> None:
    with pytest.raises(RinrInputError, match=message):
        Target(**target)  # type: ignore[arg-type]


def test_a_target_needs_the_family(crop: Pixels) -> None:
    with pytest.raises(
        RinrInputError, match="siren backgrounds: they do not support it; use pyramid or"
    ):
        rinrcodec.encode([crop], preset="fast", background="siren", target=Target(psnr=30))


def test_a_box_of_the_whole_frame_does_not_change_lambda(crop: Pixels) -> None:
    target = Target(psnr=20, objects_psnr=30)
    regions = [[Region(0, 0, WIDTH, HEIGHT)], [Region(0, 0, WIDTH // 2, HEIGHT)]]
    fitted = _Fit(
        SETTINGS.spec(3), [torch.tensor(crop)] * 2, regions, SETTINGS, target, False, 0, CPU
    )
    before = fitted.log_lambda.clone()
    for _ in range(3):
        fitted.soft_step(0.0)
        fitted.control()
    assert fitted.log_lambda[0] == before[0]
    assert fitted.log_lambda[1] != before[1]
    assert (fitted.log_weight > math.log(SETTINGS.object_weight)).all()


@pytest.mark.parametrize("predicted", [False, True])
def test_steps_follow_lambda_and_the_signal_stays(crop: Pixels, predicted: bool) -> None:
    fitted = a_fit([crop[:13, :22]] * 3, predicted=predicted, steps=4)
    moved = torch.tensor([-1.0, 0.0, 2.5])

    def seen() -> Tensor:
        latents = [[grid * LATENT_GAIN for grid in component] for component in fitted.latents]
        return fitted._signal(fitted.weights, latents, fitted.log_steps.exp())

    with torch.no_grad():
        signal, steps = seen(), fitted.log_steps.clone()
        grids = [[grid.clone() for grid in component] for component in fitted.latents]
        fitted._follow(moved)
        torch.testing.assert_close(seen(), signal, rtol=1e-4, atol=1e-4)
    usual = [pyramid.usual_steps(SETTINGS.spec(3), math.exp(x)) for x in (0.0, *moved.tolist())]
    shift = torch.stack([steps - usual[0] for steps in usual[1:]])
    if predicted:
        shift = shift.mean(0, keepdim=True)
    assert shift.abs().max() > 0.1
    torch.testing.assert_close(fitted.log_steps - steps, shift, rtol=1e-4, atol=1e-5)
    unmoved = torch.equal(fitted.latents[0][2][1], grids[0][2][1])
    assert unmoved != predicted  # the frame whose lambda stays, unless it has others' steps
    assert not torch.equal(fitted.latents[0][2][0], grids[0][2][0])
    fitted.soft_step(0.3)  # leaves that can still be fitted


@pytest.mark.slow
@pytest.mark.usefixtures("few_rounded")
@pytest.mark.parametrize("predicted", [False, True])
def test_frames_have_steps_of_their_own_unless_they_are_predicted(
    crop: Pixels, predicted: bool
) -> None:
    """Frames of one quality: one is simple, the other is not."""
    simple = np.full((24, 32, 3), 99, np.uint8)
    simple[6:12, 8:20] = 140
    frames = [crop[:24, :32].copy(), simple]
    row = fit(frames, target=Target(psnr=33), settings=shortened(8), predicted=predicted)
    steps = decode_row(SETTINGS.spec(3), row, (32, 24), [0, 1], CPU).steps
    assert steps.shape == (2, 2, pyramid.LEVELS)
    assert torch.equal(steps[0], steps[1]) == predicted
    codes = steps.log2() * 8
    torch.testing.assert_close(codes, codes.round(), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("target", "lmbda", "weight"),
    [
        (Target(), SETTINGS.lmbda, SETTINGS.object_weight),
        (Target(lmbda=3e-5), 3e-5, SETTINGS.object_weight),
        (Target(n_bytes=500), SETTINGS.lmbda, SETTINGS.object_weight),
        (Target(psnr=30), 2e-3, SETTINGS.object_weight),
        (Target(psnr=40, objects_psnr=50), 2e-4, 10.0),
        (Target(psnr=40, objects_psnr=30), 2e-4, 1.0),
        (Target(psnr=10), 0.1, SETTINGS.object_weight),
    ],
)
def test_a_fit_begins_near_its_target(
    crop: Pixels, target: Target, lmbda: float, weight: float
) -> None:
    """Its steps are the usual ones of its lambda."""
    fitted = a_fit([crop[:9, :9]] * 2, target=target)
    assert fitted.log_lambda.exp().tolist() == pytest.approx([lmbda] * 2)
    assert fitted.log_weight.exp().tolist() == pytest.approx([weight] * 2)
    usual = pyramid.usual_steps(SETTINGS.spec(3), lmbda)
    torch.testing.assert_close(fitted.log_steps.detach(), usual.expand(2, -1, -1))


def test_networks_leave_fewer_bytes_to_latents(crop: Pixels) -> None:
    """A target of bytes subtracts the networks, but at most half of it."""
    lambdas = []
    for taken in (0.0, 150.0, 9_999.0):
        fitted = a_fit([crop[:24, :32]], target=Target(n_bytes=400), steps=2)
        fitted.network_bytes = taken
        before = fitted.log_lambda.clone()
        fitted.control()
        lambdas.append(float(fitted.log_lambda - before))
    assert lambdas[1] - lambdas[0] == pytest.approx(0.7 * math.log(400 / 250), abs=1e-3)
    assert lambdas[2] - lambdas[0] == pytest.approx(0.7 * math.log(2), abs=1e-3)


def test_lambda_stays_near_the_first_guess_of_a_psnr(crop: Pixels) -> None:
    """The distance of the fit from its target does not matter."""
    fitted = a_fit([crop[:9, :12]], target=Target(psnr=40))
    first = float(fitted.log_lambda)
    for _ in range(9):
        fitted.control()
    assert float(fitted.log_lambda) == pytest.approx(first - math.log(30))


def test_a_lambda_that_is_given_stays(crop: Pixels) -> None:
    fitted = a_fit([crop[:9, :12]], target=Target(lmbda=0.5, objects_psnr=30))
    fitted.control()
    assert fitted.log_lambda.exp().tolist() == pytest.approx([0.5])

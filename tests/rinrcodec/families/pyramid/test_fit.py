"""Fits of the pyramid family on small natural crops."""

from __future__ import annotations

import math
from collections.abc import Callable

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
from rinrcodec.boxes import Box, Region
from rinrcodec.errors import RinrInputError
from rinrcodec.families.pyramid import fit as fit_module
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.fit import LATENT_GAIN, Trial, _Fit, fit_pyramid, trial
from rinrcodec.families.pyramid.latents import Change, decode_row
from rinrcodec.families.pyramid.rounding import choose_changes
from rinrcodec.metrics import psnr
from rinrcodec.pack import Pack
from rinrcodec.presets import get_preset
from rinrcodec.targets import Target


@pytest.fixture(scope="module")
def crop() -> Pixels:
    return face()


@pytest.fixture(scope="module")
def fitted_crop(crop: Pixels) -> tuple[_Fit, bytes]:
    """A fit of the crop at its end, and the coded row."""
    fits: list[_Fit] = []
    row = _Fit.row

    def remember(self: _Fit) -> object:
        fits.append(self)
        return row(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Fit, "row", remember)
        coded = fit([crop])
    return fits[0], coded


@pytest.fixture(scope="module")
def plain(fitted_crop: tuple[_Fit, bytes]) -> bytes:
    return fitted_crop[1]


@pytest.mark.slow
def test_a_natural_picture_comes_back(crop: Pixels, plain: bytes) -> None:
    assert psnr(crop, decoded(plain)) > 24
    assert len(plain) < crop.size / 8


@pytest.mark.slow
def test_the_row_decodes_to_what_the_fit_measured(
    crop: Pixels, fitted_crop: tuple[_Fit, bytes]
) -> None:
    one, coded = fitted_crop
    frames = decode_row(SETTINGS.spec(3), coded, (WIDTH, HEIGHT), [0], CPU)
    for grids, others in zip(one.rounded, frames.latents, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(grids, others, strict=True))
    assert torch.equal(one.steps, frames.steps)
    with torch.no_grad():
        measured = one._measure(frames.weights, one.rounded, one.steps)
        signal = pyramid.synthesize(frames.weights, frames.latents, frames.steps, 3)
    error = float((signal - one.reference).square().mean()) / 4
    in_fit, decibels = (-10 * math.log10(value) for value in (float(measured.weighted), error))
    assert decibels == pytest.approx(in_fit, abs=0.01)
    # Pixels are rounded and clipped, which the fit does not see.
    assert psnr(crop, decoded(coded)) == pytest.approx(in_fit, abs=0.2)
    assert len(coded) * 8 == pytest.approx(float(measured.bits), rel=0.35)


@pytest.mark.slow
@pytest.mark.parametrize("predicted", [False, True])
def test_several_frames_in_a_row(crop: Pixels, predicted: bool) -> None:
    frames = [crop, np.roll(crop, 1, 1), crop[:, ::-1].copy()]
    row = fit(frames, settings=shortened(14), predicted=predicted)
    for k, frame in enumerate(frames):
        image = decoded(row, k)
        assert psnr(frame, image) > 20
        assert psnr(frame, image) == max(psnr(other, image) for other in frames)


@pytest.mark.slow
def test_frames_that_stay_cost_little_where_they_are_predicted(crop: Pixels, plain: bytes) -> None:
    together = len(fit([crop] * 3, predicted=True))
    assert together - len(plain) < 0.5 * 2 * len(plain)


@pytest.mark.slow
def test_the_same_bits_from_a_seed_on_any_number_of_threads(crop: Pixels) -> None:
    pictures = [crop[:20, :30], crop[20:40, :30], crop[:33, 40:57]]  # in two rows
    before = torch.get_num_threads()
    rows = {}
    try:
        for threads, seed, count in ((1, 0, 3), (2, 0, 3), (2, 1, 2)):
            torch.set_num_threads(threads)
            pack = rinrcodec.encode(
                pictures[:count], preset="fast", background="pyramid", steps=2, seed=seed
            )
            rows[threads, seed] = coded(pack)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert rows[1, 0] == rows[2, 0]
    assert len(rows[1, 0]) == 2
    assert rows[2, 1][0] not in rows[2, 0]


@pytest.mark.slow
@pytest.mark.usefixtures("few_rounded")
def test_the_number_of_frames_fitted_at_once_changes_no_bit(crop: Pixels) -> None:
    """With targets, which measure all frames, with all hidden layers, and with a hard step."""
    frames = [crop[:20, :30], crop[20:40, :30]]
    target = Target(psnr=30, objects_psnr=33)
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "_BITS_OF_WEIGHT", 0.0)
        rows = [
            fit(
                frames,
                settings=shortened(10),
                target=target,
                regions=(Region(3, 3, 6, 6),),
                threads=threads,
            )
            for threads in (1, 2)
        ]
    assert rows[0] == rows[1]
    assert torch.get_num_threads() == before


def test_a_frame_is_fitted_with_noise_of_its_own(crop: Pixels) -> None:
    """The noise of a frame does not depend on the number of later frames."""
    few, many = (a_fit([crop[:9, :12]] * n, steps=1) for n in (1, 3))
    for component, others in zip(few.latents, many.latents, strict=True):
        assert all(torch.equal(a[0], b[0]) for a, b in zip(component, others, strict=True))
    first, second = (many.latents[0][0][k] for k in range(2))
    assert not torch.equal(first, second)


def three_frames(crop: Pixels) -> _Fit:
    """Three frames, each with its own lambda and boxes, and rounded latents."""
    frames = [torch.tensor(crop[8 * k :][:16, :20].copy()) for k in range(3)]
    regions = [[Region(2, 3, 7, 5), Region(8, 7, 4, 9)], [], [Region(0, 0, 20, 5)]]
    fitted = _Fit(SETTINGS.spec(3), frames, regions, SETTINGS, Target(), False, 0, CPU)
    fitted.log_lambda -= torch.tensor([0.0, 2.0, 4.0])
    fitted.log_weight += torch.tensor([0.0, 1.0, 2.0])
    generator = torch.Generator().manual_seed(1)
    for grid in (grid for component in fitted.latents for grid in component):
        grid.data.normal_(0, 0.2, generator=generator)
    fitted.round_latents()
    return fitted


def test_frames_one_by_one_are_moved_as_all_at_once(crop: Pixels) -> None:
    gradients = []
    for together in (False, True):
        fitted = three_frames(crop)
        assert fitted.batches == [slice(k, k + 1) for k in range(3)]
        if together:
            fitted.batches = [slice(None)]
        fitted.soaps.clear()  # which would take the gradients away
        fitted.hard_step(1.0)
        gradients.append([fitted.weights[name].grad for name in fitted.fitted])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
    assert sum(float(grad.abs().max()) > 0 for grad in gradients[0] if grad is not None) > 50


def test_frames_of_high_lambda_weigh_less_in_shared_networks(crop: Pixels) -> None:
    fair = three_frames(crop)._fair()
    assert fair.mean() == pytest.approx(1)
    assert (fair[1:] / fair[:-1]).tolist() == pytest.approx([math.e, math.e])


def test_frames_are_measured_inside_and_outside_of_their_own_boxes(crop: Pixels) -> None:
    fitted = three_frames(crop)
    measured = fitted._measure_all(fitted.rounded, fitted.steps)
    with torch.no_grad():
        signal = fitted._signal(fitted.weights, fitted.rounded, fitted.steps)
        rate = pyramid.latent_bits(fitted.weights, fitted.rounded)
    torch.testing.assert_close(measured.bits, rate)
    squares = ((signal - fitted.reference) / 2).square().mean(1)
    boxes = torch.zeros(3, 16, 20, dtype=torch.bool)
    boxes[0, 3:8, 2:9] = boxes[0, 7:16, 8:12] = boxes[2, :5] = True
    for k in range(3):
        errors, weight = squares[k], SETTINGS.object_weight * math.exp(k)
        outside, inside = errors[~boxes[k]], errors[boxes[k]]
        torch.testing.assert_close(measured.outside[k], outside.mean())
        if k != 1:
            torch.testing.assert_close(measured.inside[k], inside.mean())
        expected = (outside.sum() + weight * inside.sum()) / errors.numel()
        torch.testing.assert_close(measured.weighted[k], expected)


def coded(pack: Pack) -> list[bytes]:
    return [row for group in pack.stacks for row in group.rows.coded]


@pytest.mark.usefixtures("few_rounded")
def test_steps_are_reported(crop: Pixels) -> None:
    seen: list[tuple[int, int]] = []
    settings = shortened(3)
    fit_pyramid(
        settings.spec(3),
        [torch.tensor(crop[:16, :16])] * 2,
        [(), ()],
        settings,
        target=Target(),
        seed=0,
        device=CPU,
        on_step=lambda *args: seen.append(args),
    )
    assert [call for call in seen if call != (0, 0)] == [(2, 1)] * 3
    assert seen[-1] == (0, 0)  # rounding can be ended, too


@pytest.mark.usefixtures("few_rounded")
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_any_number_of_steps(crop: Pixels, steps: int) -> None:
    part = crop[:20, :30].copy()
    row = fit([part], settings=shortened(steps))
    assert decoded(row, size=(30, 20)).shape == part.shape


@pytest.mark.usefixtures("few_rounded")
def test_progress_rises_to_one(crop: Pixels) -> None:
    seen: list[float] = []
    rinrcodec.encode(
        [crop[:20, :20], crop[:8, :30]],
        boxes=[[Box(0, 2, 2, 9, 9)], []],
        preset="fast",
        background="pyramid",
        steps=2,
        on_progress=seen.append,
    )
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(seen) == 5
    assert 0.99 < seen[-2] <= 1  # the fits are all of it


@pytest.mark.slow
@pytest.mark.usefixtures("few_rounded")
def test_pictures_of_all_kinds(crop: Pixels) -> None:
    crop = crop[:24, :32].copy()
    grey = crop[:, :, 0].copy()
    boxes = [[Box(0, 5, 5, 10, 10), Box(1, -1, -1, 3, 3)], [], []]
    pictures = [crop, grey, crop[:5, :3].copy()]
    with pytest.warns(rinrcodec.TargetWarning):  # 5 steps are too few
        pack = rinrcodec.encode(
            pictures,
            boxes=boxes,
            preset="fast",
            background="pyramid",
            steps=5,
            target=Target(psnr=25),
        )
    assert [frame.mode for frame in pack.frames] == ["RGB", "L", "RGB"]
    assert [len(frame.boxes) for frame in pack.frames] == [2, 0, 0]
    assert {frame.objects for frame in pack.frames} == {(None, None), ()}
    assert {frame.time for frame in pack.frames} == {0}
    for picture, image in zip(pictures, rinrcodec.decode(pack, range(3)), strict=True):
        array = image.permute(1, 2, 0).numpy()
        assert psnr(picture, array[:, :, 0] if picture.ndim == 2 else array) > 11


def test_the_paper_has_no_pyramid() -> None:
    with pytest.raises(
        RinrInputError, match="no pyramid background: expected one of fast, balanced"
    ):
        get_preset("paper", background="pyramid")


@pytest.mark.usefixtures("few_rounded")
def test_backgrounds_can_be_reused_under_object_networks(crop: Pixels) -> None:
    box = Box(0, 20, 10, 16, 16)
    background = rinrcodec.encode([crop], preset="fast", background="pyramid", steps=3)
    with_objects = rinrcodec.encode(
        [crop], boxes=[[box]], preset="fast", steps=100, reuse=background
    )
    assert with_objects.frames[0].objects[0] is not None
    inside = (slice(10, 26), slice(20, 36))
    images = [
        rinrcodec.decode(pack, 0).permute(1, 2, 0).numpy() for pack in (background, with_objects)
    ]
    assert psnr(crop[inside], images[1][inside]) > psnr(crop[inside], images[0][inside])


@pytest.mark.slow
def test_a_trial_predicts_static_frames_and_no_cuts(crop: Pixels) -> None:
    still = crop[:24, :32].copy()
    others = [crop[24:, 31::-1].copy(), 255 - crop[:24, 32:]]

    def tried(frames: list[Pixels]) -> Trial:
        tensors = [torch.tensor(frame) for frame in frames]
        settings = shortened(36)
        target = Target(lmbda=1e-2)
        boxes = [()] * len(frames)
        return trial(settings.spec(3), tensors, boxes, settings, target=target, seed=0, device=CPU)

    assert tried([still] * 3).predicted
    result = tried([still, *others])
    assert not result.predicted
    assert 0 < result.n_bytes < 24 * 32 * 3


def hidden_of(fitted: _Fit) -> set[int]:
    """The components whose context networks' hidden layers are fitted."""
    hidden = {name for name in fitted.fitted if name.endswith(".hidden") and name[0] == "c"}
    every = {name for name in fitted.weights if name.startswith("context.")}
    every = {name for name in every if name.endswith(".hidden")}
    components = {int(name[8]) for name in hidden}
    assert hidden == {name for name in every if int(name[8]) in components}  # all of one or none
    return components


@pytest.mark.parametrize("predicted", [False, True])
def test_hidden_layers_are_fitted_where_that_pays(
    crop: Pixels, monkeypatch: pytest.MonkeyPatch, predicted: bool
) -> None:
    """The bytes of the latents of a component, against those of its weights, decide."""
    generator = torch.Generator().manual_seed(4)
    fitted = a_fit([crop[:13, :22]] * 2, predicted=predicted)
    for grids, spread in zip(fitted.latents, (4.0, 0.0, 2.0), strict=True):
        for grid in grids:
            grid.data.normal_(0, spread / LATENT_GAIN + 1e-9, generator=generator)
    rounded = fitted._rounded()
    taken = [0.0] * 3
    for name, inputs, values in pyramid.context_inputs(rounded):
        taken[int(name[8])] += float(
            pyramid.pass_bits(fitted.weights, name, inputs, values).detach().sum()
        )
    names = [name for name in fitted.weights if name[:7] == "context" and name[-6:] == "hidden"]
    weights = [sum(fitted.weights[k].numel() for k in names if int(k[8]) == c) for c in range(3)]
    pays = [bits / n for bits, n in zip(taken, weights, strict=True)]
    assert min(pays) < 0.5 * max(pays)
    begun = list(fitted.fitted)
    assert hidden_of(fitted) == set()
    monkeypatch.setattr(fit_module, "_SAVED", 0.5)
    for least in (max(pays) * 1.01, max(pays) * 0.99):
        monkeypatch.setattr(fit_module, "_BITS_OF_WEIGHT", 0.5 * least)
        fitted.widen()
        expected = {c for c in range(3) if pays[c] > least}
        assert hidden_of(fitted) == expected
        assert len(fitted.soaps) == 1 + bool(expected)
    assert fitted.fitted[: len(begun)] == begun
    fitted.soft_step(0.3)
    moved = {name for name in names if not torch.equal(fitted.weights[name], fitted.start[name])}
    assert moved == set(fitted.fitted) - set(begun)


def test_hidden_layers_of_a_small_frame_stay_and_those_of_a_large_one_do_not(
    crop: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []
    widen = _Fit.widen

    def remember(self: _Fit) -> None:
        widen(self)
        seen.append(hidden_of(self))

    monkeypatch.setattr(_Fit, "widen", remember)
    few = shortened(8)
    row = fit([crop[:16, :16]], settings=few)
    monkeypatch.setattr(fit_module, "_BITS_OF_WEIGHT", 0.0)  # as if the frame were large
    other = fit([crop[:16, :16]], settings=few)
    assert seen == [set(), {0, 1, 2}]
    assert row != other
    frames = decode_row(SETTINGS.spec(3), row, (16, 16), [0], CPU)
    for name, weight in pyramid.start_weights(SETTINGS.spec(3)).items():
        if name.endswith(".hidden") and name.startswith("context"):
            assert torch.equal(frames.weights[name], weight)


def test_rounding_counts_all_frames_that_share_the_tensors(
    crop: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one of four frames that are the same a bit costs a fourth: its choices are those of all.

    Alone it would have to pay for the whole of it.
    """
    asked: list[tuple[float, float]] = []

    def choose(
        start: dict[str, Tensor],
        weights: dict[str, Tensor],
        names: list[str],
        loss: Callable[[str, dict[str, Tensor]], float],
        per_bit: float,
    ) -> dict[str, Change]:
        asked.append((per_bit, loss("kernel.up", weights) + loss("context.06.out", weights)))
        return choose_changes(start, weights, names[-3:], loss, per_bit)

    monkeypatch.setattr(fit_module, "choose_changes", choose)
    rows = []
    for n, pixels in ((4, 2**20), (4, 1), (1, 2**20)):
        monkeypatch.setattr(fit_module, "_ROUNDED_PIXELS", pixels)
        fitted = a_fit([crop[:16, :20]] * n)
        fitted.weights = {
            name: weight
            + 0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(7))
            for name, weight in fitted.start.items()
        }
        fitted.round_latents()
        rows.append(fitted.row())
    (all_four, in_all), (of_four, in_one), (alone, in_alone) = asked
    assert of_four == pytest.approx(all_four / 4)
    assert alone == pytest.approx(all_four)
    assert in_one == pytest.approx(in_alone)
    assert in_one == pytest.approx(in_all / 4)
    exponents = [{name: c.exponent for name, c in row.changes.items()} for row in rows]
    assert exponents[0] == exponents[1]
    assert len(rows[0].latents) == len(rows[1].latents) == 4

"""Fits of the pyramid family on small natural crops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

import rinrcodec
from rinrcodec.errors import RinrInputError
from rinrcodec.families import pyramid
from rinrcodec.fit_pyramid import _Fit, fit_pyramid, prediction_pays
from rinrcodec.latents import decode_row
from rinrcodec.metrics import psnr
from rinrcodec.model import Box, Pack
from rinrcodec.presets import PyramidPart, Recipe, Target, get_preset

Pixels = NDArray[np.uint8]
CPU = torch.device("cpu")
STEPS = 60
PART = PyramidPart(Recipe(STEPS, 1e-2, None, warmup=0))
# With networks that stay as they are: what comes of not storing their changes, which pays in a
# frame this small, is in no target of quality.
STEERED = replace(PART, recipe=replace(PART.recipe, steps=140), adapted=())
WIDTH, HEIGHT = 64, 48


@pytest.fixture(scope="module")
def crop() -> Pixels:
    """The face of skimage's astronaut, 64x48."""
    found: Pixels = data.astronaut()[40 : 40 + 2 * HEIGHT : 2, 160 : 160 + 2 * WIDTH : 2]
    return np.ascontiguousarray(found)


def fit(
    frames: list[Pixels],
    *,
    target: Target | None = None,
    part: PyramidPart = PART,
    boxes: tuple[tuple[int, int, int, int], ...] = (),
    predicted: bool = False,
    seed: int = 0,
) -> bytes:
    return fit_pyramid(
        part.spec(3),
        [torch.tensor(frame) for frame in frames],
        [boxes] * len(frames),
        part,
        target=target or Target(),
        predicted=predicted,
        seed=seed,
        device=CPU,
    )


def decoded(row: bytes, frame: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Pixels:
    found = decode_row(PART.spec(3), row, size, [frame], CPU)
    with torch.no_grad():
        signal = pyramid.synthesize(found.weights, found.latents, found.steps[None], 3)[0]
    pixels: Pixels = ((signal + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return pixels


@pytest.fixture(scope="module")
def plain(crop: Pixels) -> bytes:
    return fit([crop])


def test_a_natural_picture_comes_back(crop: Pixels, plain: bytes) -> None:
    assert psnr(crop, decoded(plain)) > 24
    assert len(plain) < crop.size / 8


def test_the_row_decodes_to_what_the_fit_measured(crop: Pixels) -> None:
    fitted: list[_Fit] = []

    def remember(self: _Fit) -> object:
        fitted.append(self)
        found = row(self)
        fitted_rows.append(found)
        return found

    row, fitted_rows = _Fit.row, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Fit, "row", remember)
        coded = fit([crop])
    own, found = fitted[0], decode_row(PART.spec(3), coded, (WIDTH, HEIGHT), [0], CPU)
    for grids, others in zip(own.rounded, found.latents, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(grids, others, strict=True))
    assert torch.equal(own.steps, found.steps)
    with torch.no_grad():
        measured = own._measure(found.weights, own.rounded, own.steps)
        signal = pyramid.synthesize(found.weights, found.latents, found.steps[None], 3)
    error = float((signal - own.wanted).square().mean()) / 4
    in_fit, decibels = (-10 * math.log10(value) for value in (float(measured.weighted), error))
    assert decibels == pytest.approx(in_fit, abs=0.01)
    # Pixels are rounded and clipped, which the fit does not see.
    assert psnr(crop, decoded(coded)) == pytest.approx(in_fit, abs=0.2)
    assert len(coded) * 8 == pytest.approx(float(measured.bits), rel=0.35)


def test_a_lower_lambda_gives_more_bytes_and_more_decibels(crop: Pixels) -> None:
    rows = [fit([crop], target=Target(lmbda=lmbda)) for lmbda in (1e-2, 1e-3, 1e-4)]
    sizes = [len(row) for row in rows]
    quality = [psnr(crop, decoded(row)) for row in rows]
    assert sizes == sorted(sizes)
    assert quality == sorted(quality)
    assert sizes[2] > 1.5 * sizes[0]
    assert quality[2] > quality[0] + 2


@pytest.mark.parametrize("wanted", [27.0, 30.0])
def test_a_target_psnr_is_approached(crop: Pixels, wanted: float) -> None:
    row = fit([crop], target=Target(psnr=wanted), part=STEERED)
    assert psnr(crop, decoded(row)) == pytest.approx(wanted, abs=1)


@pytest.mark.parametrize("wanted", [500, 800])
def test_a_target_size_is_approached(crop: Pixels, wanted: int) -> None:
    row = fit([crop], target=Target(n_bytes=wanted), part=STEERED)
    found = decode_row(PART.spec(3), row, (WIDTH, HEIGHT), [0], CPU)
    with torch.no_grad():
        latents = float(pyramid.latent_bits(found.weights, found.latents).sum()) / 8
    assert latents == pytest.approx(wanted, rel=0.2)


def test_objects_are_sharper_than_their_surroundings(crop: Pixels) -> None:
    box = (20, 10, 44, 34)
    inside = (slice(box[1], box[3]), slice(box[0], box[2]))
    gains = []
    for weight in (1.0, 30.0):
        image = decoded(fit([crop], part=replace(PART, object_weight=weight), boxes=(box,)))
        outside = np.ones(crop.shape[:2], bool)
        outside[inside] = False
        gains.append(
            psnr(crop[inside], image[inside]) - psnr(crop[outside][None], image[outside][None])
        )
    assert gains[1] > gains[0] + 1.5


def test_a_target_for_objects_is_approached(crop: Pixels) -> None:
    box = (20, 10, 44, 34)
    inside = (slice(box[1], box[3]), slice(box[0], box[2]))
    target = Target(psnr=26, objects_psnr=31)
    image = decoded(fit([crop], target=target, boxes=(box,), part=STEERED))
    assert psnr(crop[inside], image[inside]) == pytest.approx(31, abs=2)


@pytest.mark.parametrize("predicted", [False, True])
def test_several_frames_in_a_row(crop: Pixels, predicted: bool) -> None:
    frames = [crop, np.roll(crop, 1, 1), crop[:, ::-1].copy()]
    row = fit(frames, predicted=predicted)
    for k, frame in enumerate(frames):
        image = decoded(row, k)
        assert psnr(frame, image) > 22
        assert psnr(frame, image) == max(psnr(other, image) for other in frames)


def test_frames_that_stay_cost_little_where_they_are_predicted(crop: Pixels) -> None:
    alone = len(fit([crop] * 4))
    together = len(fit([crop] * 4, predicted=True))
    assert together < 0.6 * alone


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_from_a_seed_on_any_number_of_threads(crop: Pixels, threads: int) -> None:
    pictures = [crop[:20, :30], crop[20:40, :30], crop[:33, 40:57]]
    expected = rinrcodec.encode(pictures, preset="fast", background="pyramid", steps=6)
    other = rinrcodec.encode(pictures, preset="fast", background="pyramid", steps=6, seed=1)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = rinrcodec.encode(pictures, preset="fast", background="pyramid", steps=6)
    finally:
        torch.set_num_threads(before)
    assert coded(found) == coded(expected) != coded(other)


def coded(pack: Pack) -> list[bytes]:
    return [row for group in pack.stacks for row in group.rows.coded]


def test_steps_are_reported(crop: Pixels) -> None:
    seen: list[tuple[int, int]] = []
    part = replace(PART, recipe=replace(PART.recipe, steps=7))
    fit_pyramid(
        part.spec(3),
        [torch.tensor(crop[:16, :16])] * 2,
        [(), ()],
        part,
        target=Target(),
        seed=0,
        device=CPU,
        on_step=lambda *args: seen.append(args),
    )
    assert seen == [(2, 1)] * 7


@pytest.mark.parametrize("steps", [1, 2, 11])
def test_any_number_of_steps(crop: Pixels, steps: int) -> None:
    part = replace(PART, recipe=replace(PART.recipe, steps=steps))
    assert decoded(fit([crop], part=part)).shape == crop.shape


def test_progress_rises_to_one(crop: Pixels) -> None:
    seen: list[float] = []
    rinrcodec.encode(
        [crop[:20, :20], crop[:8, :30]],
        boxes=[[Box(0, 2, 2, 9, 9)], []],
        preset="fast",
        background="pyramid",
        steps=5,
        on_progress=seen.append,
    )
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(seen) == 11
    assert 0.99 < seen[-2] <= 1  # the fits are all of it


def test_pictures_of_all_kinds(crop: Pixels) -> None:
    grey = crop[:, :, 0].copy()
    boxes = [[Box(0, 5, 5, 10, 10), Box(1, -9, -9, 3, 3)], [], []]
    pictures = [crop, grey, crop[:5, :3].copy()]
    found = rinrcodec.encode(
        pictures, boxes=boxes, preset="fast", background="pyramid", steps=20, target=Target(psnr=25)
    )
    assert [frame.mode for frame in found.frames] == ["RGB", "L", "RGB"]
    assert [len(frame.boxes) for frame in found.frames] == [2, 0, 0]
    assert {frame.objects for frame in found.frames} == {(None, None), ()}
    assert {frame.time for frame in found.frames} == {0}
    for picture, image in zip(pictures, rinrcodec.decode(found, range(3)), strict=True):
        array = image.permute(1, 2, 0).numpy()
        assert psnr(picture, array[:, :, 0] if picture.ndim == 2 else array) > 11


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"psnr": 30.0, "lmbda": 1e-3}, "a target of lmbda and psnr: want one of them"),
        ({"psnr": 30.0, "n_bytes": 9}, "a target of psnr and n_bytes"),
        ({"psnr": 5.0}, "psnr=5.0: want 10 to 60"),
        ({"psnr": math.nan}, "psnr=nan"),
        ({"lmbda": 0.0}, "lmbda=0.0: want 1e-06 to 1"),
        ({"n_bytes": 0}, "n_bytes=0"),
        ({"objects_psnr": 99.0}, "objects_psnr=99.0"),
    ],
)
def test_targets_that_are_none(target: dict[str, float], message: str) -> None:
    with pytest.raises(RinrInputError, match=message):
        Target(**target)  # type: ignore[arg-type]


def test_a_target_needs_the_family(crop: Pixels) -> None:
    with pytest.raises(RinrInputError, match="want background='pyramid'"):
        rinrcodec.encode([crop], preset="fast", target=Target(psnr=30))


def test_the_paper_has_no_pyramid() -> None:
    with pytest.raises(RinrInputError, match="no pyramid background: want one of fast, balanced"):
        get_preset("paper", background="pyramid")


def test_backgrounds_can_be_reused_under_object_networks(crop: Pixels) -> None:
    box = Box(0, 20, 10, 16, 16)
    background = rinrcodec.encode([crop], preset="fast", background="pyramid", steps=10)
    found = rinrcodec.encode([crop], boxes=[[box]], preset="fast", steps=100, reuse=background)
    assert found.frames[0].objects[0] is not None
    inside = (slice(10, 26), slice(20, 36))
    images = [rinrcodec.decode(pack, 0).permute(1, 2, 0).numpy() for pack in (background, found)]
    assert psnr(crop[inside], images[1][inside]) > psnr(crop[inside], images[0][inside])


def test_prediction_pays_for_what_stands_still_and_not_for_a_cut(crop: Pixels) -> None:
    part = replace(PART, recipe=replace(PART.recipe, steps=240))
    others = [crop[::-1, ::-1].copy(), np.ascontiguousarray(255 - crop)]

    def pays(frames: list[Pixels]) -> bool:
        tensors = [torch.tensor(frame) for frame in frames]
        return prediction_pays(part.spec(3), tensors, part, lmbda=1e-2, seed=0, device=CPU)

    assert pays([crop] * 3)
    assert not pays([crop, *others])


def test_a_box_as_large_as_the_frame_leaves_lambda_alone(crop: Pixels) -> None:
    target = Target(psnr=20, objects_psnr=30)
    regions = [[(0, 0, WIDTH, HEIGHT)], [(0, 0, WIDTH // 2, HEIGHT)]]
    fitted = _Fit(PART.spec(3), [torch.tensor(crop)] * 2, regions, PART, target, False, 0, CPU)
    before = fitted.log_lambda.clone()
    for _ in range(3):
        fitted.soft_step(0.0)
        fitted.control()
    assert fitted.log_lambda[0] == before[0]
    assert fitted.log_lambda[1] != before[1]
    assert (fitted.log_weight > math.log(PART.object_weight)).all()

"""Frames that are coded alone: round trips, exactness, quality."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from av1_frames import decoded, encode, scene, streams

import rinrcodec
from rinrcodec import Box, Target
from rinrcodec.compute.compose import to_pixels, to_signal
from rinrcodec.errors import RinrInputError
from rinrcodec.families.av1.fit import least_level
from rinrcodec.formats import pack_bytes
from rinrcodec.metrics import psnr
from rinrcodec.targets import TargetWarning


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (5, 300), (640, 360), (33, 2)])
def test_a_round_trip(size: tuple[int, int], grey: bool) -> None:
    pixels = scene(*size, grey=grey)
    pack = encode([pixels], target=Target(quality=70))
    assert len(pack.stacks) == 1
    assert pack.stacks[0].spec["out"] == (1 if grey else 3)
    result = decoded(pack, 0)
    assert result.shape == pixels.shape
    assert psnr(pixels, result) > 35


def test_every_value_of_a_signal_rounds_to_its_pixel() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_pixels(to_signal(values)), values)


def test_the_same_pictures_give_the_same_bytes() -> None:
    pictures = [scene(64, 48), scene(40, 30, grey=True), scene(64, 48, shift=9)]
    assert pack_bytes(encode(pictures)) == pack_bytes(encode(pictures))


def test_the_number_of_threads_changes_nothing() -> None:
    pictures = [scene(90, 60, shift=7 * k) for k in range(5)]
    packs, frames = [], []
    before = torch.get_num_threads()
    try:
        for threads in (1, 8):
            torch.set_num_threads(threads)
            packs.append(encode(pictures, gop=1))
            frames.append(rinrcodec.decode(packs[0], range(5)))
    finally:
        torch.set_num_threads(before)
    assert pack_bytes(packs[0]) == pack_bytes(packs[1])
    assert torch.equal(frames[0], frames[1])


def test_a_batch_of_several_sizes_gives_the_pixels_of_single_frames() -> None:
    pictures = [scene(64, 48), scene(40, 30), scene(40, 30, grey=True), scene(64, 48, shift=5)]
    pack = encode(pictures)
    batch = rinrcodec.decode(pack, [3, 0, 2, 1, 3])
    for image, i in zip(batch, [3, 0, 2, 1, 3], strict=True):
        assert torch.equal(image, rinrcodec.decode(pack, i))


def test_a_region_is_cut_out_and_a_scale_resamples() -> None:
    pack = encode([scene(64, 48)])
    whole = decoded(pack, 0)
    assert np.array_equal(decoded(pack, 0, region=(10, 4, 20, 9)), whole[4:13, 10:30])
    assert decoded(pack, 0, scale=0.5).shape == (24, 32, 3)
    assert psnr(decoded(pack, 0, scale=0.5), scene(64, 48)[::2, ::2]) > 15


def test_objects_go_on_top() -> None:
    box = Box(0, 20.0, 10.0, 24.0, 16.0)
    pack = encode([scene(64, 48)], boxes=[[box]], steps=200, target=Target(quality=5))
    assert pack.frames[0].objects[0] is not None
    with_objects, without = decoded(pack, 0), decoded(pack, 0, objects=False)
    region = (slice(10, 26), slice(20, 44))
    reference = scene(64, 48)
    assert psnr(reference[region], with_objects[region]) > psnr(reference[region], without[region])


def test_quality_trades_bytes_for_error() -> None:
    pixels = scene(128, 96)
    packs = [encode([pixels], target=Target(quality=quality)) for quality in (0, 30, 60, 95)]
    sizes = [len(pack.stacks[0].rows.coded[0]) for pack in packs]
    errors = [psnr(pixels, decoded(pack, 0)) for pack in packs]
    assert sizes == sorted(sizes)
    assert errors == sorted(errors)
    assert sizes[0] < sizes[-1] / 4


@pytest.mark.parametrize("wanted", [32.0, 36.0, 44.0])
@pytest.mark.parametrize("grey", [False, True])
def test_a_psnr_is_reached_with_little_to_spare(wanted: float, grey: bool) -> None:
    pixels = scene(128, 96, grey=grey)
    reached = psnr(pixels, decoded(encode([pixels], target=Target(psnr=wanted)), 0))
    assert wanted <= reached < wanted + 2


def test_a_psnr_that_no_stream_reaches_gives_the_best_one() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    best = encode([noise], target=Target(quality=100))
    assert psnr(noise, decoded(best, 0)) < 60
    with pytest.warns(TargetWarning, match="misses the target psnr of 60 dB"):
        pack = encode([noise], target=Target(psnr=60))
    assert pack.stacks[0].rows.coded == best.stacks[0].rows.coded


@pytest.mark.parametrize("slope", [0.1, 0.35, 3.0])
@pytest.mark.parametrize("start", [0, 20, 63])
def test_the_search_finds_the_lowest_level_that_is_good_enough(slope: float, start: int) -> None:
    for wanted in np.linspace(19, 21 + 63 * slope, 40):
        asked: list[int] = []

        def quality(level: int, asked: list[int] = asked) -> float:
            asked.append(level)
            return 20 + slope * level

        good = [level for level in range(64) if 20 + slope * level >= wanted]
        assert least_level(quality, wanted, start) == (good[0] if good else 63)
        assert len(asked) == len(set(asked)) <= 12


@pytest.mark.parametrize(
    "target",
    [{"quality": 101}, {"quality": -1}, {"quality": 20, "psnr": 30}, {"quality": 20, "lmbda": 0.1}],
)
def test_a_quality_out_of_range_or_with_a_rival_is_refused(target: dict[str, float]) -> None:
    with pytest.raises(RinrInputError, match="a target"):
        Target(**target)  # type: ignore[arg-type]


def test_a_frame_beyond_what_av1_takes_is_refused() -> None:
    with pytest.raises(RinrInputError, match="65537x1: AV1 takes sides of up to 65536"):
        encode([np.zeros((1, 65_537), np.uint8)])


def test_steps_count_for_objects_only() -> None:
    pictures = [scene(32, 24)]
    assert encode(pictures, steps=3).stacks[0].rows.coded == encode(pictures).stacks[0].rows.coded


def test_a_region_enlarged_to_the_size_of_the_frame_is_not_the_frame() -> None:
    pack = encode([scene(64, 48)])
    part = decoded(pack, 0, region=(32, 24, 32, 24), scale=2.0)
    assert part.shape == (48, 64, 3)
    assert psnr(part[::2, ::2], decoded(pack, 0)[24:, 32:]) > 15
    assert not np.array_equal(part, decoded(pack, 0))


@pytest.mark.parametrize("grey", [False, True])
def test_frames_are_tuned_for_accuracy_unless_a_psnr_is_asked_for(grey: bool) -> None:
    pixels = scene(96, 64, grey=grey)

    def coded(**target: Any) -> list[tuple[bytes, ...]]:
        return streams(encode([pixels], target=Target(**target)))

    tuned, least_error = coded(quality=30, tune="accuracy"), coded(quality=30, tune="psnr")
    assert tuned != least_error
    assert coded(quality=30) == tuned
    assert psnr(pixels, decoded(encode([pixels], target=Target(quality=30)), 0)) > 20
    assert coded(psnr=30) == coded(psnr=30, tune="psnr") != coded(psnr=30, tune="accuracy")


def test_the_highest_quality_is_the_same_with_every_tune() -> None:
    best, least_error = (
        streams(encode([scene(16, 16)], target=Target(quality=100, tune=tune)))
        for tune in ("accuracy", "psnr")
    )
    assert best == least_error


def test_objects_with_a_psnr_have_backgrounds_of_the_least_error() -> None:
    assert Target(objects_psnr=34, quality=20).tuned_for == "psnr"
    assert Target(objects_quality=34, n_bytes=2000).tuned_for == Target().tuned_for == "accuracy"
    assert Target(objects_psnr=34, tune="accuracy").tuned_for == "accuracy"


def test_a_tune_goes_with_every_target() -> None:
    pixels = scene(96, 64)
    by_psnr = encode([pixels], target=Target(psnr=32, tune="accuracy"))
    assert 31.9 < psnr(pixels, decoded(by_psnr, 0)) < 34
    by_size = encode([pixels], target=Target(n_bytes=2500, tune="accuracy"))
    assert len(pack_bytes(by_size)) <= 2500
    least_error = encode([pixels], target=Target(n_bytes=2500, tune="psnr"))
    assert streams(by_size) != streams(least_error)


def test_a_tune_that_does_not_exist_or_that_a_family_lacks() -> None:
    with pytest.raises(RinrInputError, match="tune='ssim': expected psnr or accuracy"):
        Target(tune="ssim")  # type: ignore[arg-type]
    with pytest.raises(RinrInputError, match="a target of tune for siren backgrounds"):
        rinrcodec.encode([scene(8, 8)], background="siren", target=Target(tune="accuracy"))


def test_a_pillow_without_that_tune_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **options: object) -> None:
        assert options["advanced"] == {"tune": "iq"}
        raise ValueError("Invalid codec-specific option")

    monkeypatch.setattr("PIL.Image.Image.save", refuse)
    with pytest.raises(RinrInputError, match="tune 'accuracy' needs the libaom of a newer Pillow"):
        encode([scene(16, 16)], target=Target(tune="accuracy"))

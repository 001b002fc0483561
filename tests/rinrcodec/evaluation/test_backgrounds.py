"""One of our backgrounds: the frames to encode for some that count, and their figures."""

from __future__ import annotations

import doctest

import pytest
import torch

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.compute.compose import to_array
from rinrcodec.evaluation import backgrounds as backgrounds_module
from rinrcodec.evaluation.backgrounds import measure_pack, runs_around
from rinrcodec.metrics import frame_quality
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset


@pytest.fixture(scope="module")
def pictures(make_picture):
    boxes = (Box(0, 10, 8, 16, 12),)
    return [Picture(f"{i}.png", make_picture(48, 32, i), boxes[: i % 2]) for i in range(4)]


@pytest.mark.parametrize(
    ("family", "chosen", "lengths", "runs"),
    [
        ("siren", [3, 70], [100], [[3, 70]]),
        ("pyramid", [3], [100], [[3]]),
        ("nerv", [3], [5, 2], [range(7)]),
        # 16 frames around each, which stay inside the series and do not overlap.
        ("av1", [50], [100], [range(42, 58)]),
        ("av1", [0, 99], [100], [range(16), range(84, 100)]),
        ("av1", [50, 57], [100], [range(42, 58)]),
        ("av1", [50, 60], [100], [range(42, 58), range(58, 74)]),
        ("av1", [99, 100], [100, 100], [range(84, 100), range(100, 116)]),
        ("av1", [1, 4], [3, 0, 2], [range(3), range(3, 5)]),
    ],
)
def test_frames_are_encoded_as_in_a_whole_pack(family, chosen, lengths, runs):
    found = runs_around(family, chosen, lengths)
    assert found == runs
    numbers = [number for run in found for number in run]
    assert numbers == sorted(set(numbers))
    assert set(chosen) <= set(numbers)


def test_figures_are_those_of_the_saved_pack(pictures, tmp_path):
    preset = get_preset("fast", steps=2)
    reports = []
    figures = measure_pack(
        pictures, preset, compared=[1, 3], device="cpu", on_fitted=reports.append
    )
    pack = rinrcodec.encode(pictures, preset=preset, device="cpu")
    size = rinrcodec.save(pack, tmp_path / "x.rinr")
    assert sum(figures.shares) == pytest.approx(size)
    assert figures.n_bytes == pytest.approx(figures.shares[1] + figures.shares[3])
    assert figures.preset == "fast, av1, 2 steps"
    for index, pixels in zip((1, 3), figures.pixels, strict=True):
        assert (pixels == to_array(rinrcodec.decode(pack, index))).all()
    mean = figures.mean()
    assert mean.n_bytes == pytest.approx(figures.n_bytes / 2)
    quality = [
        frame_quality(pictures[i].pixels, pixels, pictures[i].boxes)
        for i, pixels in zip((1, 3), figures.pixels, strict=True)
    ]
    assert mean.object_psnr == pytest.approx(sum(one.objects for one in quality) / 2)
    assert figures.speed.encode > 0 < figures.speed.decode
    assert reports == sorted(reports)
    assert reports[-1] == 4


def test_runs_are_encoded_apart(make_picture):
    # The same picture four times: as one group of a sequence, or as two of them.
    pixels = make_picture(64, 48, 0)
    same = [Picture(f"{i}.png", pixels) for i in range(4)]
    preset = get_preset("fast")
    reports = []
    whole = measure_pack(same, preset, device="cpu")
    halves = measure_pack(same, preset, runs=[2, 2], device="cpu", on_fitted=reports.append)
    rows = [[frame.background.row for frame in figures.pack.frames] for figures in (whole, halves)]
    assert rows == [[0, 0, 0, 0], [0, 0, 1, 1]]
    assert [frame.name for frame in halves.pack.frames] == [f"{i}.png" for i in range(4)]
    assert len(halves.pixels) == 4
    assert reports == sorted(reports)
    assert (2 in reports, reports[-1]) == (True, 4)


@pytest.mark.parametrize(
    ("background", "objects", "boxes", "at_fog"),
    [
        ("av1", "siren", False, False),
        ("av1", "siren", True, True),
        ("av1", "auto", True, False),
        ("siren", "auto", False, True),
    ],
)
def test_networks_are_left_to_a_fog_node(make_picture, background, objects, boxes, at_fog):
    kept = (Box(0, 10, 8, 16, 12),) if boxes else ()
    picture = Picture("a.png", make_picture(48, 32, 0), kept)
    preset = get_preset("fast", steps=20, background=background, objects=objects)
    figures = measure_pack([picture], preset, device="cpu")
    assert any(frame.objects for frame in figures.pack.frames) == boxes
    assert figures.at_fog == at_fog


def test_a_seed_gives_the_same_figures(pictures):
    preset = get_preset("fast", steps=2, background="siren")
    one, same, other = (
        measure_pack(pictures[:1], preset, seed=seed, device="cpu") for seed in (1, 1, 2)
    )
    first = torch.as_tensor(one.pixels[0])
    assert torch.equal(first, torch.as_tensor(same.pixels[0]))
    assert not torch.equal(first, torch.as_tensor(other.pixels[0]))


def test_the_examples_run():
    result = doctest.testmod(backgrounds_module)
    assert result.failed == 0
    assert result.attempted > 0

"""One of our backgrounds: the frames to encode for some that count, and their figures."""

from __future__ import annotations

import doctest
from dataclasses import replace

import pytest

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.compute.compose import to_array
from rinrcodec.errors import MissingExtraError
from rinrcodec.evaluation import backgrounds as backgrounds_module
from rinrcodec.evaluation.backgrounds import (
    measure_background,
    runs_around,
    suitable_backgrounds,
)
from rinrcodec.metrics import frame_bytes, frame_quality
from rinrcodec.pack import Metadata
from rinrcodec.picture import Picture


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


def test_rows_are_those_of_saved_packs(pictures, tmp_path):
    reports = []
    rows = measure_background(
        pictures,
        "av1",
        effort="fast",
        steps=2,
        compared=[1, 3],
        device="cpu",
        options=["--labels", "x y"],
        on_fitted=reports.append,
    )
    assert [row.name for row in rows] == ["av1 without objects", "av1 with objects"]
    for row, objects in zip(rows, ("none", None), strict=True):
        pack = rinrcodec.encode(pictures, preset="fast", steps=2, objects=objects, device="cpu")
        shares = frame_bytes(pack, rinrcodec.save(pack, tmp_path / "x.rinr"))
        assert [frame.n_bytes for frame in row.frames] == [shares[1], shares[3]]
        assert row.n_bytes == (shares[1] + shares[3]) / 2
        for index, frame in zip((1, 3), row.frames, strict=True):
            assert (frame.pixels == to_array(rinrcodec.decode(pack, index))).all()
            picture = pictures[index]
            assert frame.quality == frame_quality(picture.pixels, frame.pixels, picture.boxes)
        assert row.speed.encode > 0 < row.speed.decode
        assert row.is_ours
        assert row.recipe.settings == "fast, 2 steps"
    assert rows[0].recipe.command("a b") == (
        "rinrcodec compress 'a b' -o 'a b-packs' --preset fast --background av1 --objects none "
        "--steps 2 --device cpu --labels 'x y'"
    )
    assert "--objects" not in rows[1].recipe.words
    assert reports == sorted(reports)
    assert reports[-1] == 4


@pytest.mark.parametrize(("tune", "purpose"), [("psnr", "PSNR"), ("accuracy", "accuracy")])
def test_the_name_and_the_command_always_have_the_tune(pictures, tmp_path, tune, purpose):
    rows = measure_background(pictures[1:2], "av1", effort="fast", tune=tune, device="cpu")
    assert [row.name for row in rows] == [
        f"av1 for {purpose} {objects} objects" for objects in ("without", "with")
    ]
    target = rinrcodec.Target(tune=tune)
    for row, objects in zip(rows, ("none", None), strict=True):
        pack = rinrcodec.encode(
            pictures[1:2], preset="fast", objects=objects, device="cpu", target=target
        )
        assert row.n_bytes == rinrcodec.save(pack, tmp_path / "x.rinr")
        assert row.recipe.settings == f"fast, tune {tune}"
        assert f"--background av1 --tune {tune} " in row.recipe.command("x")


def test_the_time_to_encode_is_that_of_the_best_round(pictures, monkeypatch):
    """In the first round, another process may use the core."""
    monkeypatch.setattr(backgrounds_module, "best_seconds", lambda work, _: work() and 3.0)
    alone, whole = measure_background(pictures[:2], "av1", effort="fast", device="cpu")
    assert (alone.speed.encode, whole.speed.encode) == (1.5, 3.0)


def test_without_boxes_there_is_one_row(pictures):
    (row,) = measure_background(pictures[:1], "av1", effort="fast", seed=3)
    words = "rinrcodec compress ./-x -o ./-x-packs --preset fast --background av1 --seed 3"
    assert (row.name, row.recipe.command("-x")) == ("av1", words)


def test_metadata_is_not_counted(pictures):
    plain = pictures[0]
    rich = replace(plain, metadata=Metadata(exif=bytes(3000), icc=bytes(500), xmp=b"<x/>"))
    rows = [
        measure_background([one], "av1", effort="fast", device="cpu")[0] for one in (plain, rich)
    ]
    assert rows[0].n_bytes == rows[1].n_bytes


def test_a_family_that_keeps_objects_sharp_itself_has_one_row(pictures, monkeypatch):
    monkeypatch.setattr(backgrounds_module, "best_seconds", lambda _, seconds: seconds)
    (row,) = measure_background(pictures[1:2], "pyramid", effort="fast", steps=1, device="cpu")
    assert row.name == "pyramid"
    assert row.quality.objects is not None


def test_runs_are_encoded_apart(pictures, monkeypatch):
    encoded = []

    def spy(batch, **options):
        encoded.append([picture.name for picture in batch])
        return encode(batch, **options)

    encode = rinrcodec.encode
    monkeypatch.setattr(rinrcodec, "encode", spy)
    reports = []
    plain = [Picture(picture.name, picture.pixels) for picture in pictures]
    (row,) = measure_background(
        plain, "av1", effort="fast", runs=[1, 3], device="cpu", on_fitted=reports.append
    )
    names = [["0.png"], ["1.png", "2.png", "3.png"]]
    assert list(map(list, dict.fromkeys(map(tuple, encoded)))) == names
    assert len(row.frames) == 4
    assert reports == sorted(reports)
    assert (1 in reports, reports[-1]) == (True, 4)


@pytest.mark.parametrize(("family", "at_fog"), [("av1", False), ("siren", True)])
def test_networks_are_left_to_a_fog_node(pictures, family, at_fog):
    rows = measure_background(pictures[1:2], family, effort="fast", steps=2, device="cpu")
    assert {row.at_fog for row in rows} == {at_fog}


def test_a_seed_gives_the_same_frames(pictures):
    one, same, other = (
        measure_background(pictures[:1], "siren", effort="fast", steps=2, seed=seed, device="cpu")
        for seed in (1, 1, 2)
    )
    pixels = [rows[0].frames[0].pixels for rows in (one, same, other)]
    assert (pixels[0] == pixels[1]).all()
    assert (pixels[0] != pixels[2]).any()


def test_without_torch_only_backgrounds_that_need_none_suit(monkeypatch):
    chosen, left_out = suitable_backgrounds("balanced", sequences=False)
    assert chosen == ["av1", "siren"]
    assert sorted(left_out) == ["nerv", "pyramid"]
    assert left_out["pyramid"].endswith("; add --background pyramid")
    assert suitable_backgrounds("paper", sequences=True)[1]["av1"].endswith(
        "it has no preset 'paper'"
    )

    def missing(*_):
        raise MissingExtraError("torch", "torch")

    monkeypatch.setattr("rinrcodec.presets.require_torch", missing)
    chosen, left_out = suitable_backgrounds("balanced", sequences=False)
    assert chosen == ["av1"]
    assert left_out["siren"].startswith("torch is not installed; run: pip install ")
    with pytest.raises(MissingExtraError):
        suitable_backgrounds("paper", sequences=False)


def test_the_examples_run():
    result = doctest.testmod(backgrounds_module)
    assert result.failed == 0
    assert result.attempted > 0

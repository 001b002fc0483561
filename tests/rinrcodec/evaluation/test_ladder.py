"""The ladder: its rungs differ in what they claim to differ in, and in nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.baselines import QualityScan, available_codecs
from rinrcodec.evaluation.ladder import (
    background_rung,
    default_preset,
    enlarged,
    family_rungs,
    rung_presets,
)
from rinrcodec.evaluation.rungs import Rung
from rinrcodec.formats import PackReader, pack_bytes
from rinrcodec.metrics import frame_quality
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset
from rinrcodec.targets import Target

QUICK = get_preset("fast", steps=25, background="siren")
CODECS = [*available_codecs(), "composite"]


@pytest.fixture(scope="module")
def pictures(make_picture):
    """Three, one of them grey and one without a box; a box outside its picture gets no INR."""
    boxes = (Box(0, 10.5, 7.25, 20, 18), Box(1, 2, 3, 4, 5), Box(2, 900, 3, 4, 4))
    return [
        Picture("a.png", make_picture(80, 56, 0), boxes),
        Picture("b.png", make_picture(64, 48, 1, grey=True), boxes[:1]),
        Picture("c.png", make_picture(80, 56, 2)),
    ]


def measure(pictures, folder, **options) -> dict[str, Rung]:
    rungs = family_rungs(pictures, QUICK, folder=folder, device="cpu", **options)
    return {rung.name: rung for rung in rungs}


@pytest.fixture(scope="module")
def rungs(pictures, tmp_path_factory):
    return measure(pictures, tmp_path_factory.mktemp("rungs"))


def read(rung: Rung):
    """Frames and groups of the rung's file, with the groups' codes."""
    with PackReader(rung.file) as reader:
        frames = [reader.frame(i) for i in range(reader.n_frames)]
        groups = [
            (info.spec, info.bits, reader.read_rows(g, range(info.n_rows)).codes.tobytes())
            for g, info in enumerate(reader.groups)
        ]
    return frames, groups


def test_every_rung_is_there_in_the_order_in_which_it_is_made(rungs):
    assert list(rungs) == ["BE", "DE", "RE", "QRE", "BS", *CODECS]
    assert {rung.family for rung in rungs.values()} == {"siren"}
    assert {rungs[name].file.name for name in list(rungs)[:5]} == {
        f"siren-{name}.rinr" for name in ("BS", "BE", "DE", "RE", "QRE")
    }


def test_bytes_are_those_of_the_saved_files(rungs, pictures):
    for name in ("BS", "BE", "DE", "RE", "QRE"):
        size = rungs[name].file.stat().st_size
        assert rungs[name].n_bytes == size / 3
        assert sum(frame.n_bytes for frame in rungs[name].frames) == pytest.approx(size)
    for codec in available_codecs():
        wanted = [
            QualityScan(codec, picture.pixels).nearest(round(frame.n_bytes)).n_bytes
            for picture, frame in zip(pictures, rungs["QRE"].frames, strict=True)
        ]
        assert [frame.n_bytes for frame in rungs[codec].frames] == wanted
        assert rungs[codec].n_bytes == sum(wanted) / 3


def test_quality_is_that_of_the_decoded_file(rungs, pictures):
    with rinrcodec.open(rungs["DE"].file) as file:
        decoded = np.moveaxis(file.decode(0).numpy(), 0, 2)
    frame = rungs["DE"].frames[0]
    assert frame.quality == frame_quality(pictures[0].pixels, decoded, pictures[0].boxes)
    assert -1 <= frame.ssim <= 1
    assert rungs["DE"].frames[2].quality.objects is None


def test_direct_and_residual_differ_in_the_mode_alone(rungs):
    (direct_frames, direct), (residual_frames, residual) = read(rungs["DE"]), read(rungs["RE"])
    alone_frames, alone = read(rungs["BE"])
    backgrounds = len(alone)
    assert direct[:backgrounds] == residual[:backgrounds] == alone
    assert [group[:2] for group in direct] == [group[:2] for group in residual]
    assert direct[backgrounds:] != residual[backgrounds:]
    for one, two, bare in zip(direct_frames, residual_frames, alone_frames, strict=True):
        assert one.boxes == two.boxes == bare.boxes
        assert [item.inr if item else None for item in one.objects] == [
            item.inr if item else None for item in two.objects
        ]
        assert not any(bare.objects)
    assert {item.mode for f in direct_frames for item in f.objects if item} == {"direct"}
    assert {item.mode for f in residual_frames for item in f.objects if item} == {"residual"}
    assert rungs["DE"].object_bytes == rungs["RE"].object_bytes > rungs["BE"].object_bytes == 0


def test_object_inrs_without_gain_are_kept(pictures, tmp_path):
    useless = replace(QUICK.with_steps(1), min_gain=50.0)
    rungs = {
        rung.name: rung for rung in family_rungs(pictures, useless, folder=tmp_path, device="cpu")
    }
    for name in ("DE", "RE", "QRE"):
        frames, _ = read(rungs[name])
        assert [[item is not None for item in frame.objects] for frame in frames] == [
            [True, True, False],
            [True],
            [],
        ]


def test_bits_and_sizes_are_those_of_the_paper(rungs):
    bits = {
        name: [group[1] for group in read(rungs[name])[1]] for name in ("BS", "BE", "RE", "QRE")
    }
    assert set(bits["BS"] + bits["BE"] + bits["RE"]) == {16}
    n_backgrounds = len(bits["BE"])
    assert set(bits["QRE"][:n_backgrounds]) == {8}
    assert set(bits["QRE"][n_backgrounds:]) == {16}
    assert rungs["BE"].n_bytes < rungs["RE"].n_bytes
    assert rungs["QRE"].n_bytes < 0.8 * rungs["RE"].n_bytes
    assert rungs["BS"].n_bytes / rungs["RE"].n_bytes == pytest.approx(1.5, rel=0.1)
    assert rungs["RE"].seconds > rungs["BE"].seconds > 0


def test_the_same_seed_gives_the_same_rungs(rungs, pictures, tmp_path):
    again = measure(pictures, tmp_path)
    for name, rung in rungs.items():
        other = again[name]
        assert replace(other, seconds=None, file=None) == replace(rung, seconds=None, file=None)
        if rung.file is not None:
            assert other.file.read_bytes() == rung.file.read_bytes()


def test_some_of_the_encoded_frames_can_be_measured(rungs, pictures, tmp_path):
    calls = []
    some = measure(pictures, tmp_path, measured=[1], on_progress=lambda *call: calls.append(call))
    for name, rung in some.items():
        assert rung.frames == rungs[name].frames[1:2]
    assert some["RE"].n_bytes == rungs["RE"].n_bytes
    assert some["jpeg"].n_bytes == some["jpeg"].frames[0].n_bytes
    assert {name for name, _ in calls} == {"BS", "BE", "DE", "RE", "QRE", "codecs"}
    assert all(0 <= share <= 1 for _, share in calls)


def test_presets_of_the_rungs_keep_everything_but_bits_and_mode():
    balanced = get_preset("balanced", background="siren", objects="siren")
    presets = rung_presets(balanced)
    assert rung_presets(get_preset("balanced", background="siren")) == presets
    for preset in presets.values():
        assert preset.background.recipe == balanced.background.recipe
        assert preset.objects == replace(balanced.objects, bits=16)
    assert {name: p.object_mode for name, p in presets.items()}["DE"] == "direct"


@pytest.mark.parametrize("factor", [1.0, 1.7, 3.2])
def test_a_larger_network_has_the_wanted_weights(make_picture, factor):
    part = get_preset("balanced", background="siren").background
    pictures = [Picture("a.png", make_picture(80, 56))]
    wider = enlarged(part, factor, pictures)
    before, after = (one.n_weights(pictures) for one in (part, wider))
    assert after / before == pytest.approx(factor, rel=0.06)
    assert (wider == part) == (factor == 1.0)


def test_a_larger_network_of_a_sequence_has_the_wanted_weights(make_picture):
    part = get_preset("balanced", background="nerv").background
    pictures = [Picture(f"{i}.png", make_picture(80, 56, i)) for i in range(5)]
    wider = enlarged(part, 2.0, pictures)
    before, after = (one.n_weights(pictures) for one in (part, wider))
    assert after / before == pytest.approx(2.0, rel=0.15)


def test_a_sequence_has_the_same_rungs(make_picture, tmp_path):
    boxes = (Box(0, 10, 7, 20, 18),)
    pictures = [Picture(f"{i}.png", make_picture(80, 56, i), boxes) for i in range(4)]
    preset = get_preset("fast", steps=2, background="nerv")
    other = default_preset("fast", steps=2, alone=False)
    options = {"folder": tmp_path, "measured": [1, 3], "device": "cpu"}
    rungs = {rung.name: rung for rung in family_rungs(pictures, preset, other=other, **options)}
    assert list(rungs) == ["BE", "DE", "RE", "QRE", "BS", *CODECS, "av1"]
    assert {rung.family for rung in rungs.values()} == {"nerv"}
    for rung in rungs.values():
        assert [frame.frame for frame in rung.frames] == ["1.png", "3.png"]
    (alone_frames, alone), (_, direct), (frames, residual) = (
        read(rungs[name]) for name in ("BE", "DE", "RE")
    )
    assert [group[0].family for group in alone] == ["nerv"]
    assert direct[:1] == residual[:1] == alone
    assert [frame.time for frame in frames] == [frame.time for frame in alone_frames]
    assert len({frame.time for frame in frames}) == 4
    for name in ("BS", "BE", "DE", "RE", "QRE"):
        assert rungs[name].n_bytes == rungs[name].file.stat().st_size / 4
    assert rungs["QRE"].n_bytes < rungs["RE"].n_bytes
    assert rungs["BS"].n_bytes / rungs["RE"].n_bytes == pytest.approx(1.5, rel=0.15)


@pytest.mark.parametrize(("name", "effort"), [("fast", "fast"), ("paper", "best")])
@pytest.mark.parametrize("alone", [True, False])
def test_the_default_background_has_the_preset_of_the_others(name, effort, alone):
    background = get_preset(effort).background
    chosen = default_preset(name, alone=alone).background
    assert chosen == (background.alone() if alone else background)
    assert background != background.alone()


def test_the_default_background_gets_the_bytes_of_qre(rungs, pictures, tmp_path):
    preset = get_preset("fast", steps=25)
    equal = rungs["QRE"]
    equal = replace(equal, n_bytes=620.0)  # at this size, objects are worth their bytes
    alone = replace(preset, background=preset.background.alone())
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    (tmp_path / "av1-at-siren-QRE.rinr").symlink_to(tmp_path / "mine")
    rung = background_rung(pictures, alone, equal, folder=tmp_path, measured=[0, 2], device="cpu")
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine"  # no link is followed
    assert (rung.label, rung.file.name) == ("av1 at siren QRE", "av1-at-siren-QRE.rinr")
    assert [frame.frame for frame in rung.frames] == ["a.png", "c.png"]
    assert rung.n_bytes == rung.file.stat().st_size / 3
    assert rung.seconds > 0
    frames, groups = read(rung)
    assert {group[0].family for group in groups} == {"av1"}
    assert len({frame.background for frame in frames}) == 3
    rows = {item.inr for frame in frames for item in frame.objects if item}
    with rinrcodec.open(rung.file) as file:
        coded = [file.read_rows(ref.group, [ref.row]).coded[0] for ref in rows]
    assert rung.object_bytes == sum(map(len, coded)) / 3 > 0
    # All of the file counts, and little is left.
    assert 0.8 * equal.n_bytes < rung.n_bytes <= equal.n_bytes
    target = Target(n_bytes=int(equal.n_bytes), tune="psnr")
    wanted = rinrcodec.encode(pictures, preset=alone, target=target, device="cpu")
    assert rung.file.read_bytes() == pack_bytes(wanted)


def test_where_no_quality_is_small_enough_the_lowest_is_taken(rungs, pictures, tmp_path):
    tiny = replace(rungs["QRE"], n_bytes=1.0, object_bytes=0.0)
    preset = get_preset("fast", steps=1)
    rung = background_rung(pictures, preset, tiny, folder=tmp_path, device="cpu")
    lowest = rinrcodec.encode(
        pictures, preset=preset, target=Target(quality=0, tune="psnr"), device="cpu"
    )
    assert rung.file.read_bytes() != b""
    with rinrcodec.open(rung.file) as file:
        for index in range(3):
            one = file.decode(index, objects=False)
            assert torch.equal(one, rinrcodec.decode(lowest, index, objects=False))


def test_a_pyramid_is_no_family_of_the_ladder(pictures, tmp_path):
    preset = get_preset("fast", steps=8, background="pyramid")
    with pytest.raises(RinrInputError, match="give a background of siren or nerv"):
        next(family_rungs(pictures, preset, folder=tmp_path))
    assert list(tmp_path.iterdir()) == []

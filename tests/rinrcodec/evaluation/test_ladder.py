"""The ladder: its rows differ in what they claim to differ in, and in nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.baselines import Ladder, available_codecs
from rinrcodec.evaluation.ladder import Row, enlarged, family_rows, low_quality_jpeg, row_presets
from rinrcodec.formats import PackReader
from rinrcodec.metrics import frame_quality
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset

QUICK = get_preset("fast", steps=25)
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


def measure(pictures, folder, **options) -> dict[str, Row]:
    rows = family_rows(pictures, QUICK, folder=folder, device="cpu", **options)
    return {row.name: row for row in rows}


@pytest.fixture(scope="module")
def rows(pictures, tmp_path_factory):
    return measure(pictures, tmp_path_factory.mktemp("rows"))


def read(row: Row):
    """Frames and groups of the row's file, with the groups' codes."""
    with PackReader(row.file) as reader:
        frames = [reader.frame(i) for i in range(reader.n_frames)]
        groups = [
            (info.spec, info.bits, reader.read_rows(g, range(info.n_rows)).codes.tobytes())
            for g, info in enumerate(reader.groups)
        ]
    return frames, groups


def test_every_row_is_there_in_the_order_in_which_it_is_made(rows):
    assert list(rows) == ["BE", "DE", "RE", "QRE", "BS", *CODECS]
    assert {row.family for row in rows.values()} == {"siren"}
    assert {rows[name].file.name for name in list(rows)[:5]} == {
        f"siren-{name}.rinr" for name in ("BS", "BE", "DE", "RE", "QRE")
    }


def test_bytes_are_those_of_the_saved_files(rows, pictures):
    for name in ("BS", "BE", "DE", "RE", "QRE"):
        size = rows[name].file.stat().st_size
        assert rows[name].n_bytes == size / 3
        assert sum(frame.n_bytes for frame in rows[name].frames) == pytest.approx(size)
    for codec in available_codecs():
        wanted = [
            Ladder(codec, picture.pixels).nearest(round(frame.n_bytes)).n_bytes
            for picture, frame in zip(pictures, rows["QRE"].frames, strict=True)
        ]
        assert [frame.n_bytes for frame in rows[codec].frames] == wanted
        assert rows[codec].n_bytes == sum(wanted) / 3


def test_quality_is_that_of_the_decoded_file(rows, pictures):
    with rinrcodec.open(rows["DE"].file) as file:
        decoded = np.moveaxis(file.decode(0).numpy(), 0, 2)
    found = rows["DE"].frames[0]
    assert found.quality == frame_quality(pictures[0].pixels, decoded, pictures[0].boxes)
    assert -1 <= found.ssim <= 1
    assert rows["DE"].frames[2].quality.objects is None


def test_direct_and_residual_differ_in_the_mode_alone(rows):
    (direct_frames, direct), (residual_frames, residual) = read(rows["DE"]), read(rows["RE"])
    alone_frames, alone = read(rows["BE"])
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
    assert rows["DE"].object_bytes == rows["RE"].object_bytes > rows["BE"].object_bytes == 0


def test_every_object_inr_is_kept_whatever_it_gains(pictures, tmp_path):
    useless = replace(QUICK.with_steps(1), min_gain=50.0)
    rows = {row.name: row for row in family_rows(pictures, useless, folder=tmp_path, device="cpu")}
    for name in ("DE", "RE", "QRE"):
        frames, _ = read(rows[name])
        assert [[item is not None for item in frame.objects] for frame in frames] == [
            [True, True, False],
            [True],
            [],
        ]


def test_bits_and_sizes_are_those_of_the_paper(rows):
    bits = {name: [group[1] for group in read(rows[name])[1]] for name in ("BS", "BE", "RE", "QRE")}
    assert set(bits["BS"] + bits["BE"] + bits["RE"]) == {16}
    n_backgrounds = len(bits["BE"])
    assert set(bits["QRE"][:n_backgrounds]) == {8}
    assert set(bits["QRE"][n_backgrounds:]) == {16}
    assert rows["BE"].n_bytes < rows["RE"].n_bytes
    assert rows["QRE"].n_bytes < 0.8 * rows["RE"].n_bytes
    assert rows["BS"].n_bytes / rows["RE"].n_bytes == pytest.approx(1.5, rel=0.1)
    assert rows["RE"].seconds > rows["BE"].seconds > 0


def test_the_same_seed_gives_the_same_rows(rows, pictures, tmp_path):
    again = measure(pictures, tmp_path)
    for name, row in rows.items():
        other = again[name]
        assert replace(other, seconds=None, file=None) == replace(row, seconds=None, file=None)
        if row.file is not None:
            assert other.file.read_bytes() == row.file.read_bytes()


def test_some_of_the_encoded_frames_can_be_measured(rows, pictures, tmp_path):
    calls = []
    some = measure(pictures, tmp_path, measured=[1], on_progress=lambda *call: calls.append(call))
    for name, row in some.items():
        assert row.frames == rows[name].frames[1:2]
    assert some["RE"].n_bytes == rows["RE"].n_bytes
    assert some["jpeg"].n_bytes == some["jpeg"].frames[0].n_bytes
    assert {name for name, _ in calls} == {"BS", "BE", "DE", "RE", "QRE", "codecs"}
    assert all(0 <= share <= 1 for _, share in calls)


def test_presets_of_the_rows_keep_everything_but_bits_and_mode():
    presets = row_presets(get_preset("balanced"))
    for preset in presets.values():
        assert preset.background.recipe == get_preset("balanced").background.recipe
        assert preset.objects == replace(get_preset("balanced").objects, bits=16)
    assert {name: p.object_mode for name, p in presets.items()}["DE"] == "direct"


@pytest.mark.parametrize("factor", [1.0, 1.7, 3.2])
def test_a_larger_network_has_the_wanted_weights(make_picture, factor):
    part = get_preset("balanced").background
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


def test_a_sequence_has_the_same_rows(make_picture, tmp_path):
    boxes = (Box(0, 10, 7, 20, 18),)
    pictures = [Picture(f"{i}.png", make_picture(80, 56, i), boxes) for i in range(4)]
    preset = get_preset("fast", steps=2, background="nerv")
    found = family_rows(pictures, preset, folder=tmp_path, measured=[1, 3], device="cpu")
    rows = {row.name: row for row in found}
    assert list(rows) == ["BE", "DE", "RE", "QRE", "BS", *CODECS]
    assert {row.family for row in rows.values()} == {"nerv"}
    for row in rows.values():
        assert [frame.frame for frame in row.frames] == ["1.png", "3.png"]
    (alone_frames, alone), (_, direct), (frames, residual) = (
        read(rows[name]) for name in ("BE", "DE", "RE")
    )
    assert [group[0].family for group in alone] == ["nerv"]
    assert direct[:1] == residual[:1] == alone
    assert [frame.time for frame in frames] == [frame.time for frame in alone_frames]
    assert len({frame.time for frame in frames}) == 4
    for name in ("BS", "BE", "DE", "RE", "QRE"):
        assert rows[name].n_bytes == rows[name].file.stat().st_size / 4
    assert rows["QRE"].n_bytes < rows["RE"].n_bytes
    assert rows["BS"].n_bytes / rows["RE"].n_bytes == pytest.approx(1.5, rel=0.15)


def test_a_pyramid_is_no_family_of_the_ladder(pictures, tmp_path):
    preset = get_preset("fast", steps=8, background="pyramid")
    with pytest.raises(RinrInputError, match="want a background of siren or nerv"):
        next(family_rows(pictures, preset, folder=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_low_quality_jpeg_is_quality_50(pictures):
    row = low_quality_jpeg(pictures)
    wanted = [Ladder("jpeg", picture.pixels).at_quality(50).n_bytes for picture in pictures]
    assert [frame.n_bytes for frame in row.frames] == wanted
    assert (row.family, row.name, row.seconds, row.file) == ("", "jpeg q50", None, None)

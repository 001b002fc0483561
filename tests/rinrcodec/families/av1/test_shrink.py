"""Backgrounds that are stored smaller, and enlarged when they are decoded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from av1_frames import decoded, encode, scene, sequence, with_frame, with_row
from numpy.typing import NDArray
from PIL import Image

import rinrcodec
from rinrcodec import Box, Target
from rinrcodec.decodable import check_file
from rinrcodec.errors import RinrFormatError, RinrInputError, RinrLimitError
from rinrcodec.families.av1 import resize
from rinrcodec.families.av1.resize import enlarged, shrunk
from rinrcodec.families.av1.stream import encode_still
from rinrcodec.formats import PackReader, pack_bytes
from rinrcodec.limits import Limits
from rinrcodec.metrics import psnr
from rinrcodec.pack import Pack
from rinrcodec.presets import get_preset
from rinrcodec.targets import TargetWarning

VECTORS = Path(__file__).parent / "vectors"
SIZES = [(1, 1), (7, 5), (5, 300), (33, 2), (64, 48)]
FACTORS = [2, 4]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device"
))]  # fmt: skip


def doubled(line: list[int]) -> list[int]:
    """A line of pixels at twice its length, by the formula of SPEC.md."""

    def sample(i: int) -> int:
        return line[min(max(i, 0), len(line) - 1)]

    def pixel(taps: tuple[int, ...], first: int) -> int:
        total = sum(tap * sample(first + k) for k, tap in enumerate(taps))
        return min(255, max(0, (total + 64) >> 7))

    return [
        value
        for i in range(len(line))
        for value in (pixel((-3, 29, 111, -9), i - 2), pixel((-9, 111, 29, -3), i - 1))
    ]


def by_formula(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Pixels [h, w, channels], enlarged without cutting off what is beyond a frame."""
    planes = []
    for channel in range(pixels.shape[2]):
        lines = pixels[..., channel].tolist()
        for _ in range(factor // 2):
            lines = [doubled(line) for line in lines]
            lines = [list(line) for line in zip(*[doubled(c) for c in zip(*lines)])]  # noqa: B905
        planes.append(np.array(lines, np.uint8))
    return np.stack(planes, -1)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (9, 14)])
@pytest.mark.parametrize("channels", [1, 3])
def test_enlarging_follows_the_formula(factor: int, size: tuple[int, int], channels: int) -> None:
    rng = np.random.default_rng(factor)
    for values in (rng.integers(0, 256, (*size, channels)), 255 * rng.integers(0, 2, (*size, 1))):
        small = values.astype(np.uint8)
        wanted = by_formula(small, factor)
        full = wanted.shape[1], wanted.shape[0]
        assert np.array_equal(enlarged(small, full, factor), wanted)
        for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
            tensor = enlarged(torch.from_numpy(small).to(device), full, factor)
            assert np.array_equal(tensor.cpu().numpy(), wanted)
        cut = full[0] - 1, max(1, full[1] - factor + 1)
        assert np.array_equal(enlarged(small, cut, factor), wanted[: cut[1], : cut[0]])


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("at_once", [1, 28, 1000])
def test_bands_of_a_picture_join(
    at_once: int, factor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enlarge one line at a time, three (which do not divide ten), and all."""
    monkeypatch.setattr(resize, "_PIXELS_AT_ONCE", at_once)
    monkeypatch.setattr(resize, "_PIXELS_OF_GPU", at_once)
    small = np.random.default_rng(0).integers(0, 256, (10, 9, 3), dtype=np.uint8)
    wanted = by_formula(small, factor)
    size = wanted.shape[1], wanted.shape[0]
    assert np.array_equal(enlarged(small, size, factor), wanted)
    assert np.array_equal(enlarged(torch.from_numpy(small), size, factor).numpy(), wanted)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_a_round_trip(size: tuple[int, int], grey: bool, factor: int) -> None:
    pixels = scene(*size, grey=grey)
    pack = encode([pixels], shrink=factor, target=Target(quality=70))
    assert pack.stacks[0].spec["shrink"] == factor
    small = shrunk(pixels, factor)
    assert small.shape[:2] == (-(-size[1] // factor), -(-size[0] // factor))
    wanted = enlarged(small.reshape(*small.shape[:2], -1), size, factor).reshape(pixels.shape)
    result = decoded(pack, 0)
    assert result.shape == pixels.shape
    assert psnr(wanted, result) > 30


def test_smaller_backgrounds_take_fewer_bytes() -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    pixels = blocks.repeat(4, 0).repeat(4, 1)
    packs = [encode([pixels], shrink=factor, target=Target(quality=40)) for factor in (1, 2, 4)]
    sizes = [len(pack.stacks[0].rows.coded[0]) for pack in packs]
    assert sizes[0] > 1.2 * sizes[1] > 1.2**2 * sizes[2]


def test_smaller_backgrounds_have_a_higher_quality_by_default() -> None:
    box = [[Box(0, 8, 8, 30, 20)]]
    for factor, quality in ((1, 20), (2, 40), (4, 65)):
        usual = encode([scene(64, 48)], boxes=box, shrink=factor)
        target = Target(quality=quality, objects_quality=40)
        asked = encode([scene(64, 48)], boxes=box, shrink=factor, target=target)
        assert [g.rows.coded for g in usual.stacks] == [g.rows.coded for g in asked.stacks]


@pytest.mark.parametrize("factor", FACTORS)
def test_a_picture_of_one_colour_keeps_it(factor: int) -> None:
    plain = np.full((13, 7, 3), (200, 30, 90), np.uint8)
    small = shrunk(plain, factor)
    assert (small == (200, 30, 90)).all()
    assert (enlarged(small, (7, 13), factor) == plain).all()


def test_a_pixel_covers_those_that_it_replaces() -> None:
    pixels = np.zeros((6, 9), np.uint8)
    pixels[:, 8] = 255  # alone in its square, with its repetition
    small = shrunk(pixels, 2)
    assert small.shape == (3, 5)
    assert small[:, 4].min() > 200
    assert small[:, :3].max() < 30


def test_one_is_the_whole_size() -> None:
    assert pack_bytes(encode([scene(64, 48)], shrink=1)) == pack_bytes(encode([scene(64, 48)]))


@pytest.mark.parametrize("factor", FACTORS)
def test_a_batch_a_region_and_a_scale(factor: int) -> None:
    pictures = [scene(67, 49), scene(40, 31), scene(40, 31, grey=True), scene(67, 49, shift=5)]
    pack = encode(pictures, shrink=factor, gop=1)
    whole = decoded(pack, 0)
    assert np.array_equal(decoded(pack, 0, region=(10, 5, 21, 9)), whole[5:14, 10:31])
    assert decoded(pack, 0, scale=2.0).shape == (98, 134, 3)
    assert psnr(decoded(pack, 0, scale=2.0)[::2, ::2], whole) > 28
    batch = rinrcodec.decode(pack, [3, 0, 2, 1, 3])
    for image, i in zip(batch, [3, 0, 2, 1, 3], strict=True):
        assert torch.equal(image, rinrcodec.decode(pack, i))


@pytest.mark.parametrize("factor", FACTORS)
def test_frames_of_a_sequence_share_a_row(factor: int) -> None:
    rng = np.random.default_rng(0)
    blocks = rng.integers(60, 200, (24, 32, 1), dtype=np.uint8)
    still = blocks.repeat(8, 0).repeat(8, 1).repeat(3, 2)
    frames = [replace(one, pixels=still.copy()) for one in sequence(6)]
    for k, frame in enumerate(frames):
        frame.pixels[64:96, 32 * k : 32 * (k + 1)] = 255  # it moves
    pack = encode(frames, shrink=factor, target=Target(quality=50, tune="psnr"))
    assert len(pack.stacks[0].rows.coded) == 1
    whole = decoded(pack, 3)
    assert np.array_equal(decoded(pack, 3, region=(90, 60, 51, 33)), whole[60:93, 90:141])
    assert psnr(decoded(pack, 3, scale=0.5), whole[::2, ::2]) > 15
    for i in (4, 0, 5):
        small = shrunk(frames[i].pixels, factor)
        assert psnr(enlarged(small, (256, 192), factor), decoded(pack, i)) > 28


def test_frames_too_small_for_a_video_are_coded_alone() -> None:
    pack = encode(sequence(4, 96, 28), shrink=4)  # 24x7
    assert len(pack.stacks[0].rows.coded) == 4


@pytest.mark.parametrize("factor", FACTORS)
def test_objects_keep_their_size(factor: int) -> None:
    pixels = scene(64, 48)
    pixels[12:24, 22:40] = np.random.default_rng(0).integers(0, 256, (12, 18, 3))
    box = Box(0, 20.0, 10.0, 24.0, 16.0)
    target = Target(quality=50, objects_quality=90)
    pack = encode([pixels], boxes=[[box]], shrink=factor, target=target)
    inside = slice(10, 26), slice(20, 44)
    sharp, blurred = decoded(pack, 0)[inside], decoded(pack, 0, objects=False)[inside]
    assert psnr(pixels[inside], sharp) > 30
    assert psnr(pixels[inside], blurred) < 20
    assert {"shrink" in dict(group.spec.config) for group in pack.stacks} == {True, False}


def test_a_psnr_counts_at_the_whole_size() -> None:
    pixels = scene(128, 96)
    best = psnr(pixels, decoded(encode([pixels], shrink=2, target=Target(quality=100)), 0))
    reached = decoded(encode([pixels], shrink=2, target=Target(psnr=best - 3)), 0)
    assert best - 3 <= psnr(pixels, reached) < best - 1
    with pytest.warns(TargetWarning, match="misses the target psnr"):
        encode([pixels], shrink=2, target=Target(psnr=best + 3))


def test_a_size_is_reached() -> None:
    pack = encode([scene(256, 192)], shrink=2, target=Target(n_bytes=3000))
    assert 2000 < len(pack_bytes(pack)) <= 3000
    assert pack.stacks[0].spec["shrink"] == 2


def test_frames_are_softened_too() -> None:
    pixels = scene(256, 192)
    pixels[::4] = 0
    boxes, target = [[Box(0, 40.0, 30.0, 30.0, 30.0)]], Target(quality=60)
    options: Any = {"boxes": boxes, "objects": "none", "shrink": 2, "target": target}
    sharp, soft = (encode([pixels], soften=sigma, **options) for sigma in (None, 4.0))
    assert len(pack_bytes(soft)) < len(pack_bytes(sharp)) - 100
    assert soft.info["preset"] == "fast, av1, shrink 2, softened 4"


@pytest.mark.parametrize("bad", [0, -2, 3, 8, 2.0, True, "2"])
def test_other_factors_are_refused(bad: Any) -> None:
    with pytest.raises(RinrInputError, match=r"shrink="):
        encode([scene(64, 48)], shrink=bad)


def test_families_without_smaller_backgrounds_refuse_it() -> None:
    with pytest.raises(
        RinrInputError, match=r"only backgrounds of av1 \(by 2 or 4\) .* not .*'siren'"
    ):
        encode([scene(64, 48)], background="siren", shrink=2)
    assert encode([scene(16, 16)], background="siren", shrink=1, steps=1).n_frames == 1


def test_a_preset_can_be_shrunk_again_and_back() -> None:
    preset = get_preset("fast", background="av1")
    half = preset.with_shrink(2)
    assert preset.with_shrink(1) is preset
    assert half.with_shrink(2) is half
    assert half.with_shrink(4).background == preset.with_shrink(4).background
    assert half.with_shrink(np.int64(1)).background == preset.background


def test_numpy_integers_are_factors(tmp_path: Path) -> None:
    frames, out, factor = tmp_path / "frames", tmp_path / "out", np.int64(2)
    frames.mkdir()
    Image.fromarray(scene(64, 48)).save(frames / "a.png")
    options: Any = {"preset": "fast", "on_progress": None}
    assert rinrcodec.compress(frames, out, shrink=factor, **options).total.frames == 1
    again = rinrcodec.compress(frames, out, shrink=2, resume=True, **options)
    assert not again.failures


@pytest.mark.parametrize("limit", ["max_work", "max_memory"])
def test_a_tiny_stream_of_a_huge_frame_is_refused(limit: str) -> None:
    pack = encode([np.zeros((16, 16), np.uint8)], shrink=4)
    huge = with_frame(pack, width=2**16, height=2**16)
    most = Limits(max_pixels=2**33, max_result_bytes=2**40, max_work=2**60, max_memory=2**50)
    with pytest.raises(RinrLimitError, match=limit):
        rinrcodec.decode(huge, 0, limits=replace(most, **{limit: 2**30}))


def test_backgrounds_that_are_kept_cannot_be_shrunk() -> None:
    pictures, boxes = [scene(64, 48)], [[Box(0, 8, 8, 20, 20)]]
    whole = encode(pictures, boxes=boxes, objects="none")
    with pytest.raises(RinrInputError, match="reuse with shrink=2: the backgrounds are kept"):
        encode(pictures, boxes=boxes, reuse=whole, shrink=2)
    smaller = encode(pictures, boxes=boxes, objects="none", shrink=2)
    preset = get_preset("fast", background="av1", shrink=4)
    with pytest.raises(RinrInputError, match="reuse with shrink=4"):
        rinrcodec.encode(pictures, boxes=boxes, reuse=whole, preset=preset)
    again = encode(pictures, boxes=boxes, reuse=smaller)
    assert again.stacks[0].rows.coded == smaller.stacks[0].rows.coded


@pytest.mark.parametrize("device", DEVICES)
def test_the_stored_frames_are_decoded_exactly(device: str) -> None:
    with rinrcodec.open(VECTORS / "shrunk.rinr") as file, Image.open(VECTORS / "shrunk.png") as png:
        wanted = np.asarray(png)
        specs = [dict(group.spec.config) for group in file.groups]
        assert {(spec["chroma"], spec.get("shrink")) for spec in specs} == {
            *(("444", 2), ("400", 2), ("420", 2), ("444", 4), ("420", 4), ("444", None))
        }
        alone = [file.decode(i, device=device) for i in range(len(file))]
        for frames in (alone, file.decode(range(len(file)), device=device)):
            pixels = [frame.permute(1, 2, 0).cpu().numpy() for frame in frames]
            assert np.array_equal(np.concatenate(pixels), wanted)


@pytest.fixture(scope="module")
def still() -> Pack:
    return encode([scene(64, 47)], shrink=2)


@pytest.mark.parametrize("bad", [0, 1, 3, 8, -2, 2.0, "2"])
def test_a_spec_of_another_factor_is_refused(still: Pack, bad: Any) -> None:
    row = still.stacks[0].rows.coded[0]
    with pytest.raises(RinrFormatError, match="expected shrink of 2 or 4"):
        decoded(with_row(still, row, shrink=bad), 0)


def test_a_stream_of_another_size_is_refused(still: Pack) -> None:
    row = still.stacks[0].rows.coded[0]
    whole = encode_still(scene(64, 47), quality=20, speed=9)
    for pack, match in (
        (with_row(still, whole), "cannot be decoded"),
        (with_row(still, row, shrink=4), "cannot be decoded"),
        (with_frame(still, height=45), "is 32x24 yuv444p: expected 32x23|cannot be decoded"),
        (with_frame(still, height=49), "is 32x24 yuv444p: expected 32x25"),
    ):
        with pytest.raises(RinrFormatError, match=match):
            decoded(pack, 0)
    # A frame of 48 lines has the same stream.
    assert decoded(with_frame(still, height=48), 0).shape == (48, 64, 3)


def test_verify_reads_smaller_rows(still: Pack, tmp_path: Path) -> None:
    path = tmp_path / "still.rinr"
    rinrcodec.save(still, path)
    with PackReader(path) as reader:
        check_file(reader)
    row = still.stacks[0].rows.coded[0]
    rinrcodec.save(with_row(still, row, shrink=4), path, overwrite=True)
    with (
        PackReader(path) as reader,
        pytest.raises(RinrFormatError, match="frame 0 of a row of AV1"),
    ):
        check_file(reader)


def test_objects_of_a_smaller_spec_are_refused(tmp_path: Path) -> None:
    pack = encode(
        [scene(64, 48)], boxes=[[Box(0, 8, 8, 20, 20)]], target=Target(objects_quality=80)
    )
    background = pack.frames[0].background.group
    (number,) = {inr.inr.group for inr in pack.frames[0].objects if inr}
    assert number == background  # one spec
    group = pack.stacks[number]
    spec = type(group.spec).of("av1", **dict(group.spec.config), shrink=2)
    rows = group.rows.take([pack.frames[0].background.row])
    smaller = replace(group, spec=spec)
    frame = replace(pack.frames[0], background=replace(pack.frames[0].background, group=1, row=0))
    wrong = replace(pack, frames=(frame,), stacks=(smaller, replace(group, rows=rows)))
    with pytest.raises(RinrFormatError, match="expected no shrink"):
        decoded(wrong, 0)
    path = tmp_path / "wrong.rinr"
    rinrcodec.save(wrong, path)
    with PackReader(path) as reader, pytest.raises(RinrFormatError, match="expected no shrink"):
        check_file(reader)

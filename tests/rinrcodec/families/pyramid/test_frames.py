"""Frames of the pyramid family, from rows to pixels and back out of files."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pyramid_weights import GREY, SPEC, arithmetic_weights, random_latents
from torch.nn import functional

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.errors import RinrFormatError
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.latents import Change, PyramidRow, encode_row
from rinrcodec.pack import (
    Frame,
    Group,
    InrRef,
    ObjectInr,
    Pack,
    Rows,
    Spec,
    merge_packs,
    select_frames,
)

WIDTH, HEIGHT = 29, 18
SIREN = Spec.of("siren", depth=1, width=3, out=3, w0=30.0, w0_first=30.0)


@pytest.fixture(autouse=True, scope="module")
def start() -> Iterator[None]:
    """Networks of these tests' own, so that a better start changes nothing here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            pyramid,
            "start_weights",
            lambda _, device=None: {k: w.to(device) for k, w in arithmetic_weights(900).items()},
        )
        yield


def coded(
    n: int, seed: int, *, predicted: bool = False, size: tuple[int, int] | None = None
) -> bytes:
    width, height = size or (WIDTH, HEIGHT)
    latents = random_latents(width, height, n, 4, seed)
    frames = [[[grid[k].int().numpy() for grid in grids] for grids in latents] for k in range(n)]
    steps = np.full((n, 2, pyramid.LEVELS), -12 - seed, np.int32)
    if not predicted:
        steps -= np.arange(n, dtype=np.int32)[:, None, None]
    codes = np.random.default_rng(seed).integers(-9, 10, 81, np.int32)
    row = PyramidRow({"filter.1": Change(9, 30, codes)}, steps, frames, predicted)
    return encode_row(SPEC, row)


def group(spec: Spec, *rows: bytes) -> Group:
    nothing = np.zeros((len(rows), 0))
    return Group(spec, 8, Rows(nothing.astype(np.int8), nothing.astype(np.float32), rows))


def frame(name: str, row: int, time: float = 0.0, **changes: object) -> Frame:
    made = Frame(name, WIDTH, HEIGHT, InrRef(0, row), boxes=(), objects=(), time=time)
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pack(start: None) -> Pack:  # noqa: ARG001
    """Seven frames in three rows, one predicted, one of another size; and a grey one."""
    rows = (coded(3, 0, predicted=True), coded(3, 1), coded(1, 2, size=(9, 33)))
    frames = [frame(f"{row}-{time}", row, float(time)) for row in (0, 1) for time in (2, 0, 1)]
    frames.append(frame("other", 2, width=9, height=33))
    frames.append(frame("grey", 0, background=InrRef(1, 0), mode="L"))
    return Pack(tuple(frames), (group(SPEC, *rows), group(GREY, coded(1, 5))))


@pytest.mark.slow
def test_a_frame_is_the_same_alone_in_batches_and_from_files(pack: Pack, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    count = pack.n_frames
    alone = [rinrcodec.decode(pack, i) for i in range(count)]
    assert len({tuple(image.flatten()[:400].tolist()) for image in alone}) == count
    path = tmp_path / "pyramid.rinr"
    rinrcodec.save(pack, path)
    order = [6, 0, 3, 3, 7, 2]
    try:
        with rinrcodec.open(path) as file:
            file.verify()
            for threads, source in ((1, pack), (2, file)):
                torch.set_num_threads(threads)
                resident = rinrcodec.Decoder(source, resident=True)
                for images in (
                    rinrcodec.decode(source, order),
                    resident.decode(order),
                    resident.decode(order),
                    [resident.decode(i) for i in order],
                    [rinrcodec.decode(select_frames(source, [i]), 0) for i in order],
                ):
                    for i, image in zip(order, images, strict=True):
                        assert torch.equal(torch.as_tensor(image), alone[i])
    finally:
        torch.set_num_threads(before)


def test_frames_of_a_batch_have_steps_of_their_own() -> None:
    """Rows of frames whose latents are the same, and whose steps are not."""
    first = random_latents(WIDTH, HEIGHT, 1, 4)
    frames = [[[grid[0].int().numpy() for grid in component] for component in first]] * 3
    steps = np.full((3, 2, pyramid.LEVELS), -12, np.int32)
    steps[1:] -= np.array([[8], [16]], np.int32)[..., None]
    alone = [
        Pack(
            (frame("x", 0),),
            (group(SPEC, encode_row(SPEC, PyramidRow({}, component[None], frames[:1]))),),
        )
        for component in steps
    ]
    expected = [rinrcodec.decode(pack, 0) for pack in alone]
    assert not torch.equal(expected[0], expected[1])
    row = encode_row(SPEC, PyramidRow({}, steps, frames))
    pack = Pack(tuple(frame(f"{k}", 0, float(k)) for k in range(3)), (group(SPEC, row),))
    for order in ([0], [2], [0, 1, 2], [2, 1, 1]):
        for k, image in zip(order, rinrcodec.decode(pack, order), strict=True):
            assert torch.equal(torch.as_tensor(image), expected[k])


def test_packs_of_rows_can_be_merged_and_cut(pack: Pack) -> None:
    other = Pack((frame("x", 0, 1.0),), (group(SPEC, coded(2, 7)),))
    merged = merge_packs([select_frames(pack, [4, 2, 7]), other])
    for numbers, expected in (
        (0, rinrcodec.decode(pack, 4)),
        (1, rinrcodec.decode(pack, 2)),
        (2, rinrcodec.decode(pack, 7)),
        (3, rinrcodec.decode(other, 0)),
    ):
        assert torch.equal(rinrcodec.decode(merged, numbers), expected)


def test_regions_and_coarser_grids(pack: Pack) -> None:
    whole = rinrcodec.decode(pack, 1)
    assert torch.equal(rinrcodec.decode(pack, 1, region=(5, 7, 20, 11)), whole[:, 7:18, 5:25])
    assert rinrcodec.decode(pack, 1, region=(28, 17, 1, 1)).tolist() == whole[:, 17:, 28:].tolist()
    half = rinrcodec.decode(pack, 1, region=(0, 0, 28, 18), scale=0.5)
    assert half.shape == (3, 9, 14)
    averaged = functional.avg_pool2d(whole[:, :, :28].float()[None], 2)[0]
    assert float((half.float() - averaged).abs().mean()) < 12
    assert rinrcodec.decode(pack, 1, region=(0, 0, 8, 8), scale=2).shape == (3, 16, 16)


def test_grey_frames_have_three_equal_channels(pack: Pack) -> None:
    image = rinrcodec.decode(pack, 7)
    assert torch.equal(image[0], image[1])
    assert torch.equal(image[0], image[2])
    assert image.float().std() > 1


@pytest.mark.parametrize("index", [0, 7])
def test_channels_must_be_those_of_the_frame(pack: Pack, index: int) -> None:
    frame = pack.frames[index]
    wrong = replace(frame, mode="RGB" if frame.mode == "L" else "L")
    with pytest.raises(RinrFormatError, match=r"an INR of \d channels for a picture of mode"):
        rinrcodec.decode(replace(pack, frames=(wrong,)), 0)


@pytest.mark.parametrize("time", [0.5, -0.5, 2.999, 1e-300, math.nan, math.inf, -math.inf])
def test_times_that_are_no_frame_number_are_refused(pack: Pack, time: float) -> None:
    wrong = replace(pack, frames=(frame("odd", 1, time),))
    with pytest.raises(RinrFormatError, match=r"odd: the time .* expected a whole number"):
        rinrcodec.decode(wrong, 0)


@pytest.mark.parametrize("time", [3.0, -1.0, 1e300, 2.0**53])
def test_times_beyond_the_row(pack: Pack, time: float) -> None:
    wrong = replace(pack, frames=(frame("odd", 1, time),))
    with pytest.raises(RinrFormatError, match=r"of a pyramid row that has 3"):
        rinrcodec.decode(wrong, 0)


def test_objects_are_added_to_the_background(pack: Pack) -> None:
    codes = np.arange(21, dtype=np.int16)[None] * 500
    siren = Group(SIREN, 16, Rows(codes, np.full((1, 4), 2.0**-12, np.float32)))
    box, inr = Box(0, 3, 4, 9, 6), ObjectInr(InrRef(2, 0), "direct")
    changed = replace(pack.frames[1], boxes=(box,), objects=(inr,))
    with_object = replace(pack, frames=(changed,), stacks=(*pack.stacks, siren))
    image, background = (
        rinrcodec.decode(with_object, 0),
        rinrcodec.decode(with_object, 0, objects=False),
    )
    assert torch.equal(background, rinrcodec.decode(pack, 1))
    different = (image != background).any(0)
    assert different[4:10, 3:12].float().mean() > 0.9
    different[4:10, 3:12] = False
    assert not different.any()


def test_latents_are_no_object_inr(pack: Pack) -> None:
    wrong = replace(pack.frames[0], boxes=(Box(0, 1, 1, 5, 5),), objects=(ObjectInr(InrRef(0, 0)),))
    with pytest.raises(RinrFormatError, match="codes backgrounds only"):
        rinrcodec.decode(replace(pack, frames=(wrong,)), 0)


def test_damaged_rows_are_a_format_error(pack: Pack) -> None:
    rows = (b"", b"\x41", pack.stacks[0].rows.coded[0][:5])
    for row in rows:
        with pytest.raises(RinrFormatError, match="row of a pyramid"):
            rinrcodec.decode(Pack((frame("x", 0),), (group(SPEC, row),)), 0)


def test_the_largest_values_of_a_row_give_pixels() -> None:
    """Sums that overflow a float32 are no error, nor are those of both signs."""
    weights = arithmetic_weights()
    every = {name: np.full(weight.numel(), 127, np.int32) for name, weight in weights.items()}
    mixed = {name: codes.copy() for name, codes in every.items()}
    for codes in mixed.values():
        codes[::2] = -127
    grids = [[np.full(size, 127, np.int32) for size in sizes] for sizes in pyramid.grid_sizes(9, 7)]
    steps = np.full((1, 2, pyramid.LEVELS), 63, np.int32)
    for networks in (every, mixed):
        changes = {name: Change(0, 60, codes) for name, codes in networks.items()}
        data = encode_row(SPEC, PyramidRow(changes, steps, [grids]))
        pack = Pack((frame("x", 0, width=9, height=7),), (group(SPEC, data),))
        assert rinrcodec.decode(pack, 0).shape == (3, 7, 9)


def test_outputs_that_are_no_number_give_black(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices differ in the pixel that they make of NaN."""
    whole = rinrcodec.decode(pack, 1)
    synthesize = pyramid.synthesize

    def broken(*args: Any) -> torch.Tensor:
        signal = synthesize(*args)
        signal[:, :, 3:5, 7:9] = math.nan
        signal[:, :, 6, :2] = torch.tensor([math.inf, -math.inf])
        return signal

    monkeypatch.setattr(pyramid, "synthesize", broken)
    image = rinrcodec.decode(pack, 1)
    assert not image[:, 3:5, 7:9].any()
    assert image[:, 6, :2].tolist() == [[255, 0]] * 3
    kept = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    kept[3:5, 7:9] = kept[6, :2] = False
    assert torch.equal(image[:, kept], whole[:, kept])


@pytest.mark.slow
def test_frames_of_any_size_can_be_encoded(
    make_picture: Callable[..., NDArray[np.uint8]],
) -> None:
    for size in ((1, 1), (1, 40), (64, 1), (65, 3)):
        picture = make_picture(*size)
        pack = rinrcodec.encode([picture], preset="fast", background="pyramid", steps=1)
        assert rinrcodec.decode(pack, 0).shape == (3, size[1], size[0])

"""Backgrounds for sequences: the fit, and frames that come back one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import nn

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.compute.grids import Grid
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.families import background_families, check_group
from rinrcodec.families.nerv.decode import sequence_frames
from rinrcodec.families.nerv.encode import NervBackgrounds
from rinrcodec.families.nerv.fit import fit_sequence, ssim
from rinrcodec.metrics import psnr
from rinrcodec.pack import InrRef, ObjectInr, Pack, merge_packs, select_frames
from rinrcodec.presets import Preset, get_preset
from rinrcodec.sources.images import picture_from_array

Pixels = NDArray[np.uint8]
CPU = torch.device("cpu")


def settings(**changes: object) -> NervBackgrounds:
    background = get_preset("fast", background="nerv").background
    assert isinstance(background, NervBackgrounds)
    return replace(background, **changes)  # type: ignore[arg-type]


def quick(epochs: int = 40, **changes: object) -> Preset:
    """A preset that fits tiny sequences in a second."""
    preset = get_preset("fast", steps=epochs, background="nerv", objects="siren")
    return replace(preset, background=replace(preset.background, **changes))


@pytest.fixture(scope="module")
def sequence(make_picture: Callable[..., Pixels]) -> list[Pixels]:
    """Six frames of 40x30, in which a bright square wanders to the right."""
    frames = []
    for number in range(6):
        frame = make_picture(40, 30).copy()
        frame[18:26, 2 + 5 * number : 10 + 5 * number] = (250, 240, 20)
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def pack(sequence: list[Pixels]) -> Pack:
    return rinrcodec.encode(sequence, preset=quick(150))


@pytest.mark.parametrize("size", [(40, 24), (13, 40), (7, 9)])
def test_ssim_is_that_of_the_library(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    one = rng.uniform(0, 1, (*size, 3))
    other = (one + rng.normal(0, 0.2, one.shape)).clip(0, 1)
    tensors = [torch.tensor(x * 2 - 1).permute(2, 0, 1)[None].float() for x in (one, other)]
    similarity = float(ssim(tensors[0], tensors[1]))
    if min(size) < 11:  # the library refuses these
        assert 0 < similarity < 1
        return
    expected = structural_similarity(
        one,
        other,
        data_range=1,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert similarity == pytest.approx(expected, abs=2e-4)
    assert float(ssim(tensors[0], tensors[0])) == pytest.approx(1, abs=1e-5)


def test_decoded_frames_resemble_their_pictures(pack: Pack, sequence: list[Pixels]) -> None:
    assert [info.n_rows for info in pack.groups] == [1]
    assert [frame.time for frame in pack.frames] == [i / 6 for i in range(6)]
    decoded = rinrcodec.decode(pack, range(6))
    assert isinstance(decoded, torch.Tensor)
    for frame, pixels in zip(decoded, sequence, strict=True):
        assert psnr(pixels, frame.permute(1, 2, 0).numpy()) > 22
    # Not one picture for all times: the square is where it was in that frame.
    square = decoded[:, 2, 20:24].float()  # it has no blue
    assert square[0, :, 4:8].mean() + 30 < square[0, :, 29:33].mean()
    assert square[5, :, 29:33].mean() + 30 < square[5, :, 4:8].mean()


def test_any_frame_alone_is_the_frame_of_the_batch(pack: Pack, tmp_path: Path) -> None:
    together = rinrcodec.decode(pack, [5, 0, 3, 3])
    path = tmp_path / "sequence.rinr"
    rinrcodec.save(pack, path)
    with rinrcodec.open(path) as file:
        for index, frame in zip([5, 0, 3, 3], together, strict=True):
            assert torch.equal(file.decode(index), frame)
            assert torch.equal(rinrcodec.decode(select_frames(file, [index]), 0), frame)
            assert file.frame(index).time == index / 6


def test_regions_and_coarser_grids(pack: Pack) -> None:
    whole = rinrcodec.decode(pack, 2)
    assert torch.equal(rinrcodec.decode(pack, 2, region=(5, 7, 20, 11)), whole[:, 7:18, 5:25])
    half = rinrcodec.decode(pack, 2, scale=0.5)
    assert half.shape == (3, 15, 20)
    averaged = nn.functional.avg_pool2d(whole.float()[None], 2)[0]
    assert float((half.float() - averaged).abs().mean()) < 4
    assert rinrcodec.decode(pack, 2, region=(0, 0, 8, 8), scale=2).shape == (3, 16, 16)


def test_the_same_bits_on_any_number_of_cores(sequence: list[Pixels]) -> None:
    before = torch.get_num_threads()
    packs = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            packs.append(rinrcodec.encode(sequence, preset=quick(6)))
    finally:
        torch.set_num_threads(before)
    one, two = (pack.stacks[0].rows for pack in packs)
    assert (one.codes == two.codes).all()
    assert (one.scales == two.scales).all()


def test_the_seed_matters(sequence: list[Pixels]) -> None:
    packs = [rinrcodec.encode(sequence, preset=quick(2), seed=seed) for seed in (0, 1)]
    assert (packs[0].stacks[0].rows.codes != packs[1].stacks[0].rows.codes).any()


@pytest.mark.parametrize(
    "recipe", [{"ssim": 0.3}, {"ssim": 0.3, "quantized": 0.0}, {"samples": None}]
)
def test_every_recipe_learns(sequence: list[Pixels], recipe: dict[str, float]) -> None:
    changed = replace(settings().recipe, steps=60, warmup=6, **recipe)  # type: ignore[arg-type]
    spec = settings().spec(40, 30, 6, 3)
    frames = [torch.tensor(frame) for frame in sequence]
    times = [i / 6 for i in range(6)]
    seen: list[tuple[int, int]] = []
    fitted = fit_sequence(
        spec,
        frames,
        changed,
        times=times,
        bits=8,
        seed=0,
        device=CPU,
        on_step=lambda *args: seen.append(args),
    )
    assert seen == [(6, 1)] * 60
    pictures = [picture_from_array(frame, name=str(i)) for i, frame in enumerate(sequence)]
    whole = rinrcodec.encode(pictures, preset=quick(1))
    stack = replace(whole.stacks[0], spec=spec, rows=fitted.rows)
    decoded = rinrcodec.decode(replace(whole, stacks=(stack,)), range(6))
    quality = [psnr(a, b.permute(1, 2, 0).numpy()) for a, b in zip(sequence, decoded, strict=True)]
    assert min(quality) > 16


def test_eight_bits_cost_little(sequence: list[Pixels]) -> None:
    pictures = [picture_from_array(frame, name=str(i)) for i, frame in enumerate(sequence)]
    errors = []
    for bits in (8, 16):
        pack = rinrcodec.encode(pictures, preset=quick(100, bits=bits))
        decoded = torch.as_tensor(rinrcodec.decode(pack, range(6))).permute(0, 2, 3, 1).numpy()
        errors.append(psnr(np.concatenate(sequence), np.concatenate(list(decoded))))
    assert errors[0] > errors[1] - 0.7


def test_pictures_of_other_folders_sizes_and_modes_are_other_sequences(
    make_picture: Callable[..., Pixels],
) -> None:
    def named(name: str, width: int = 20, grey: bool = False) -> rinrcodec.Picture:
        return picture_from_array(make_picture(width, 20, grey=grey), name=name)

    pictures = [
        named("a/1"),
        named("b/1"),
        named("a/2"),
        named("a/3", width=30),
        named("a/4", grey=True),
        named("b/2"),
    ]
    pack = rinrcodec.encode(pictures, preset=quick(1))
    assert [frame.name for frame in pack.frames] == ["a/1", "b/1", "a/2", "a/3", "a/4", "b/2"]
    backgrounds = [frame.background for frame in pack.frames]
    assert backgrounds[0] == backgrounds[2]
    assert backgrounds[1] == backgrounds[5]
    assert len(set(backgrounds)) == 4
    assert [frame.time for frame in pack.frames] == [0, 0, 0.5, 0, 0, 0.5]
    decoded = rinrcodec.decode(pack, range(6))
    assert [tuple(image.shape) for image in decoded] == [
        (3, 20, 30 if i == 3 else 20) for i in range(6)
    ]
    grey = decoded[4]
    assert torch.equal(grey[0], grey[1])


def test_chunks_have_networks_of_their_own(sequence: list[Pixels]) -> None:
    pack = rinrcodec.encode(sequence, preset=quick(1, longest=4))
    assert [(f.background.row, f.time) for f in pack.frames] == [
        (0, 0.0),
        (0, 1 / 3),
        (0, 2 / 3),
        (1, 0.0),
        (1, 1 / 3),
        (1, 2 / 3),
    ]
    whole = torch.as_tensor(rinrcodec.decode(pack, range(6)))
    mixed = rinrcodec.decode(pack, [4, 1])
    assert torch.equal(mixed[0], whole[4])
    assert torch.equal(mixed[1], whole[1])


def test_packs_of_sequences_can_be_merged_and_cut(pack: Pack, sequence: list[Pixels]) -> None:
    other = rinrcodec.encode(
        [picture_from_array(sequence[0], name="other")], preset=quick(1), seed=5
    )
    merged = merge_packs([select_frames(pack, [4, 2]), other])
    assert torch.equal(rinrcodec.decode(merged, 1), rinrcodec.decode(pack, 2))
    assert torch.equal(rinrcodec.decode(merged, 2), rinrcodec.decode(other, 0))
    assert sum(info.n_rows for info in merged.groups) == 2


def test_objects_lower_the_error_in_their_boxes(sequence: list[Pixels]) -> None:
    boxes = [[Box(0, 2 + 5 * i, 18, 8, 8)] for i in range(6)]
    preset = quick(20)
    preset = replace(
        preset, objects=replace(preset.objects, recipe=replace(preset.objects.recipe, steps=300))
    )
    pack = rinrcodec.encode(sequence, boxes=boxes, preset=preset)
    assert all(frame.objects[0] is not None for frame in pack.frames)

    def inside(objects: bool) -> float:
        decoded = rinrcodec.decode(pack, range(6), objects=objects)
        crops = [
            (frame[18:26, 2 + 5 * i : 10 + 5 * i], image[:, 18:26, 2 + 5 * i : 10 + 5 * i])
            for i, (frame, image) in enumerate(zip(sequence, decoded, strict=True))
        ]
        reference = np.concatenate([a for a, _ in crops])
        return psnr(reference, np.concatenate([b.permute(1, 2, 0).numpy() for _, b in crops]))

    assert inside(True) > inside(False) + 5


def test_weights_that_stay_on_the_device_give_the_same(pack: Pack) -> None:
    decoder = rinrcodec.Decoder(pack, resident=True)
    assert torch.equal(decoder.decode(1), rinrcodec.decode(pack, 1))
    assert torch.equal(decoder.decode([4, 1])[1], rinrcodec.decode(pack, 1))


def test_a_frame_larger_than_its_network_is_refused(pack: Pack) -> None:
    frame = replace(pack.frames[0], width=46)
    with pytest.raises(RinrFormatError, match="46x30 from a network that gives 40x30"):
        rinrcodec.decode(replace(pack, frames=(frame,)), 0)


def test_an_object_of_a_sequence_family_is_refused(pack: Pack) -> None:
    frame = replace(pack.frames[0], boxes=(Box(0, 1, 1, 5, 5),), objects=(ObjectInr(InrRef(0, 0)),))
    with pytest.raises(RinrFormatError, match="codes backgrounds only"):
        rinrcodec.decode(replace(pack, frames=(frame,)), 0)


def test_a_grey_network_for_a_colour_frame_is_refused(make_picture: Callable[..., Pixels]) -> None:
    pack = rinrcodec.encode([make_picture(20, 20, grey=True)], preset=quick(1))
    frame = replace(pack.frames[0], mode="RGB")
    with pytest.raises(RinrFormatError, match="1 channels for a picture of mode RGB"):
        rinrcodec.decode(replace(pack, frames=(frame,)), 0)


def test_rows_must_fit_the_spec(pack: Pack) -> None:
    info = replace(pack.groups[0], n_params=7)
    with pytest.raises(RinrFormatError, match="the group says 7"):
        check_group(info)


def test_frames_that_no_network_covers_are_refused_before_anything_is_fitted(
    sequence: list[Pixels],
) -> None:
    wide = np.zeros((5, 21_000, 3), np.uint8)
    seen: list[float] = []
    with pytest.raises(RinrInputError, match="000006: a frame of 21000x5 is too large for the net"):
        rinrcodec.encode([*sequence, wide], preset=quick(1), on_progress=seen.append)
    assert not seen


def test_backgrounds_have_names() -> None:
    assert list(background_families()) == ["siren", "nerv", "pyramid", "av1"]
    with pytest.raises(RinrInputError, match="'jpeg': expected one of siren, nerv"):
        rinrcodec.encode([np.zeros((8, 8, 3), np.uint8)], background="jpeg")


def test_background_by_name(sequence: list[Pixels]) -> None:
    pack = rinrcodec.encode(sequence[:2], preset="fast", background="nerv", steps=1)
    assert pack.groups[0].spec.family == "nerv"
    assert pack.info["preset"] == "fast, nerv, 1 steps"


def test_progress_rises_to_one(sequence: list[Pixels]) -> None:
    seen: list[float] = []
    boxes = [[Box(0, 2, 2, 9, 9)]] * 6
    rinrcodec.encode(sequence, boxes=boxes, preset=quick(10), on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(seen) > 15
    assert seen[9] < 1  # the epochs are not all there is


def test_frames_are_computed_in_batches_of_one_size(pack: Pack) -> None:
    spec, rows = pack.stacks[0].spec, pack.stacks[0].rows
    weights = torch.tensor(rows.codes[0]).float() * 0.01
    frames = sequence_frames(spec, weights, [pack.frames[i] for i in (1, 4)])
    assert [tuple(frame.shape) for frame in frames] == [(30, 40, 3)] * 2
    assert Grid.of_frame(40, 30, region=(1, 2, 3, 4)).region == (1, 2, 3, 4)

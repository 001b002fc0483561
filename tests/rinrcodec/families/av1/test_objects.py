"""Objects in atlases of AV1: what they decode to, and which boxes have none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from av1_frames import decoded, encode
from av1_objects import (
    BOXES,
    COARSE,
    check,
    composed,
    objects_of,
    pictures_of,
    textured,
)
from numpy.typing import NDArray
from PIL import Image

import rinrcodec
from rinrcodec import Box, Region, Target
from rinrcodec.errors import RinrInputError
from rinrcodec.metrics import frame_quality
from rinrcodec.pack import Pack, merge_packs, select_frames
from rinrcodec.picture import Picture

rinrcodec.register_pillow()


@pytest.fixture(scope="module")
def mixed() -> tuple[list[Picture], Pack]:
    """RGB and grey frames of several sizes, one of them without boxes."""
    pictures = pictures_of([BOXES, (), BOXES[:1]])
    pictures += [
        replace(one, name=f"grey/{one.name}") for one in pictures_of([BOXES], 101, 67, grey=True)
    ]
    return pictures, encode(pictures, target=COARSE)


def test_residuals_are_added_to_the_background_exactly(mixed: tuple[list[Picture], Pack]) -> None:
    pictures, pack = mixed
    check(pack, pictures)
    assert [len(objects_of(frame)) for frame in pack.frames] == [3, 0, 1, 3]


def test_stills_share_an_atlas_by_their_channels(mixed: tuple[list[Picture], Pack]) -> None:
    _, pack = mixed
    rows = [{one.inr for one in objects_of(frame)} for frame in pack.frames]
    assert [len(its) for its in rows] == [1, 0, 1, 1]
    assert rows[0] == rows[2] != rows[3]
    assert all(one.gain == 1 for frame in pack.frames for one in objects_of(frame))


def test_a_region_is_cut_out_of_the_frame(mixed: tuple[list[Picture], Pack]) -> None:
    _, pack = mixed
    rng = np.random.default_rng(0)
    for i in (0, 3):
        whole, frame = decoded(pack, i), pack.frames[i]
        for _ in range(12):
            x, y = int(rng.integers(0, frame.width)), int(rng.integers(0, frame.height))
            w = int(rng.integers(1, frame.width - x + 1))
            h = int(rng.integers(1, frame.height - y + 1))
            region = Region(x, y, w, h)
            assert np.array_equal(decoded(pack, i, region=region), whole[region.slices])


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_scales_are_close_to_resampled_frames(
    mixed: tuple[list[Picture], Pack], scale: float
) -> None:
    _, pack = mixed
    for i in (0, 3):
        whole = decoded(pack, i)
        got = decoded(pack, i, scale=scale)
        size = got.shape[1], got.shape[0]
        resized = np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BILINEAR))
        difference = np.abs(got.astype(int) - resized)
        assert difference.mean() < 1.5
        without = np.abs(decoded(pack, i, scale=scale, objects=False).astype(int) - resized)
        assert difference.mean() < without.mean() / 2


def test_packs_and_files_decode_alike(mixed: tuple[list[Picture], Pack], tmp_path: Path) -> None:
    pictures, pack = mixed
    path = tmp_path / "a.rinr"
    rinrcodec.save(pack, path)
    with rinrcodec.open(path) as file, Image.open(path) as image:
        for i in (3, 0, 2, 1):
            assert np.array_equal(decoded(pack, i), _array(file[i], pictures[i]))
            assert file.frame(i).objects == pack.frames[i].objects
            image.seek(i)
            assert np.array_equal(np.asarray(image), decoded(pack, i))


def _array(pixels: torch.Tensor, picture: Picture) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = pixels.permute(1, 2, 0).numpy()
    return array[..., 0] if picture.pixels.ndim == 2 else array


def test_selected_and_merged_frames_keep_their_cells(mixed: tuple[list[Picture], Pack]) -> None:
    _, pack = mixed
    some = select_frames(pack, [2, 0])
    both = merge_packs([some, select_frames(pack, [3])])
    for new, old in enumerate([2, 0, 3]):
        cells = [one.cell for one in objects_of(both.frames[new])]
        assert cells == [one.cell for one in objects_of(pack.frames[old])]
        assert np.array_equal(decoded(both, new), decoded(pack, old))


@pytest.mark.parametrize(
    "boxes",
    [
        [Box(0, 3, 5, 1, 1), Box(0, 95, 63, 1, 1), Box(0, 10.2, 10.2, 0.5, 30)],
        [Box(0, 0, 0, 96, 64)],
        [Box(0, -9, -9, 30, 30), Box(0, 80, 50, 99, 99), Box(0, 200, 0, 9, 9)],
        [Box(0, 10, 10, 40, 40), Box(0, 20, 15, 60, 30), Box(0, 25, 20, 5, 5)],
        [Box(0, 10, 10, 21, 17), Box(1, 10, 10, 21, 17)],
        [Box(0, 33.3, 11.1, 0, 9), Box(0, 33, 11, 17, 9)],
    ],
    ids=["pixels", "frame", "outside", "nested", "equal", "empty"],
)
def test_boxes_of_all_kinds(boxes: list[Box]) -> None:
    pictures = pictures_of([boxes])
    check(encode(pictures, target=COARSE), pictures)


def test_many_boxes_in_a_frame() -> None:
    rng = np.random.default_rng(0)
    boxes = [
        Box(0, *(float(v) for v in rng.uniform(0, (88, 56))), *map(float, rng.uniform(1, 12, 2)))
        for _ in range(200)
    ]
    pictures = pictures_of([boxes])
    pack = encode(pictures, target=COARSE)
    assert np.array_equal(decoded(pack, 0), composed(pack, 0))
    assert len({one.inr for one in objects_of(pack.frames[0])}) == 1


@pytest.mark.parametrize("background", ["siren", "nerv"])
def test_residuals_on_top_of_networks(background: str) -> None:
    pictures = pictures_of([BOXES, BOXES[:2]])
    pictures = [replace(one, name=f"a/{k}") for k, one in enumerate(pictures)]
    target = Target(objects_quality=70)
    pack = encode(pictures, background=background, objects="av1", steps=3, target=target)
    for i, picture in enumerate(pictures):
        assert objects_of(pack.frames[i])
        quality = frame_quality(picture.pixels, decoded(pack, i), picture.boxes)
        assert quality.objects is not None
        assert quality.objects > 30


def test_objects_none_gives_no_objects() -> None:
    pictures = pictures_of([BOXES])
    pack = encode(pictures, objects="none", target=Target(quality=5))
    assert pack.frames[0].objects == (None,) * 3
    assert len(pack.stacks) == 1


@pytest.mark.parametrize("wanted", [28.0, 34.0, 40.0])
def test_a_psnr_inside_the_boxes_is_reached(wanted: float) -> None:
    pictures = pictures_of([BOXES[:2], BOXES[1:], BOXES[:1]])
    pack = encode(pictures, target=Target(quality=5, objects_psnr=wanted))
    rows = {one.inr for frame in pack.frames for one in objects_of(frame)}
    assert len(rows) == 1
    values = [
        frame_quality(picture.pixels, decoded(pack, i), picture.boxes).objects or 0
        for i, picture in enumerate(pictures)
    ]
    mean = sum(values) / len(values)
    assert mean >= wanted - 0.1
    assert mean < wanted + 1.5


def test_an_object_that_the_background_shows_takes_no_bytes() -> None:
    pixels = textured(96, 64)
    pixels[:, 48:] = 90
    flat, rough = Box(0, 60, 20, 20, 20), Box(1, 8, 20, 20, 20)
    pack = encode([Picture("a", pixels, (flat, rough))], target=Target(quality=10, objects_psnr=32))
    assert pack.frames[0].objects[0] is None
    assert pack.frames[0].objects[1] is not None
    pack = encode([Picture("a", pixels, (flat,))], target=Target(quality=10, objects_psnr=32))
    assert len(pack.stacks) == 1


def test_reused_backgrounds_get_objects() -> None:
    (picture,) = pictures_of([BOXES])
    ground = encode([picture], objects="none", target=Target(quality=5))
    pack = encode([picture], reuse=ground, target=Target(objects_quality=70))
    assert np.array_equal(decoded(pack, 0, objects=False), decoded(ground, 0))
    check(pack, [picture])
    moved = replace(picture, boxes=BOXES[:1])
    again = encode([moved], reuse=pack, target=Target(objects_quality=70))
    check(again, [moved])
    assert sum(len(group.rows.coded) for group in again.stacks) == 2


@pytest.mark.parametrize("target", [Target(psnr=30), Target(n_bytes=900), Target(quality=9)])
def test_reused_backgrounds_take_no_target_of_their_own(target: Target) -> None:
    (picture,) = pictures_of([BOXES])
    ground = encode([picture], objects="none")
    with pytest.raises(RinrInputError, match="the backgrounds are kept as they are"):
        encode([picture], reuse=ground, target=target)


@pytest.mark.parametrize("device", ["cpu", "auto", "cpu:0", torch.device("cpu")])
def test_objects_are_decoded_on_any_device(
    mixed: tuple[list[Picture], Pack], device: str | torch.device
) -> None:
    _, pack = mixed
    assert torch.equal(
        rinrcodec.decode(pack, 0, device=device).cpu(), rinrcodec.decode(pack, 0, device="cpu")
    )

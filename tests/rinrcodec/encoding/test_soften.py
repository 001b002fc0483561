"""Frames that are blurred outside of their boxes before they are encoded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rinrcodec
from rinrcodec import Box, Picture, RinrInputError, Target
from rinrcodec.datasets.options import CompressOptions
from rinrcodec.encoding.soften import softened
from rinrcodec.errors import RinrUsageError
from rinrcodec.presets import get_preset

NOISE = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
BOX = Box(0, 40, 30, 24, 20)
PICTURE = Picture("noise", NOISE, boxes=(BOX,))


@pytest.mark.parametrize("sigma", [0.5, 1.5, 6.0])
@pytest.mark.parametrize("pixels", [NOISE, NOISE[..., 0]], ids=["RGB", "grey"])
def test_boxes_stay_and_the_rest_is_blurred(sigma, pixels):
    boxes = (BOX, Box(0, 100, 80, 2, 1), Box(0, -3, -3, 6, 6), Box(0, 50, 50, 0, 0))
    picture = replace(PICTURE, pixels=np.ascontiguousarray(pixels), boxes=boxes)
    soft = softened(picture, sigma)
    for box in boxes[:3]:
        region = box.region(picture.width, picture.height)
        assert np.array_equal(soft.pixels[region.slices], pixels[region.slices])
    far = np.s_[70:, :20]
    assert soft.pixels[far].std() < 0.9 * pixels[far].std()
    assert (soft.boxes, soft.name) == (picture.boxes, picture.name)


@pytest.mark.parametrize(
    ("picture", "sigma"),
    [(PICTURE, 0), (replace(PICTURE, labelled=False), 2.0), (replace(PICTURE, boxes=()), 2.0)],
)
def test_a_picture_whose_objects_are_not_known_stays(picture, sigma):
    assert softened(picture, sigma) is picture


def test_a_softened_frame_takes_fewer_bytes_and_keeps_its_objects():
    settings = {"preset": "fast", "gop": 1, "target": Target(quality=40, objects_quality=80)}
    sizes, errors = [], []
    for soften in (None, 3.0):
        pack = rinrcodec.encode([PICTURE], soften=soften, **settings)
        decoded = rinrcodec.Decoder(pack).pixels(0)
        region = BOX.region(128, 96).slices
        errors.append(np.square(decoded[region].astype(float) - NOISE[region]).mean())
        sizes.append(sum(len(row) for group in pack.stacks for row in group.rows.coded))
    assert sizes[1] < 0.7 * sizes[0]
    assert errors[1] < 1.2 * errors[0]
    assert pack.info["preset"].endswith("softened 3")


@pytest.mark.parametrize("soften", [-1, 65, float("nan"), True, "1"])
def test_an_impossible_blur_is_refused(soften):
    with pytest.raises(RinrInputError, match="expected 0 to 64 pixels"):
        get_preset("fast", soften=soften)


def test_a_blurred_background_has_no_psnr_to_ask_for():
    with pytest.raises(
        RinrInputError, match="a target PSNR of the background and soften: a blurred background"
    ):
        rinrcodec.encode([PICTURE], preset="fast", soften=2, target=Target(psnr=30))


def test_no_blur_is_no_change_of_the_preset():
    preset = get_preset("fast")
    assert preset.with_soften(0) is preset


def test_backgrounds_that_are_kept_cannot_be_blurred():
    pack = rinrcodec.encode([PICTURE], preset="fast", objects="none")
    with pytest.raises(RinrInputError, match="reuse with soften=2"):
        rinrcodec.encode([PICTURE], preset="fast", reuse=pack, soften=2)


@pytest.mark.parametrize(
    ("with_boxes", "without", "said"),
    [
        (0, 1, "soften: the picture has no boxes, so nothing is blurred"),
        (0, 3, "soften: none of the pictures has boxes, so nothing is blurred"),
        (2, 1, "soften: 1 of 3 pictures has no boxes and is not blurred"),
        (3, 2, "soften: 2 of 5 pictures have no boxes and are not blurred"),
    ],
)
def test_encode_warns_of_pictures_that_stay_sharp(with_boxes, without, said):
    pictures = [replace(PICTURE, name=str(i)) for i in range(with_boxes + without)]
    # The labels of some of these cannot be understood.
    for number in range(without):
        pictures[number] = replace(pictures[number], boxes=(), labelled=number % 2 == 0)
    with pytest.warns(UserWarning, match="^soften: ") as caught:
        pack = rinrcodec.encode(pictures, preset="fast", gop=1, soften=2)
    assert [str(one.message) for one in caught] == [said]
    assert caught[0].filename == __file__
    assert pack.n_frames == len(pictures)


def test_a_preset_with_a_blur_warns_too():
    preset = get_preset("fast", soften=2)
    with pytest.warns(UserWarning, match="the picture has no boxes"):
        rinrcodec.encode([NOISE], preset=preset)


@pytest.mark.parametrize("soften", [None, 0])
def test_pictures_without_boxes_and_without_a_blur_give_no_warning(soften):
    assert rinrcodec.encode([NOISE], preset="fast", soften=soften).n_frames == 1


def test_boxes_of_the_call_count_in_place_of_those_of_the_pictures():
    bare = replace(PICTURE, boxes=())
    assert rinrcodec.encode([bare], boxes=[[BOX]], preset="fast", soften=2).n_frames == 1
    with pytest.warns(UserWarning, match="the picture has no boxes"):
        rinrcodec.encode([PICTURE], boxes=[[]], preset="fast", soften=2)


def test_refused_options_are_an_error_without_a_warning():
    bare = replace(PICTURE, boxes=())
    pack = rinrcodec.encode([bare], preset="fast", objects="none")
    with pytest.raises(RinrInputError, match="reuse with soften=2"):
        rinrcodec.encode([bare], preset="fast", reuse=pack, soften=2)


def test_compress_needs_labels_to_soften():
    given = dict.fromkeys(["objects", "steps", "gop", "target", "jobs", "ray_address"])
    with pytest.raises(RinrUsageError, match="without labels there are none"):
        CompressOptions(
            **given, preset="fast", background="av1", layout="pack", shard_size=1, device="cpu",
            seed=0, executor="local", resume=False, overwrite=False, soften=1.0, labels="none",
        )  # fmt: skip

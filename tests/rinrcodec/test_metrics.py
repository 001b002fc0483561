from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from rinrcodec.boxes import Box
from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.metrics import (
    Quality,
    frame_bytes,
    frame_quality,
    mean_db,
    mean_quality,
    object_mask,
    psnr,
    ssim,
)
from rinrcodec.pack import Frame, Group, InrRef, ObjectInr, Pack, Rows, Spec


def picture(height: int = 20, width: int = 30, *, channels: int = 3, seed: int = 0):
    shape = (height, width, channels) if channels == 3 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_equal_pictures_have_infinite_psnr():
    assert psnr(picture(), picture()) == math.inf


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_of_a_uniform_error_of_five(channels):
    reference = np.full_like(picture(channels=channels), 100)
    assert psnr(reference, reference + np.uint8(5)) == pytest.approx(34.1514, abs=1e-4)


def test_black_against_white_is_zero_db_and_does_not_wrap():
    black = np.zeros((4, 4, 3), np.uint8)
    white = np.full((4, 4, 3), 255, np.uint8)
    assert psnr(black, white) == 0.0
    assert psnr(white, black) == 0.0


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_agrees_with_floating_point(channels):
    a, b = picture(channels=channels), picture(channels=channels, seed=1)
    mse = np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)
    assert psnr(a, b) == pytest.approx(10 * np.log10(255**2 / mse), abs=1e-9)


def test_a_large_error_sum_does_not_overflow():
    shape = (700, 700, 3)  # 700 * 700 * 3 * 255**2 is far over 2**31
    assert psnr(np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)) == 0.0


def test_mask_is_the_union_of_the_regions():
    boxes = [Box(0, 1.5, 2.0, 3.0, 2.0), Box(1, 3.0, 3.0, 3.0, 3.0), Box(2, 50.0, 50.0, 4.0, 4.0)]
    mask = object_mask(boxes, 10, 8)
    expected = np.zeros((8, 10), bool)
    expected[2:4, 1:5] = True
    expected[3:6, 3:6] = True
    np.testing.assert_array_equal(mask, expected)


def test_errors_are_told_apart_by_place():
    reference = np.full((10, 10, 3), 100, np.uint8)
    decoded = reference.copy()
    decoded[2:4, 2:4] += 10
    decoded[0, 0] += 1
    quality = frame_quality(reference, decoded, [Box(0, 2, 2, 2, 2)])
    assert quality.objects == pytest.approx(psnr(reference[2:4, 2:4], decoded[2:4, 2:4]))
    assert quality.background == pytest.approx(10 * math.log10(255**2 * 96 / 1))
    assert quality.frame == pytest.approx(psnr(reference, decoded))


def test_a_pixel_in_two_boxes_counts_once():
    reference, decoded = picture(), picture(seed=1)
    once = frame_quality(reference, decoded, [Box(0, 3, 3, 8, 8)])
    twice = frame_quality(reference, decoded, [Box(0, 3, 3, 8, 8), Box(1, 5, 5, 2, 2)])
    assert once == twice


def test_parts_without_pixels_are_none():
    reference, decoded = picture(channels=1), picture(channels=1, seed=1)
    empty = frame_quality(reference, decoded, [Box(0, 3, 3, 0, 5)])
    assert empty.objects is None
    assert empty.background == empty.frame
    full = frame_quality(reference, decoded, [Box(0, -1, -1, 99, 99)])
    assert full.background is None
    assert full.objects == full.frame


def test_means_are_means_of_db_over_the_frames_that_have_the_part():
    frames = [Quality(20.0, 30.0, None), Quality(30.0, None, None), Quality(40.0, 36.0, 25.0)]
    assert mean_quality(frames) == Quality(30.0, 33.0, 25.0)
    assert mean_db([None]) is None
    assert mean_db([30.0, math.inf]) == 65.0
    assert mean_db([math.inf]) == 100.0
    with pytest.raises(RinrInputError, match="no frames"):
        mean_quality([])


@pytest.mark.parametrize(
    ("reference", "decoded", "message"),
    [
        (picture(), picture().astype(np.int16), "uint8"),
        (picture(), picture(21), "one shape"),
        (picture(), picture(channels=1), "one shape"),
        (picture()[..., :2], picture()[..., :2], r"\[H, W, 3\]"),
        (picture()[:0], picture()[:0], r"\[H, W, 3\]"),
    ],
)
def test_pictures_that_do_not_match_are_refused(reference, decoded, message):
    with pytest.raises(RinrInputError, match=message):
        psnr(reference, decoded)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_of_equal_pictures_is_one_and_of_flat_ones_that_of_the_formula(channels):
    reference = picture(channels=channels)
    assert ssim(reference, reference) == pytest.approx(1)
    dark, light = np.full_like(reference, 50), np.full_like(reference, 80)
    constant = (0.01 * 255) ** 2
    wanted = (2 * 50 * 80 + constant) / (50**2 + 80**2 + constant)
    assert ssim(dark, light) == pytest.approx(wanted)


def test_ssim_needs_a_window_and_pictures_of_one_shape():
    assert ssim(picture(10, 30), picture(10, 30)) is None
    assert ssim(picture(11, 11), picture(11, 11, seed=1)) < 0.5
    with pytest.raises(RinrInputError, match="one shape"):
        ssim(picture(20, 30), picture(20, 31))


def test_ssim_without_scikit_image_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(MissingExtraError, match="scikit-image is not installed; run: pip install"):
        ssim(picture(), picture())


def test_a_frame_costs_its_own_rows_its_share_of_others_and_of_the_rest():
    def group(bits: int, rows: int, params: int) -> Group:
        dtype = np.int8 if bits == 8 else np.int16
        codes = Rows(np.zeros((rows, params), dtype), np.ones((rows, 2), np.float32))
        return Group(Spec.of("siren", depth=params), bits, codes)

    box = Box(0, 1, 1, 2, 2)
    inr = ObjectInr(InrRef(1, 0))
    frames = (
        Frame("a", 8, 8, InrRef(0, 0), boxes=(box, box), objects=(inr, None)),
        Frame("b", 8, 8, InrRef(0, 0)),
        Frame("c", 8, 8, InrRef(0, 1)),
    )
    pack = Pack(frames, (group(8, 2, 100), group(16, 1, 10)))
    # A background has 100 bytes and 4 of scales, the object INR 20 and 4.
    assert frame_bytes(pack, 52 + 24 + 52 + 104 + 300) == [52 + 24 + 100, 52 + 100, 104 + 100]
    # Weights that were compressed well: no frame costs less than nothing.
    assert frame_bytes(pack, 58) == pytest.approx([76 / 4, 52 / 4, 104 / 4])


def test_coded_bytes_are_those_of_the_rows_that_a_frame_uses():
    """Rows of 100, 30 and 0 bytes, the first for two frames, and an object INR on top of one."""
    nothing = np.zeros((3, 0))
    coded = Rows(nothing.astype(np.int8), nothing.astype(np.float32), (b"x" * 100, b"y" * 30, b""))
    pyramid = Group(Spec.of("pyramid", out=3, start="a"), 8, coded)
    inr = Rows(np.zeros((1, 10), np.int16), np.ones((1, 2), np.float32))
    box = Box(0, 1, 1, 2, 2)
    frames = (
        Frame("a", 8, 8, InrRef(0, 0)),
        Frame("b", 8, 8, InrRef(0, 0), "RGB", (box,), (ObjectInr(InrRef(1, 0)),), time=1.0),
        Frame("c", 8, 8, InrRef(0, 1)),
        Frame("d", 8, 8, InrRef(0, 2)),
    )
    pack = Pack(frames, (pyramid, Group(Spec.of("siren", depth=10), 16, inr)))
    weights = [50, 50 + 24, 30, 0]
    assert frame_bytes(pack, sum(weights) + 400) == [n_bytes + 100 for n_bytes in weights]
    assert frame_bytes(pack, 77) == pytest.approx([n_bytes / 2 for n_bytes in weights])

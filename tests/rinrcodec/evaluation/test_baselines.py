from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.baselines import (
    CROP_HEADER_BYTES,
    QualityScan,
    available_codecs,
    best_composite,
    composite,
    decode_picture,
    encode_picture,
)
from rinrcodec.metrics import frame_quality, psnr


@pytest.fixture(scope="module")
def picture():
    """A smooth picture with a sharp patch, uint8 [96, 128, 3]."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    pixels = np.array(coarse.resize((128, 96), Image.Resampling.BICUBIC))
    pixels[40:64, 50:82] = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    return pixels


@pytest.mark.parametrize("codec", available_codecs())
def test_nearest_comes_close_to_the_wanted_size_and_more_bytes_are_better(picture, codec):
    scan = QualityScan(codec, picture)
    small, large = scan.nearest(2000), scan.nearest(3000)
    assert small.n_bytes == pytest.approx(2000, rel=0.1)
    assert large.n_bytes == pytest.approx(3000, rel=0.1)
    assert psnr(picture, small.pixels) < psnr(picture, large.pixels)


def test_an_impossible_size_gives_the_smallest_file(picture):
    smallest = QualityScan("jpeg", picture).nearest(1)
    assert smallest.quality == 1
    assert smallest.n_bytes > 1


def test_a_quality_gives_the_file_that_pillow_writes(picture):
    coded = QualityScan("jpeg", picture).at_quality(50)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=50, optimize=True, progressive=True)
    assert (coded.codec, coded.quality, coded.n_bytes) == ("jpeg", 50, len(buffer.getvalue()))
    with Image.open(buffer) as image:
        assert np.array_equal(coded.pixels, np.asarray(image))
    for quality in (0, 101):
        with pytest.raises(RinrInputError, match="expected 1 to 100"):
            QualityScan("jpeg", picture).at_quality(quality)


def test_every_setting_has_its_qualities(picture):
    scan = QualityScan("jpeg", picture)
    halved, full = (scan.at_quality(50, setting=setting) for setting in (0, 1))
    assert halved.n_bytes < full.n_bytes
    assert psnr(picture, halved.pixels) < psnr(picture, full.pixels)


def test_the_smallest_that_is_good_enough(picture):
    """No file of either setting that reaches 30 dB is smaller."""
    scan = QualityScan("jpeg", picture)
    coding = scan.smallest(lambda coded: psnr(picture, coded.pixels) >= 30)
    every = [scan.at_quality(q, setting=setting) for q in range(1, 101) for setting in (0, 1)]
    good = [coded.n_bytes for coded in every if psnr(picture, coded.pixels) >= 30]
    assert 0 < len(good) < len(every)
    assert coding.n_bytes == min(good)
    assert psnr(picture, coding.pixels) >= 30


def test_where_nothing_is_good_enough_the_highest_quality_is_taken(picture):
    coding = QualityScan("jpeg", picture).smallest(lambda _: False)
    assert (coding.quality, coding.n_bytes) == (
        100,
        QualityScan("jpeg", picture).at_quality(100).n_bytes,
    )


def test_grey_pictures_stay_grey(picture):
    assert QualityScan("webp", picture[..., 0].copy()).nearest(2000).pixels.shape == (96, 128)


@pytest.mark.skipif("avif" not in available_codecs(), reason="Pillow has no AVIF")
def test_avif_files_of_grey_pictures_have_no_chroma(picture):
    grey = picture[..., 0].copy()
    with_chroma = io.BytesIO()
    Image.fromarray(grey).save(
        with_chroma, "AVIF", quality=30, speed=6, subsampling="4:4:4", advanced={"tune": "psnr"}
    )
    file = encode_picture("avif", grey, 30)
    assert len(file) < len(with_chroma.getvalue())
    assert psnr(grey, decode_picture(file, "L")) > 25


@pytest.mark.skipif("avif" not in available_codecs(), reason="Pillow has no AVIF")
def test_a_scan_and_its_parts_have_the_tune_that_was_asked_for(picture):
    region = Box(0, 0, 0, 40, 40).region(128, 96)
    scans = [QualityScan("avif", picture), QualityScan("avif", picture, avif_tune="ssim")]
    for scan, tune in zip(scans, ("psnr", "ssim"), strict=True):
        part = scan.part("avif", region)
        for one in (scan, part):
            alone = encode_picture("avif", one.pixels, 40, avif_tune=tune)
            assert one.size(40) == len(alone)
    assert scans[0].size(40) != scans[1].size(40)
    default = encode_picture("avif", picture, 40, avif_tune=None)
    assert decode_picture(default, "RGB").shape == picture.shape


def test_crops_lift_the_objects_of_a_composite(picture):
    boxes = [Box(0, 50, 40, 32, 24), Box(0, 200, 0, 9, 9), Box(0, 3, 3, 0, 0)]
    scan = QualityScan("jpeg", picture)
    plain = scan.nearest(4000)
    pasted = composite(scan, boxes, 4000, object_share=0.6)
    assert pasted.n_bytes == pytest.approx(4000, rel=0.12)
    without = frame_quality(picture, plain.pixels, boxes)
    lifted = frame_quality(picture, pasted.pixels, boxes)
    assert lifted.objects > without.objects + 1
    assert lifted.background < without.background


def test_a_composite_without_boxes_is_the_frame(picture):
    scan = QualityScan("jpeg", picture)
    pasted = composite(scan, [], 4000, object_share=0.5)
    assert pasted.n_bytes == scan.nearest(4000).n_bytes
    np.testing.assert_array_equal(pasted.pixels, scan.nearest(4000).pixels)


def test_crops_pay_for_their_headers(picture):
    scan = QualityScan("jpeg", picture)
    tiny = composite(scan, [Box(0, 0, 0, 1, 1)], 1, object_share=0.0)
    assert tiny.n_bytes > scan.nearest(1).n_bytes + CROP_HEADER_BYTES


def test_unknown_codecs_and_shares_are_refused(picture):
    with pytest.raises(RinrInputError, match="no codec 'bpg'"):
        QualityScan("bpg", picture)
    with pytest.raises(RinrInputError, match="object_share"):
        composite(QualityScan("jpeg", picture), [], 100, object_share=1.5)


def test_the_best_composite_keeps_the_wanted_background_and_spends_the_rest_on_objects(picture):
    boxes = [Box(0, 50, 40, 32, 24)]
    scan = QualityScan("jpeg", picture)
    modest, strict = (
        frame_quality(
            picture, best_composite(scan, boxes, 4000, background_psnr=least).pixels, boxes
        )
        for least in (20.0, 34.0)
    )
    assert modest.background >= 20.0
    assert strict.background >= 34.0
    assert modest.objects > strict.objects
    unreachable = best_composite(scan, boxes, 4000, background_psnr=99.0)
    assert frame_quality(picture, unreachable.pixels, boxes).background >= strict.background


def test_the_best_composite_is_not_larger_than_wanted_where_one_is_not(picture):
    boxes = [Box(0, 50, 40, 32, 24)]
    scan = QualityScan("webp", picture)
    smallest = scan.nearest(1).n_bytes
    # At this size a frame of the lowest quality and large crops would have the sharpest objects.
    wanted = smallest + 300
    assert composite(scan, boxes, wanted, object_share=0.8).n_bytes > 1.05 * wanted
    assert best_composite(scan, boxes, wanted, background_psnr=None).n_bytes <= 1.05 * wanted
    sizes = [composite(scan, boxes, 50, object_share=s).n_bytes for s in (0.05, 0.8)]
    assert best_composite(scan, boxes, 50, background_psnr=None).n_bytes <= min(sizes)

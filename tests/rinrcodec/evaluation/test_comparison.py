"""Our frames against those of other codecs: at equal bytes, at a size, and their means."""

from __future__ import annotations

import numpy as np
import pytest

from rinrcodec.boxes import Box
from rinrcodec.evaluation.baselines import QualityScan, available_codecs
from rinrcodec.evaluation.comparison import (
    OURS,
    Comparison,
    at_equal_bytes,
    at_size,
    method_label,
    summary,
)
from rinrcodec.metrics import Quality, frame_quality
from rinrcodec.picture import Picture


@pytest.fixture
def picture(make_picture):
    return Picture("a.png", make_picture(128, 96), (Box(0, 50, 40, 32, 24),))


@pytest.fixture
def scans(picture):
    return {codec: QualityScan(codec, picture.pixels) for codec in available_codecs()}


def test_every_codec_comes_at_about_the_same_bytes_with_the_composite_last(picture, scans):
    for coded in (
        at_equal_bytes(picture, scans, 1500.4, background_psnr=None),
        at_size(picture, scans, 1500),
    ):
        assert [one.codec for one in coded] == [*available_codecs(), "composite"]
        for one in coded[:-1]:
            assert one.n_bytes == scans[one.codec].nearest(1500).n_bytes


def test_a_comparison_has_the_quality_of_the_decoded_picture(picture, scans):
    coded = scans["jpeg"].nearest(1500)
    one = Comparison.of_coded(picture, coded, "1500")
    quality = frame_quality(picture.pixels, coded.pixels, picture.boxes)
    assert (one.frame, one.method, one.against) == ("a.png", "jpeg", "1500")
    assert (one.psnr, one.background_psnr, one.object_psnr) == (
        quality.frame, quality.background, quality.objects,
    )  # fmt: skip
    assert one.bpp == 8 * coded.n_bytes / (128 * 96)


def test_means_are_by_method_in_order_of_appearance():
    small = Picture("s", np.zeros((10, 10, 3), np.uint8))
    comparisons = [
        Comparison.of(small, OURS, "x", 100, Quality(30.0, 32.0, None)),
        Comparison.of(small, "jpeg", "x", 120, Quality(20.0, 22.0, None)),
        Comparison.of(small, OURS, "x", 200, Quality(40.0, 42.0, 10.0)),
    ]
    (ours, n_bytes, bpp, quality), (other, *_) = summary(comparisons)
    assert (ours, other) == (OURS, "jpeg")
    assert (n_bytes, bpp) == (150, 12)
    assert quality == Quality(35.0, 37.0, 10.0)
    assert summary([]) == []


def test_labels_are_names_that_readers_know():
    assert [method_label(method) for method in (OURS, "jpeg", "webp", "avif")] == [
        "rinrcodec", "JPEG", "WebP", "AVIF",
    ]  # fmt: skip
    assert method_label("composite") == f"{method_label(available_codecs()[-1])} + crops"
    with pytest.raises(KeyError):
        method_label("bpg")

"""The rungs of other codecs, and the JSON of a rung."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from rinrcodec.boxes import Box
from rinrcodec.evaluation.baselines import QualityScan
from rinrcodec.evaluation.rungs import Measured, Rung, low_quality_jpeg, rung_as_json
from rinrcodec.metrics import Quality
from rinrcodec.picture import Picture


@pytest.fixture(scope="module")
def pictures(make_picture):
    boxes = (Box(0, 10.5, 7.25, 20, 18),)
    grey = Picture("b.png", make_picture(64, 48, 1, grey=True))
    return [Picture("a.png", make_picture(80, 56, 0), boxes), grey]


def test_low_quality_jpeg_is_quality_50(pictures):
    rung = low_quality_jpeg(pictures)
    wanted = [QualityScan("jpeg", picture.pixels).at_quality(50).n_bytes for picture in pictures]
    assert [frame.n_bytes for frame in rung.frames] == wanted
    assert (rung.family, rung.name, rung.seconds, rung.file) == ("", "jpeg q50", None, None)


def test_labels_name_the_family_where_there_is_one():
    frames = (Measured("a", 1.0, Quality(30.0, None, None), None),)
    for family, name, label in (
        ("siren", "QRE", "siren QRE"),
        ("nerv", "avif", "avif at nerv QRE"),
        ("", "jpeg q50", "jpeg q50"),
    ):
        assert Rung(family, name, frames, 1.0).label == label


def test_json_has_no_infinity_and_no_folder(tmp_path):
    exact = Measured("a.png", 10.0, Quality(math.inf, 40.0, None), 1.0)
    tiny = Measured("b.png", 30.0, Quality(20.0, 20.0, 10.0), None)
    rung = Rung("siren", "RE", (exact, tiny), 20.0, 4.0, 0.5, tmp_path / "siren-RE.rinr")
    assert rung.ssim == 1.0
    values = json.loads(json.dumps(rung_as_json(rung), allow_nan=False))
    assert values["row"] == "siren RE"
    assert values["file"] == "siren-RE.rinr"
    assert (values["psnr_frame"], values["psnr_objects"]) == (60.0, 10.0)
    assert [one["psnr_frame"] for one in values["frames"]] == [100.0, 20.0]
    assert values["frames"][0]["psnr_objects"] is None


def test_pictures_too_small_for_ssim_have_none():
    small = Picture("s.png", np.zeros((4, 4, 3), np.uint8))
    assert low_quality_jpeg([small]).ssim is None

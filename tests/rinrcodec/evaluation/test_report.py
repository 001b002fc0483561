"""A report from Python, without the command line: figures, advice, a fog, and JSON."""

from __future__ import annotations

import doctest
import json
from dataclasses import replace

import numpy as np
import pytest

from rinrcodec.boxes import Box
from rinrcodec.evaluation import measure as measure_module
from rinrcodec.evaluation.comparison import OURS
from rinrcodec.evaluation.measure import measure
from rinrcodec.evaluation.report import codec_options, fog_scenario, make_report, report_as_json
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset


@pytest.fixture(scope="module")
def figures(make_picture):
    pictures = [
        Picture("a.png", make_picture(48, 32, 0), (Box(0, 10, 8, 16, 12),)),
        Picture("b.png", make_picture(48, 32, 1)),
        Picture("c.png", make_picture(48, 32, 2)),
    ]
    done = []
    preset = get_preset("fast", steps=2)
    measured = measure(pictures, preset, compared=[0, 2], device="cpu", on_compared=done.append)
    assert done == [1, 2]
    return measured


@pytest.fixture
def report(figures):
    return make_report(
        figures, name="here", n_source_frames=3, bandwidth=2e6, devices=4, remarks=["Note this."]
    )


def test_only_the_compared_frames_count(figures):
    assert [frame.picture.name for frame in figures.frames] == ["a.png", "c.png"]
    assert figures.source == "JPEGs of quality 95"
    assert figures.source_bytes == sum(frame.source_bytes for frame in figures.frames)
    assert figures.has_objects
    for frame in figures.frames:
        assert frame.comparisons[0].method == OURS
        assert [one.method for one in frame.comparisons] == [c.codec for c in frame.coded]
    mean = figures.means()["jpeg"]
    assert mean.psnr == pytest.approx(
        np.mean([one.psnr for f in figures.frames for one in f.comparisons if one.method == "jpeg"])
    )


def test_options_are_the_means_and_only_ours_needs_a_fog(figures):
    options = codec_options(figures)
    assert options.keys() == figures.means().keys()
    assert [method for method, option in options.items() if option.at_fog] == [OURS]
    share = figures.means()["jpeg"].n_bytes * 2 / figures.source_bytes
    assert options["jpeg"].codec.alpha == pytest.approx(share)


def test_the_fog_is_beside_the_best_codec_that_needs_none(figures):
    options = codec_options(figures)
    better = replace(options["jpeg"], objects=99.0)
    scenario, methods = fog_scenario(figures, {**options, "jpeg": better}, devices=4)
    assert methods == (OURS, "jpeg")
    assert len(scenario.devices) == 4
    assert [codec.name for codec in scenario.others] == ["JPEG"]


def test_remarks_are_the_last_reasons(report):
    assert report.advice.reasons[-1] == "Note this."
    assert len(report.advice.reasons) > 1


def test_json_has_all_figures_and_no_infinity(report, figures):
    values = json.loads(json.dumps(report_as_json(report), allow_nan=False))
    assert values["advice"]["reasons"][-1] == "Note this."
    assert values["advice"]["bands"][-1]["below"] is None
    assert [row["method"] for row in values["means"]] == list(figures.means())
    assert len(values["curves"]) == sum(map(len, figures.curves.values()))
    assert [frame["boxes"] for frame in values["frames"]] == [1, 0]
    assert values["frames"][1]["equal_bytes"][0]["psnr_objects"] is None
    assert values["made"] == {}
    assert len(values["fog"]["devices"]) == 4


def test_the_examples_run():
    result = doctest.testmod(measure_module)
    assert result.failed == 0
    assert result.attempted > 0

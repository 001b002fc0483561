"""A report from Python, without the command line: figures, advice, a fog, and JSON."""

from __future__ import annotations

import doctest
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from rinrcodec.boxes import Box
from rinrcodec.evaluation import measure as measure_module
from rinrcodec.evaluation.backgrounds import measure_pack
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
    preset = replace(get_preset("fast", steps=2, objects="siren"), min_gain=-math.inf)
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


def test_options_are_the_means_and_only_ours_with_its_object_networks_needs_a_fog(figures):
    assert figures.at_fog
    options = codec_options(figures)
    assert options.keys() == figures.means().keys()
    assert [method for method, option in options.items() if option.at_fog] == [OURS]
    share = figures.means()["jpeg"].n_bytes * 2 / figures.source_bytes
    assert options["jpeg"].codec.alpha == pytest.approx(share)


def test_without_networks_devices_encode_ours_too(figures):
    figures = replace(figures, at_fog=False)
    options = codec_options(figures)
    assert not any(option.at_fog for option in options.values())
    best = replace(options[OURS], objects=99.0)
    scenario, methods = fog_scenario(figures, {**options, OURS: best}, devices=4)
    assert methods[0] == OURS
    assert OURS not in methods[1:]
    assert [way.codec for way in scenario.transfers()].count(OURS) == 2


def test_the_fog_is_beside_the_best_other_codec(figures):
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


def test_other_backgrounds_are_shown_beside_those_of_the_report(figures, make_picture):
    picture = Picture("a.png", make_picture(48, 32, 0), (Box(0, 10, 8, 16, 12),))
    preset = get_preset("fast", steps=2, background="siren")
    other = measure_pack([picture], preset, device="cpu")
    report = make_report(figures, name="here", n_source_frames=3, bandwidth=2e6, others=[other])
    values = json.loads(json.dumps(report_as_json(report), allow_nan=False))
    assert values["preset"] == figures.preset == "fast, av1, 2 steps"
    (shown,) = values["other_backgrounds"]
    assert shown["preset"] == "fast, siren, 2 steps"
    assert shown["n_bytes"] == pytest.approx(other.n_bytes)
    assert shown["psnr_objects"] == pytest.approx(other.mean().object_psnr)
    assert shown["seconds"]["encode"] > 0
    # They take no part in the advice.
    without = make_report(figures, name="here", n_source_frames=3, bandwidth=2e6)
    assert report.advice == without.advice


def test_the_examples_run():
    result = doctest.testmod(measure_module)
    assert result.failed == 0
    assert result.attempted > 0

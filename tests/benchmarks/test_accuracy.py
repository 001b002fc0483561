"""The parts of accuracy.py: boxes to encode with, the head of the detector, delta rates, reruns."""

from __future__ import annotations

import importlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features

from rinrcodec.boxes import Box
from rinrcodec.evaluation.accuracy import Accuracy, Matches
from rinrcodec.families.av1.stream import encode_still
from rinrcodec.sources.images import picture_from_array

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_other_boxes_stay_inside_the_picture(module):
    chosen_boxes = module("accuracy_parts.codings").chosen_boxes
    picture = picture_from_array(np.zeros((40, 60, 3), np.uint8), name="a.png")
    found = [Box(1, 0, 0, 60, 40), Box(2, 50, 30, 10, 10), Box(3, 20, 10, 8, 4)]
    assert chosen_boxes("found", picture, found) == tuple(found)
    sizes = [(box.w, box.h) for box in found]
    decoys = chosen_boxes("decoys", picture, found)
    assert [(box.w, box.h) for box in decoys] == sizes
    assert decoys != tuple(found)
    assert decoys == chosen_boxes("decoys", picture, found)
    assert chosen_boxes("both", picture, found) == (*found, *decoys)
    larger = chosen_boxes("dilated", picture, found)
    assert larger[2] == Box(3, 18, 9, 12, 6)
    for box in (*decoys, *larger):
        assert 0 <= box.x <= box.x + box.w <= 60
        assert 0 <= box.y <= box.y + box.h <= 40


def test_every_coding_has_a_key_of_its_own(module):
    arms = module("accuracy_parts.arms")
    softened = arms.softened(20, "decoys")
    assert softened.key == "ours-quality=20-boxes=decoys-gop=1-soften=1.5"
    ours_and_theirs = [*arms.PICTURES.values(), *arms.LEAKS.values()]
    keys = {coding: coding.key for codings in ours_and_theirs for coding in codings}
    assert len(set(keys.values())) == len(keys)


@pytest.mark.skipif(
    tuple(map(int, (features.version("avif") or "0.0").split(".")[:2])) < (1, 4),
    reason="needs libavif 1.4, whose default is tune=iq",
)
def test_avif_by_default_and_ours_are_the_same_encoder(module):
    codings = module("accuracy_parts.codings")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    default = codings.Still("avif", 20).file(pixels)
    assert default == codings.Still("avif", 20, "iq").file(pixels)
    assert "The coded frames are equal, byte for byte." in module("accuracy").intro()
    row = encode_still(pixels, quality=20, speed=6, tune="accuracy")
    assert default.endswith(row)  # what comes before is the container
    assert not default.endswith(encode_still(pixels, quality=20, speed=6, tune="psnr"))


@pytest.mark.skipif(not features.check("avif"), reason="Pillow has no AVIF")
def test_a_picture_of_half_the_size_comes_back_at_its_own(module):
    codings = module("accuracy_parts.codings")
    half, whole = codings.HalfSize("avif", 60), codings.Still("avif", 60)
    assert half.key != whole.key  # their files are kept in one folder
    ramp = np.linspace(0, 255, 61).astype(np.uint8)
    pixels = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (33, 61, 3)))
    data = half.file(pixels)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (31, 17)
    size, shown = half.shown(data, pixels)
    assert (size, shown.shape) == (len(data), pixels.shape)
    assert np.abs(shown.astype(int) - pixels).mean() < 5


def test_the_composite_has_one_tune_for_frame_and_crops(module, tmp_path, monkeypatch):
    codings = module("accuracy_parts.codings")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    picture = picture_from_array(pixels, name="a.png")
    tunes, encode = [], codings.Still.file

    def file(still, pixels):
        tunes.append(still.tune)
        return encode(still, pixels)

    monkeypatch.setattr(codings.Still, "file", file)
    for tune in (None, "psnr"):
        codings.Composite(5, 30, tune).code([picture], [[Box(0, 4, 4, 20, 20)]], tmp_path / "0")
    assert tunes == [None, None, "psnr", "psnr"]


def test_the_head_of_yolov5_gives_boxes_by_its_formula(module):
    yolov5 = module("harness.yolov5")
    detector = yolov5.YoloV5.__new__(yolov5.YoloV5)
    bias = torch.zeros(255)
    bias[85 + 4] = bias[85 + 5 + 7] = 20.0  # the second anchor is sure to see class 7
    detector._head = [(torch.zeros(255, 4, 1, 1), bias)] * 3
    detector._anchors = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]] * 3)
    features = [torch.zeros(1, 4, 2, 3), torch.zeros(1, 4, 1, 1), torch.zeros(1, 4, 1, 1)]
    boxes, scores = detector._candidates(features)[0].split((4, 80))
    assert boxes.shape == (4, 3 * (6 + 1 + 1))
    # A sigmoid of 0.5: the centre of the cell, and the anchor. The cell is line 1, column 2.
    assert boxes[:, 6 + 5].tolist() == [2.5 * 8, 1.5 * 8, 3 * 8, 4 * 8]
    assert scores[7, 6 + 5] == pytest.approx(1)
    assert scores[7, 5] == pytest.approx(0.25)  # of the first anchor: 0.5 x 0.5
    assert boxes[:, -1].tolist() == [16, 16, 5 * 32, 6 * 32]


def looked(module, n_bytes, share):
    """Pictures with ten boxes each, of which a share is found."""
    work = module("accuracy_parts.work")
    hits = np.arange(10)[:, None] < np.full(10, 10 * share)
    scores = np.full(10, 0.9, np.float32)
    matches = Matches(hits, scores, np.zeros(10, np.int64), np.zeros(10, np.int64))
    return [work.Looked(n_bytes, matches)] * 4


def test_half_the_bytes_at_equal_accuracy_are_minus_50_percent(module, monkeypatch):
    curves = module("accuracy_parts.curves")
    monkeypatch.setattr(
        curves, "average_precision", lambda its: Accuracy(0, 0, float(its[0].hits[:, 0].mean()))
    )
    shares = (0.2, 0.5, 0.8)
    seen = {}
    for name, size in (("ours", 500), ("anchor", 1000)):
        for k, share in enumerate(shares):
            seen[f"{name}{k}"] = looked(module, size * 2**k, share)
    seen["better"] = looked(module, 10, 0.9)
    table = curves.Table(seen, range(4), lambda one: one.recall50, samples=5)
    keys = {name: [f"{name}{k}" for k in range(3)] for name in ("ours", "anchor")}
    interval = table.delta(keys["ours"], keys["anchor"])
    assert (interval.rate, interval.low, interval.high) == pytest.approx((-50, -50, -50))
    assert interval.text() == "-50 % (-50 to -50)"
    assert table.delta(["better"], keys["anchor"]).text() == "-"
    assert table.saving("better", keys["anchor"]).text() == "-"
    assert table.saving("ours1", keys["anchor"]).rate == pytest.approx(-50)
    assert curves.more_bytes((500, 0.35), [(1000, 0.3), (2000, 0.4)]) == pytest.approx(
        100 * (500 / 2000**0.5 / 1000**0.5 - 1)
    )


def test_the_fog_has_the_bytes_of_equal_accuracy(module, monkeypatch):
    curves, fog = module("accuracy_parts.curves"), module("accuracy_parts.fog")
    monkeypatch.setattr(
        curves, "average_precision", lambda its: Accuracy(0, 0, float(its[0].hits[:, 0].mean()))
    )
    points = {"original": (12090, 1.0), "jpeg": (3000, 0.5)}
    points |= {"a1": (500, 0.4), "a2": (1000, 0.9), "a3": (4000, 1.0)}  # through all levels
    points |= {"b1": (700, 0.6), "b2": (900, 0.7)}  # between 0.5 and 0.9
    seen = {name: looked(module, size, share) for name, (size, share) in points.items()}
    table = curves.Table(seen, range(4), lambda one: one.recall50, samples=5)
    shown = fog.fog_set(
        table,
        words="4 pictures",
        figure="recall",
        levels=fog.levels_of("original", {"JPEG 20": "jpeg"}),
        codecs={"av1 with objects": ["a1", "a2", "a3"], "b": ["b1", "b2"]},
    )
    less = "original, less 10 %"
    assert shown.levels == {"original": 1.0, less: pytest.approx(0.9), "JPEG 20": 0.5}
    (data,) = fog.fog_data([shown])
    of_a, of_b = data["rows"]["av1 with objects"], data["rows"]["b"]
    assert of_a[less]["bytes"] == pytest.approx(1000)
    # The published share of the JPEG bytes gives the published factor.
    assert of_a[less]["through_fog"] == pytest.approx(5.16, abs=0.005)
    assert of_a[less]["by_devices"] == pytest.approx(12.09)
    assert of_a["original"]["through_fog"] == pytest.approx(9 / (1 + 9 * 4000 / 12090))
    assert 500 < of_a["JPEG 20"]["bytes"] < 1000
    assert [of_b[level]["bytes"] for level in shown.levels] == [None, None, 700]
    page = fog.fog_body([shown])
    words = "| 4 pictures, recall 0.900, as in: original, less 10 % | 5.16 "
    assert f"{words}| 5.16 (5.16 to 5.16) | 12.09 (12.09 to 12.09) | - |" in page
    assert "| b | - | - | under 700 |" in page
    assert "| b | - | - | over 17.27 |" in page  # encoded by the devices


def test_lost_samples_open_the_interval_on_their_side(module):
    curves = module("accuracy_parts.curves")
    table = curves.Table({"one": looked(module, 10, 0.5)}, [0], lambda _: 0.5, samples=100)

    def text(**lost):
        """100 rates from 0 to 99, with the first or last ones of them lost."""
        rates = [float(rate) for rate in range(100)]
        rates[: lost.get("higher", 0)] = [curves.HIGHER] * lost.get("higher", 0)
        for number in range(lost.get("lower", 0)):
            rates[-1 - number] = curves.LOWER
        for number in range(lost.get("unknown", 0)):
            rates[50 + number] = float("nan")
        return table._interval(lambda sample: rates[sample - 1] if sample else 50.0).text()

    assert text() == "+50 % (+2 to +97)"
    assert text(higher=2) == "+50 % (+2 to +97)"
    assert text(higher=3) == "+50 % (at most +97; 3 % without)"
    assert text(lower=32) == "+50 % (at least +2; 32 % without)"
    assert text(higher=2, lower=2) == "+50 % (+2 to +97; 4 % without)"
    assert text(unknown=5) == "+50 % (5 % without)"
    assert text(higher=10, lower=10) == "+50 % (20 % without)"


def test_a_rate_without_points_around_it_has_a_side(module):
    curves = module("accuracy_parts.curves")
    anchor = [(1000, 0.3), (2000, 0.4)]
    assert curves.more_bytes((500, 0.5), anchor) == curves.HIGHER
    assert curves.more_bytes((500, 0.2), anchor) == curves.LOWER
    assert curves.delta_rate([(10, 0.5), (20, 0.6)], anchor) == curves.HIGHER
    assert curves.delta_rate([(10, 0.1), (20, 0.3)], anchor) == curves.LOWER
    assert np.isnan(curves.delta_rate([(10, 0.35)], anchor))


def test_a_rerun_computes_only_what_is_missing(module, tmp_path, monkeypatch):
    work, codings = module("accuracy_parts.work"), module("accuracy_parts.codings")
    monkeypatch.setattr(module("accuracy_parts.sets"), "DATA", tmp_path / "absent")
    place = work.Workplace(tmp_path, 2, "cpu")
    looks = []

    def look(place, part):
        looks.append(part)
        place.path(part).parent.mkdir(exist_ok=True)
        place.path(part).touch()

    monkeypatch.setattr(work, "look", look)
    parts = [work.Part("coco", 0, codings.Still("webp", q)) for q in (5, 20)]
    left = []
    work.compute(parts[:1], place, jobs=1, on_part=left.append)
    work.compute(parts, place, jobs=1, on_part=left.append)
    assert (looks, left) == (parts, [0, 0])
    assert len({place.path(part) for part in parts}) == 2


def test_a_part_keeps_the_commit_that_computed_it(module, tmp_path, monkeypatch):
    work, codings = module("accuracy_parts.work"), module("accuracy_parts.codings")
    pixels = np.zeros((48, 64, 3), np.uint8)
    shown = module("accuracy_parts.sets").Shown(
        "coco", "one", [picture_from_array(pixels, name="a.png")], False, [0], [[0]]
    )
    monkeypatch.setattr(work, "load_set", lambda *_: shown)
    monkeypatch.setattr(work, "finder", lambda _: module("accuracy_parts.sets")._Blobs())
    place = work.Workplace(tmp_path, 0, "cpu", commit="abc1234")
    coding = codings.Still("webp", 5)
    work.look(place, work.Part("coco", 0, coding))
    (path,) = tmp_path.glob("coco/*.npz")
    assert work.commits(place, "coco", coding) == {path: "abc1234"}
    assert len(work.looked(place, "coco", coding)) == 1


def test_a_work_folder_of_other_options_is_refused(module, tmp_path, monkeypatch):
    work = module("accuracy_parts.work")
    monkeypatch.setattr(work, "sources", lambda: {"data": "here", "weights": "none"})
    work.Workplace(tmp_path / "new", 1, "cpu").keep_options()
    work.Workplace(tmp_path / "new", 1, "cpu").keep_options()
    with pytest.raises(SystemExit, match=r"--frames 1 \(now 2\)"):
        work.Workplace(tmp_path / "new", 2, "cpu").keep_options()
    monkeypatch.setattr(work, "sources", lambda: {"data": "there", "weights": "none"})
    with pytest.raises(SystemExit, match=r"data here \(now there\)"):
        work.Workplace(tmp_path / "new", 1, "cpu").keep_options()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.txt").touch()
    with pytest.raises(SystemExit, match=r"--frames unknown \(now 2\)"):
        work.Workplace(tmp_path / "other", 2, "cpu").keep_options()

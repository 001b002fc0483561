"""The comparisons of the family `pyramid` run on tiny pictures; their own arithmetic is right."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
from PIL import Image

from rinrcodec.boxes import Box, Region
from rinrcodec.evaluation.baselines import QualityScan, available_codecs
from rinrcodec.evaluation.rates import bd_rate
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.metrics import frame_quality, psnr

TINY = {
    "frames": ["--frames=2", "--lambdas", "1e-4", "1e-2"],
    "objects": ["--frames=2", "--psnr", "20", "24"],
    "sequences": ["--frames=2", "--lambdas", "1e-4", "1e-2", "--sequences", "pan"],
}

needs_avif = pytest.mark.skipif(
    "avif" not in available_codecs(), reason="the installed Pillow has no AVIF"
)


def pixels(seed: int, *, width: int = 64, height: int = 48):
    """Smooth, with a sharp patch in the middle, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    made = np.array(coarse.resize((width, height), Image.Resampling.BICUBIC))
    made[16:32, 24:40] = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return made


@pytest.fixture
def data(tmp_path):
    """The folders that the script reads, with pictures of 64x48."""
    root = tmp_path / "data"
    for folder in ("dacsdc/images/val", "dacsdc/labels/val", "sequences/pan"):
        (root / folder).mkdir(parents=True)
    (root / "dacsdc/dacsdc.yaml").write_text(
        "train: images/val\nval: images/val\nnames:\n  0: object\n"
    )
    for number in range(3):
        Image.fromarray(pixels(number)).save(root / f"dacsdc/images/val/{number:06}.png")
        (root / f"dacsdc/labels/val/{number:06}.txt").write_text("0 0.5 0.5 0.25 0.33\n")
    wide = pixels(0, width=80)
    for number in range(3):
        view = np.ascontiguousarray(wide[:, 4 * number : 4 * number + 64])
        Image.fromarray(view).save(root / f"sequences/pan/{number:06}.png")
    rows = "".join(f"{number},24,16,16,16\n" for number in range(3))
    (root / "sequences/pan/boxes.csv").write_text("frame,x,y,w,h\n" + rows)
    return root


@pytest.mark.slow
@needs_avif
@pytest.mark.usefixtures("few_rounded")
@pytest.mark.filterwarnings("default::rinrcodec.targets.TargetWarning")
@pytest.mark.parametrize("part", TINY)
def test_a_part_writes_its_report(part, script, data, tmp_path):
    words = ["--threads=1", "--steps=2", f"--part={part}", "--out", tmp_path, *TINY[part]]
    script("pyramid.py", *words, data=data)
    report = json.loads((tmp_path / f"pyramid_{part}.json").read_text(encoding="utf-8"))
    page = (tmp_path / f"pyramid_{part}.md").read_text(encoding="utf-8")
    command = report["made"]["command"]
    assert command.startswith("python benchmarks/pyramid.py --device cpu --frames ")
    assert f"--part {part}" in command
    assert command in page
    assert report["frames"] in page
    assert str(tmp_path) not in page
    assert "unfinished" not in report
    if part != "objects":
        assert len(report["rows"]) == {"frames": 2, "sequences": 4 + 13}[part]
    else:
        assert report["ours"]["bytes"] == pytest.approx(
            sum(frame["bytes"] for frame in report["ours"]["frames"])
        )
        for our, their in zip(report["ours"]["frames"], report["composites"], strict=True):
            assert their["background_psnr"] >= our["background_psnr"]
            assert their["object_psnr"] >= our["object_psnr"] - 1e-9


def test_options_of_another_part_are_refused(script, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        script("pyramid.py", "--part=frames", "--psnr", 30, 36, "--out", tmp_path)
    assert ended.value.code == 2
    assert "--part frames has no --psnr" in capsys.readouterr().err


def test_rows_outlive_a_run_that_was_cut(load, tmp_path, capsys):
    """Rows of an unfinished report are taken again; of other options or of a whole one, not."""
    ledger = load("harness.ledger")
    options = argparse.Namespace(device="cpu", frames=2, threads=1, out=tmp_path)
    made = []

    def make(value):
        made.append(value)
        return {"value": value, "pair": (1, 2)}

    first = ledger.Ledger("report", "script", options)
    assert first.row("a", lambda: make(1)) == {"value": 1, "pair": [1, 2]}

    def fail():
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        first.row("b", fail)
    again = ledger.Ledger("report", "script", options)
    assert again.row("a", lambda: make(2))["value"] == 1
    assert again.row("b", lambda: make(3))["value"] == 3
    assert "has 1 rows" in capsys.readouterr().out

    other = argparse.Namespace(**{**vars(options), "frames": 3})
    assert ledger.Ledger("report", "script", other)._rows == {}

    again.finish(title="Report", body="Text.", data={"rows": [1]})
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["rows"] == [1]
    assert report["made"]["command"] == "python benchmarks/script.py --device cpu --frames 2" + (
        " --threads 1"
    )
    whole = ledger.Ledger("report", "script", options)
    assert whole.row("a", lambda: make(4))["value"] == 4
    assert made == [1, 3, 4]


def test_a_report_names_all_commits_that_its_rows_are_of(load, tmp_path, monkeypatch):
    ledger, reports = load("harness.ledger"), load("harness.reports")
    options = argparse.Namespace(device="cpu", threads=1, out=tmp_path)
    for commit in ("aaa", "bbb"):
        monkeypatch.setattr(reports, "current_commit", lambda commit=commit: commit)
        run = ledger.Ledger("report", "script", options)
        run.row(commit, dict)
    run.finish(title="Report", body="Text.", data={})
    assert "commit    aaa / bbb\n" in (tmp_path / "report.md").read_text(encoding="utf-8")


@needs_avif
def test_a_composite_gets_a_crop_only_where_its_frame_is_not_good_enough(load):
    objects = load("pyramid_parts.objects")
    reference = pixels(0, width=320, height=240)
    boxes = [Box(0, 24, 16, 16, 16), Box(0, 100, 100, 30, 30), Box(0, 0, 0, 0, 0)]

    scan = QualityScan("avif", reference)

    def composite(*wanted):
        return objects.equal_composite(scan, boxes, background=34.0, objects=wanted)

    def background(picture):
        return frame_quality(reference, picture, boxes).background

    def patch(picture):
        return psnr(reference[16:32, 24:40], picture[16:32, 24:40])

    plain, sharp = composite(5.0, 5.0, 99.0), composite(30.0, 5.0, 99.0)
    assert plain.crops == ()
    assert plain.n_bytes == scan.smallest(lambda c: background(c.pixels) >= 34).n_bytes
    assert patch(plain.pixels) < 30
    ((codec, crop_bytes),) = sharp.crops
    smallest = scan.part(codec, Region(24, 16, 16, 16)).smallest(
        lambda c: psnr(reference[16:32, 24:40], c.pixels) >= 30
    )
    assert crop_bytes == 12 + smallest.n_bytes
    assert sharp.n_bytes == plain.n_bytes + crop_bytes
    assert 0.8 * plain.n_bytes < plain.exact_bytes < plain.n_bytes
    assert sharp.exact_bytes == plain.exact_bytes + crop_bytes
    assert patch(sharp.pixels) >= 30
    assert background(sharp.pixels) == background(plain.pixels) >= 34


@needs_avif
def test_a_better_frame_is_taken_where_it_is_smaller_than_a_crop(load):
    """The box is nearly all of the frame."""
    objects = load("pyramid_parts.objects")
    reference = pixels(0, width=320, height=240)
    box = Box(0, 0, 0, 320, 232)
    scan = QualityScan("avif", reference)
    composite = objects.equal_composite(scan, [box], background=20.0, objects=[34.0])
    assert composite.crops == ()
    assert psnr(reference[:232], composite.pixels[:232]) >= 34
    best = scan.smallest(lambda c: psnr(reference[:232], c.pixels[:232]) >= 34)
    assert composite.n_bytes == best.n_bytes


def test_the_pictures_of_kodak_are_centred_and_turned(load, monkeypatch, tmp_path):
    frames = load("harness.frames")
    (tmp_path / "kodak").mkdir()
    halves = np.zeros((48, 32, 3), np.uint8)
    halves[:24] = 200  # light above; turned to the left, light on the left
    Image.fromarray(halves).save(tmp_path / "kodak/kodim02.png")
    Image.fromarray(pixels(1)).save(tmp_path / "kodak/kodim23.png")
    monkeypatch.setattr(frames, "DATA", tmp_path)
    what, pictures = frames.load_kodak(6, 16, 9)
    assert what == ("2 pictures of Kodak, the centre of each resized to 16x9 with Lanczos")
    assert [picture.name for picture in pictures] == ["kodim23", "kodim02"]
    assert {picture.pixels.shape for picture in pictures} == {(9, 16, 3)}
    assert pictures[1].pixels[:, 0].min() > 190
    assert pictures[1].pixels[:, -1].max() < 10


def test_frames_can_be_taken_evenly(load, monkeypatch, data):
    frames = load("harness.frames")
    monkeypatch.setattr(frames, "DATA", data)
    what, pictures = frames.load_frames(2, evenly=True)
    assert what == "2 of the 3 val frames of DAC-SDC, evenly apart"
    assert [picture.name[-10:] for picture in pictures] == ["000000.png", "000001.png"]
    assert len(frames.load_frames(9, evenly=True)[1]) == 3
    assert len(frames.load_frames(0, evenly=True)[1]) == len(frames.load_frames(0)[1]) == 3


def test_points_of_other_codecs(load):
    shared = load("pyramid_parts.points")
    assert shared.mean_points([[(1, 30), (3, 32)], [(3, 34), (5, 40)]]) == [(2, 32), (4, 36)]
    curve = [(100, 30.0), (400, 32.0), (401, 31.0)]
    ours = [(50, 30.0), (200, 32.0)]
    assert shared.compared(ours, curve) == pytest.approx(bd_rate(ours, curve[:2]))
    assert "share no range" in shared.compared([(50, 40.0), (60, 41.0)], curve)


@pytest.mark.slow
def test_a_start_is_trained_stage_by_stage(script, tmp_path):
    path = tmp_path / "start.npz"
    script("pyramid_parts/start.py", "--steps", 2, 1, "--size", 48, "--out", path)
    shipped = pyramid._start_arrays(pyramid.STARTS[0])
    with np.load(path) as trained:
        assert set(trained.files) == set(shipped)
        for name, array in shipped.items():
            assert (trained[name].shape, trained[name].dtype) == (array.shape, array.dtype)
        assert np.abs(trained["synthesis.skip"]).max() > 0

"""`rinrcodec report --detector`: what a detector finds in the frames of every row."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import rinrcodec
from rinrcodec.evaluation.accuracy import Detections

from .conftest import picture, put, write
from .report_pages import BOXES, NAMES, QUICK, Page, hostile_frames, report


def detections(boxes):
    """What finds these boxes, as x, y, width and height."""
    corners = [(x, y, x + w, y + h) for x, y, w, h in boxes]
    return Detections(np.array(corners, np.float32), np.full(2, 0.9, np.float32), np.array([0, 1]))


@pytest.mark.slow
def test_a_detector_is_measured_in_every_row(tmp_path, monkeypatch):
    pytest.importorskip("ultralytics")
    monkeypatch.setenv("YOLO_OFFLINE", "true")  # which is set, and would stay
    folder = tmp_path / "frames"
    hostile_frames(folder)
    sources = [rinrcodec.load_picture(folder / name).pixels for name in NAMES]

    def detector(pictures):
        """Finds the boxes in sources, and an overlap of 0.67 in all else."""
        (pixels,) = pictures
        is_source = any(np.array_equal(pixels, source) for source in sources)
        return [detections([(x + (0 if is_source else w / 5), y, w, h) for x, y, w, h in BOXES])]

    loaded = []
    monkeypatch.setattr(
        "rinrcodec.evaluation.accuracy.load_detector",
        lambda path, device: loaded.append((path, device)) or detector,
    )
    model = write(tmp_path / "best.pt", "")
    out = tmp_path / "page.html"
    options = ("--background", "av1", "--detector", model, "--json", tmp_path / "figures.json")
    report(folder, "-o", out, *QUICK, *options)
    assert loaded == [(model, "cpu")]
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    page = Page(out.read_text(encoding="utf-8"))
    assert figures["source"]["accuracy"]["map50_95"] == pytest.approx(0.995, abs=1e-3)
    for row in (*figures["rows"], figures["source"]):
        found = row["accuracy"]
        assert found["map50"] == pytest.approx(0.995, abs=1e-3)
        if row is not figures["source"]:  # 4 of 10 thresholds
            assert found["map50_95"] == pytest.approx(0.398, abs=1e-3)
        cells = page.cells(row["name"])
        assert cells[2:4] == [f"{found['map50_95']:.3f}", f"{found['map50']:.3f}"]
    assert page.tags.count("svg") == 5
    first = figures["rows"][0]
    reason = (
        f"The detector finds most in {first['name']}: mAP50-95 0.398 at {first['n_bytes']:,.0f} "
        "bytes a frame, in the JPEG files 0.995."
    )
    assert first["name"] == "av1 for PSNR without objects"
    assert reason in page.texts
    assert "What the detector finds" in page.texts
    assert f"--detector {model} --device cpu" in figures["made"]["command"]


def test_a_detector_needs_labels_a_file_and_ultralytics(tmp_path, monkeypatch):
    image = put(tmp_path / "one.jpg", picture(0, 32, 24))
    model = write(tmp_path / "best.pt", "")
    args = (image, "-o", tmp_path / "page.html", *QUICK, "--detector")
    assert "no such file" in report(*args, tmp_path / "none.pt", code=2)
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    monkeypatch.setenv("YOLO_OFFLINE", "true")  # which is set, and would stay
    assert "measuring accuracy: ultralytics is not installed; run: pip" in report(
        *args, model, code=3
    )
    monkeypatch.setattr("rinrcodec.evaluation.accuracy.load_detector", lambda *_, **__: detections)
    assert "none of the 1 frames that were taken has a box" in report(*args, model, code=1)
    write(tmp_path / "one.txt", "0 0.5 0.5 0.3 0.4\ncar 0.5 0.5 0.1 0.1\n")  # partly lost
    assert "none of the 1 frames that were taken has a box" in report(*args, model, code=1)
    assert not (tmp_path / "page.html").exists()

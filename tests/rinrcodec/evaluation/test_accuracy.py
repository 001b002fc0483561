"""Accuracy: detections against boxes, by hand and against COCO's own evaluation."""

from __future__ import annotations

import doctest
import sys
from pathlib import Path

import numpy as np
import pytest

from rinrcodec.boxes import Box
from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.evaluation import accuracy as accuracy_module
from rinrcodec.evaluation.accuracy import (
    Accuracy,
    Detections,
    as_rgb,
    average_precision,
    load_detector,
    match,
)


def found(*rows):
    """Detections of (class, score, x, y, w, h)."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    x, y, w, h = table[:, 2:].T
    return Detections(np.stack([x, y, x + w, y + h], 1), table[:, 1], table[:, 0].astype(np.int64))


def hits(detections, boxes, **options):
    return match(detections, boxes, **options).hits.sum(axis=1).tolist()


def test_a_detection_hits_up_to_its_overlap():
    boxes = [Box(1, 0, 0, 10, 10)]
    assert hits(found((1, 0.9, 0, 0, 10, 10)), boxes) == [10]
    assert hits(found((1, 0.9, 0, 0, 10, 8)), boxes) == [7]  # 0.5 to 0.8
    assert hits(found((1, 0.9, 0, 0, 10, 5)), boxes) == [1]
    assert hits(found((1, 0.9, 0, 0, 10, 4)), boxes) == [0]
    assert hits(found((1, 0.9, 20, 0, 10, 10)), boxes) == [0]


def test_a_detection_of_another_class_hits_only_where_classes_do_not_count():
    detections, boxes = found((2, 0.9, 0, 0, 10, 10)), [Box(1, 0, 0, 10, 10)]
    assert hits(detections, boxes) == [0]
    matches = match(detections, boxes, any_class=True)
    assert matches.hits.all()
    assert (matches.classes.tolist(), matches.wanted.tolist()) == ([0], [0])


def test_the_highest_score_takes_the_box_and_duplicates_take_none():
    detections = found((1, 0.5, 0, 0, 10, 10), (1, 0.9, 0, 0, 10, 8), (1, 0.2, 0, 0, 10, 9))
    matches = match(detections, [Box(1, 0, 0, 10, 10)])
    assert matches.scores.tolist() == pytest.approx([0.9, 0.5, 0.2])
    # Above 0.8 the box is still free for the next.
    assert matches.hits.sum(axis=1).tolist() == [7, 3, 0]
    assert matches.hits.sum(axis=0).tolist() == [1] * 10


def test_pictures_without_boxes_or_detections():
    assert hits(found(), []) == []
    assert hits(found(), [Box(1, 0, 0, 10, 10)]) == []
    assert hits(found((1, 0.9, 0, 0, 10, 10)), []) == [0]
    assert hits(found((1, 0.9, 5, 5, 0, 0)), [Box(1, 5, 5, 0, 0)]) == [0]
    crowd = [Box(1, 0, 0, 10, 10, crowd=True)]
    assert match(found(), crowd).wanted.tolist() == []
    nothing = Accuracy(0.0, 0.0, 0.0)
    assert average_precision([]) == average_precision([match(found(), [])]) == nothing


@pytest.fixture
def pictures():
    """Detections and boxes of 30 made-up pictures of three classes, from good to useless."""
    draw = np.random.default_rng(3)
    result = []
    for _ in range(30):
        boxes = [
            Box(int(draw.integers(3)), *draw.uniform(0, 200, 2), *draw.uniform(10, 90, 2))
            for _ in range(draw.integers(0, 6))
        ]
        rows = []
        for box in boxes:
            if draw.random() < 0.8:
                moved = np.array([box.x, box.y, box.w, box.h]) + draw.normal(0, 3, 4)
                rows.append((box.class_id, draw.uniform(0.2, 1), *np.abs(moved)))
        for _ in range(draw.integers(0, 4)):
            place = (*draw.uniform(0, 200, 2), *draw.uniform(10, 90, 2))
            rows.append((draw.integers(3), draw.uniform(0, 0.6), *place))
        result.append((found(*rows), boxes))
    return result


def by_coco(pictures):
    """mAP50-95, mAP50 by pycocotools, the reference."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    labels, results = [], []
    for number, (detections, boxes) in enumerate(pictures, 1):
        for box in boxes:
            place = {"bbox": [box.x, box.y, box.w, box.h], "area": box.w * box.h}
            one = {"image_id": number, "category_id": box.class_id, "iscrowd": 0, **place}
            labels.append({**one, "id": len(labels) + 1})
        for (x1, y1, x2, y2), score, class_id in zip(
            detections.boxes.tolist(), detections.scores, detections.classes, strict=True
        ):
            place = {"bbox": [x1, y1, x2 - x1, y2 - y1], "score": float(score)}
            results.append({"image_id": number, "category_id": int(class_id), **place})
    truth = COCO()
    truth.dataset = {
        "images": [{"id": number + 1} for number in range(len(pictures))],
        "categories": [{"id": number} for number in range(3)],
        "annotations": labels,
        "info": {},
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[:2]


@pytest.mark.slow
def test_the_reference_of_coco_finds_the_same(pictures):
    pytest.importorskip("ultralytics")
    accuracy = average_precision([match(*one) for one in pictures])
    expected = by_coco(pictures)
    assert 0.2 < expected[0] < expected[1] < 0.9  # neither perfect nor useless
    # COCO takes the next point of the curve, Ultralytics the line between two.
    assert accuracy.map50_95 == pytest.approx(expected[0], abs=0.01)
    assert accuracy.map50 == pytest.approx(expected[1], abs=0.01)


@pytest.mark.slow
def test_perfect_and_useless_detections(pictures):
    pytest.importorskip("ultralytics")
    boxes = [boxes for _, boxes in pictures]
    perfect = [
        match(found(*((b.class_id, 0.9, b.x, b.y, b.w, b.h) for b in its)), its) for its in boxes
    ]
    accuracy = average_precision(perfect)
    assert accuracy.recall50 == 1
    assert accuracy.map50_95 == pytest.approx(1, abs=0.01)
    # A picture counts as often as it is drawn, and recall counts what is shown.
    assert average_precision(perfect * 2) == pytest.approx(accuracy)
    shy = [
        match(found(*((b.class_id, 0.2, b.x, b.y, b.w, b.h) for b in its)), its) for its in boxes
    ]
    assert average_precision(shy).recall50 == 0
    assert average_precision(shy).map50 == pytest.approx(accuracy.map50)
    assert average_precision([match(found(), its) for its in boxes]) == Accuracy(0, 0, 0)


@pytest.mark.slow
def test_a_detector_of_ultralytics_is_loaded_and_finds_the_same_twice(tmp_path):
    ultralytics = pytest.importorskip("ultralytics")
    ultralytics.YOLO("yolov8n.yaml").save(tmp_path / "net.pt")
    detector = load_detector(tmp_path / "net.pt", device="cpu")
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 256, (48, side, 3), np.uint8) for side in (64, 32)]
    together = detector(pictures)
    assert len(together) == 2
    for picture, one in zip(pictures, together, strict=True):
        (alone,) = detector([picture])
        assert alone.boxes.shape == (len(alone.scores), 4)
        assert (alone.boxes == one.boxes).all()
        assert alone.classes.dtype == np.int64


def test_a_detector_that_is_not_there_is_not_downloaded(tmp_path):
    with pytest.raises(RinrInputError, match=r"yolov8n\.pt: no such file"):
        load_detector(tmp_path / "yolov8n.pt")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["net.pt", "notes.txt", "folder"])
def test_other_files_are_refused_as_detector(tmp_path, name):
    pytest.importorskip("ultralytics")
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_bytes(b"not a model")
    with pytest.raises(RinrInputError, match=f"{name}: Ultralytics cannot load it") as caught:
        load_detector(path, device="cpu")
    message = str(caught.value)
    assert message.isascii()
    assert "\\n" not in message
    assert message.count(str(path)) == 1


def test_the_reason_is_one_line_without_the_advice_of_ultralytics():
    text = (
        "ERROR \u274c\ufe0f a.pt is no checkpoint of version 8.1. Use another one.\nOr re-export."
    )
    reason = accuracy_module._cause(TypeError(text), Path("a.pt"))
    assert reason == "TypeError: is no checkpoint of version 8.1"
    error = TypeError(text)
    error.__cause__ = EOFError("Ran out of input")
    assert accuracy_module._cause(error, Path("a.pt")) == "EOFError: Ran out of input"


def test_without_ultralytics_the_command_to_install_it_is_shown(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    path = tmp_path / "net.pt"
    path.touch()
    with pytest.raises(MissingExtraError, match="measuring accuracy: ultralytics is not installed"):
        load_detector(path)
    with pytest.raises(MissingExtraError):
        average_precision([match(found(), [Box(0, 0, 0, 4, 4)])])


def test_a_detector_gets_three_equal_channels_of_a_grey_picture():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    rgb = as_rgb(grey)
    assert rgb.shape == (2, 3, 3)
    assert all(np.array_equal(rgb[..., channel], grey) for channel in range(3))
    assert as_rgb(rgb) is rgb


def test_the_examples_run():
    result = doctest.testmod(accuracy_module)
    assert result.failed == 0
    assert result.attempted > 0

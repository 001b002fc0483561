"""What is said about the labels of a whole source before anything is fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rinrcodec.labels.yolo import Layout, YoloReader
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.survey import label_info, survey
from rinrcodec.storage import read_file


def data_set(folder: Path, labels: dict[str, str | bytes], yaml: str = "") -> Path:
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for name, text in labels.items():
        Image.new("L", (20, 10)).save(folder / "images" / f"{name}.png")
        data = text if isinstance(text, bytes) else text.encode()
        (folder / "labels" / f"{name}.txt").write_bytes(data)
    if not yaml:
        return folder / "images"
    (folder / "data.yaml").write_text(f"train: images\nval: images\n{yaml}")
    return folder / "data.yaml"


def layout_of(source: Path) -> Layout | None:
    (reader, *_) = (one.reader for one in survey(open_source(source)).source.series)
    assert isinstance(reader, YoloReader)
    return reader.layout


def test_labels_are_counted_and_read_the_same_way_in_all_files(tmp_path: Path) -> None:
    # By itself, the second file is one of triangles.
    labels = {"a": "0 .5 .5 .2 .2 .9 17\n1 .5 .5 .2 .2 .8 18\n", "b": "0 .5 .5 .2 .2 .9 1\n"}
    seen = survey(open_source(data_set(tmp_path, labels)))
    assert (seen.files, seen.boxes, seen.lost) == (2, 3, ())
    assert "kept as score and track_id" in seen.warnings[0]
    (series,) = seen.source.series
    tracks = [
        [box.track_id for box in reading.picture.boxes]
        for reading in series.read()
        if reading.picture
    ]
    assert tracks == [[17, 18], [1]]


def test_a_yaml_says_that_labels_are_poses(tmp_path: Path) -> None:
    line = "0 0.5 0.5 0.2 0.2 0.9 0.9 0.1 0.1\n"
    yaml = data_set(tmp_path, {"a": line}, "names: [x]\nkpt_shape: [2, 2]\n")
    seen = survey(open_source(yaml))
    assert seen.warnings == ()
    assert label_info(seen.source) == {"names": '["x"]', "task": "pose", "kpt_shape": "[2,2]"}


def test_keypoints_guessed_without_a_yaml_are_a_warning(tmp_path: Path) -> None:
    images = data_set(tmp_path, {"a": "0 0.5 0.5 0.2 0.2 0.45 0.45 0.55 0.55\n"})
    assert layout_of(images) == Layout("pose", (2, 2))
    seen = survey(open_source(images))
    assert "look like poses of 2 keypoints" in seen.warnings[0]
    assert survey(open_source(images), task="segment").warnings == ()


@pytest.mark.parametrize("shape", ["17", "[17]", "[0, 3]", "[17, 4]", "[1.5, 2]", "[true, 2]"])
def test_a_malformed_keypoint_shape_is_refused(tmp_path: Path, shape: str) -> None:
    from rinrcodec.errors import RinrInputError

    yaml = data_set(tmp_path, {"a": ""}, f"names: [x]\nkpt_shape: {shape}\n")
    with pytest.raises(RinrInputError, match=r"data\.yaml: kpt_shape: .* such as \[17, 3\]"):
        open_source(yaml)


def test_labels_that_cannot_be_understood_are_named(tmp_path: Path) -> None:
    labels: dict[str, str | bytes] = {
        "good": "0 0.5 0.5 0.2 0.2\n",
        "empty": "",
        "words": "car 0.5 0.5 0.2 0.2\n",
        "half": "0 0.5 0.5 0.2 0.2\n0 320 180 40 40\n",
        "binary": b"\xff\xfe0\x00",
    }
    seen = survey(open_source(data_set(tmp_path, labels)))
    assert (seen.files, seen.boxes) == (5, 2)
    names = [Path(message.split(":")[0]).stem for message in seen.lost]
    assert sorted(names) == ["binary", "half", "words"]


def test_classes_beyond_the_names_are_counted(tmp_path: Path) -> None:
    labels = {"a": "0 .5 .5 .2 .2\n2 .5 .5 .2 .2\n", "b": "25 .5 .5 .2 .2\n25 .4 .5 .2 .2\n"}
    seen = survey(open_source(data_set(tmp_path, labels, "names: [car, bus]\n")))
    (warning,) = seen.refused
    assert "class 2 (1 box), 25 (2 boxes)" in warning
    assert "names has 2 classes, 0 to 1" in warning


def test_without_names_no_class_is_beyond_them(tmp_path: Path) -> None:
    assert survey(open_source(data_set(tmp_path, {"a": "99 .5 .5 .2 .2"}))).refused == ()


def test_a_data_set_without_boxes_is_a_warning(tmp_path: Path) -> None:
    seen = survey(open_source(data_set(tmp_path, {"a": "", "b": "\n\n"})))
    (warning,) = seen.warnings
    assert "2 label files without a box" in warning


def test_labels_none_skips_the_survey(tmp_path: Path) -> None:
    images = data_set(tmp_path, {"a": "car"})
    seen = survey(open_source(images, labels="none"))
    assert (seen.files, seen.lost, seen.warnings) == (0, (), ())


def test_labels_that_do_not_fit_in_memory_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels: dict[str, str | bytes] = {f"{i:02}": f"{i} .5 .5 .2 .2 .9 {i}\n" for i in range(40)}
    labels |= {"07": "car", "31": b"\xff\xfe0\x00", "32": ""}
    source = open_source(data_set(tmp_path, labels, "names: [car, bus]\n"))
    expected = survey(source)
    read: list[str] = []

    def spy(path: Path, **options: Any) -> bytes:
        read.append(path.name)
        return read_file(path, **options)

    monkeypatch.setattr("rinrcodec.sources.survey.read_file", spy)
    assert survey(source) == expected
    assert read == [f"{name}.txt" for name in sorted(labels)]
    for most, again in ((0, 40), (45, 38), (700, 4)):
        read.clear()
        monkeypatch.setattr("rinrcodec.sources.survey._MOST_KEPT_BYTES", most)
        assert survey(source) == expected
        assert len(read) == 40 + again, most


def test_a_label_file_that_is_too_large_is_lost_as_at_the_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "0 .5 .5 .2 .2\n"
    source = open_source(data_set(tmp_path, {"a": line, "b": line * 9}))
    for module in ("survey", "readings"):
        monkeypatch.setattr(f"rinrcodec.sources.{module}.MOST_LABEL_BYTES", 100)
    seen = survey(source)
    assert (seen.files, seen.boxes) == (2, 1)
    (lost,) = seen.lost
    assert lost.endswith("b.txt: 126 bytes, at most 100 are read; its labels are left out")
    a, b = source.series[0].read()
    assert (a.lost, b.lost) == ((), (lost,))

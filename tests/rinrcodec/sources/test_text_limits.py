"""Lists, labels and yamls that are long, deep or repeat themselves cost little and are named."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rinrcodec import text_limits
from rinrcodec.errors import RinrInputError, RinrLimitError
from rinrcodec.labels import yolo
from rinrcodec.labels.coco_file import load_coco
from rinrcodec.labels.voc import VocReader
from rinrcodec.labels.yolo import YoloReader, read_labels
from rinrcodec.sources import data_yaml, split_entries, yaml_file
from rinrcodec.sources.annotations import voc
from rinrcodec.sources.data_yaml import load_data_yaml
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.survey import survey
from rinrcodec.sources.yaml_file import parse_yaml

from .tiny_sources import names, put, write


def test_lists_that_name_lists_are_read_once(tmp_path: Path) -> None:
    put(tmp_path / "a/x.png")
    for level in range(9):
        write(tmp_path / f"l{level}.txt", f"l{level + 1}.txt\n" * 10)
    write(tmp_path / "l9.txt", "a/x.png\n")
    source = open_source(write(tmp_path / "d.yaml", "train: l0.txt\nnames: [x]\n"))
    assert names(source.series[0]) == ["x.png"]
    assert "999999999 pictures are listed twice" in "".join(source.warnings)


def test_a_list_of_missing_pictures_has_a_summary(tmp_path: Path) -> None:
    put(tmp_path / "a/x.png")
    lines = "".join(f"no{number}.png\n" for number in range(1500))
    write(tmp_path / "l.txt", f"{lines}{'y' * 9000}.png\na/x.png\n")
    source = open_source(write(tmp_path / "d.yaml", "train: l.txt\nnames: [x]\n"))
    assert len(source.failures) == text_limits.MOST_MISSING + 1
    assert source.failures[-1].endswith(f": 501 more: no such pictures (in {tmp_path / 'l.txt'})")


def test_a_list_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_entries, "MOST_LIST_BYTES", 100)
    put(tmp_path / "a/x.png")
    write(tmp_path / "l.txt", "a/x.png\n" * 20)
    with pytest.raises(RinrInputError, match=r"l\.txt: 160 bytes, at most 100 are read"):
        open_source(write(tmp_path / "d.yaml", "train: l.txt\nnames: [x]\n"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("names: [a]\ntrain: x\ntrain: y\n", r"d\.yaml:3: the key 'train' is given twice"),
        ("names: {1: a, 2: b, 1: c}\n", r"d\.yaml:1: the key '1' is given twice"),
        ("a: {b: {c: 1, 'd': 2, c: 3}}\n", r"d\.yaml:1: the key 'c' is given twice"),
        ("a: " + "[" * 40 + "]" * 40 + "\n", r"d\.yaml:1: lists and maps inside each other at mo"),
        ("".join(" " * i + "a:\n" for i in range(40)), r"d\.yaml:\d+: lists and maps inside"),
        ("a: &a [b]\nc: [*a, *a]\n\x00", "not a yaml file: "),
    ],
    ids=lambda text: text[:12],
)
def test_yamls_that_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(RinrInputError, match=reason) as error:
        load_data_yaml(write(tmp_path / "d.yaml", text))
    assert "\n" not in str(error.value)


def test_keys_of_merged_maps_are_not_given_twice(tmp_path: Path) -> None:
    text = "a: &a {x: 1}\nb: &b {x: 2}\nc: {<<: *a, <<: *b, x: 3}\n"
    assert load_data_yaml(write(tmp_path / "d.yaml", text))["c"]["x"] == 3


def test_a_yaml_of_many_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_file, "MOST_YAML_NODES", 50)
    file = write(tmp_path / "d.yaml", "a:\n" + "- b\n" * 60)
    with pytest.raises(RinrInputError, match=r"d\.yaml:49: more than 50 words"):
        load_data_yaml(file)
    monkeypatch.setattr(data_yaml, "MOST_YAML_BYTES", 100)
    with pytest.raises(RinrLimitError, match=r"d\.yaml: 243 bytes, at most 100"):
        load_data_yaml(file)


@pytest.mark.parametrize("path", ["p" * 300, "p/" * 3000, "p" * 9000])
def test_a_path_that_is_too_long(tmp_path: Path, path: str) -> None:
    put(tmp_path / "a/x.png")
    with pytest.raises(
        RinrInputError, match=r"d\.yaml: path: p.*\.\.\. of \S+ characters: "
    ) as error:
        open_source(write(tmp_path / "d.yaml", f"path: {path}\ntrain: a\nnames: [x]\n"))
    assert len(str(error.value)) < 300 + len(str(tmp_path))


def test_long_names_of_classes(tmp_path: Path) -> None:
    put(tmp_path / "a/x.png")
    with pytest.raises(RinrInputError, match=r"the name of class 1 has 2,000 characters"):
        open_source(write(tmp_path / "d.yaml", f"train: a\nnames: [a, {'b' * 2000}]\n"))
    coco = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "c" * 2000}]}
    with pytest.raises(RinrInputError, match="category 1 of 1: a name of more than 1,000"):
        open_source(write(tmp_path / "c.json", json.dumps(coco)))
    coco["categories"] = [{"id": i, "name": f"c{i}"} for i in range(65_537)]
    with pytest.raises(RinrInputError, match="65,537 categories, at most 65,536"):
        open_source(write(tmp_path / "c.json", json.dumps(coco)))


def test_a_coco_file_that_gives_a_key_twice(tmp_path: Path) -> None:
    text = '{"images": [], "categories": [], "annotations": [{"bbox": [1], "bbox": [2]}]}'
    with pytest.raises(RinrInputError, match=r"c\.json: not JSON: the key 'bbox' is given twice"):
        open_source(write(tmp_path / "c.json", text))


def test_a_file_of_bad_labels_has_a_summary() -> None:
    labels = YoloReader().parse(b"0 .5 .5 .2\n" * 5000, size=(9, 9), where="a.txt")
    assert len(labels.lost) == 21
    assert labels.lost[-1] == "a.txt: 4,980 more labels cannot be understood"
    labels = YoloReader().parse(b"0 .5 .5 .2 .2\n" * 5000, size=(9, 9), where="a.txt")
    assert len(labels.warnings) == 21
    assert labels.warnings[-1] == "a.txt: 4,979 more warnings"
    assert len(labels.boxes) == 5000


def test_bounds_on_label_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yolo, "MOST_LABEL_LINES", 5)
    monkeypatch.setattr(yolo, "MOST_LABEL_LINE", 40)
    for text, reason in (
        ("0 .5 .5 .2 .2\n" * 6, "more than 5 lines"),
        ("\n" * 6, "more than 5 lines"),
        ("0 .5 .5 .2 .2\n0 " + ".5 " * 90, "line 2 has 272 characters, at most 40"),
    ):
        (lost,) = YoloReader().parse(text.encode(), size=(9, 9), where="a.txt").lost
        assert lost.startswith(f"a.txt: {reason}")
        put(tmp_path / "i/x.png")
        write(tmp_path / "labels/x.txt", text)
        seen = survey(open_source(tmp_path / "i", labels=tmp_path / "labels"))
        assert [one.partition(": ")[2].startswith(reason) for one in seen.lost] == [True]
    monkeypatch.setattr(yolo, "MOST_LABEL_BYTES", 10)
    (lost,) = read_labels(tmp_path / "labels/x.txt", width=9, height=9).lost
    assert "at most 10 are read" in lost


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<annotation>" + "<a/>" * 2**20 + "</annotation>", marks=pytest.mark.slow),
        "<annotation>" + "<b>" * 12 + "</b>" * 12 + "</annotation>",
        '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><annotation>&d;</annotation>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>',
        "<annotation>&undefined;</annotation>",
        "<annotation>&#x1b;</annotation>",
    ],
    ids=lambda text: text[:24],
)
def test_xml_that_is_refused(text: str) -> None:
    labels = VocReader(()).parse(text.encode(), size=(9, 9), where="a.xml")
    (lost,) = labels.lost
    assert lost.startswith("a.xml: ")
    assert len(lost) < 200


def test_many_classes_of_voc_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voc, "MOST_CLASSES", 3)
    put(tmp_path / "i/x.png")
    write(tmp_path / "v/x.xml", "<annotation/>")
    write(tmp_path / "v/classes.txt", "a\nb\nc\nd\n")
    with pytest.raises(RinrInputError, match="4 classes, at most 3"):
        open_source(tmp_path / "i", labels=tmp_path / "v")


# Without "/" and ".", which may name a large folder of this machine.
TEXTS = st.text("ab0:#[{\x00\x1b\u202e\ud800\n", max_size=9)
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXTS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        *("id", "name", "file_name", "image_id", "category_id", "bbox", "segmentation"),
        *("keypoints", "score", "track_id", "iscrowd", "width", "height", "attributes"),
    ]
)
RECORDS = st.lists(st.dictionaries(KEYS, JSON | st.integers(0, 2), max_size=8), max_size=4)


@settings(max_examples=60)
@given(RECORDS, RECORDS, RECORDS, JSON)
def test_any_coco_file(images: Any, annotations: Any, categories: Any, info: Any) -> None:
    for number, record in enumerate(images):
        record.setdefault("id", number)
        record.setdefault("file_name", f"{number}.png")
    for number, record in enumerate(categories):
        record.setdefault("id", number)
        record.setdefault("name", f"{number}")
    text = json.dumps(
        {"images": images, "annotations": annotations, "categories": categories, "info": info}
    )
    with suppress(RinrInputError):
        coco = load_coco(text.encode(), "c.json")
        for one in coco.pictures:
            labels = coco.reader().parse(one.data("x.png"), size=(64, 48), where="c.json")
            assert len(labels.boxes) <= len(one.annotations)


@settings(max_examples=60)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes(data: bytes) -> None:
    with suppress(RinrInputError):
        parse_yaml(Path("d.yaml"), data)
    with suppress(RinrInputError):
        load_coco(data, "c.json")
    for reader in (YoloReader(), VocReader((("a", 0),))):
        labels = reader.parse(data, size=(64, 48), where="a.txt")
        assert len(labels.boxes) <= len(data)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["train", "val", "names", "nc", "kpt_shape", "path"]), JSON))
def test_any_data_yaml(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Any]) -> None:
    file = tmp_path_factory.mktemp("any") / "d.yaml"
    file.write_bytes(yaml.safe_dump(keys, encoding="utf-8", allow_unicode=False))
    with pytest.raises(RinrInputError):
        open_source(file)

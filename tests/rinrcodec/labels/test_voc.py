"""Pascal VOC files: every field survives a pack, and nothing wrong becomes a label."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.labels.info import info_of
from rinrcodec.labels.losses import Losses
from rinrcodec.labels.model import Labels
from rinrcodec.labels.voc import VocReader, names_used
from rinrcodec.labels.voc_writer import voc_text
from rinrcodec.labels.xml_tree import holdable, parse_xml, xml_text

from .coco_files import HEIGHT, SIZE, WIDTH, frame_of, stored

NAMES = {0: "car", 1: "a & b"}
READER = VocReader((("car", 0), ("a & b", 1)))
CORNERS = {"xmin": "1", "ymin": "2", "xmax": "11", "ymax": "10"}
CAR = {"name": "car", "bndbox": CORNERS}


def parse(content: Any, *, root: str = "annotation", size: Any = SIZE) -> Labels:
    return READER.parse(xml_text(root, content).encode(), size=size, where="v")


def back(labels: Labels) -> dict[str, Any]:
    """What the file says that is written of these labels, from a pack."""
    frame = frame_of(stored(["d/a.jpg"], [labels], info_of(NAMES)))
    name, content = parse_xml(voc_text(frame, "a.png", NAMES).encode())
    assert name == "annotation"
    return dict(content)


letters = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6)
texts = letters.filter(lambda text: not text or bool(text.strip()))
keys = st.sampled_from(["pose", "truncated", "occluded", "part", "actions", "ü", "@id", "x.y-z"])


def elements(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    children = st.dictionaries(keys, inner, min_size=1, max_size=3)
    return children | st.lists(
        inner.filter(lambda v: not isinstance(v, list)), min_size=2, max_size=3
    )


trees = st.recursive(texts, elements, max_leaves=6).filter(holdable)
fields = st.dictionaries(keys, trees, max_size=3).filter(lambda v: not v or holdable(v))
decimals = st.integers(0, 15_000).map(lambda n: f"{n / 1000:g}")
sides = st.tuples(decimals, decimals).map(lambda pair: sorted(pair, key=float))


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    (x1, x2), (y1, y2) = draw(sides), draw(sides)
    bndbox = {"xmin": x1, "ymin": y1, "xmax": x2, "ymax": y2}
    item = {"name": draw(st.sampled_from(list(NAMES.values()))), **draw(fields), "bndbox": bndbox}
    if draw(st.booleans()):
        item["difficult"] = draw(st.sampled_from(["0", "1", "Unspecified"]))
    if draw(st.booleans()):
        n = draw(st.integers(3, 5))
        item["polygon"] = {f"{k}{i + 1}": draw(decimals) for i in range(n) for k in "xy"}
    return item


@settings(max_examples=40)
@given(
    head=fields,
    items=st.lists(objects(), max_size=3),
    depth=st.sampled_from(["1", "3"]),
    segmented=st.sampled_from(["0", "1"]),
)
def test_every_field_survives_a_pack(
    head: dict[str, Any], items: list[Any], depth: str, segmented: str
) -> None:
    size = {"width": str(WIDTH), "height": str(HEIGHT), "depth": depth}
    content = {"folder": "VOC", "filename": "a.jpg", "size": size, "segmented": segmented, **head}
    labels = parse({**content, **({"object": items} if items else {})})
    assert labels.lost == ()
    result = back(labels)
    found = result.pop("object", [])
    found = found if isinstance(found, list) else [found]
    assert {key: result[key] for key in content if key != "filename"} == {
        key: value for key, value in content.items() if key != "filename"
    }
    assert result["filename"] == "a.png"
    assert len(found) == len(items)
    for item, one in zip(items, found, strict=True):
        assert {key: one[key] for key in item} == item
    assert parse(result | ({"object": found} if found else {})).boxes == labels.boxes
    losses = Losses("voc")
    losses.count(frame_of(stored(["a"], [labels], {})), "detect")
    assert losses.messages() == []


def test_fields_become_those_of_boxes() -> None:
    polygon = {"x1": "1", "y1": "2", "x2": "11.5", "y2": "2", "x3": "11", "y3": "10"}
    item = {**CAR, "difficult": "1", "pose": "Left", "polygon": polygon, "part": [CAR, CAR]}
    labels = parse({"@verified": "yes", "owner": {"name": "me"}, "object": item})
    outline = ((1.0, 2.0, 11.5, 2.0, 11.0, 10.0),)
    assert labels.boxes == (
        Box(
            0, 1.0, 2.0, 10.0, 8.0, polygons=outline, difficult=True,
            attributes={"pose": "Left", "part": [CAR, CAR]},
        ),
    )  # fmt: skip
    assert labels.attributes == {"@verified": "yes", "owner": {"name": "me"}}
    assert (labels.lost, labels.warnings) == ((), ())


def test_a_picture_without_objects_is_empty() -> None:
    assert parse({"folder": "x"}).complete
    assert READER.parse(b"<annotation/>", size=SIZE, where="v") == Labels()


@pytest.mark.parametrize("value", ["0.1", "12.3456789012345", "1e-7", "33.333333333333336"])
def test_edges_are_exact(value: str) -> None:
    bndbox = {"xmin": "0.030000000000000002", "ymin": "0.7", "xmax": value, "ymax": "9.1"}
    bndbox |= {"xmin": "1e-8"} if float(value) < 0.03 else {}
    result = back(parse({"object": {**CAR, "bndbox": bndbox}}))["object"]["bndbox"]
    assert {key: float(v) for key, v in result.items()} == {k: float(v) for k, v in bndbox.items()}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"bndbox": CORNERS}, "no name"),
        ("text", "no name"),
        ({**CAR, "name": "dog"}, "class 'dog' is not among the names"),
        ({"name": "car"}, "no bndbox"),
        ({"name": "car", "robndbox": {"cx": "1"}}, "a rotated robndbox, which is not read"),
        ({"name": "car", "bndbox": [CORNERS, CORNERS]}, "several bndbox"),
        ({"name": "car", "bndbox": {"xmin": "1", "xmax": "2"}}, "bndbox has no ymin and ymax"),
        ({"name": "car", "bndbox": {**CORNERS, "xmin": "left"}}, "xmin 'left' is not a number"),
        ({"name": "car", "bndbox": {**CORNERS, "xmin": "nan"}}, "xmin 'nan' is not a number"),
        ({"name": "car", "bndbox": {**CORNERS, "xmax": "0"}}, "ends at 0, 10 before it begins"),
        ({"name": "car", "bndbox": {**CORNERS, "xmax": "900"}}, "far outside the picture"),
    ],
)
def test_an_object_that_cannot_be_understood(item: Any, message: str) -> None:
    labels = parse({"object": [CAR, item]})
    (lost,) = labels.lost
    assert lost.startswith("v: object 2: ")
    assert message in lost
    assert len(labels.boxes) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not XML"),
        (b"0 0.5 0.5 0.2 0.2", "not XML"),
        (b"<annotation>", "not XML"),
        (b'<?xml version="1.0" encoding="nonsense"?><annotation/>', "not XML"),
        (b"<html/>", "XML of 'html', expected an <annotation>"),
        (b"<annotations><image/></annotations>", "CVAT's own XML, which lists many pictures"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "a document type"),
        ('<!DOCTYPE annotation SYSTEM "/x"><annotation/>'.encode("utf-16"), "a document type"),
        (b"<annotation>" + b"<a>" * 50 + b"</a>" * 50 + b"</annotation>", "more than 12 levels"),
        (b"<annotation>" + b" " * 2**24 + b"</annotation>", "bytes, at most 16,777,216"),
        (xml_text("annotation", {"size": {"width": "30", "height": "40"}}).encode(), "EXIF rot"),
        (xml_text("annotation", {"size": {"width": "80", "height": "60"}}).encode(), "80 x 60, "),
        (xml_text("annotation", {"size": {"width": "w", "height": "60"}}).encode(), "'w' is not"),
    ],
)
def test_a_file_that_cannot_be_understood(data: bytes, message: str) -> None:
    labels = READER.parse(data, size=SIZE, where="v")
    (lost,) = labels.lost
    assert lost.startswith("v: ")
    assert message in lost
    assert not labels.complete


@settings(max_examples=60)
@given(data=st.data())
def test_anything_is_read_or_refused(data: st.DataObject) -> None:
    text = xml_text("annotation", {"size": {"width": "40", "height": "30"}, "object": [CAR, CAR]})
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    middle = data.draw(st.binary(max_size=20) | st.sampled_from([b"<a>", b"</object>", b"&#0;"]))
    labels = READER.parse(
        text[:start].encode() + middle + text[stop:].encode(), size=SIZE, where="v"
    )
    assert stored(["a.jpg"], [labels], {}).frames[0].boxes == labels.boxes


def test_oddities_are_kept_and_reported() -> None:
    outline = {"x1": "1", "y1": "2", "x2": "11", "y2": "2", "x3": "11", "y3": "10"}
    points = {"pt": [{"x": "1", "y": "1"}, {"x": "2", "y": "2"}, {"x": "3", "y": "1"}]}
    labels = parse(
        {
            "size": {"width": "0", "height": "0"},
            "object": [{"name": " car ", "polygon": outline}, {**CAR, "polygon": points}, CAR, CAR],
        }
    )
    assert labels.lost == ()
    assert [re.sub("^v: object ", "", text) for text in labels.warnings] == [
        "1: no bndbox; the rectangle around its polygon is taken",
        "2: a polygon not of x1, y1, x2, ...; it is kept, but not as an outline",
        "3: the same box as v: object 2; both are kept",
        "4: the same box as v: object 2; both are kept",
    ]
    assert labels.boxes[1].attributes == {"polygon": points}


def test_names_of_a_file() -> None:
    text = xml_text("annotation", {"object": [CAR, {"name": "dog"}, {"pose": "x"}]})
    assert names_used(text.encode()) == {"car", "dog"}
    with pytest.raises(RinrInputError, match="expected an <annotation>"):
        names_used(b"<x/>")


def test_fields_that_voc_cannot_hold_are_counted() -> None:
    box = Box(
        7, 0, 0, 4, 4, keypoints=((1, 1),), crowd=True, score=0.5, track_id=3,
        polygons=((0, 0, 4, 0, 4, 4), (0, 0, 4, 0, 4, 3)),
        attributes={"id": 3, "note": "\x00", "a b": "x", "list": ["x"], "name": "other",
                    "kept": "y"},
    )  # fmt: skip
    frame = frame_of(stored(["a"], [Labels((box,), attributes={"id": 1, "url": "u"})], {}))
    losses = Losses("voc")
    for _ in range(2):
        losses.count(frame, "detect")
    assert losses.messages() == [
        f"Pascal VOC cannot hold {kind}; `labels='coco'` keeps them"
        for kind in (
            "crowds, which are written as difficult (2 boxes)",
            "keypoints (2 boxes)",
            "other fields (2 frames)",
            "other fields that are not text (2 boxes)",
            "scores (2 boxes)",
            "tracks (2 boxes)",
        )
    ]
    _, content = parse_xml(voc_text(frame, "a.png", {}).encode())
    assert content["url"] == "u"
    item = content["object"]
    assert (item["name"], item["kept"], len(item["polygon"])) == ("class_7", "y", 2)
    assert item.keys() == {"name", "kept", "difficult", "bndbox", "polygon"}

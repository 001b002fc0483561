"""COCO files: every field survives a pack, and nothing wrong becomes a label or a background."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.labels import fields
from rinrcodec.labels.coco_file import load_coco
from rinrcodec.labels.model import Labels
from rinrcodec.labels.yolo import Layout, YoloReader, format_labels
from rinrcodec.limits import Limits

from .coco_files import HEIGHT, SIZE, WIDTH, data_set, info_from, load, parsed, stored, written

CAR = {"category_id": 3}
GOOD = {**CAR, "bbox": [1, 2, 10, 8]}
SQUARE = [1, 2, 11, 2, 11, 10, 1, 10]


def one(content: Any, **options: Any) -> Labels:
    (labels,) = parsed(content, **options)
    return labels


# Round trips

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e9, 1e9) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
extras = st.dictionaries(texts.map("x{}".format), values, max_size=3)
inside = st.floats(0, 20) | st.integers(0, 20)
points = st.integers(3, 5).flatmap(lambda n: st.lists(inside, min_size=2 * n, max_size=2 * n))
masks = st.fixed_dictionaries({"counts": st.text("0123abc", min_size=1), "size": st.just([30, 40])})
keypoints = st.lists(st.tuples(inside, inside, st.sampled_from([0, 1, 2])), min_size=2, max_size=2)


@st.composite
def coco_files(draw: st.DrawFn) -> dict[str, Any]:
    ids = st.lists(st.integers(0, 10**12), unique=True)
    categories = [
        {"id": i, "name": f"c{i}", "supercategory": draw(texts), **draw(extras)}
        for i in draw(st.lists(st.integers(0, 90), unique=True, min_size=1, max_size=4))
    ]
    if draw(st.booleans()):
        for category in categories:
            category |= {"keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}
    images = [
        {"id": i, "file_name": f"{n}.jpg", "width": WIDTH, "height": HEIGHT, **draw(extras)}
        for n, i in enumerate(draw(ids.filter(bool)))
    ]
    annotations = []
    for i in draw(ids) if images else ():
        annotation: dict[str, Any] = {
            "id": i,
            "image_id": draw(st.sampled_from(images))["id"],
            "category_id": draw(st.sampled_from(categories))["id"],
            "bbox": draw(st.lists(inside, min_size=4, max_size=4)),
        }
        optional = {
            "segmentation": st.lists(points, max_size=2) | masks,
            "area": inside,
            "iscrowd": st.sampled_from([0, 1]),
            "keypoints": keypoints.map(lambda rows: [v for row in rows for v in row]),
            "num_keypoints": st.integers(0, 2),
            "score": st.floats(0, 1),
            "track_id": st.integers(0, 99) | texts,
            "difficult": st.sampled_from([0, 1]),
            "attributes": st.fixed_dictionaries({"occluded": st.booleans(), "track_id": values}),
        }
        annotation |= draw(st.fixed_dictionaries({}, optional=optional)) | draw(extras)
        annotations.append(annotation)
    more = {"info": {"year": 2017, **draw(extras)}, "licenses": [{"id": 1, **draw(extras)}]}
    return {"images": images, "annotations": annotations, "categories": categories, **more}


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(content=coco_files())
def test_every_field_survives_a_pack(tmp_path: Path, content: dict[str, Any]) -> None:
    coco, labels = load(content), parsed(content)
    assert [text for one in labels for text in one.lost] == []
    if not labels:
        return
    names = [one.file_name for one in coco.pictures]
    pack = stored(names, labels, info_from(coco))
    back, warnings = written(tmp_path / "back.json", [pack])
    assert warnings == []
    assert {key: back[key] for key in ("info", "licenses")} == {
        key: content[key] for key in ("info", "licenses")
    }
    for kind in ("categories", "images", "annotations"):
        known = {record["id"]: record for record in back[kind]}
        assert len(known) == len(back[kind]) == len(content[kind])
        for record in content[kind]:
            assert {key: known[record["id"]][key] for key in record} == record
    # What is written is read as the same labels.
    assert [shapes(one) for one in parsed(back)] == [shapes(one) for one in labels]


def shapes(labels: Labels) -> list[Box]:
    """The boxes without their attributes, of which a writer adds some."""
    return [replace(box, attributes={}) for box in labels.boxes]


LAYOUTS = [Layout(), Layout("segment"), Layout("pose", (2, 3))]
fractions = st.integers(0, 10**6).map(lambda n: f"{n / 1e6:.6f}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=st.data(), layout=st.sampled_from(LAYOUTS))
def test_yolo_survives_coco(tmp_path: Path, data: st.DataObject, layout: Layout) -> None:
    n = {"detect": 4, "segment": 10, "pose": 4}[layout.task]
    lines = []
    for _ in range(data.draw(st.integers(1, 4))):
        words = data.draw(st.lists(fractions, min_size=n, max_size=n))
        for _ in range(2 if layout.task == "pose" else 0):
            words += [*data.draw(st.tuples(fractions, fractions, st.sampled_from("012")))]
        lines.append(" ".join([str(data.draw(st.integers(0, 5))), *words]) + "\n")
    labels = YoloReader(layout).parse("".join(lines).encode(), size=SIZE, where="f")
    info = {"names": json.dumps([f"n{i}" for i in range(6)]), "task": layout.task}
    if layout.kpt_shape:
        info["kpt_shape"] = "[2,3]"
    back, _ = written(tmp_path / "back.json", [stored(["a.jpg"], [labels], info)])
    coco = load(back)
    assert coco.names == {i: f"n{i}" for i in range(6)}
    assert (coco.task, coco.kpt_shape) == (layout.task, layout.kpt_shape)
    pack = stored(["a.jpg"], parsed(back), info_from(coco))
    text = format_labels(pack.frames[0].boxes, width=WIDTH, height=HEIGHT, layout=layout)
    assert text == format_labels(labels.boxes, width=WIDTH, height=HEIGHT, layout=layout)


def test_fields_become_those_of_boxes() -> None:
    person = {"keypoints": ["nose", "tail"]}
    annotation = {
        **GOOD, "segmentation": [SQUARE, SQUARE], "keypoints": [1, 2, 2, 0, 0, 0], "iscrowd": 1,
        "score": 0.5, "track_id": 7, "area": 3.5, "num_keypoints": 1,
    }  # fmt: skip
    content = data_set([annotation], category=person)
    labels = one(content)
    assert labels.boxes == (
        Box(
            0, 1.0, 2.0, 10.0, 8.0, polygons=(tuple(SQUARE),) * 2, crowd=True, score=0.5,
            keypoints=((1, 2, 2), (0, 0, 0)), track_id=7,
            attributes={"id": 1, "area": 3.5, "num_keypoints": 1},
        ),
    )  # fmt: skip
    assert (labels.lost, labels.warnings, labels.attributes) == ((), (), {"id": 1})
    coco = load(content)
    assert (coco.task, coco.kpt_shape) == ("pose", (2, 3))
    assert load(data_set([annotation])).task == "segment"
    assert load(data_set([{**GOOD, "segmentation": []}])).task == "detect"


def test_a_mask_stays_as_it_is_and_cvat_tracks_are_found() -> None:
    mask = {"counts": "abc", "size": [30, 40]}
    nested = {"occluded": True, "track_id": 4}
    (box,) = one(data_set([{**GOOD, "segmentation": mask, "attributes": nested}])).boxes
    assert (box.polygons, box.track_id) == ((), 4)
    assert box.attributes == {"id": 1, "segmentation": mask, "attributes": nested}


def test_categories_are_classes_in_order_of_their_ids() -> None:
    content = data_set([{**GOOD, "category_id": 9}, GOOD])
    content["categories"].insert(0, {"id": 9, "name": "bus"})
    assert load(content).names == {0: "car", 1: "bus"}
    assert [box.class_id for box in one(content).boxes] == [1, 0]
    yaml = {0: "bus", 1: "dog", 2: "car"}
    reader = load(content).reader(yaml)
    data = load(content).pictures[0].data("a.jpg")
    boxes = reader.parse(data, size=SIZE, where="c").boxes
    assert [box.class_id for box in boxes] == [0, 2]
    with pytest.raises(RinrInputError, match="category 'car' is not among the names"):
        load(content).reader({0: "bus"})
    assert load(data_set([])).reader({0: "bus"}).classes == ()  # nothing uses it


def test_pictures_without_annotations_are_empty() -> None:
    labels = one(data_set([]))
    assert labels.complete
    assert labels.boxes == ()


# Strictness


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"category_id": 4, "bbox": [1, 2, 3, 4]}, "category 4 is not among"),
        ({"category_id": [3], "bbox": [1, 2, 3, 4]}, r"category \[3\] is not among"),
        ({**CAR, "bbox": [1, 2, 3]}, "expected four numbers"),
        ({**CAR, "bbox": "1 2 3 4"}, "expected four numbers"),
        ({**CAR}, "bbox None, expected four"),
        ({**CAR, "segmentation": {"counts": [], "size": []}}, "bbox None, expected four"),
        ({**CAR, "bbox": [1, 2, -3, 4]}, "negative size; expected"),
        ({**CAR, "bbox": [1, 2, float("nan"), 4]}, "not finite"),
        ({**CAR, "bbox": [1, 2, 10**400, 4]}, "not finite"),
        ({**CAR, "bbox": [1, 2, "3", 4]}, "'3' is not a number"),
        ({**CAR, "bbox": [1, 2, True, 4]}, "'True' is not a number"),
        ({**CAR, "bbox": [100, 2, 30, 4]}, "far outside the picture of 40 x 30"),
        ({**GOOD, "keypoints": [1, 2]}, "expected x, y, visibility"),
        ({**GOOD, "keypoints": [1, 2, 2]}, "1 keypoints, but its category has 2"),
        ({**GOOD, "score": "high"}, "'high' is not a number"),
    ],
)
def test_a_label_that_cannot_be_understood(annotation: dict[str, Any], message: str) -> None:
    labels = one(data_set([GOOD, annotation], category={"keypoints": ["a", "b"]}))
    (lost,) = labels.lost
    assert lost.startswith("c: a.jpg: annotation 2: ")
    assert re.search(message, lost), lost
    assert len(labels.boxes) == 1
    assert not labels.complete


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"width": 80, "height": 60}, "its image record has 80 x 60 pixels, the picture 40 x 30;"),
        ({"width": 30, "height": 40}, "30 x 40 pixels, the picture 40 x 30 after its EXIF rot"),
        ({"width": "40"}, "the size of its image record: '40' is not a number"),
        ({"width": 0, "height": 0}, "its image record has a size of 0 x 0"),
    ],
)
def test_a_record_of_another_size(record: dict[str, Any], message: str) -> None:
    content = data_set([GOOD])
    content["images"][0] |= record
    labels = one(content)
    assert (len(labels.lost), labels.boxes) == (1, ())
    assert message in labels.lost[0]


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 3


def test_oddities_are_kept_and_reported() -> None:
    content = data_set(
        [
            {**CAR, "segmentation": [SQUARE]},
            {**GOOD, "segmentation": [[1, 2, 3, 4]]},
            {**GOOD, "segmentation": SQUARE},
            {**CAR, "bbox": [1, 2, 0, 4]},
            {**CAR, "bbox": [-5, 2, 10, 4]},
            {**GOOD, "area": float("inf")},
            {**GOOD, "note": "\ud800"},
            {**GOOD, "deep": nested(25)},
            {**GOOD, "long": 10**300, "fits": nested(24)},
        ]
    )
    labels = one(content)
    assert labels.lost == ()
    repeated = [text for text in labels.warnings if "the same box as" in text]
    assert len(repeated) == 5
    assert repeated[0].endswith(
        "annotation 3: the same box as c: a.jpg: annotation 2; both are kept"
    )
    odd = [text.split(": ", 3)[2:] for text in labels.warnings if text not in repeated]
    assert odd == [
        ["annotation 1", "no bbox; the rectangle around its polygons is taken"],
        ["annotation 2", "the segmentation is no list of polygons of three points or more; it is "
         "kept, but not used as an outline"],
        ["annotation 3", "the segmentation is no list of polygons of three points or more; it is "
         "kept, but not used as an outline"],
        ["annotation 4", "a box without area; it is kept, without an object"],
        ["annotation 5", "a box partly outside the frame; it is kept"],
        ["annotation 6", "'area' is no value that a pack can hold; it is left out"],
        ["annotation 7", "'note' is no value that a pack can hold; it is left out"],
        ["annotation 8", "'deep' is no value that a pack can hold; it is left out"],
        ["annotation 9", "'long' is no value that a pack can hold; it is left out"],
    ]  # fmt: skip
    assert labels.boxes[0] == Box(0, 1, 2, 10, 8, polygons=(tuple(SQUARE),), attributes={"id": 1})
    assert labels.boxes[8].attributes["fits"] == nested(24)
    assert stored(["a.jpg"], [labels], {}).frames[0].boxes == labels.boxes
    assert labels.boxes[1].attributes["segmentation"] == [[1, 2, 3, 4]]


def test_more_than_a_pack_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "DEFAULT_LIMITS", Limits(max_label_bytes=2000))
    labels = one(data_set([{**GOOD, "segmentation": [[0.5] * 60]}] * 3))
    (lost,) = labels.lost
    assert lost.startswith("c: a.jpg: annotation 3: a label of ")
    assert "all labels of a picture may take 2,000" in lost
    assert len(labels.boxes) == 2
    content = data_set([])
    content["images"][0]["note"] = "x" * 2000
    labels = one(content)
    assert (labels.complete, labels.attributes) == (False, {})
    assert "fields of 2," in labels.lost[0]


def perhaps(good: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields with good values, of which some are missing or anything."""
    optional = {key: st.just(value) | values for key, value in good.items()}
    return st.fixed_dictionaries({}, optional=optional)


@settings(max_examples=60)
@given(
    record=perhaps({"width": WIDTH, "height": HEIGHT, "license": 1}),
    annotations=st.lists(
        perhaps(
            {**GOOD, "id": 1, "image_id": 1, "segmentation": [SQUARE], "keypoints": [1, 2, 2] * 2,
             "iscrowd": 1, "score": 0.5, "track_id": 3, "difficult": 1, "attributes": {}}
        ),
        max_size=3,
    ),
)  # fmt: skip
def test_anything_is_read_or_refused(
    record: dict[str, Any], annotations: list[dict[str, Any]]
) -> None:
    content = data_set([{"image_id": 1, **one} for one in annotations])
    content["annotations"] = annotations
    content["images"][0] |= record
    labels = one(content)
    assert stored(["a.jpg"], [labels], {}).frames[0].boxes == labels.boxes


def test_without_the_picture_the_declared_size_is_taken() -> None:
    content = data_set([{**CAR, "bbox": [100, 2, 30, 4]}])
    assert "far outside" in one(content, size=None).lost[0]
    del content["images"][0]["width"]
    assert one(content, size=None).complete


def test_ambiguous_picture_ids_are_reported() -> None:
    content = data_set([GOOD, {**GOOD, "image_id": 77}, {**GOOD, "id": 1}])
    content["images"] += [
        {"id": 1, "file_name": "b.jpg"},
        {"id": 2, "file_name": "c.jpg"},
        {"id": 3, "file_name": "c.jpg"},
        {"id": 2, "file_name": "c.jpg"},
        {"id": 4, "file_name": "d.jpg"},
    ]
    labels = parsed(content)
    assert [one.complete for one in labels] == [False, False, False, True]
    assert [one.boxes for one in labels] == [()] * 4
    assert "the image id 1 is that of 2 pictures" in labels[0].lost[0]
    assert "two image records, ids 2 and 3" in labels[2].lost[0]
    (lost,) = load(content).lost_labels
    assert "1 annotations are of images that it does not list" in lost
    warnings = load(content).warnings
    assert any("the same record of c.jpg" in text for text in warnings)
    assert any("1 annotation ids are duplicates, such as 1" in text for text in warnings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ({"shapes": [], "imagePath": "a.jpg"}, "a LabelMe file"),
        ({"_via_img_metadata": {}}, "a VIA project"),
        ({"a.jpg12": {"filename": "a.jpg", "regions": []}}, "a VIA file"),
        ({"type": "FeatureCollection", "features": []}, "a GeoJSON file"),
        ({"kind": "rinrcodec manifest", "runs": []}, "the manifest of a folder of packs"),
        ([{"image_id": 1, "bbox": [], "score": 1}], "COCO results, which list detections"),
        ([{"data": {}, "annotations": []}], "a Label Studio export"),
        ([{"image": "a.jpg", "annotations": []}], "a CreateML file"),
        ([{"name": "a", "labels": []}], "BDD100K labels"),
        ([], "a JSON list"),
        (3, "a JSON int"),
        ({"images": [], "categories": []}, "a COCO file without annotations, as of a test set"),
        ({"images": [], "annotations": []}, "no list categories, its keys are 'images'"),
        ({"images": {}, "annotations": [], "categories": []}, "no COCO file: no list images"),
        ({**data_set([{"segments_info": []}])}, "a COCO panoptic file"),
        ({**data_set([{"caption": "a"}])}, "a COCO captions file"),
        ({**data_set([{"bboxes": []}])}, "a file of video tracks"),
        ({**data_set([]), "categories": [{"id": 1}]}, "id 1 has no name"),
        ({**data_set([]), "categories": [{"id": "1", "name": "a"}]}, "expected an id that is a"),
        ({**data_set([]), "categories": [{"id": 1, "name": "a"}] * 2}, "id 1 is a duplicate"),
        ({**data_set([]), "images": [{"id": 1}]}, "id 1 has no file_name"),
        ({**data_set([]), "images": [3]}, "expected a record with an id"),
        ({**data_set([]), "annotations": [3]}, "annotation 1: 3, expected a record"),
    ],
)
def test_other_files_are_refused_as_coco(content: Any, message: str) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(RinrInputError, match=f"^c.json: .*{message}"):
        load_coco(text.encode(), "c.json")


def test_lvis_has_no_file_names() -> None:
    content = data_set([GOOD])
    del content["images"][0]["file_name"]
    content["images"][0]["coco_url"] = "http://images.example.org/train2017/000000391895.jpg"
    assert load(content).pictures[0].file_name == "000000391895.jpg"


def test_long_keys_of_the_file_are_left_out_with_a_warning() -> None:
    content = {**data_set([]), "info": {"a": 1}, "log": "x" * 2**21}
    coco = load(content)
    assert json.loads(coco.info).keys() == {"categories", "info"}
    assert "'log' is too long for a pack to hold" in coco.warnings[0]


# Writing


def test_computed_fields_and_new_ids(tmp_path: Path) -> None:
    boxes = (
        Box(2, 1, 2, 10, 4, keypoints=((1, 2), (0, 0))),
        Box(0, 1, 2, 10, 4, polygons=((0, 0, 4, 0, 4, 4),), difficult=True, attributes={"id": 0}),
        Box(0, 1, 2, 10.5, 4, attributes={"id": 0}),
    )
    info = {"names": '["a","b"]', "task": "pose", "kpt_shape": "[2,2]"}
    back, warnings = written(tmp_path / "x/b.json", [stored(["a"], [Labels(boxes)], info)])
    assert warnings == []
    assert back["images"] == [{"id": 1, "file_name": "a", "width": WIDTH, "height": HEIGHT}]
    pose = {"keypoints": ["keypoint_1", "keypoint_2"], "skeleton": []}
    assert back["categories"] == [
        {"id": 1, "name": "a", **pose},
        {"id": 2, "name": "b", **pose},
        {"id": 3, "name": "class_2", **pose},
    ]
    common = {"image_id": 1, "iscrowd": 0}
    assert back["annotations"] == [
        {**common, "id": 1, "category_id": 3, "bbox": [1, 2, 10, 4], "area": 40,
         "keypoints": [1, 2, 2, 0, 0, 0], "num_keypoints": 1},
        {**common, "id": 0, "category_id": 1, "bbox": [1, 2, 10, 4], "area": 8, "difficult": 1,
         "segmentation": [[0, 0, 4, 0, 4, 4]]},
        {**common, "id": 2, "category_id": 1, "bbox": [1, 2, 10.5, 4], "area": 42},
    ]  # fmt: skip


def test_packs_of_several_files_keep_their_classes_apart(tmp_path: Path) -> None:
    first = data_set([GOOD], category={"name": "car"})
    second = data_set([GOOD, {**GOOD, "category_id": 4}], category={"name": "dog"})
    second["categories"].append({"id": 4, "name": "car"})
    second["info"] = {"year": 2}
    packs = [
        stored([name], parsed(content), info_from(load(content)))
        for name, content in (("a.jpg", first), ("b.jpg", second))
    ]
    back, warnings = written(tmp_path / "b.json", packs)
    names = {record["id"]: record["name"] for record in back["categories"]}
    assert names == {3: "car", 4: "dog"}
    assert [names[one["category_id"]] for one in back["annotations"]] == ["car", "dog", "car"]
    assert len({one["id"] for one in back["annotations"]}) == 3
    assert {one["image_id"] for one in back["annotations"]} == {1, 2}
    assert len(warnings) == 2
    assert "category 3 is 'car' in one pack and 'dog' in another" in warnings[1]


def test_classes_in_the_order_of_a_data_yaml(tmp_path: Path) -> None:
    content = data_set([GOOD])
    coco = load(content)
    names = {0: "dog", 1: "car"}
    labels = coco.reader(names).parse(coco.pictures[0].data("a.jpg"), size=SIZE, where="c")
    info = info_from(coco) | {"names": '["dog","car"]'}
    back, _ = written(tmp_path / "b.json", [stored(["a.jpg"], [labels], info)])
    assert back["annotations"][0]["category_id"] == 3
    assert [(one["id"], one["name"]) for one in back["categories"]] == [(3, "car"), (4, "dog")]


@pytest.mark.parametrize("entry", ["{", "[]", '{"categories":[1]}', '{"images":[]}'])
def test_a_hostile_entry_of_a_pack(tmp_path: Path, entry: str) -> None:
    with pytest.raises(RinrFormatError, match=r"COCO entry|categories"):
        written(tmp_path / "b.json", [stored(["a"], [Labels()], {"coco": entry})])
    assert not (tmp_path / "b.json").exists()

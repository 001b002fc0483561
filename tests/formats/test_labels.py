"""Labels beyond class and rectangle: kept exactly, cheap, and no trap for readers."""

from __future__ import annotations

import io
import json
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from forge import assemble, take_apart
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sample_packs import PACKS, labels, many_frames, one_frame, same_content

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError, RinrFormatError, RinrLimitError
from rinrcodec.formats import PackReader, pack_bytes, read_header
from rinrcodec.formats._labels import MOST_DEPTH, decode_extras, encode_extras
from rinrcodec.formats.header import LABELS
from rinrcodec.formats.schema import Kind
from rinrcodec.limits import Limits
from rinrcodec.pack import Frame, InrRef, Pack, merge_packs, select_frames

FINITE = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.builds(lambda n, d: n / 10**d, st.integers(-(10**9), 10**9), st.integers(0, 9))
# As `labels/yolo.py` makes them: fractions of a picture, in its pixels.
FRACTIONS = st.builds(
    lambda n, size: round(n / 10**6 * size, 9), st.integers(-(10**6), 10**6), st.integers(1, 8192)
)
NUMBERS = st.sampled_from([FINITE, DECIMALS, FRACTIONS, st.integers(-(2**53), 2**53)])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**200), 10**200) | FINITE | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    numbers = draw(NUMBERS)
    outline = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=8)
    polygons = draw(st.lists(outline, max_size=3))
    keypoint = st.tuples(*[numbers] * draw(st.integers(2, 3)))
    return Box(
        draw(st.integers(0, 99)),
        *(1.0, 2.0, 3.0, 4.0),
        polygons=tuple(tuple(v for point in polygon for v in point) for polygon in polygons),
        keypoints=tuple(draw(st.lists(keypoint, max_size=4))),
        track_id=draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
        score=draw(st.none() | FINITE),
        crowd=draw(st.booleans()),
        difficult=draw(st.booleans()),
        attributes=draw(OBJECTS),
    )


def pack_of(*frames: tuple[Box, ...], **changes: Any) -> Pack:
    """A pack with a frame for each tuple of boxes; `changes` are of the last frame."""
    pack = many_frames(len(frames), boxes=0)
    made = [
        replace(frame, boxes=listed, objects=(None,) * len(listed))
        for frame, listed in zip(pack.frames, frames, strict=True)
    ]
    return replace(pack, frames=(*made[:-1], replace(made[-1], **changes)))


@settings(max_examples=50, deadline=None)
@given(st.lists(boxes(), max_size=4), st.booleans(), OBJECTS)
def test_any_labels(listed: list[Box], labelled: bool, attributes: dict[str, Any]) -> None:
    pack = pack_of((), tuple(listed), labelled=labelled, attributes=attributes)
    data = pack_bytes(pack)
    file = PackReader(data)
    file.verify()
    assert same_content(file, pack)
    assert pack_bytes(file) == data
    extra = not labelled or attributes or any(box.extras for box in listed)
    assert bool(read_header(data).required & LABELS) == bool(extra)


@given(st.lists(FINITE, min_size=6, max_size=6))
@example([0.1, -0.0, 1e300, 5e-324, 2.0**53, 2.0**53 + 2])
@example([2.0**53, -(2.0**53), 2.0**53, -(2.0**53), 0, 1])
@example([1e9, 1e-9, 0.3, 0.1 + 0.2, 1 / 3, -7.25])
def test_coordinates_are_exact(polygon: list[float]) -> None:
    box = Box(0, 0, 0, 1, 1, polygons=[polygon])
    assert decode_extras(*encode_extras(box, "")) == {"polygons": (tuple(polygon),)}


@pytest.mark.parametrize("decimals", range(10))
@pytest.mark.parametrize("size", [427, 640, 1920])
def test_decimals_take_few_bytes(decimals: int, size: int) -> None:
    """They take fewer bytes than their digits, also as parts of the size of a picture."""
    walk = np.random.default_rng(1).integers(-200, 200, (40, 2)).cumsum(0) + 10_000
    polygon = [round(float(v) * size / 10**decimals, 9) for v in walk.reshape(-1)]
    _, shapes = encode_extras(Box(0, 0, 0, 1, 1, polygons=[polygon]), "")
    assert len(shapes) <= 1 + 2 * 82
    assert shapes[0] <= decimals


def test_files_without_extras_have_no_tables() -> None:
    for name in sorted(set(PACKS) - {"labels"}):
        data = pack_bytes(PACKS[name]())
        assert not read_header(data).required & LABELS
        assert not {Kind.FRAME_LABELS, Kind.BOX_LABELS} & set(take_apart(data).chunks["kind"])


def test_each_label_table_can_be_absent() -> None:
    for pack, kind in (
        (pack_of((Box(0, 0, 0, 1, 1),), labelled=False), Kind.FRAME_LABELS),
        (pack_of((Box(0, 0, 0, 1, 1, score=0.5),)), Kind.BOX_LABELS),
    ):
        data = pack_bytes(pack)
        kinds = {Kind.FRAME_LABELS, Kind.BOX_LABELS} & set(take_apart(data).chunks["kind"])
        assert kinds == {kind}
        assert same_content(PackReader(data), pack)


def test_the_default_of_a_field_is_the_same_as_none() -> None:
    plain = pack_of((Box(0, 1, 2, 3, 4),))
    empty = Box(0, 1, 2, 3, 4, polygons=[], keypoints=[], crowd=0, attributes={})
    assert pack_bytes(pack_of((empty,))) == pack_bytes(plain)


def test_lists_and_numpy_numbers_give_the_same_bytes() -> None:
    outline = np.array([[1, 2], [3, 4], [5, 6.5]])
    a = Box(
        0, 1, 2, 3, 4, polygons=[outline.reshape(-1)], track_id=np.int64(3), score=np.float32(1)
    )
    b = Box(0, 1, 2, 3, 4, polygons=((1, 2, 3, 4, 5, 6.5),), track_id=3, score=1.0)
    assert pack_bytes(pack_of((a,))) == pack_bytes(pack_of((b,)))


def test_frames_can_be_selected_and_packs_merged() -> None:
    pack = labels()
    chosen = select_frames(PackReader(pack_bytes(pack)), [2, 1], info=pack.info)
    moved = tuple(replace(frame, name=f"other/{frame.name}") for frame in chosen.frames)
    both = merge_packs([replace(chosen, frames=moved), pack])
    file = PackReader(pack_bytes(both))
    file.verify()
    for frame, original in zip(
        (file.frame(i) for i in range(6)), (*pack.frames[2:0:-1], *pack.frames), strict=True
    ):
        assert (frame.boxes, frame.labelled) == (original.boxes, original.labelled)
        assert frame.attributes == original.attributes
    assert file.info == pack.info


def test_sizes_count_labels_as_boxes() -> None:
    pack = labels()
    plain = tuple(
        replace(
            frame,
            labelled=True,
            attributes={},
            boxes=tuple(Box(box.class_id, box.x, box.y, box.w, box.h) for box in frame.boxes),
        )
        for frame in pack.frames
    )
    sizes, without = (
        PackReader(pack_bytes(p)).sizes() for p in (pack, replace(pack, frames=plain))
    )
    assert sizes.boxes > without.boxes + 200
    assert sizes.payload == without.payload


class CountingFile(io.BytesIO):
    """Counts the bytes that are read from it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def many_labels(n: int) -> Pack:
    rng = np.random.default_rng(3)
    listed = [
        (Box(0, 0, 0, 1, 1, polygons=[(rng.random(80) * 640).round(2)], track_id=i),)
        for i in range(n)
    ]
    return pack_of(*listed)


def test_a_frame_is_read_without_the_labels_of_the_others() -> None:
    pack = many_labels(1500)
    data = pack_bytes(pack)
    assert len(data) > 200_000
    file = CountingFile(data)
    reader = PackReader(file)
    opened = file.count
    assert reader.frame(777) == pack.frames[777]
    assert file.count - opened < len(data) / 4


@pytest.mark.slow
def test_a_crowded_frame_does_not_take_minutes() -> None:
    """The frame has the most boxes that the limits allow, each with an outline."""
    outline = np.random.default_rng(3).random((65_536, 8)).round(4).tolist()
    listed = tuple(Box(0, 0, 0, 1, 1, polygons=(tuple(points),), score=0.5) for points in outline)
    start = time.process_time()
    file = PackReader(pack_bytes(pack_of(listed)))
    assert file.frame(0).boxes == listed
    assert time.process_time() - start < 120


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"a": math.nan}, "nan is no number of JSON"),
        ({"a": [-math.inf]}, "-inf is no number of JSON"),
        ({"a": {1: 2}}, "the name 1 is no text"),
        ({"a": b"x"}, "a bytes is no value of JSON"),
        ({"a": {2}}, "a set is no value of JSON"),
        ({"a": 10**300}, "integer of more than 300 digits"),
        ({"a": 10**5000}, "integer of more than 300 digits"),
        ({"a": "\ud800"}, "half of a surrogate pair"),
        ({"\udfff": 1}, "half of a surrogate pair"),
    ],
)
def test_attributes_that_json_cannot_hold_are_refused(
    attributes: dict[str, Any], reason: str
) -> None:
    for pack in (
        pack_of((), attributes=attributes),
        pack_of((Box(0, 0, 0, 1, 1, attributes=attributes),)),
    ):
        with pytest.raises(RinrFormatError, match=f"frame 'höhe/000000.png' has .*{reason}"):
            pack_bytes(pack)


def test_reader_and_writer_bound_the_depth_of_attributes() -> None:
    nested: Any = {}
    for _ in range(MOST_DEPTH - 1):
        nested = {"a": nested}
    pack = pack_of((), attributes=nested)
    assert same_content(PackReader(pack_bytes(pack)), pack)
    with pytest.raises(RinrFormatError, match="more than 32 lists and objects inside each other"):
        pack_bytes(pack_of((), attributes={"a": nested}))
    circle: dict[str, Any] = {}
    circle["a"] = circle
    with pytest.raises(RinrFormatError, match="more than 32 lists and objects inside each other"):
        pack_bytes(pack_of((), attributes=circle))


def test_reader_and_writer_bound_the_bytes_of_labels() -> None:
    """The bound holds for all boxes of a frame together, and for the frame."""
    listed = tuple(Box(0, 0, 0, 1, 1, track_id=i) for i in range(100, 110))
    size = 10 * len('{"track_id":100}')
    note = {"a": "x" * (size - len('{"a":""}'))}
    pack = pack_of(listed, (), listed, attributes=note)
    exact, less = Limits(max_label_bytes=size), Limits(max_label_bytes=size - 1)
    file = PackReader(pack_bytes(pack, limits=exact), limits=exact)
    file.verify()
    assert same_content(file, pack)
    for changed in (pack_of(listed, ()), pack_of((), attributes=note)):
        with pytest.raises(RinrLimitError, match="max_label_bytes"):
            pack_bytes(changed, limits=less)
        file = PackReader(pack_bytes(changed), limits=less)
        for read in (file.verify, lambda file=file: file.frame(0)):
            with pytest.raises(RinrLimitError, match="max_label_bytes"):
                read()


def test_labels_over_the_limit_are_found_in_any_frame() -> None:
    listed = tuple(Box(0, 0, 0, 1, 1, track_id=i) for i in range(100, 110))
    file = PackReader(
        pack_bytes(pack_of(listed[:9], (), listed[:1], listed, listed[:9])),
        limits=Limits(max_label_bytes=150),
    )
    file.frame(0)
    for read in (file.verify, lambda: file.frame(3)):
        with pytest.raises(RinrLimitError, match="of all boxes of frame 3: 160 is over"):
            read()


@pytest.mark.parametrize("kind", [Kind.FRAME_LABELS, Kind.BOX_LABELS])
@pytest.mark.parametrize("row", [0, 1, 2, 3])
def test_verify_refuses_what_reading_refuses(kind: Kind, row: int) -> None:
    """The limit holds in every row, not only in the first frame."""
    items = (b"{}", b"[]", b"1", b'{"a"', b'{"a":1e400}', b'{"score":true}', b'{"x":[[]]}')
    wrong = 0
    for item in items:

        def change(columns: dict[str, Any], item: bytes = item) -> None:
            columns["attributes" if kind is Kind.FRAME_LABELS else "extras"][row] = item

        file = PackReader(assemble(take_apart(pack_bytes(labels())).edit(kind, change)))
        by_frame = sentence_of(lambda file=file: [file.frame(i) for i in range(file.n_frames)])
        assert sentence_of(file.verify) == by_frame
        wrong += by_frame is not None
    assert wrong >= 5


def sentence_of(check: Any) -> str | None:
    try:
        check()
    except RinrError as error:
        return str(error)
    return None


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([b"", b"\0", b"\2", b"\xff"]),
    st.binary(max_size=80),
    st.lists(st.integers(-1, 9), max_size=3),
    st.integers(0, 4),
)
def test_any_bytes_are_coordinates_or_refused(
    start: bytes, data: bytes, points: list[int], joints: int
) -> None:
    data = start + data
    fields: dict[str, Any] = {"score": 0.5}
    if points:
        fields["polygons"] = points
    if joints:
        fields["keypoints"] = [joints, 3]
    try:
        box = Box(0, 0, 0, 1, 1, **decode_extras(json.dumps(fields).encode(), data))
    except RinrError:
        return
    assert decode_extras(*encode_extras(box, "")) == box.extras
    assert [len(polygon) // 2 for polygon in box.polygons] == points


def test_a_frame_without_boxes_has_only_its_attributes() -> None:
    frame = Frame("a", 8, 8, InrRef(0, 0), labelled=False, attributes={"a": None})
    pack = replace(one_frame(), frames=(frame,))
    assert PackReader(pack_bytes(pack)).frame(0) == frame

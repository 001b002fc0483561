"""The hostile files of labels: name -> the sentence that refuses it, and what makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from forge import assemble, take_apart
from sample_packs import labels, one_frame

from rinrcodec.boxes import Box
from rinrcodec.formats import pack_bytes
from rinrcodec.formats.schema import TABLES, Kind, decode_rows, encode_rows

__all__ = ["LABEL_CAUSES"]

FRAME_LABELS, BOX_LABELS = Kind.FRAME_LABELS, Kind.BOX_LABELS


def label(extras: bytes, shapes: bytes | None = None) -> Callable[[], bytes]:
    """A file whose first box has such a label."""

    def change(columns: dict[str, Any]) -> None:
        columns["extras"][0] = extras
        columns["shapes"][0] = b"" if shapes is None else shapes

    return lambda: assemble(take_apart(pack_bytes(labels())).edit(BOX_LABELS, change))


def coordinates(shapes: bytes) -> Callable[[], bytes]:
    """A file with a triangle of such coordinates."""
    return label(b'{"polygons":[3]}', shapes)


def noted(attributes: bytes, labelled: int = 1) -> Callable[[], bytes]:
    """A file whose first frame has such attributes."""

    def change(columns: dict[str, Any]) -> None:
        columns["attributes"][0] = attributes
        columns["labelled"][0] = labelled

    return lambda: assemble(take_apart(pack_bytes(labels())).edit(FRAME_LABELS, change))


def fewer_rows(kind: Kind) -> Callable[[], bytes]:
    """A file whose table of labels lacks its last row."""

    def build() -> bytes:
        p = take_apart(pack_bytes(labels()))
        at = p.find(kind)
        table = TABLES[kind]
        columns = decode_rows(table, p.chunks["rows"][at], p.raw[at])
        p.raw[at] = encode_rows(table, {name: values[:-1] for name, values in columns.items()})
        p.chunks["rows"][at] -= 1
        return assemble(p)

    return build


def infinite() -> bytes:
    planes = np.array([0.0] * 5 + [np.inf], "<f8").view("u1").reshape(6, 8).T
    return coordinates(b"\xff" + planes.tobytes())()


def much_of_labels() -> bytes:
    """Sixty bytes of file for each of the 40 boxes of a frame, and 1 MB of label."""
    pack = labels()
    boxes = (Box(0, 0, 0, 1, 1, track_id=1),) * 40
    frame = replace(pack.frames[0], boxes=boxes, objects=(None,) * 40)
    p = take_apart(pack_bytes(replace(pack, frames=(frame, *pack.frames[3:]))))
    extras = b'{"attributes":{"a":"' + b"a" * 2**20 + b'"}}'
    columns = {"extras": [extras], "shapes": [b""]}
    at = p.find(BOX_LABELS)
    p.raw[at : at + 1] = [encode_rows(TABLES[BOX_LABELS], columns)] * 40
    for values in p.chunks.values():
        values[at : at + 1] = [values[at]] * 40
    p.chunks["rows"][at : at + 40] = [1] * 40
    return assemble(p)


LABEL_CAUSES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "labels_without_bit": (
        "labels tables .* feature bit",
        lambda: assemble(take_apart(pack_bytes(labels())), required=0),
    ),
    "bit_without_labels": (
        "labels tables .* feature bit",
        lambda: assemble(take_apart(pack_bytes(one_frame())), required=16),
    ),
    "frame_labels_count": ("FRAME_LABELS .* 3 rows, expected 4", fewer_rows(FRAME_LABELS)),
    "box_labels_count": ("BOX_LABELS .* 5 rows, expected 6", fewer_rows(BOX_LABELS)),
    "labelled_2": ("has 2 as `labelled`", noted(b"", labelled=2)),
    "label_not_json": ("label of a box is not JSON: Expecting", label(b"{crowd:true}")),
    "label_not_utf8": ("not JSON: 'utf-8' codec", label('{"score":1}'.encode("utf-16"))),
    "label_list": ("no JSON object with fields: b'\\[7\\]'", label(b"[7]")),
    "label_of_nothing": ("no JSON object with fields: b'{}'", label(b"{}")),
    "label_unknown": ("unknown field 'depth'", label(b'{"depth":3}')),
    "label_crowd": ("has 'crowd': False", label(b'{"crowd":false}')),
    "label_crowd_1": ("has 'crowd': 1", label(b'{"crowd":1}')),
    "label_score": ("has 'score': high", label(b'{"score":"high"}')),
    "label_score_true": ("has 'score': True", label(b'{"score":true}')),
    "label_nan": ("nan is no number of JSON", label(b'{"score":NaN}')),
    "label_huge": ("inf is no number of JSON", label(b'{"score":1e999}')),
    "label_digits": ("integer of more than 300", label(b'{"track_id":1%s}' % (b"0" * 5000))),
    "label_track": ("track_id is an integer of 64 bits", label(b'{"track_id":%d}' % 2**63)),
    "label_twice": ("the key 'score' is given twice", label(b'{"score":1,"score":1}')),
    "label_attributes": ("has 'attributes': \\[\\]", label(b'{"attributes":[]}')),
    "label_deep": (
        "more than 32 lists",
        label(b'{"attributes":{"a":%s%s}}' % (b"[" * 31, b"]" * 31)),
    ),
    "label_deeper": ("more than 32 lists", label(b'{"attributes":' + b'{"a":' * 100_000)),
    "label_surrogate": ("half of a surrogate pair", label(b'{"attributes":{"a":"\\ud800"}}')),
    "label_polygon": ("has 'polygons': \\[2\\]", label(b'{"polygons":[2]}', bytes(9))),
    "label_polygons": ("has 'polygons': \\[\\]", label(b'{"polygons":[]}')),
    "label_points": ("has 'polygons': \\[3.5\\]", label(b'{"polygons":[3.5]}', bytes(9))),
    "label_keypoints": ("has 'keypoints': \\[2, 4\\]", label(b'{"keypoints":[2,4]}')),
    "label_joints": ("has 'keypoints': \\[17\\]", label(b'{"keypoints":[17]}')),
    "label_short": ("has 8 bytes for 6", coordinates(bytes(8))),
    "label_bomb": (
        "has 9 bytes for the coordinates of 0 polygons and 999,999,999,999 keypoints",
        label(b'{"keypoints":[999999999999,3]}', bytes(9)),
    ),
    "label_longer": ("has 10 bytes for 6", coordinates(bytes(10))),
    "label_no_points": ("has 9 bytes for 0", label(b'{"score":1}', bytes(9))),
    "label_no_floats": ("has 9 bytes for 0", label(b'{"score":1}', b"\xff" + bytes(8))),
    "label_shapes_alone": ("label of a box is not JSON", label(b"", bytes(9))),
    "label_decimals": ("of 10 decimals", coordinates(b"\x0a\1\1" + bytes(6))),
    "label_unit": ("coordinates without a unit", coordinates(b"\2\0\1" + bytes(6))),
    "label_bits": ("of more than 53 bits", coordinates(b"\0" + b"\xff" * 64)),
    "label_infinite": ("polygons need finite numbers, got inf", infinite),
    "frame_label_list": ("label of a frame .* with fields", noted(b"[]")),
    "frame_label_not_json": ("label of a frame is not JSON", noted(b"{'a': 1}")),
    "frame_label_nan": ("-inf is no number of JSON", noted(b'{"a":[-Infinity]}')),
    "frame_label_limit": (
        "attributes of a frame: 17,825,800 .* max_label_bytes",
        noted(b'{"a":"%s"}' % (b"a" * 17 * 2**20)),
    ),
    "labels_limit": ("all boxes of frame 0: .* limit max_label_bytes", much_of_labels),
}

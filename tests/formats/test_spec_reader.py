"""A second reader, written from SPEC.md alone: it must see what the real one sees.

Uses the standard library and zstd only, as a reader in another language would; keep it free of
rinrcodec and of NumPy.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
import zstandard
from sample_packs import PACKS

FORMATS = {"u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "u64": "Q"}
FORMATS |= {"f32": "f", "f64": "d", "delta": "I"}
FRAMES = (
    "name bytes, width u32, height u32, mode u8, background_group u32, background_row delta, "
    "box_start delta, box_count u32, time f64, source_width u32, source_height u32, "
    "source_bytes u64, exif u32, icc u32, xmp u32"
)
BOXES = "class_id u32, x f64, y f64, w f64, h f64, gain f32"
OBJECTS = "group u32, row u32, mode u8"
CELLS = "time u8, x u16, y u16"
FRAME_LABELS = "labelled u8, attributes bytes"
BOX_LABELS = "extras bytes, shapes bytes"
GROUPS = "spec bytes, bits u8, flags u8, n_rows u32, n_params u32, n_scales u32"
CHUNKS = "kind u8, group u32, rows u32, stored u32, size u32, crc u32"


def numbers(raw: bytes, at: int, n: int, kind: str) -> tuple[list[Any], int]:
    size = struct.calcsize(FORMATS[kind])
    planes = [raw[at + n * byte : at + n * (byte + 1)] for byte in range(size)]
    joined = b"".join(bytes(plane[i] for plane in planes) for i in range(n))
    values = list(struct.unpack(f"<{n}{FORMATS[kind]}", joined))
    if kind == "delta":
        for i in range(1, n):
            values[i] = (values[i - 1] + values[i]) % 2**32
    return values, at + n * size


def items(raw: bytes, at: int, n: int) -> tuple[list[bytes], int]:
    lengths, at = numbers(raw, at, n, "u32")
    out = []
    for length in lengths:
        out.append(raw[at : at + length])
        at += length
    return out, at


def table(columns: str, raw: bytes, at: int, n: int) -> tuple[dict[str, list[Any]], int]:
    out: dict[str, list[Any]] = {}
    for column in columns.split(", "):
        name, kind = column.split(" ")
        if kind == "bytes":
            out[name], at = items(raw, at, n)
        else:
            out[name], at = numbers(raw, at, n, kind)
    return out, at


def box_label(extras: bytes, shapes: bytes) -> dict[str, Any]:
    """The fields of a box, with polygons and keypoints as lists of numbers."""
    fields = json.loads(extras) if extras else {}
    points = fields.get("polygons", [])
    count, dims = fields.get("keypoints", (0, 2))
    axes = [sum(points) + count] * 2 + [count] * (dims - 2)
    flat: list[float] = []
    if shapes and shapes[0] == 255:
        flat, end = numbers(shapes, 1, sum(axes), "f64")
        assert end == len(shapes)
    elif shapes:
        n = dims + sum(axes)
        raw = shapes[1:] + bytes(8 * n - len(shapes) + 1)
        stored, _ = numbers(raw, 0, n, "u64")
        values, at = [], dims
        for unit, length in zip(stored, axes, strict=False):
            total, axis = 0, []
            for step in stored[at : at + length]:
                total += -(step + 1) // 2 if step % 2 else step // 2
                axis.append(total * unit / 10 ** shapes[0])
            values.append(axis)
            at += length
        for i in range(sum(points) + count):
            flat += [values[0][i], values[1][i]]
            flat += [values[2][i - sum(points)]] if i >= sum(points) and dims == 3 else []
    for name, lengths in (("polygons", [2 * n for n in points]), ("keypoints", [dims] * count)):
        if lengths:
            fields[name] = tuple(tuple(flat.pop(0) for _ in range(n)) for n in lengths)
    assert not flat
    return fields


def read(data: bytes) -> dict[str, Any]:
    fields = struct.unpack_from("<9sBBBIIIIIIIIIIQ5Q", data)
    assert fields[0] == bytes.fromhex("89 52 49 4E 52 0D 0A 1A 0A")
    assert zlib.crc32(data[:508]) == struct.unpack_from("<I", data, 508)[0]
    n_frames, n_groups, n_info, n_chunks = fields[6], *fields[9:12]
    directory_size, directory_crc, body_length, sections = fields[12], *fields[13:15], fields[15:]
    assert len(data) == 512 + body_length
    names = ("frames", "boxes", "metadata", "weights", "directory")
    present = [name for name, size in zip(names, sections, strict=True) if size]
    at = 600 + 87 * len(present) + sum(map(len, present))
    assert at + sum(sections) == len(data)

    stored = data[len(data) - sections[-1] :]
    assert zlib.crc32(stored) == directory_crc
    raw = zstandard.decompress(stored)
    assert len(raw) == directory_size
    groups, end = table(GROUPS, raw, 0, n_groups)
    info, end = table("key bytes, value bytes", raw, end, n_info)
    chunks, end = table(CHUNKS, raw, end, n_chunks)
    assert end == len(raw)

    tables: dict[int, dict[str, list[Any]]] = {0: {}, 1: {}, 2: {}, 3: {}, 6: {}, 7: {}, 8: {}}
    columns = {0: FRAMES, 1: BOXES, 2: OBJECTS, 3: "data bytes", 6: CELLS}
    columns |= {7: FRAME_LABELS, 8: BOX_LABELS}
    weights: dict[int, dict[str, list[Any]]] = {g: {} for g in range(n_groups)}
    shared: dict[int, bytes] = {}
    for kind, group, rows, length, size, crc in zip(*chunks.values(), strict=True):
        assert zlib.crc32(data[at : at + length]) == crc
        raw = zstandard.decompress(data[at : at + length])
        assert len(raw) == size
        at += length
        if kind == 4:
            shared[group] = raw
            continue
        if kind == 5:
            codes = "i8" if groups["bits"][group] <= 8 else "i16"
            n_params, n_scales = groups["n_params"][group], groups["n_scales"][group]
            part: dict[str, list[Any]] = {}
            part["codes"], end = numbers(raw, 0, rows * n_params, codes)
            halves, end = numbers(raw, end, rows * n_scales, "u16")
            part["scales"] = [struct.unpack("<f", struct.pack("<HH", 0, h))[0] for h in halves]
            if groups["flags"][group] & 1:
                part["coded"], end = items(raw, end, rows)
        else:
            part, end = table(columns[kind], raw, 0, rows)
        assert end == len(raw)
        collected = weights[group] if kind == 5 else tables[kind]
        for name, values in part.items():
            collected.setdefault(name, []).extend(values)
    assert len(tables[0]["name"]) == n_frames
    return {"groups": groups, "info": info, "tables": tables, "weights": weights, "shared": shared}


@pytest.mark.parametrize("name", PACKS)
def test_reader_written_from_the_spec(name: str) -> None:
    pack = PACKS[name]()
    file = read((Path(__file__).parent / "vectors" / "v1" / f"{name}.rinr").read_bytes())
    frames, boxes, objects, metadata = (file["tables"][kind] for kind in range(4))
    for i, frame in enumerate(pack.frames):
        assert frames["name"][i].decode() == frame.name
        assert (frames["width"][i], frames["height"][i]) == (frame.width, frame.height)
        assert ("L", "RGB")[frames["mode"][i]] == frame.mode
        assert frames["background_group"][i] == frame.background.group
        assert frames["background_row"][i] == frame.background.row
        assert frames["time"][i] == frame.time
        assert (frames["source_width"][i], frames["source_height"][i]) == frame.source_size
        assert frames["source_bytes"][i] == frame.source_bytes
        for key in ("exif", "icc", "xmp"):
            row = frames[key][i]
            assert (metadata["data"][row - 1] if row else b"") == getattr(frame.metadata, key)
        labelled = file["tables"][7].get("labelled", [1] * (i + 1))[i]
        attributes = file["tables"][7].get("attributes", [b""] * (i + 1))[i]
        assert labelled == frame.labelled
        assert json.loads(attributes or b"{}") == frame.attributes
        assert frames["box_count"][i] == len(frame.boxes)
        for k, (box, inr) in enumerate(zip(frame.boxes, frame.objects, strict=True)):
            at = frames["box_start"][i] + k
            place = tuple(boxes[key][at] for key in ("class_id", "x", "y", "w", "h"))
            assert place == (box.class_id, box.x, box.y, box.w, box.h)
            assert (objects["group"][at] == 0) == (inr is None)
            if inr:
                assert (objects["group"][at] - 1, objects["row"][at]) == (
                    inr.inr.group,
                    inr.inr.row,
                )
                assert ("residual", "direct")[objects["mode"][at]] == inr.mode
                assert boxes["gain"][at] == inr.gain
            columns = (file["tables"][8].get(key, [b""] * (at + 1)) for key in ("extras", "shapes"))
            assert box_label(*(column[at] for column in columns)) == box.extras
            cell = tuple(
                file["tables"][6].get(key, [0] * (at + 1))[at] for key in ("time", "x", "y")
            )
            assert cell == (inr.cell if inr else (0, 0, 0))
    for number, group in enumerate(pack.stacks):
        assert file["groups"]["spec"][number].decode() == group.spec.to_json()
        assert file["weights"][number]["codes"] == group.rows.codes.reshape(-1).tolist()
        assert file["weights"][number]["scales"] == group.rows.scales.reshape(-1).tolist()
        assert tuple(file["weights"][number].get("coded", ())) == group.rows.coded
        assert file["shared"].get(number, b"") == group.shared
    pairs = zip(file["info"]["key"], file["info"]["value"], strict=True)
    assert {key.decode(): value.decode() for key, value in pairs} == dict(pack.info)

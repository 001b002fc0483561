"""SPEC.md says what the code does: its tables are those of schema.py and header.py."""

from __future__ import annotations

import dataclasses
import re
import struct
from pathlib import Path

import pytest

import rinrcodec.formats
from rinrcodec.boxes import Box
from rinrcodec.families.av1.layout import MOST_ATLAS_PIXELS, MOST_FRAMES
from rinrcodec.formats import _labels, header, pack_bytes, schema
from rinrcodec.formats._labels import encode_extras
from rinrcodec.limits import DEFAULT_LIMITS

SPEC = (Path(rinrcodec.formats.__file__).parent / "SPEC.md").read_text(encoding="utf-8")
WORDS = " ".join(SPEC.split())
TYPES = {
    "u1": "u8",
    "<u2": "u16",
    "<u4": "u32",
    "<u8": "u64",
    "<f4": "f32",
    "<f8": "f64",
    "bytes": "bytes",
}
FEATURES = ("SHARED_WEIGHTS", "CODED_ROWS", "SHARED_ROWS", "CELLS", "LABELS")
TABLES = [
    "FRAMES",
    "BOXES",
    "OBJECTS",
    "CELLS",
    "FRAME_LABELS",
    "BOX_LABELS",
    "METADATA",
    "GROUPS",
    "INFO",
    "CHUNKS",
]


@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str) -> None:
    lines = ["| column | type | meaning |", "|---|---|---|"]
    for column in getattr(schema, name):
        kind = TYPES[column.dtype] + (" delta" if column.delta else "")
        lines.append(f"| `{column.name}` | {kind} | {column.meaning} |")
    assert "\n" + "\n".join(lines) + "\n\n" in SPEC + "\n"


def test_user_block() -> None:
    sizes = {"9s": "9 bytes", "B": "u8", "I": "u32", "Q": "u64"}
    at = 0
    for name, code in header.FIELDS:
        assert f"\n| {at} | `{name}` | {sizes[code]} | " in SPEC
        at += struct.calcsize("<" + code)
    assert f"\n| {at} | | | zeros; readers ignore them |\n| 508 | `crc` | u32 | " in SPEC


def test_kinds_sections_and_features() -> None:
    for kind in schema.Kind:
        assert f"\n| {int(kind)} | {kind.name.lower().replace('_', ' ')}" in SPEC
    assert f"in this order, without gaps: {', '.join(header.SECTIONS)}\n" in SPEC
    for bit, name in enumerate(FEATURES):
        assert getattr(header, name) == 1 << bit
        assert f"\n| {bit} | {name.lower().replace('_', ' ')} | " in SPEC


def test_numbers() -> None:
    assert header.MAGIC.hex(" ").upper() in SPEC
    assert f"cuts after {schema.CHUNK_BYTES:,} bytes, " in WORDS
    assert f"boxes and objects tables after {schema.TABLE_ROWS} rows" in WORDS
    assert "version 1\n" in SPEC
    assert header.VERSION == 1


def test_limits() -> None:
    rows = re.findall(r"^\| `(max_\w+)` \| (?:2\^(\d+)|([\d,]+)) \| ", SPEC, re.MULTILINE)
    written = {
        name: 2 ** int(power) if power else int(number.replace(",", ""))
        for name, power, number in rows
    }
    of_files = dataclasses.asdict(DEFAULT_LIMITS)
    for name in ("work", "pixel_work", "memory", "result_bytes", "verify_bytes", "verify_work"):
        del of_files[f"max_{name}"]
    assert written == of_files


def test_av1() -> None:
    assert f"F is the number of temporal delimiters, 1 to {MOST_FRAMES}. " in WORDS
    assert MOST_ATLAS_PIXELS == 2**18
    assert "An atlas must not have more than 2^18 pixels, " in WORDS


def test_labels() -> None:
    assert f"more than {_labels.MOST_DEPTH} objects and arrays" in WORDS
    assert f"an integer of more than {_labels.MOST_DIGITS} digits" in SPEC
    assert f"*d* = 0 to {_labels.MOST_DECIMALS}: " in SPEC
    assert f"*d* = {_labels.FLOATS}: " in SPEC
    fields = SPEC.partition("`extras` has these and no others")[2].partition("For example")[0]
    plain = {field.name for field in dataclasses.fields(Box)} - {"class_id", "x", "y", "w", "h"}
    assert set(re.findall(r"^\| `(\w+)` ", fields, re.MULTILINE)) == plain
    data, shapes = encode_extras(Box(0, 0, 0, 0, 0, polygons=[(10.5, 20, 11, 20, 11, 20.5)]), "")
    assert data == b'{"polygons":[3]}'
    assert f"takes the bytes {shapes.hex(' ').upper()}: one place" in SPEC


def test_data_start_formula() -> None:
    from sample_packs import PACKS

    for build in PACKS.values():
        parsed = header.Header.from_bytes(pack_bytes(build()))
        present = [n for n, length in zip(header.SECTIONS, parsed.sections, strict=True) if length]
        assert parsed.data_start == 600 + 87 * len(present) + sum(map(len, present))

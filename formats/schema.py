"""The tables of a `.rinr` file: their columns, and how the rows of a chunk become bytes.

A chunk is some consecutive rows of one table. Its bytes are the columns one after the other; a
fixed-size column is stored as byte planes (the lowest byte of all values, then the next, ...),
which is what lets zstd find the order in counters and in 16-bit weights. SPEC.md shows the same
tables, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rinrcodec.errors import RinrFormatError
from rinrcodec.pack import GroupInfo, code_dtype

__all__ = [
    "BOXES",
    "BOX_LABELS",
    "CELLS",
    "CHUNKS",
    "CHUNK_BYTES",
    "CODED_FLAG",
    "FRAMES",
    "FRAME_LABELS",
    "GROUPS",
    "INFO",
    "METADATA",
    "OBJECTS",
    "TABLE_ROWS",
    "Column",
    "Columns",
    "Kind",
    "Table",
    "decode_part",
    "decode_rows",
    "encode_rows",
    "from_planes",
    "row_bytes",
    "rows_table",
    "to_bfloat16",
    "to_float32",
    "to_planes",
]

CHUNK_BYTES = 65_536  # the uncompressed size of a chunk that the writer aims at
TABLE_ROWS = 256  # the writer's most rows of a chunk of the frame, box and object tables
LENGTH_BYTES = 4  # of an item of any length, in front of all items of its column
CODED_FLAG = 1  # in `flags` of a group: its rows have entropy-coded bytes


class Kind(IntEnum):
    """The content of a chunk. Chunks are in the file in this order, those of one kind by group."""

    FRAMES = 0
    BOXES = 1
    OBJECTS = 2
    METADATA = 3
    SHARED = 4
    ROWS = 5
    CELLS = 6
    FRAME_LABELS = 7
    BOX_LABELS = 8


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `dtype` is a little-endian NumPy type, or "bytes" for items of any length.

    `delta`: every value is stored as its difference to the one before (the first: to 0), modulo
    the type's range. `items` is the number of values in a row, None for a one-dimensional column.
    """

    name: str
    dtype: str
    meaning: str
    delta: bool = False
    items: int | None = None


Table = tuple[Column, ...]
Columns = dict[str, Any]  # NDArray for a fixed-size column, list[bytes] for a "bytes" one

FRAMES: Table = (
    Column("name", "bytes", "name, UTF-8, unique, relative, without `..`"),
    Column("width", "<u4", "width in pixels, 1 or more"),
    Column("height", "<u4", "height in pixels, 1 or more"),
    Column("mode", "u1", "0: L, 1: RGB"),
    Column("background_group", "<u4", "group of the background row"),
    Column("background_row", "<u4", "its row in that group", delta=True),
    Column("box_start", "<u4", "first row in the boxes and objects tables", delta=True),
    Column("box_count", "<u4", "number of boxes"),
    Column("time", "<f8", "input of a background row that serves several frames, else 0"),
    Column("source_width", "<u4", "width of the source picture, 0 unknown"),
    Column("source_height", "<u4", "height of the source picture, 0 unknown"),
    Column("source_bytes", "<u8", "size of the source file, 0 unknown"),
    Column("exif", "<u4", "0: none, k: row k - 1 of the metadata table"),
    Column("icc", "<u4", "ICC profile, as exif"),
    Column("xmp", "<u4", "XMP packet, as exif"),
)

BOXES: Table = (
    Column("class_id", "<u4", "class of the object"),
    Column("x", "<f8", "left edge in pixels of the frame"),
    Column("y", "<f8", "top edge"),
    Column("w", "<f8", "width, 0 or more"),
    Column("h", "<f8", "height, 0 or more"),
    Column("gain", "<f4", "factor on the output of the object row, 0 where there is none"),
)

OBJECTS: Table = (
    Column("group", "<u4", "0: the box has no object row, k: group k - 1"),
    Column("row", "<u4", "row in that group, 0 where there is none"),
    Column("mode", "u1", "0: residual, 1: direct"),
)

CELLS: Table = (
    Column("time", "u1", "which picture of its row an object is in, from 0"),
    Column("x", "<u2", "its left edge in that picture, in pixels"),
    Column("y", "<u2", "its top edge"),
)

FRAME_LABELS: Table = (
    Column("labelled", "u1", "0: the labels could not be understood in full, 1: they could"),
    Column("attributes", "bytes", "a JSON object, or nothing"),
)

BOX_LABELS: Table = (
    Column("extras", "bytes", "a JSON object, or nothing"),
    Column("shapes", "bytes", "the coordinates of polygons and keypoints, or nothing"),
)

METADATA: Table = (
    Column("data", "bytes", "an EXIF, ICC or XMP block; writers store equal blocks once"),
)

GROUPS: Table = (
    Column("spec", "bytes", "the spec as JSON, keys sorted, no spaces, ASCII"),
    Column("bits", "u1", "bits of a weight, 2 to 16"),
    Column("flags", "u1", "bit 0: rows have coded bytes"),
    Column("n_rows", "<u4", "rows of the group"),
    Column("n_params", "<u4", "integers of a row"),
    Column("n_scales", "<u4", "scales of a row"),
)

INFO: Table = (
    Column("key", "bytes", "UTF-8, sorted, unique"),
    Column("value", "bytes", "UTF-8"),
)

CHUNKS: Table = (
    Column("kind", "u1", "see the list of kinds"),
    Column("group", "<u4", "group of a shared or rows chunk, else 0"),
    Column("rows", "<u4", "rows in the chunk, 1 or more"),
    Column("stored", "<u4", "bytes in the file"),
    Column("size", "<u4", "bytes uncompressed"),
    Column("crc", "<u4", "CRC-32 of the bytes in the file"),
)

TABLES = {
    Kind.FRAMES: FRAMES,
    Kind.BOXES: BOXES,
    Kind.OBJECTS: OBJECTS,
    Kind.METADATA: METADATA,
    Kind.CELLS: CELLS,
    Kind.FRAME_LABELS: FRAME_LABELS,
    Kind.BOX_LABELS: BOX_LABELS,
}


def rows_table(group: GroupInfo) -> Table:
    """Return the columns of a group's rows chunks."""
    codes = "i1" if code_dtype(group.bits) is np.int8 else "<i2"
    table: Table = (
        Column("codes", codes, "quantised weights", items=group.n_params),
        Column("scales", "<u2", "scales as bfloat16", items=group.n_scales),
    )
    if group.coded:
        table += (Column("coded", "bytes", "entropy-coded bytes"),)
    return table


def row_bytes(table: Table) -> tuple[int, bool]:
    """Return the uncompressed bytes of a row, and whether that is exact.

    Items of variable length add to it.
    """
    total = 0
    for column in table:
        if column.dtype == "bytes":
            total += LENGTH_BYTES
        else:
            total += np.dtype(column.dtype).itemsize * (1 if column.items is None else column.items)
    return total, all(column.dtype != "bytes" for column in table)


def encode_rows(table: Table, columns: Mapping[str, Any]) -> bytes:
    """Encode a chunk; `columns` has an array or a sequence of bytes for every column."""
    parts = []
    for column in table:
        values = columns[column.name]
        if column.dtype == "bytes":
            parts.append(to_planes(np.array([len(item) for item in values], "<u4")))
            parts.extend(values)
            continue
        array = np.ascontiguousarray(values, dtype=column.dtype)
        if column.delta:
            array = np.diff(array, prepend=array.dtype.type(0))
        parts.append(to_planes(array))
    return b"".join(parts)


def decode_rows(table: Table, n_rows: int, raw: bytes) -> Columns:
    """Decode the bytes of `encode_rows`; raise `RinrFormatError` unless `raw` fits exactly."""
    columns, end = decode_part(table, n_rows, raw, 0)
    if end != len(raw):
        raise RinrFormatError(f"{n_rows:,} rows end after {end:,} of {len(raw):,} bytes")
    return columns


def decode_part(table: Table, n_rows: int, raw: bytes, at: int) -> tuple[Columns, int]:
    """Decode a table that begins at `raw[at]`, as `decode_rows` does; also return its end."""
    columns: Columns = {}
    for column in table:
        if column.dtype == "bytes":
            columns[column.name], at = _decode_items(n_rows, raw, at)
            continue
        items = 1 if column.items is None else column.items
        array, at = from_planes(np.dtype(column.dtype), n_rows * items, raw, at)
        if column.delta:
            array = np.cumsum(array, dtype=array.dtype)
        columns[column.name] = array if column.items is None else array.reshape(n_rows, items)
    return columns, at


def _decode_items(n_rows: int, raw: bytes, at: int) -> tuple[list[bytes], int]:
    lengths, at = from_planes(np.dtype("<u4"), n_rows, raw, at)
    ends = at + np.cumsum(lengths, dtype=np.uint64)
    end = int(ends[-1]) if n_rows else at
    if end > len(raw):
        raise RinrFormatError(f"{n_rows:,} items need {end:,} bytes, there are {len(raw):,}")
    stops = ends.data  # makes an int at a time; a chunk may have millions
    return [raw[a:b] for a, b in zip(chain([at], stops), stops, strict=False)], end


def to_planes(array: NDArray[Any]) -> bytes:
    """Return the lowest bytes of all values, then the second bytes, and so on."""
    if array.itemsize == 1:
        return array.tobytes()
    planes: NDArray[np.uint8] = array.reshape(-1).view(np.uint8).reshape(-1, array.itemsize).T
    return planes.tobytes()


def from_planes(dtype: np.dtype[Any], count: int, raw: bytes, at: int) -> tuple[NDArray[Any], int]:
    """Decode the bytes of `to_planes` that begin at `raw[at]`; also return their end."""
    end = at + count * dtype.itemsize
    if end > len(raw):
        raise RinrFormatError(f"{count:,} values need {end:,} bytes, there are {len(raw):,}")
    planes = np.frombuffer(raw, np.uint8, end - at, at).reshape(dtype.itemsize, count)
    return np.ascontiguousarray(planes.T).reshape(-1).view(dtype), end


def to_bfloat16(scales: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the upper 16 bits of float32 values; raise `RinrFormatError` if that loses any."""
    bits = np.ascontiguousarray(scales, dtype="<f4").view("<u4")
    if np.any(bits & 0xFFFF):
        value = float(scales[(bits & 0xFFFF) != 0].flat[0])
        raise RinrFormatError(f"the scale {value!r} is not exact in bfloat16: round it first")
    return (bits >> 16).astype("<u2")


def to_float32(scales: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Decode the values of `to_bfloat16`."""
    return (scales.astype("<u4") << 16).view("<f4")

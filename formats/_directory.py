"""The directory: groups, info and the offset of every chunk. All a reader needs to find a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rinrcodec.errors import RinrFormatError
from rinrcodec.formats import schema
from rinrcodec.formats.checks import check_group
from rinrcodec.formats.header import (
    CELLS,
    CODED_ROWS,
    LABELS,
    SECTIONS,
    SHARED_WEIGHTS,
    Header,
)
from rinrcodec.formats.schema import Kind, Table
from rinrcodec.limits import Limits
from rinrcodec.pack import GroupInfo, Spec

__all__ = ["SECTION_OF", "ChunkRecord", "Directory", "Run", "decode_directory", "encode_directory"]

SECTION_OF = {
    Kind.FRAMES: "frames",
    Kind.BOXES: "boxes",
    Kind.OBJECTS: "boxes",
    Kind.METADATA: "metadata",
    Kind.SHARED: "weights",
    Kind.ROWS: "weights",
    Kind.CELLS: "weights",
    Kind.FRAME_LABELS: "weights",
    Kind.BOX_LABELS: "weights",
}


# Uncompressed bytes that take as long as a row whose items are handled one by one.
_ITEM_COST = 64
_ROW_COSTS = {
    Kind.FRAMES: 256,
    Kind.OBJECTS: 192,
    Kind.METADATA: _ITEM_COST,
    Kind.FRAME_LABELS: 512,
    Kind.BOX_LABELS: 512,
}


class ChunkRecord(NamedTuple):
    """One row of the chunk table, `schema.CHUNKS`."""

    kind: Kind
    group: int
    rows: int
    stored: int
    size: int
    crc: int


class Run(NamedTuple):
    """The chunks of one table: the numbers `[first, first + len(starts))`.

    `starts` holds the first row of every chunk, `n_rows` the number of rows of all of them.
    """

    first: int
    starts: NDArray[np.int64]
    n_rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Directory:
    """A parsed and checked directory; `groups` lack their shared bytes.

    `chunks` are the columns of the chunk table, `offsets` where every chunk begins in the file.
    """

    groups: tuple[GroupInfo, ...]
    info: dict[str, str]
    chunks: dict[str, NDArray[np.int64]]
    offsets: NDArray[np.int64]

    def run(self, kind: Kind, group: int = 0) -> Run:
        """Return the chunks of a table, which are next to each other."""
        keys = self.chunks["key"]
        key = kind << 32 | group
        first, stop = np.searchsorted(keys, [key, key + 1]).tolist()
        rows = self.chunks["rows"][first:stop]
        return Run(first, np.cumsum(rows) - rows, int(rows.sum()))

    def record(self, number: int) -> ChunkRecord:
        kind, *values = (int(self.chunks[name][number]) for name in ChunkRecord._fields)
        return ChunkRecord(Kind(kind), *values)

    def cost(self) -> int:
        """Sum the uncompressed bytes of all chunks; rows read in Python count several times."""
        total = int(self.chunks["size"].sum())
        for kind, row_bytes in _ROW_COSTS.items():
            total += row_bytes * int(self.chunks["rows"][self.chunks["kind"] == kind].sum())
        coded = [number for number, group in enumerate(self.groups) if group.coded]
        is_coded = (self.chunks["kind"] == Kind.ROWS) & np.isin(self.chunks["group"], coded)
        return total + _ITEM_COST * int(self.chunks["rows"][is_coded].sum())

    def stored(self, *kinds: Kind) -> int:
        """Sum the bytes in the file of all chunks of these kinds."""
        return int(self.chunks["stored"][np.isin(self.chunks["kind"], kinds)].sum())

    def stored_of(self, group: int) -> int:
        """Sum the bytes in the file of the rows and the shared bytes of a group."""
        total = 0
        for kind in (Kind.SHARED, Kind.ROWS):
            run = self.run(kind, group)
            total += int(self.chunks["stored"][run.first : run.first + len(run.starts)].sum())
        return total


def encode_directory(
    groups: Sequence[GroupInfo], info: Mapping[str, str], records: Sequence[ChunkRecord]
) -> bytes:
    """Encode the directory, uncompressed."""
    try:
        items = sorted((key.encode(), value.encode()) for key, value in info.items())
    except UnicodeEncodeError as error:
        raise RinrFormatError(f"the info of the pack is not valid Unicode ({error})") from error
    group_columns = {
        "spec": [group.spec.to_json().encode() for group in groups],
        "bits": [group.bits for group in groups],
        "flags": [schema.CODED_FLAG * group.coded for group in groups],
        "n_rows": [group.n_rows for group in groups],
        "n_params": [group.n_params for group in groups],
        "n_scales": [group.n_scales for group in groups],
    }
    info_columns = {"key": [key for key, _ in items], "value": [value for _, value in items]}
    chunk_columns = {name: [getattr(r, name) for r in records] for name in ChunkRecord._fields}
    return (
        schema.encode_rows(schema.GROUPS, group_columns)
        + schema.encode_rows(schema.INFO, info_columns)
        + schema.encode_rows(schema.CHUNKS, chunk_columns)
    )


def decode_directory(raw: bytes, header: Header, limits: Limits) -> Directory:
    """Parse the uncompressed directory, and check all counts and sizes against each other."""
    groups, at = schema.decode_part(schema.GROUPS, header.n_groups, raw, 0)
    info, at = schema.decode_part(schema.INFO, header.n_info, raw, at)
    columns, end = schema.decode_part(schema.CHUNKS, header.n_chunks, raw, at)
    if end != len(raw):
        raise RinrFormatError(f"its directory ends after {end:,} of {len(raw):,} bytes")
    chunks = {name: values.astype(np.int64) for name, values in columns.items()}
    chunks["key"] = chunks["kind"] << 32 | chunks["group"]
    stored = chunks["stored"]
    directory = Directory(
        tuple(_group(groups, i, limits) for i in range(header.n_groups)),
        _info(info["key"], info["value"]),
        chunks,
        header.data_start + np.cumsum(stored) - stored,
    )
    _check_chunks(directory, header, limits)
    _check_counts(directory, header)
    return directory


def _group(columns: schema.Columns, i: int, limits: Limits) -> GroupInfo:
    text = columns["spec"][i]
    # Before it is parsed: JSON of a few megabytes becomes objects of hundreds.
    limits.check("max_spec_bytes", len(text), f"bytes of the spec of group {i}")
    try:
        spec = Spec.from_json(text.decode("ascii"))
    except UnicodeDecodeError as error:
        raise RinrFormatError(f"the spec of group {i} is not ASCII") from error
    flags = int(columns["flags"][i])
    if flags & ~schema.CODED_FLAG:
        raise RinrFormatError(f"group {i} has the unknown flags {flags:#x}; update rinrcodec")
    group = GroupInfo(
        spec,
        int(columns["bits"][i]),
        int(columns["n_rows"][i]),
        int(columns["n_params"][i]),
        int(columns["n_scales"][i]),
        coded=bool(flags),
    )
    check_group(group, limits)
    return group


def _info(keys: list[bytes], values: list[bytes]) -> dict[str, str]:
    if any(a >= b for a, b in pairwise(keys)):
        raise RinrFormatError("the keys of its info are not sorted and unique")
    try:
        return {key.decode(): value.decode() for key, value in zip(keys, values, strict=True)}
    except UnicodeDecodeError as error:
        raise RinrFormatError(f"its info is not UTF-8 ({error})") from error


def _check_chunks(directory: Directory, header: Header, limits: Limits) -> None:
    chunks = directory.chunks
    kind, rows, size = chunks["kind"], chunks["rows"], chunks["size"]
    if kind.max() > max(Kind):
        raise RinrFormatError(f"its directory has a chunk of the unknown kind {kind.max()}")
    if np.any(np.diff(chunks["key"]) < 0):
        raise RinrFormatError("the chunks in its directory are out of order")
    of_group = (kind == Kind.SHARED) | (kind == Kind.ROWS)
    if np.any(chunks["group"] >= np.where(of_group, header.n_groups, 1)):
        raise RinrFormatError("its directory has a chunk of a group that does not exist")
    if np.any(rows < 1):
        raise RinrFormatError("its directory has a chunk without rows")
    limits.check("max_chunk_bytes", int(size.max()), "uncompressed bytes of a chunk")
    shared, frames = (int(size[kind == k].sum()) for k in (Kind.SHARED, Kind.FRAMES))
    limits.check("max_shared_bytes", shared, "shared bytes of all groups")
    limits.check("max_frames_bytes", frames, "uncompressed bytes of the frames table")
    for section, length in zip(SECTIONS[:-1], header.sections, strict=False):
        total = directory.stored(*(k for k, name in SECTION_OF.items() if name == section))
        if total != length:
            raise RinrFormatError(
                f"its {section} section has {length:,} bytes, the chunks in it {total:,}"
            )


def _check_counts(directory: Directory, header: Header) -> None:
    def check(kind: Kind, group: int, n_rows: int, table: Table) -> None:
        run = directory.run(kind, group)
        what = f"{kind.name} chunks" + (f" of group {group}" if kind is Kind.ROWS else "")
        if run.n_rows != n_rows:
            raise RinrFormatError(f"its {what} have {run.n_rows:,} rows, expected {n_rows:,}")
        part = slice(run.first, run.first + len(run.starts))
        row_bytes, exact = schema.row_bytes(table)
        size, need = directory.chunks["size"][part], directory.chunks["rows"][part] * row_bytes
        wrong = size != need if exact else size < need
        if np.any(wrong):
            i = int(np.argmax(wrong))
            raise RinrFormatError(
                f"one of its {what} declares {size[i]:,} bytes, its rows take {need[i]:,}"
            )

    check(Kind.FRAMES, 0, header.n_frames, schema.FRAMES)
    n_boxes = directory.run(Kind.BOXES).n_rows
    check(Kind.BOXES, 0, n_boxes, schema.BOXES)
    check(Kind.OBJECTS, 0, n_boxes, schema.OBJECTS)
    n_cells = directory.run(Kind.CELLS).n_rows
    if bool(n_cells) != bool(header.required & CELLS):
        raise RinrFormatError(f"its cells table has {n_cells:,} rows, its feature bit disagrees")
    check(Kind.CELLS, 0, n_boxes if n_cells else 0, schema.CELLS)
    labels = {Kind.FRAME_LABELS: header.n_frames, Kind.BOX_LABELS: n_boxes}
    n_labels = {kind: directory.run(kind).n_rows for kind in labels}
    if any(n_labels.values()) != bool(header.required & LABELS):
        raise RinrFormatError("its labels tables and their feature bit disagree")
    for kind, expected in labels.items():
        check(kind, 0, expected if n_labels[kind] else 0, schema.TABLES[kind])
    n_blocks = directory.run(Kind.METADATA).n_rows
    if n_blocks > 3 * header.n_frames:
        raise RinrFormatError(
            f"its metadata table has {n_blocks:,} rows for {header.n_frames:,} frames, which can "
            f"refer to 3 each"
        )
    check(Kind.METADATA, 0, n_blocks, schema.METADATA)
    for number, group in enumerate(directory.groups):
        check(Kind.ROWS, number, group.n_rows, schema.rows_table(group))
        shared = directory.run(Kind.SHARED, number)
        if shared.n_rows > 1:
            raise RinrFormatError(f"group {number} has more than one chunk of shared weights")
        if shared.n_rows and not header.required & SHARED_WEIGHTS:
            raise RinrFormatError(f"group {number} shares weights, its feature bit is not set")
        if group.coded and not header.required & CODED_ROWS:
            raise RinrFormatError(f"group {number} has coded rows, their feature bit is not set")

"""Write packs: canonical bytes, and files that are either complete or not there."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO, Protocol

import numpy as np

from rinrcodec.errors import RinrError, RinrFormatError, RinrInputError
from rinrcodec.formats import _zstd, schema
from rinrcodec.formats._directory import SECTION_OF, ChunkRecord, encode_directory
from rinrcodec.formats._labels import encode_attributes, encode_extras
from rinrcodec.formats.checks import check_frame, check_group, check_name, check_rows, naming
from rinrcodec.formats.header import (
    CELLS,
    CODED_ROWS,
    LABELS,
    MODES,
    SECTIONS,
    SHARED_ROWS,
    SHARED_WEIGHTS,
    Header,
)
from rinrcodec.formats.schema import Kind
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import WHOLE, Cell, Frame, GroupInfo, PackSource
from rinrcodec.storage import file_or_folder, storage_of, to_path

__all__ = ["pack_bytes", "write_pack"]

# Quantised weights have no repetitions, only uneven frequencies: higher levels find nothing more.
_WEIGHT_LEVEL = 3
_TABLE_LEVEL = 19


class _Packable(PackSource, Protocol):
    """A `Pack`, or an open `PackReader`."""

    @property
    def info(self) -> Mapping[str, str]: ...


def write_pack(
    path: str | os.PathLike[str],
    pack: _Packable,
    *,
    limits: Limits = DEFAULT_LIMITS,
    overwrite: bool = True,
) -> int:
    """Write `pack` to `path` and return the size of the file in bytes.

    The file appears under its name only when it is complete: it is written to a temporary file
    in the same folder, flushed to the disk and renamed. The same pack gives the same bytes. Behind
    a URL it is made in memory and sent as one object, which appears whole or not at all. Where
    `path` is a symbolic link, the file that it leads to is replaced. A replaced file keeps its
    permissions.

    Raises `RinrFormatError` or `RinrLimitError` if a file cannot hold the pack,
    `RinrInputError` if `path` exists and `overwrite` is False, and `RinrError` if the file cannot
    be written, on a full disk for instance.
    """
    path = to_path(path)
    storage = storage_of(path)
    try:
        if not overwrite and file_or_folder(path) is not None:
            raise RinrInputError(f"{path}: exists already; pass overwrite=True to replace it")
        with naming(path), storage.new_file(storage.named_file(path)) as file:
            return _write(file, pack, limits)
    except OSError as error:
        raise RinrError(
            f"{path}: cannot be written: {error.strerror or error}; "
            f"nothing was left behind, check {storage.write_advice}"
        ) from error


def pack_bytes(pack: _Packable, *, limits: Limits = DEFAULT_LIMITS, name: str = "<bytes>") -> bytes:
    """Encode the file that `write_pack` would write; errors begin with `name`."""
    file = io.BytesIO()
    with naming(name):
        _write(file, pack, limits)
    return file.getvalue()


def _write(out: BinaryIO, pack: _Packable, limits: Limits) -> int:
    frames = [pack.frame(i) for i in range(pack.n_frames)]
    groups = list(pack.groups)
    features = _check(frames, groups, limits)
    blocks = _metadata_blocks(frames)
    sections = dict.fromkeys(SECTIONS, 0)
    draft = Header(
        n_frames=len(frames),
        width=frames[0].width,
        height=frames[0].height,
        mode=frames[0].mode,
        n_groups=len(groups),
        n_info=len(pack.info),
        n_chunks=0,
        directory_size=0,
        directory_crc=0,
        sections=(
            1,
            int(any(frame.boxes for frame in frames)),
            int(bool(blocks)),
            int(any(group.n_rows or group.shared for group in groups)),
            1,
        ),
    )
    # Only which sections there are decides the length of the structure, so room for it can be left.
    out.write(bytes(draft.data_start))
    chunks = _ChunkWriter(out, limits)
    _write_tables(chunks, frames, blocks)
    _write_weights(chunks, pack, groups)
    if features & CELLS:
        cells = zip(*_cells(frames), strict=True)
        chunks.add_table(Kind.CELLS, dict(zip(Cell._fields, cells, strict=True)))
    if features & LABELS:
        _write_labels(chunks, frames, limits)
    for record in chunks.records:
        sections[SECTION_OF[record.kind]] += record.stored
    directory = encode_directory(groups, pack.info, chunks.records)
    limits.check("max_directory_bytes", len(directory), "bytes of the directory")
    stored = _zstd.compress(directory, level=_TABLE_LEVEL)
    out.write(stored)
    sections["directory"] = len(stored)
    header = replace(
        draft,
        n_chunks=len(chunks.records),
        directory_size=len(directory),
        directory_crc=zlib.crc32(stored),
        sections=tuple(sections.values()),
        required=features,
    )
    out.seek(0)
    out.write(header.to_bytes() + header.structure())
    return header.data_start + sum(header.sections)


class _ChunkWriter:
    """Appends chunks to a file and remembers their directory entries."""

    def __init__(self, out: BinaryIO, limits: Limits) -> None:
        self._out = out
        self._limits = limits
        self.records: list[ChunkRecord] = []

    def add(self, kind: Kind, group: int, rows: int, raw: bytes) -> None:
        self._limits.check("max_chunk_bytes", len(raw), f"bytes of a {kind.name} chunk")
        weights = kind in (Kind.SHARED, Kind.ROWS)
        stored = _zstd.compress(raw, level=_WEIGHT_LEVEL if weights else _TABLE_LEVEL)
        self._out.write(stored)
        crc = zlib.crc32(stored)
        self.records.append(ChunkRecord(kind, group, rows, len(stored), len(raw), crc))

    def add_table(self, kind: Kind, columns: Mapping[str, Sequence[Any]]) -> None:
        """Cut a whole table into chunks and append them."""
        table = schema.TABLES[kind]
        sizes = [schema.row_bytes(table)[0]] * len(columns[table[0].name])
        for column in table:
            if column.dtype == "bytes":
                items = columns[column.name]
                sizes = [size + len(item) for size, item in zip(sizes, items, strict=True)]
        for start, stop in _cut(sizes, most_rows=schema.TABLE_ROWS):
            part = {name: values[start:stop] for name, values in columns.items()}
            self.add(kind, 0, stop - start, schema.encode_rows(table, part))


def _cut(sizes: Sequence[int], *, most_rows: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows of at most `CHUNK_BYTES` together, or of a single row."""
    start, total = 0, 0
    for at, size in enumerate(sizes):
        if at > start and (total + size > schema.CHUNK_BYTES or at - start == most_rows):
            yield start, at
            start, total = at, 0
        total += size
    if sizes:
        yield start, len(sizes)


def _check(frames: Sequence[Frame], groups: Sequence[GroupInfo], limits: Limits) -> int:
    """Check everything but the weights; returns the required feature bits."""
    if not frames:
        raise RinrFormatError("a pack without frames cannot be written")
    limits.check("max_frames", len(frames), "frames of the pack")
    limits.check("max_groups", len(groups), "groups of the pack")
    for group in groups:
        check_group(group, limits)
    shared = sum(len(group.shared) for group in groups)
    limits.check("max_shared_bytes", shared, "shared bytes of all groups")
    names: set[str] = set()
    frames_bytes = len(frames) * schema.row_bytes(schema.FRAMES)[0]
    for frame in frames:
        frames_bytes += len(check_name(frame.name, limits))
        check_frame(frame, groups, limits)
        if frame.name in names:
            raise RinrFormatError(f"two frames have the name {frame.name!r}: names are unique")
        names.add(frame.name)
    limits.check("max_frames_bytes", frames_bytes, "uncompressed bytes of the frames table")
    shared_rows = any(f.time for f in frames) or len({f.background for f in frames}) < len(frames)
    return (
        SHARED_WEIGHTS * any(group.shared for group in groups)
        | CODED_ROWS * any(group.coded for group in groups)
        | SHARED_ROWS * shared_rows
        | CELLS * any(cell != WHOLE for cell in _cells(frames))
        | LABELS
        * (any(map(_has_notes, frames)) or any(box.extras for f in frames for box in f.boxes))
    )


def _cells(frames: Sequence[Frame]) -> list[Cell]:
    """Return the cell of every box, also of those without an object."""
    return [inr.cell if inr else WHOLE for frame in frames for inr in frame.objects]


def _has_notes(frame: Frame) -> bool:
    """Return whether the table FRAME_LABELS is needed for a frame."""
    return not frame.labelled or bool(frame.attributes)


def _write_labels(chunks: _ChunkWriter, frames: Sequence[Frame], limits: Limits) -> None:
    """Write what labels have besides class and rectangle, of frames and of boxes."""
    attributes: list[bytes] = []
    extras: list[bytes] = []
    shapes: list[bytes] = []
    for frame in frames:
        what = f"frame {frame.name[:80]!r}"
        attributes.append(encode_attributes(frame.attributes, what))
        limits.check("max_label_bytes", len(attributes[-1]), f"bytes of the attributes of {what}")
        total = 0
        for box in frame.boxes:
            for column, item in zip((extras, shapes), encode_extras(box, what), strict=True):
                column.append(item)
                total += len(item)
        limits.check("max_label_bytes", total, f"bytes of the extras of all boxes of {what}")
    if any(map(_has_notes, frames)):
        chunks.add_table(
            Kind.FRAME_LABELS,
            {"labelled": [int(frame.labelled) for frame in frames], "attributes": attributes},
        )
    if any(extras) or any(shapes):
        chunks.add_table(Kind.BOX_LABELS, {"extras": extras, "shapes": shapes})


def _metadata_blocks(frames: Sequence[Frame]) -> dict[bytes, int]:
    """Return each distinct metadata block and its reference (row + 1), in order of appearance."""
    blocks: dict[bytes, int] = {}
    for frame in frames:
        for block in (frame.metadata.exif, frame.metadata.icc, frame.metadata.xmp):
            if block:
                blocks.setdefault(bytes(block), len(blocks) + 1)
    return blocks


def _write_tables(
    chunks: _ChunkWriter, frames: Sequence[Frame], blocks: Mapping[bytes, int]
) -> None:
    counts = np.array([len(frame.boxes) for frame in frames], np.int64)
    limit = 2**32 - 1
    if counts.sum() > limit:
        raise RinrFormatError(f"{counts.sum():,} boxes are more than a file can count")
    chunks.add_table(
        Kind.FRAMES,
        {
            "name": [frame.name.encode() for frame in frames],
            "width": [frame.width for frame in frames],
            "height": [frame.height for frame in frames],
            "mode": [MODES.index(frame.mode) for frame in frames],
            "background_group": [frame.background.group for frame in frames],
            "background_row": [frame.background.row for frame in frames],
            "box_start": (np.cumsum(counts) - counts).tolist(),
            "box_count": counts.tolist(),
            "time": [frame.time for frame in frames],
            "source_width": [frame.source_size[0] for frame in frames],
            "source_height": [frame.source_size[1] for frame in frames],
            "source_bytes": [frame.source_bytes for frame in frames],
            "exif": [blocks.get(frame.metadata.exif, 0) for frame in frames],
            "icc": [blocks.get(frame.metadata.icc, 0) for frame in frames],
            "xmp": [blocks.get(frame.metadata.xmp, 0) for frame in frames],
        },
    )
    boxes = [box for frame in frames for box in frame.boxes]
    objects = [inr for frame in frames for inr in frame.objects]
    chunks.add_table(
        Kind.BOXES,
        {
            "class_id": [box.class_id for box in boxes],
            "x": [box.x for box in boxes],
            "y": [box.y for box in boxes],
            "w": [box.w for box in boxes],
            "h": [box.h for box in boxes],
            "gain": [inr.gain if inr else 0.0 for inr in objects],
        },
    )
    chunks.add_table(
        Kind.OBJECTS,
        {
            "group": [inr.inr.group + 1 if inr else 0 for inr in objects],
            "row": [inr.inr.row if inr else 0 for inr in objects],
            "mode": [int(inr.mode == "direct") if inr else 0 for inr in objects],
        },
    )
    chunks.add_table(Kind.METADATA, {"data": list(blocks)})


def _write_weights(chunks: _ChunkWriter, pack: PackSource, groups: Sequence[GroupInfo]) -> None:
    for number, group in enumerate(groups):
        if group.shared:
            chunks.add(Kind.SHARED, number, 1, group.shared)
    for number, group in enumerate(groups):
        table = schema.rows_table(group)
        row_bytes, _ = schema.row_bytes(table)
        batch = max(1, min(4096, schema.CHUNK_BYTES // max(1, row_bytes)))
        for first in range(0, group.n_rows, batch):
            rows = pack.read_rows(number, range(first, min(first + batch, group.n_rows)))
            check_rows(rows, group)
            scales = schema.to_bfloat16(rows.scales)
            sizes = [row_bytes + len(item) for item in rows.coded] or [row_bytes] * len(rows.codes)
            for start, stop in _cut(sizes, most_rows=batch):
                columns = {
                    "codes": rows.codes[start:stop],
                    "scales": scales[start:stop],
                    "coded": rows.coded[start:stop],
                }
                chunks.add(Kind.ROWS, number, stop - start, schema.encode_rows(table, columns))

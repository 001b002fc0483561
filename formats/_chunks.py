"""From the bytes of an open file to its chunks, and from chunks to rows of its tables."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rinrcodec.errors import RinrFormatError
from rinrcodec.formats import _zstd, schema
from rinrcodec.formats._directory import Directory, decode_directory
from rinrcodec.formats.checks import check_rows, naming
from rinrcodec.formats.header import HEADER_SIZE, Header
from rinrcodec.formats.schema import Columns, Kind
from rinrcodec.limits import Limits
from rinrcodec.pack import Rows, code_dtype
from rinrcodec.storage import ByteSource

__all__ = ["ChunkStore", "read_block", "read_directory"]

_CACHED_CHUNKS = 16
_CACHED_BYTES = 2**20  # of one chunk; larger ones are decoded anew


def read_block(source: ByteSource, limits: Limits) -> Header:
    """Read the user block, checked against the file size and the HDF5 structure after it."""
    header = Header.from_bytes(source.read(0, HEADER_SIZE), limits=limits)
    expected = HEADER_SIZE + header.body_length
    if source.size < expected:
        raise RinrFormatError(
            f"it is truncated: {source.size:,} of {expected:,} bytes; fetch the file again"
        )
    if source.size > expected:
        raise RinrFormatError(
            f"trailing garbage follows its {expected:,} bytes: {source.size:,} bytes in all"
        )
    structure = header.structure()
    if _read(source, HEADER_SIZE, len(structure)) != structure:
        raise RinrFormatError(
            "its HDF5 structure is damaged or not that of a .rinr file; fetch the file again"
        )
    return header


def read_directory(source: ByteSource, header: Header, limits: Limits) -> Directory:
    """Read the directory of the file and check it against the user block."""
    with naming("its directory"):
        _zstd.check_stored(header.sections[-1], header.directory_size)
    stored = _read(source, source.size - header.sections[-1], header.sections[-1])
    if zlib.crc32(stored) != header.directory_crc:
        raise RinrFormatError("its directory is damaged (wrong CRC-32); fetch the file again")
    with naming("its directory"):
        raw = _zstd.decompress(stored, size=header.directory_size)
    return decode_directory(raw, header, limits)


class ChunkStore:
    """Finds, checks and decodes chunks, and keeps the last few small ones. Threads may share it."""

    def __init__(self, source: ByteSource, directory: Directory) -> None:
        self._source = source
        self._directory = directory
        # What chunks that were unpacked so far have together. No bound method: a cycle would keep
        # the file open after the reader is gone.
        self._count = [0]
        self._decode = partial(_decode_chunk, source, directory, self._count)
        self._cached = lru_cache(maxsize=_CACHED_CHUNKS)(self._decode)

    @property
    def unpacked(self) -> int:
        """Uncompressed bytes of all chunks of tables and rows that were read so far."""
        return self._count[0]

    def chunk(self, number: int) -> Columns:
        """Return the columns of the chunk of that number; do not change them."""
        small = self._directory.chunks["size"][number] <= _CACHED_BYTES
        return self._cached(number) if small else self._decode(number)

    def chunks(self, kind: Kind, group: int = 0) -> Iterator[Columns]:
        """Yield the columns of all chunks of a table; each dict is emptied before the next."""
        run = self._directory.run(kind, group)
        for number in range(run.first, run.first + len(run.starts)):
            columns = dict(self.chunk(number))
            yield columns
            columns.clear()  # which the caller's loop still holds, while the next is unpacked

    def rows(self, kind: Kind, start: int, stop: int) -> Columns:
        """Return rows `[start, stop)` of a table, from as few chunks as hold them."""
        parts = list(self.parts(kind, start, stop))
        if not parts:
            return {column.name: [] for column in schema.TABLES[kind]}
        return {k: _joined([part[k] for part in parts]) for k in parts[0]}

    def parts(self, kind: Kind, start: int, stop: int) -> Iterator[Columns]:
        """Yield rows `[start, stop)` of a table, chunk by chunk."""
        run = self._directory.run(kind)
        if not 0 <= start <= stop <= run.n_rows:
            raise RinrFormatError(
                f"a frame asks for rows {start} to {stop} of {kind.name}, there are {run.n_rows}"
            )
        if start == stop:
            return
        first, last = (np.searchsorted(run.starts, [start, stop - 1], "right") - 1).tolist()
        for i in range(first, last + 1):
            at = int(run.starts[i])
            columns = self.chunk(run.first + i)
            yield {k: v[max(0, start - at) : stop - at] for k, v in columns.items()}

    def weights(self, group: int, wanted: NDArray[np.int64]) -> Rows:
        """Read the given rows of a group; decode each chunk once."""
        info = self._directory.groups[group]
        run = self._directory.run(Kind.ROWS, group)
        shape = (len(wanted), info.n_params)
        codes: NDArray[Any] = np.empty(shape, code_dtype(info.bits))
        scales = np.empty((len(wanted), info.n_scales), np.float32)
        coded = [b""] * len(wanted) if info.coded else []
        chunk_of = np.searchsorted(run.starts, wanted, "right") - 1
        for chunk in sorted(set(chunk_of.tolist())):  # np.unique would import numpy.ma, 10 ms
            columns = self.chunk(run.first + chunk)
            positions = np.flatnonzero(chunk_of == chunk)
            inside = wanted[positions] - run.starts[chunk]
            codes[positions] = columns["codes"][inside]
            scales[positions] = schema.to_float32(columns["scales"][inside])
            if info.coded:
                for position, row in zip(positions.tolist(), inside.tolist(), strict=True):
                    coded[position] = columns["coded"][row]
        rows = Rows(codes, scales, tuple(coded))
        check_rows(rows, info)
        return rows

    def shared(self, group: int) -> bytes:
        """Read the shared bytes of a group, empty if it has none."""
        run = self._directory.run(Kind.SHARED, group)
        return _load_chunk(self._source, self._directory, run.first) if run.n_rows else b""


def _decode_chunk(
    source: ByteSource, directory: Directory, count: list[int], number: int
) -> Columns:
    record = directory.record(number)
    raw = _load_chunk(source, directory, number)
    count[0] += len(raw)
    if record.kind is Kind.ROWS:
        table = schema.rows_table(directory.groups[record.group])
    else:
        table = schema.TABLES[record.kind]
    with _naming_chunk(directory, number):
        return schema.decode_rows(table, record.rows, raw)


def _load_chunk(source: ByteSource, directory: Directory, number: int) -> bytes:
    record = directory.record(number)
    with _naming_chunk(directory, number):
        _zstd.check_stored(record.stored, record.size)
        stored = _read(source, int(directory.offsets[number]), record.stored)
        if zlib.crc32(stored) != record.crc:
            if source.changed():
                raise RinrFormatError("the file was changed while it was open; open it again")
            raise RinrFormatError("it is damaged (wrong CRC-32); fetch the file again")
        return _zstd.decompress(stored, size=record.size)


def _naming_chunk(directory: Directory, number: int) -> AbstractContextManager[None]:
    return naming(f"chunk {number} ({directory.record(number).kind.name})")


def _read(source: ByteSource, offset: int, length: int) -> bytes:
    data = source.read(offset, length)
    if len(data) != length:
        raise RinrFormatError(
            f"bytes {offset + len(data):,} to {offset + length:,} are missing; "
            f"was the file changed while it was open?"
        )
    return data


def _joined(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], list):
        return [item for part in parts for item in part]
    return np.concatenate(parts)

"""Take a `.rinr` file apart and put it together again with valid checksums, even if false."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import zstandard

from rinrcodec.formats import schema
from rinrcodec.formats._directory import SECTION_OF
from rinrcodec.formats.header import HEADER_SIZE, SECTIONS, Header
from rinrcodec.formats.schema import Kind

LARGEST = 2**22  # bytes of a piece


@dataclass
class Parts:
    """A file in pieces: change what you like, then `assemble`.

    `raw` are the uncompressed chunks; `stored` replaces a chunk's compressed bytes, and `forged` a
    value of the chunk table as `(column, chunk) -> value`, after everything else was computed.
    `packed` are the compressed bytes that were found.
    """

    header: Header
    groups: dict[str, list[Any]]
    info: dict[str, list[Any]]
    chunks: dict[str, list[Any]]
    raw: list[bytes]
    stored: dict[int, bytes] = field(default_factory=dict)
    forged: dict[tuple[str, int], int] = field(default_factory=dict)
    sections: dict[str, int] = field(default_factory=dict)
    directory: bytes | None = None  # uncompressed
    packed: list[bytes] = field(default_factory=list)

    def find(self, kind: Kind, nth: int = 0) -> int:
        """The number of the nth chunk of a kind."""
        return [i for i, k in enumerate(self.chunks["kind"]) if k == kind][nth]

    def edit(self, kind: Kind, change: Callable[[dict[str, Any]], None], group: int = 0) -> Parts:
        """Decode the first chunk of a kind, let `change` alter its columns, encode it again."""
        at = self.find(kind)
        if kind is Kind.ROWS:
            at += self.chunks["group"][at:].index(group)
            table = schema.rows_table(self.group(group))
        else:
            table = schema.TABLES[kind]
        columns = schema.decode_rows(table, self.chunks["rows"][at], self.raw[at])
        columns = {k: v if isinstance(v, list) else v.copy() for k, v in columns.items()}
        change(columns)
        self.raw[at] = schema.encode_rows(table, columns)
        return self

    def group(self, number: int) -> Any:
        from rinrcodec.pack import GroupInfo, Spec

        g = {name: values[number] for name, values in self.groups.items()}
        spec = Spec.from_json(g["spec"].decode())
        size = (g["n_rows"], g["n_params"], g["n_scales"])
        return GroupInfo(spec, g["bits"], *size, coded=bool(g["flags"]))


def _lists(columns: dict[str, Any]) -> dict[str, list[Any]]:
    return {k: v if isinstance(v, list) else v.tolist() for k, v in columns.items()}


def take_apart(data: bytes) -> Parts:
    """The pieces of a file whose directory can be read. It may be false, and chunks damaged.

    Raises `RinrError` or `ZstdError` for any other.
    """
    header = Header.from_bytes(data)
    raw = decompress(data[len(data) - header.sections[-1] :])
    groups, at = schema.decode_part(schema.GROUPS, header.n_groups, raw, 0)
    info, at = schema.decode_part(schema.INFO, header.n_info, raw, at)
    chunks, _ = schema.decode_part(schema.CHUNKS, header.n_chunks, raw, at)
    parts = Parts(header, _lists(groups), _lists(info), _lists(chunks), [])
    at = header.data_start
    for number, length in enumerate(parts.chunks["stored"]):
        packed = data[at : at + length]
        parts.packed.append(packed)
        try:
            parts.raw.append(decompress(packed))
        except zstandard.ZstdError:
            parts.raw.append(b"")
            parts.stored[number] = packed
        true = {"size": len(parts.raw[-1]), "crc": zlib.crc32(packed)}
        for column, value in true.items():
            if parts.chunks[column][number] != value:
                parts.forged[column, number] = parts.chunks[column][number]
        at += length
    return parts


def decompress(stored: bytes) -> bytes:
    """The content of a zstd frame, unless it is larger than tests need; raises `ZstdError`."""
    if zstandard.frame_content_size(stored) > LARGEST:
        raise zstandard.ZstdError(f"over {LARGEST:,} bytes")
    return zstandard.ZstdDecompressor().decompress(stored, max_output_size=LARGEST)


def compress(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(raw)


def assemble(parts: Parts, **header_changes: Any) -> bytes:
    """The bytes of a file; checksums, sizes and counts are right unless changed on purpose."""
    stored = [
        parts.stored[i] if i in parts.stored else compress(raw) for i, raw in enumerate(parts.raw)
    ]
    parts.chunks["stored"] = [len(chunk) for chunk in stored]
    parts.chunks["size"] = [len(raw) for raw in parts.raw]
    parts.chunks["crc"] = [zlib.crc32(chunk) for chunk in stored]
    for (column, number), value in parts.forged.items():
        parts.chunks[column][number] = value
    sections = dict.fromkeys(SECTIONS, 0)
    for kind, chunk in zip(parts.chunks["kind"], stored, strict=True):
        sections[SECTION_OF.get(kind, "weights")] += len(chunk)
    directory = parts.directory or b"".join(
        schema.encode_rows(table, columns)
        for table, columns in (
            (schema.GROUPS, parts.groups),
            (schema.INFO, parts.info),
            (schema.CHUNKS, parts.chunks),
        )
    )
    packed = compress(directory)
    sections["directory"] = len(packed)
    sections.update(parts.sections)
    changes = {
        "n_groups": len(parts.groups["bits"]),
        "n_info": len(parts.info["key"]),
        "n_chunks": len(parts.raw),
        "directory_size": len(directory),
        "directory_crc": zlib.crc32(packed),
        "sections": tuple(sections.values()),
    }
    header = replace(parts.header, **{**changes, **header_changes})
    return header.to_bytes() + header.structure() + b"".join(stored) + packed


def fix_block(data: bytes) -> bytes:
    """Make the CRC-32 of the user block right again."""
    crc_at = HEADER_SIZE - 4
    return data[:crc_at] + struct.pack("<I", zlib.crc32(data[:crc_at])) + data[HEADER_SIZE:]

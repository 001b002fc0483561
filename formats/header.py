"""The user block: the first 512 bytes of a `.rinr` file, all that a scan of a data set needs."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO, cast

from rinrcodec.errors import RinrFormatError
from rinrcodec.formats._hdf5 import BASE, SIGNATURE, structure, structure_size
from rinrcodec.formats.checks import naming
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import ColorMode
from rinrcodec.storage import (
    Buffer,
    ByteSource,
    MemorySource,
    is_buffer,
    read_range,
    source_of,
    storage_of,
    to_path_or_none,
)

__all__ = [
    "CELLS",
    "CODED_ROWS",
    "HEADER_SIZE",
    "LABELS",
    "MAGIC",
    "MOST_STRUCTURE",
    "SECTIONS",
    "SHARED_ROWS",
    "SHARED_WEIGHTS",
    "VERSION",
    "BytesLike",
    "Header",
    "open_bytes",
    "read_header",
]

MAGIC = b"\x89RINR\r\n\x1a\n"
VERSION = 1
HEADER_SIZE = BASE

# Required feature bits: a reader that does not know one must refuse the file.
SHARED_WEIGHTS = 1 << 0  # a group has bytes that serve all its rows
CODED_ROWS = 1 << 1  # a group has entropy-coded bytes per row
SHARED_ROWS = 1 << 2  # a background row serves several frames, at different times
CELLS = 1 << 3  # an object is a part of its row
LABELS = 1 << 4  # labels have more than a class and a rectangle, or could not be understood
KNOWN_FEATURES = SHARED_WEIGHTS | CODED_ROWS | SHARED_ROWS | CELLS | LABELS

SECTIONS = ("frames", "boxes", "metadata", "weights", "directory")
MOST_STRUCTURE = structure_size(SECTIONS)  # bytes of the HDF5 structure of a file that has them all
MODES: tuple[ColorMode, ...] = ("L", "RGB")

# (name in SPEC.md, struct format) in file order; the CRC-32 of all this takes the last 4 bytes.
FIELDS = (
    ("magic", "9s"),
    ("version", "B"),
    ("mode", "B"),
    ("reserved", "B"),
    ("required", "I"),
    ("optional", "I"),
    ("n_frames", "I"),
    ("width", "I"),
    ("height", "I"),
    ("n_groups", "I"),
    ("n_info", "I"),
    ("n_chunks", "I"),
    ("directory_size", "I"),
    ("directory_crc", "I"),
    ("body_length", "Q"),
    *((f"{name}_length", "Q") for name in SECTIONS),
)
_STRUCT = struct.Struct("<" + "".join(kind for _, kind in FIELDS))
_CRC_AT = HEADER_SIZE - 4

# Where the bytes of a file come from: a path or URL, the bytes themselves, or a binary file.
BytesLike = str | os.PathLike[str] | Buffer | BinaryIO


@dataclass(frozen=True, slots=True)
class Header:
    """The content of the user block; `width`, `height` and `mode` are those of the first frame.

    `sections` are the lengths in bytes of the parts named by `SECTIONS`, in file order.
    """

    n_frames: int
    width: int
    height: int
    mode: ColorMode
    n_groups: int
    n_info: int
    n_chunks: int
    directory_size: int
    directory_crc: int
    sections: tuple[int, ...]
    required: int = 0
    optional: int = 0
    version: int = VERSION

    def structure(self) -> bytes:
        """Build the HDF5 structure between the user block and the first section."""
        return structure(dict(zip(SECTIONS, self.sections, strict=True)))

    @property
    def data_start(self) -> int:
        """File offset of the first section."""
        present = (n for n, length in zip(SECTIONS, self.sections, strict=True) if length)
        return HEADER_SIZE + structure_size(tuple(present))

    @property
    def body_length(self) -> int:
        """Bytes of the file after the user block."""
        return self.data_start - HEADER_SIZE + sum(self.sections)

    def to_bytes(self) -> bytes:
        """Encode the user block, 512 bytes."""
        block = _STRUCT.pack(
            MAGIC,
            self.version,
            MODES.index(self.mode),
            0,
            self.required,
            self.optional,
            self.n_frames,
            self.width,
            self.height,
            self.n_groups,
            self.n_info,
            self.n_chunks,
            self.directory_size,
            self.directory_crc,
            self.body_length,
            *self.sections,
        ).ljust(_CRC_AT, b"\0")
        return block + struct.pack("<I", zlib.crc32(block))

    @classmethod
    def from_bytes(cls, block: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Header:
        """Parse and check a user block; `block` holds the first 512 bytes of a file, or all of it.

        Raises `RinrFormatError` if it is not that of a `.rinr` file this version can read, and
        `RinrLimitError` if it declares more than `limits` allow.
        """
        _check_magic(block)
        if zlib.crc32(block[:_CRC_AT]) != int.from_bytes(block[_CRC_AT:HEADER_SIZE], "little"):
            raise RinrFormatError("its user block is damaged (wrong CRC-32); fetch the file again")
        values = dict(zip((name for name, _ in FIELDS), _STRUCT.unpack_from(block), strict=True))
        if values["version"] != VERSION:
            raise RinrFormatError(
                f"it is of format version {values['version']}, this release reads version "
                f"{VERSION}; update rinrcodec"
            )
        if unknown := values["required"] & ~KNOWN_FEATURES:
            bits = ", ".join(str(bit) for bit in range(32) if unknown >> bit & 1)
            raise RinrFormatError(
                f"reading it needs feature bit {bits}, unknown to this release; update rinrcodec"
            )
        if values["mode"] >= len(MODES):
            raise RinrFormatError(f"its first frame has the unknown colour mode {values['mode']}")
        header = cls(
            **{name: values[name] for name in _PLAIN},
            mode=MODES[values["mode"]],
            sections=tuple(values[f"{name}_length"] for name in SECTIONS),
        )
        if not (header.n_frames and header.width and header.height and header.n_chunks):
            raise RinrFormatError("its user block declares no frames or no pixels")
        limits.check("max_frames", header.n_frames, "frames in the file")
        limits.check("max_pixels", header.width * header.height, "pixels of the first frame")
        limits.check("max_groups", header.n_groups, "groups in the file")
        limits.check("max_directory_bytes", header.directory_size, "bytes of the directory")
        if max(header.sections) >= 1 << 56 or header.body_length != values["body_length"]:
            raise RinrFormatError(
                f"its user block declares a body of {values['body_length']:,} bytes, but sections "
                f"that add up to {header.body_length:,}"
            )
        return header


_PLAIN = (
    *("n_frames", "width", "height", "n_groups", "n_info", "n_chunks"),
    *("directory_size", "directory_crc", "required", "optional", "version"),
)


# What a .rinr file is taken for most often, by its first bytes.
_OTHERS = {
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"GIF8": "a GIF picture",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
}


def _check_magic(block: bytes) -> None:
    if not block:
        raise RinrFormatError("it is empty, not a .rinr file")
    if MAGIC.startswith(block[: len(MAGIC)]):
        if len(block) < HEADER_SIZE:
            raise RinrFormatError(
                f"it is truncated: {len(block)} of the {HEADER_SIZE} bytes of its user block"
            )
        return
    if block.startswith(MAGIC[:5]) or block.startswith(b"RINR"):
        raise RinrFormatError(
            "its first bytes were changed in transfer, as a text mode does; copy it as binary"
        )
    if block.startswith(SIGNATURE):
        raise RinrFormatError("it is plain HDF5 without the user block of a .rinr file")
    for start, kind in _OTHERS.items():
        if block.startswith(start):
            raise RinrFormatError(f"it is {kind}, not a .rinr file")
    raise RinrFormatError(f"it is not a .rinr file: it begins with {block[:9]!r}, not {MAGIC!r}")


def open_bytes(source: BytesLike) -> ByteSource:
    """Open a path or URL, or wrap bytes in memory or a seekable binary file.

    Raises `RinrInputError` for an object that is none of them.
    """
    if path := to_path_or_none(source):
        return storage_of(path).open_ranges(path, head=HEADER_SIZE + MOST_STRUCTURE)
    return source_of(source)


def read_header(source: BytesLike, *, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Read the first 512 bytes of a path or URL, of bytes in memory or a binary file at its start.

    Does not look at the rest of the file, nor whether it is there. Errors as `Header.from_bytes`,
    and `OSError` if the file cannot be opened.
    """
    if path := to_path_or_none(source):
        name, block = str(path), read_range(path, 0, HEADER_SIZE)
    elif is_buffer(source):
        memory = MemorySource(cast(Buffer, source))
        name, block = memory.name, memory.read(0, HEADER_SIZE)
        memory.close()
    else:
        stream = cast(BinaryIO, source)
        name, block = str(getattr(stream, "name", None) or "<file>"), b""
        while len(block) < HEADER_SIZE and (more := stream.read(HEADER_SIZE - len(block))):
            block += more
    with naming(name):
        return Header.from_bytes(block, limits=limits)

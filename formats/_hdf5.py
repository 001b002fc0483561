"""The HDF5 structure around the sections: superblock, root group and one header per dataset.

The structure is a pure function of the section lengths. The writer writes it, and the reader
compares it byte for byte instead of parsing it, so a hostile structure never reaches any parser.
It is written here because the HDF5 library pads every dataset to 280 bytes (this takes about 90)
and because its bytes change from one library version to the next.

Follows the HDF5 File Format Specification 3.0, sections II.A (superblock version 2), IV.A.1.b
(object header version 2) and IV.A.2 (messages); any HDF5 library from 1.8 on reads it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache

__all__ = ["BASE", "SIGNATURE", "checksum", "structure", "structure_size"]

BASE = 512  # length of the user block; HDF5 addresses count from here
SIGNATURE = b"\x89HDF\r\n\x1a\n"
_NOWHERE = b"\xff" * 8  # HDF5's undefined address
_DATASPACE, _LINK_INFO, _DATATYPE, _FILL = 0x01, 0x02, 0x03, 0x05
_LINK, _LAYOUT, _GROUP_INFO = 0x06, 0x08, 0x0A
_MASK = 0xFFFFFFFF
_ROOT = 48  # address of the root group: right after the superblock
_DATASET_SIZE = 72  # of a dataset's object header


def structure(sections: Mapping[str, int]) -> bytes:
    """Build the HDF5 bytes that follow the user block.

    They fit sections of these lengths, in file order.

    Every section of non-zero length becomes a contiguous uint8 dataset of the root group; the
    first one begins right after the returned bytes.
    """
    present = {name: length for name, length in sections.items() if length}
    data = structure_size(tuple(present))
    first_dataset = data - _DATASET_SIZE * len(present)
    links = {name: first_dataset + _DATASET_SIZE * i for i, name in enumerate(present)}
    headers = []
    for length in present.values():
        headers.append(_dataset(data, length))
        data += length
    # The end of file is the one address that counts from the start of the file.
    superblock = SIGNATURE + struct.pack(
        "<BBBBQ8sQQ", 2, 8, 8, 0, BASE, _NOWHERE, BASE + data, _ROOT
    )
    return _with_checksum(superblock) + _root(links) + b"".join(headers)


@cache
def structure_size(names: tuple[str, ...]) -> int:
    """Return the length of the structure for sections of these names and any lengths."""
    return _ROOT + len(_root(dict.fromkeys(names, 0))) + _DATASET_SIZE * len(names)


def _root(links: Mapping[str, int]) -> bytes:
    messages = [(_LINK_INFO, b"\0\0" + _NOWHERE + _NOWHERE), (_GROUP_INFO, b"\0\0")]
    for name, address in links.items():
        text = name.encode("ascii")
        messages.append((_LINK, struct.pack("<BBB", 1, 0, len(text)) + text + _address(address)))
    return _object_header(messages)


def _dataset(address: int, length: int) -> bytes:
    return _object_header(
        [
            (_DATASPACE, struct.pack("<BBBBQ", 2, 1, 0, 1, length)),
            (_DATATYPE, struct.pack("<B3xIHH", 0x10, 1, 0, 8)),  # unsigned 8-bit integer
            (_FILL, struct.pack("<BB", 3, 0x05)),  # allocated early, never filled
            (_LAYOUT, struct.pack("<BBQQ", 3, 1, address, length)),  # contiguous
        ]
    )


def _object_header(messages: list[tuple[int, bytes]]) -> bytes:
    body = b"".join(struct.pack("<BHB", kind, len(data), 0) + data for kind, data in messages)
    return _with_checksum(b"OHDR" + struct.pack("<BBH", 2, 1, len(body)) + body)


def _address(value: int) -> bytes:
    return struct.pack("<Q", value)


def _with_checksum(data: bytes) -> bytes:
    return data + struct.pack("<I", checksum(data))


def checksum(data: bytes) -> int:
    """Compute the checksum of HDF5 metadata: lookup3 by Bob Jenkins (public domain), 32 bits."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    last = max(0, len(data) - 1) // 12 * 12
    padded = data + bytes(-len(data) % 12)
    for at in range(0, len(padded), 12):
        x, y, z = struct.unpack_from("<III", padded, at)
        a, b, c = (a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK
        if at == last:
            break
        a = ((a - c) & _MASK) ^ _rotate(c, 4)
        c = (c + b) & _MASK
        b = ((b - a) & _MASK) ^ _rotate(a, 6)
        a = (a + c) & _MASK
        c = ((c - b) & _MASK) ^ _rotate(b, 8)
        b = (b + a) & _MASK
        a = ((a - c) & _MASK) ^ _rotate(c, 16)
        c = (c + b) & _MASK
        b = ((b - a) & _MASK) ^ _rotate(a, 19)
        a = (a + c) & _MASK
        c = ((c - b) & _MASK) ^ _rotate(b, 4)
        b = (b + a) & _MASK
    if not data:
        return c
    c = ((c ^ b) - _rotate(b, 14)) & _MASK
    a = ((a ^ c) - _rotate(c, 11)) & _MASK
    b = ((b ^ a) - _rotate(a, 25)) & _MASK
    c = ((c ^ b) - _rotate(b, 16)) & _MASK
    a = ((a ^ c) - _rotate(c, 4)) & _MASK
    b = ((b ^ a) - _rotate(a, 14)) & _MASK
    return ((c ^ b) - _rotate(b, 24)) & _MASK


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK

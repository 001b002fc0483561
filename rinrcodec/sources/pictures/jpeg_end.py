"""JPEGs that only lack their end marker, FF D9, as some cameras write them.

`images.decode_picture` calls `lacks_end` and then `completed`. No entropy code is parsed. The file
is decoded with the marker appended, and again with random bytes before the marker:

    ... scan data | FF D9               the decoder fills what is missing with zeros
    ... scan data | random bytes FF D9  the decoder fills what is missing with the random bytes

Equal pixels mean that the decoder needed no byte more, so that no pixel is missing.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rinrcodec.memory import is_out_of_memory

__all__ = ["completed", "lacks_end"]

_END = b"\xff\xd9"
# Scan data goes on over stuffed zeros (FF 00), restart markers (FF D0 to D7) and fill bytes.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_RESTART = re.compile(rb"\xff([\xd0-\xd7])", re.DOTALL)
_SOF, _PROGRESSIVE = {0xC0, 0xC1, 0xC2}, 0xC2
_DHT, _EOI, _SOS, _DRI = 0xC4, 0xD9, 0xDA, 0xDD
_SEGMENTS = {_DHT, _SOS, 0xDB, _DRI, 0xFE, *range(0xE0, 0xF0)}
_TRIES = 3
_RANDOM_BYTES = 4096
# The shortest run of one byte, other than zero, that counts as filling.
_LEAST_FILLING = 4


@dataclass(slots=True)
class _Scans:
    """The frame of a JPEG: what its scans hold, and where the data of the last one is.

    precision: for each component, by coefficient, the lowest bit that was sent.
    """

    progressive: bool = False
    precision: dict[int, list[int | None]] = field(default_factory=dict)
    start: int = 0
    stop: int = 0

    def add(self, components: bytes, first: int, last: int, lowest_bit: int) -> None:
        for component in components:
            if self.progressive:
                self.precision[component][first : last + 1] = [lowest_bit] * (last + 1 - first)
            else:
                self.precision[component] = [0] * 64

    @property
    def are_all_there(self) -> bool:
        return bool(self.precision) and all(
            bit == 0 for bits in self.precision.values() for bit in bits
        )


def lacks_end(data: bytes) -> bool:
    """Return whether a file is a JPEG whose scans are not followed by the end marker.

    Pillow reads some of these, also where pixels are missing, and refuses others.
    """
    if data.endswith(_END) or not data.startswith(b"\xff\xd8\xff"):
        return False
    try:
        scans = _scans(data)
    except (IndexError, KeyError, struct.error):
        return False
    return scans.stop > 0 and data[scans.stop : scans.stop + 2] != _END


def completed(data: bytes, decode: Callable[[bytes], NDArray[np.uint8]]) -> bytes | None:
    """Append the end marker to a JPEG that lacks it.

    Args:
        data: the file, of which `lacks_end` is true.
        decode: gives the pixels of a JPEG, and raises any error for one that it cannot decode.

    Returns:
        The file with its end marker; None where pixels are missing, or where that is not certain.
    """
    try:
        scans = _scans(data)
    except (IndexError, KeyError, struct.error):
        return None
    if not scans.are_all_there:
        return None
    whole = data[: scans.stop].rstrip(b"\xff")
    # Filling may pass for data, so the data before it must be complete. A single zero is data.
    bare = whole.rstrip(whole[-1:])
    if len(whole) - len(bare) >= (2 if whole.endswith(b"\0") else _LEAST_FILLING):
        # FF is data only with a zero after it.
        whole = whole[: len(bare) + bare.endswith(b"\xff")]
    return whole + _END if _is_complete(whole, scans.start, decode) else None


def _is_complete(data: bytes, start: int, decode: Callable[[bytes], NDArray[np.uint8]]) -> bool:
    if len(data) <= start:
        return False
    try:
        pixels = decode(data + _END)
        return all(
            np.array_equal(pixels, decode(data + _tail(data, start, seed) + _END))
            for seed in range(_TRIES)
        )
    except Exception as error:  # any error of Pillow means that it cannot be decoded
        if is_out_of_memory(error):
            raise
        return False


def _tail(data: bytes, start: int, seed: int) -> bytes:
    """Return random bytes; after each piece follows the restart marker that is due."""
    found = _RESTART.findall(data, start)
    due = found[-1][0] + 1 if found else 0xD0
    source = random.Random(seed)
    pieces = []
    for number in range(16):
        piece = source.randbytes(_RANDOM_BYTES // 16).replace(b"\xff", b"\xfe")
        # The first piece follows the data; a scan that is due to restart skips it.
        pieces.append(piece + bytes([0xFF, 0xD0 + (due - 0xD0 + number) % 8]))
    return b"".join(pieces)


def _scans(data: bytes) -> _Scans:
    """Walk over the segments until all scans are found or the file ends."""
    scans, at = _Scans(), 2
    if data[:2] != b"\xff\xd8":
        return scans
    while at + 4 <= len(data):
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body, after = data[at + 4 : at + 2 + length], at + 2 + length
        if data[at] != 0xFF or marker not in _SEGMENTS | _SOF or after > len(data):
            break
        at = after
        if marker in _SOF:
            scans.progressive = marker == _PROGRESSIVE
            scans.precision = {body[6 + 3 * i]: [None] * 64 for i in range(body[5])}
        elif marker == _SOS:
            count = body[0]
            first, last, bits = struct.unpack_from("3B", body, 1 + 2 * count)
            scans.add(body[1 : 1 + 2 * count : 2], first, min(last, 63), bits & 15)
            found = _MARKER.search(data, at)
            scans.start, scans.stop = at, found.start() if found else len(data)
            if scans.are_all_there:
                break
            at = scans.stop
    return scans

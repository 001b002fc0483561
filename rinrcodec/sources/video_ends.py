"""Check that the file of a video is whole: its end is there, and its structure is readable.

A demuxer stops quietly where a file ends, and searches on where it is damaged. What a container
declares about its own size tells more. `video.py` calls this before it reads the frames.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["Structure", "check_structure"]

_MOST_HEAD = 2**16
_EBML_HEAD, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_TRACKS, _BLOCK = 0x1654AE6B, 0xA3
_MOST_PACKETS = 2**16
_MOST_ELEMENTS = 2**22  # a day of video; what says that it has more is not read to its end
_FLV_TAGS = {8, 9, 15, 18}
_MP4_BOXES = {b"mdat", b"moof", b"moov"}
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


@dataclass(frozen=True, slots=True)
class Structure:
    """The facts in the structure of a file.

    cut: why the end must be missing, "" where nothing says so. damage: the position of the first
    byte that does not belong there, None where there is none.
    """

    cut: str = ""
    damage: int | None = None


def check_structure(file: BinaryIO, size: int) -> Structure:
    """Compare the sizes that a container declares with the `size` of its file.

    The position in `file` is the same afterwards. A container that declares no sizes, or whose
    frames are counted in its header (AVI), has nothing to compare.
    """
    before = file.tell()
    try:
        file.seek(0)
        head = file.read(_MOST_HEAD)
        for belongs, check in _CONTAINERS:
            if belongs(head):
                return check(file, head, size)
        return Structure()
    finally:
        file.seek(before)


def _ebml(file: BinaryIO, _head: bytes, size: int) -> Structure:
    """Read Matroska and WebM: elements of an id and a length; clusters hold one for each frame."""
    position, stop = 0, size
    tracks: set[int] = set()
    for _ in range(_MOST_ELEMENTS):
        if position >= min(stop, size):
            return _ends(size, max(position, stop))
        file.seek(position)
        data = file.read(16)
        element = _ebml_element(data)
        if element is None:
            # A few bytes may be too short for an element, which is a cut.
            return Structure(damage=position) if size - position >= 16 else _ends(size, size + 1)
        name, length, head = element
        if name == _BLOCK and tracks and len(data) > head and data[head] not in tracks:
            return Structure(damage=position + head)
        position += head
        if name == _TRACKS and length is not None:
            file.seek(position)
            tracks = _ebml_tracks(file.read(min(length, _MOST_HEAD)))
        if name == _SEGMENT and length is not None:
            stop = position + length
        elif name not in {_SEGMENT, _CLUSTER} and length is not None:
            position += length
    return Structure()


def _ebml_tracks(data: bytes) -> set[int]:
    """Return the possible first bytes of a block: the numbers of all tracks.

    Other bytes of the header may look like a number, which does no harm.
    """
    numbers = {data[i + 2] for i in range(len(data) - 2) if data[i : i + 2] == b"\xd7\x81"}
    return {number | 0x80 if number < 0x7F else 0x40 for number in numbers}


def _ebml_element(data: bytes) -> tuple[int, int | None, int] | None:
    """Read the head of an element: its id, length (None: unknown) and bytes; None for others."""
    id_bytes = 9 - data[0].bit_length()
    if id_bytes > 4 or id_bytes >= len(data):
        return None
    length_bytes = 9 - data[id_bytes].bit_length()
    head = id_bytes + length_bytes
    if length_bytes > 8 or head > len(data):
        return None
    most = (1 << 7 * length_bytes) - 1
    length = int.from_bytes(data[id_bytes:head], "big") & most
    return int.from_bytes(data[:id_bytes], "big"), None if length == most else length, head


def _flv(file: BinaryIO, head: bytes, size: int) -> Structure:
    """Read FLV: tags of a kind, a length of three bytes and data; FFmpeg notes the file size."""
    found = head.find(b"\x00\x08filesize\x00")
    if found >= 0 and found + 19 <= len(head):
        (declared,) = struct.unpack_from(">d", head, found + 11)
        if size < declared < 2**53:
            return _ends(size, int(declared))
    position = int.from_bytes(head[5:9], "big") + 4
    for _ in range(_MOST_ELEMENTS):
        if position >= size:
            return _ends(size, position)
        file.seek(position)
        tag = file.read(4)
        if tag[0] & 0x1F not in _FLV_TAGS:
            return Structure(damage=position)
        position += 11 + int.from_bytes(tag[1:], "big") + 4
    return Structure()


def _mp4(file: BinaryIO, _head: bytes, size: int) -> Structure:
    """Read MP4 and MOV: boxes of a length and a name; boxes without frames may come last."""
    position = 0
    for _ in range(_MOST_ELEMENTS):
        file.seek(position)
        head = file.read(16)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:], "big")
        if len(head) < 8 or length < 8:  # 0: up to the end of the file
            break
        position += length
        if position >= size:
            return _ends(size, position) if name in _MP4_BOXES else Structure()
    return Structure()


def _transport(step: int, offset: int) -> Callable[[BinaryIO, bytes, int], Structure]:
    """Read MPEG transport streams: packets of `step` bytes, with a mark at `offset`.

    What holds pictures or sound is cut into units, whose first packets begin with a start code.
    """

    def check(file: BinaryIO, _head: bytes, size: int) -> Structure:
        coded: NDArray[np.bool_] = np.zeros(2**13, np.bool_)  # by the number of a stream
        rest = size % step
        cut = _ends(size, size + step - rest).cut if rest else ""
        for first in range(0, size - rest, _MOST_PACKETS * step):
            file.seek(first)
            data = file.read(min(_MOST_PACKETS * step, size - rest - first))
            packets = np.frombuffer(data, np.uint8).reshape(-1, step)[:, offset : offset + 188]
            bad = packets[:, 0] != ord("G")
            begins = ~bad & (packets[:, 1] & 0x40 > 0)
            pids = (packets[:, 1] & 0x1F).astype(np.int64) << 8 | packets[:, 2]
            at = np.where(packets[:, 3] & 0x20, 5 + packets[:, 4].astype(np.int64), 4)
            begins &= (packets[:, 3] & 0x10 > 0) & (at < 186)
            rows = np.flatnonzero(begins)
            code = packets[rows[:, None], at[rows, None] + np.arange(3)]
            starts = (code == (0, 0, 1)).all(axis=1)
            for row, has_code in zip(rows.tolist(), starts.tolist(), strict=True):
                bad[row] = coded[pids[row]] and not has_code
                coded[pids[row]] |= has_code
            if bad.any():
                return Structure(cut, first + step * int(bad.argmax()))
        return Structure(cut)

    return check


def _asf(_file: BinaryIO, head: bytes, size: int) -> Structure:
    """Read ASF (WMV): the header has the file size, unless it was broadcast."""
    found = head.find(_ASF_FILE)
    if found < 0 or found + 92 > len(head):
        return Structure()
    (declared,) = struct.unpack_from("<Q", head, found + 40)
    live = head[found + 88] & 1
    return Structure() if live else _ends(size, declared)


def _ends(size: int, declared: int) -> Structure:
    if declared <= size:
        return Structure()
    return Structure(f"it has {size:,} bytes, and its structure asks for {declared:,}")


def _is_transport(step: int, offset: int) -> Callable[[bytes], bool]:
    def belongs(head: bytes) -> bool:
        marks = head[offset : offset + 5 * step : step]
        return len(marks) > 2 and marks == b"G" * len(marks)

    return belongs


_CONTAINERS: tuple[
    tuple[Callable[[bytes], bool], Callable[[BinaryIO, bytes, int], Structure]], ...
] = (
    (lambda head: head.startswith(_EBML_HEAD.to_bytes(4, "big")), _ebml),
    (lambda head: head.startswith(b"FLV\x01"), _flv),
    (lambda head: head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}, _mp4),
    (lambda head: head.startswith(bytes.fromhex("3026b2758e66cf11")), _asf),
    (_is_transport(188, 0), _transport(188, 0)),
    (_is_transport(192, 4), _transport(192, 4)),
    (_is_transport(204, 0), _transport(204, 0)),
)

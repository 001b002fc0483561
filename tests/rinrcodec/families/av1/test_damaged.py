"""Streams that are damaged or differ from their file: an error, never a crash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from av1_frames import decoded, encode, scene, sequence, with_frame, with_row

from rinrcodec.decodable import check_file
from rinrcodec.errors import RinrFormatError
from rinrcodec.families.av1.layout import temporal_units
from rinrcodec.families.av1.stream import encode_still
from rinrcodec.formats import PackReader, pack_bytes
from rinrcodec.pack import Pack

DELIMITER = b"\x12\x00"


@pytest.fixture(scope="module")
def still() -> Pack:
    return encode([scene(64, 48)])


@pytest.fixture(scope="module")
def clip() -> Pack:
    return encode(sequence(6))


def row_of(pack: Pack) -> bytes:
    return pack.stacks[0].rows.coded[0]


def refused(pack: Pack, match: str, frame: int = 0) -> None:
    with pytest.raises(RinrFormatError, match=match):
        decoded(pack, frame)


def test_a_truncated_row_is_refused(still: Pack) -> None:
    row = row_of(still)
    for length in [*range(40), len(row) // 2, len(row) - 1]:
        refused(with_row(still, row[:length]), "AV1")


def test_a_damaged_row_is_refused_or_gives_a_frame(still: Pack, clip: Pack) -> None:
    rng = np.random.default_rng(0)
    outcomes = set()
    for pack in (still, clip):
        row = row_of(pack)
        for _ in range(150):
            damaged = bytearray(row)
            for position in rng.integers(0, min(len(row), 400), 3):
                damaged[position] ^= int(rng.integers(1, 256))
            try:
                for frame in range(len(pack.frames)):
                    decoded(with_row(pack, bytes(damaged)), frame)
                outcomes.add("decoded")
            except RinrFormatError:
                outcomes.add("refused")
    assert outcomes == {"decoded", "refused"}


def test_bytes_that_are_no_stream_are_refused(still: Pack) -> None:
    rng = np.random.default_rng(0)
    for row in (b"", b"xyz", DELIMITER, DELIMITER * 3, b"\xff" * 40, rng.bytes(500)):
        refused(with_row(still, row), "AV1")


def test_the_row_of_another_frame_is_refused(still: Pack) -> None:
    larger = encode_still(scene(80, 48), quality=20, speed=9)
    smaller = encode_still(scene(32, 48), quality=20, speed=9)
    grey = encode_still(scene(64, 48, grey=True), quality=20, speed=9)
    refused(with_row(still, larger), "000000: frame 0 of a row of AV1 cannot be decoded")
    refused(with_row(still, smaller), "is 32x48 yuv444p: expected 64x48 yuv444p")
    refused(with_row(still, grey), "is 64x48 gray: expected 64x48 yuv444p")


def test_a_spec_that_differs_from_the_stream_is_refused(still: Pack, clip: Pack) -> None:
    refused(with_row(still, row_of(still), bits=10), "expected 64x48 yuv444p10le")
    refused(with_row(still, row_of(still), chroma="420"), "expected 64x48 yuv420p")
    refused(with_row(clip, row_of(clip), bits=8), "expected 96x64 yuv420p")


@pytest.mark.parametrize(
    "spec",
    [
        {"bits": 12},
        {"bits": 8.0},
        {"chroma": "422"},
        {"chroma": 444},
        {"chroma": "400"},
        {"out": 2},
        {"out": 3.0},
        {"rows": 2},
        {"rows": 1.0},
        {"more": 1},
    ],
)
def test_a_spec_that_does_not_exist_is_refused(still: Pack, spec: dict[str, Any]) -> None:
    refused(with_row(still, row_of(still), **spec), "the av1 spec")


def test_shared_bytes_and_rows_without_bytes_are_refused(still: Pack) -> None:
    (group,) = still.stacks
    refused(replace(still, stacks=(replace(group, shared=b"x"),)), "1 shared bytes: expected none")
    rows = replace(group.rows, coded=())
    refused(replace(still, stacks=(replace(group, rows=rows),)), "no coded bytes")
    rows = replace(group.rows, codes=np.zeros((1, 3), np.int8))
    refused(replace(still, stacks=(replace(group, rows=rows),)), "the group says 3")


def test_a_frame_that_differs_from_the_stream_is_refused(clip: Pack) -> None:
    refused(with_frame(clip, width=95), "cannot be decoded")
    refused(with_frame(clip, width=98), "96x64 yuv420p10le: expected 98x64")
    refused(with_frame(clip, mode="L"), "an INR of 3 channels")
    for time, match in ((6.0, "6 in a row of 6 frames"), (0.5, "0.5"), (-1.0, "-1"), (1e300, "1")):
        refused(with_frame(clip, time=time), match)
    for time in (float("nan"), float("inf")):
        refused(with_frame(clip, time=time), "whole number")


def test_rows_that_were_spliced_are_refused(clip: Pack) -> None:
    units = temporal_units(row_of(clip))
    # Without its key frame, twice the key frame in one unit, and with another size behind it.
    refused(with_row(clip, b"".join(units[1:])), "AV1")
    refused(with_row(clip, units[0] + units[0][2:] + b"".join(units[1:])), "shows 2 frames", 1)
    refused(with_row(clip, units[0] + units[0][2:]), "shows 2 frames")
    other = encode_still(scene(64, 48), quality=20, speed=9)
    refused(with_row(clip, units[0] + other), "expected 96x64 yuv420p10le", 1)


def test_a_unit_that_shows_nothing_is_refused(clip: Pack) -> None:
    units = temporal_units(row_of(clip))
    refused(with_row(clip, units[0] + DELIMITER + b"".join(units[1:])), r"unit 1 .* no frame", 1)


def test_a_unit_without_a_frame_behind_those_in_use_is_refused(clip: Pack) -> None:
    pack = with_row(clip, row_of(clip) + DELIMITER)
    refused(pack, "temporal unit 6 of a row of AV1 has no frame header")
    match = "row 0 of group 0 .* temporal unit 6"
    with PackReader(pack_bytes(pack)) as reader, pytest.raises(RinrFormatError, match=match):
        check_file(reader)


def test_more_frames_than_are_shown_are_refused_before_one_is_decoded(still: Pack) -> None:
    row = row_of(still)
    refused(with_row(still, row + row[2:] * 2), "3 frame headers in 1 temporal units")
    refused(with_row(still, row * 65), "65 temporal units: expected 1 to 64")


def bits_of(row: bytes) -> tuple[str, bytes]:
    """The bits of the sequence header of a row, and what follows it."""
    assert row[:3] == DELIMITER + b"\x0a"
    end = 4 + row[3]
    return f"{int.from_bytes(row[4:end], 'big'):0{8 * row[3]}b}", row[end:]


def with_header(bits: str, rest: bytes) -> bytes:
    bits += "0" * (-len(bits) % 8)
    header = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return DELIMITER + b"\x0a" + bytes([len(header)]) + header + rest


def test_a_stream_that_claims_a_huge_frame_is_refused(still: Pack) -> None:
    huge = encode_still(np.zeros((1, 65_536), np.uint8), quality=0, speed=10)
    refused(with_row(still, huge), "cannot be decoded")
    # A still picture's header: 10 bits, the number of bits of each side less 1, each side less 1.
    bits, rest = bits_of(row_of(still))
    n_width, n_height = int(bits[10:14], 2) + 1, int(bits[14:18], 2) + 1
    assert int(bits[18 : 18 + n_width], 2) == 63
    claimed = bits[:10] + "1" * 8 + "1" * 32 + bits[18 + n_width + n_height :]
    refused(with_row(still, with_header(claimed, rest)), "cannot be decoded")


def test_another_range_or_matrix_is_refused(still: Pack) -> None:
    row = row_of(still)
    bits, rest = bits_of(row)
    # Primaries, transfer, matrix and range, as H.273 has them: BT.709, sRGB, BT.601, full.
    colours = f"{1:08b}{13:08b}{6:08b}1"
    assert bits.count(colours) == 1
    for other, match in ((f"{1:08b}{13:08b}{1:08b}1", "matrix 1"), (colours[:-1] + "0", "range 1")):
        changed = with_row(still, with_header(bits.replace(colours, other), rest))
        refused(changed, match)

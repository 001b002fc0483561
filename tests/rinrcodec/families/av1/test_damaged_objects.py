"""Rows of objects that are damaged or false: an error, and no more work than a file may ask for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from av1_frames import decoded, encode, scene
from av1_objects import BOXES, COARSE, pictures_of, walking

from rinrcodec import Box, RinrError, RinrLimitError
from rinrcodec.errors import RinrFormatError
from rinrcodec.families.av1.layout import MOST_ATLAS_PIXELS, row_spec, temporal_units
from rinrcodec.families.av1.stream import RowDecoder, encode_still, encode_stills
from rinrcodec.formats import PackReader, pack_bytes
from rinrcodec.pack import WHOLE, Cell, Frame, Group, InrRef, ObjectInr, Pack, Rows

SPEC = row_spec(3, "444", 8)


def group_of(*rows: bytes, grey: bool = False) -> Group:
    none = np.zeros((len(rows), 0), np.int8), np.zeros((len(rows), 0), np.float32)
    return Group(row_spec(1, "400", 8) if grey else SPEC, 8, Rows(*none, rows))


def pack_of(
    row: bytes, cell: Cell = WHOLE, box: Box = BOXES[0], *, size: tuple[int, int] = (64, 48)
) -> Pack:
    """A grey frame of one colour, and an object of a row."""
    ground = encode_still(np.full(size[::-1], 90, np.uint8), quality=10, speed=10)
    inr = ObjectInr(InrRef(1, 0), cell=cell)
    frame = Frame("x", *size, InrRef(0, 0), mode="L", boxes=(box,), objects=(inr,))
    return Pack((frame,), (group_of(ground, grey=True), group_of(row, grey=True)))


def still(width: int, height: int) -> bytes:
    return encode_still(scene(width, height, grey=True), quality=50, speed=10)


def refused(pack: Pack, match: str) -> None:
    """In memory, and as a file."""
    with pytest.raises(RinrFormatError, match=match):
        decoded(pack, 0)
    with (
        PackReader(pack_bytes(pack)) as file,
        pytest.raises(RinrFormatError, match=match),
    ):
        decoded(file, 0)


@pytest.fixture(scope="module")
def walk() -> Pack:
    return encode(walking(5), target=COARSE)


def test_a_cell_inside_its_atlas_is_decoded() -> None:
    assert decoded(pack_of(still(30, 20), Cell(0, 9, 7)), 0).shape == (48, 64)


@pytest.mark.parametrize(
    "cell", [Cell(0, 10, 0), Cell(0, 0, 8), Cell(0, 65_535, 0), Cell(0, 0, 65_535)]
)
def test_a_cell_that_leaves_its_atlas_is_refused(cell: Cell) -> None:
    refused(pack_of(still(30, 20), cell), r"x: an object of 21x13 pixels at .* leaves its atlas")


def test_an_atlas_smaller_than_its_object_is_refused() -> None:
    refused(pack_of(still(20, 13)), "leaves its atlas of 20x13")


@pytest.mark.parametrize("time", [1, 63, 64, 255])
def test_a_time_beyond_the_row_is_refused(time: int) -> None:
    refused(pack_of(still(30, 20), Cell(time)), f"time {time} in a row of 1 frames")


def test_an_atlas_that_is_too_large_is_refused_before_it_is_decoded() -> None:
    most = 2**9
    assert most * most == MOST_ATLAS_PIXELS
    flat = np.full((most, most), 128, np.uint8)
    fits = encode_still(flat, quality=10, speed=10)
    assert decoded(pack_of(fits), 0).shape == (48, 64)
    larger = encode_still(np.full((most, most + 8), 128, np.uint8), quality=10, speed=10)
    refused(pack_of(larger), "x: frame 0 of a row of AV1 cannot be decoded")
    # Also in a large frame, unless the object itself is as large.
    refused(pack_of(larger, size=(1024, 1024)), "cannot be decoded")
    whole = Box(0, 0, 0, most + 8, most)
    assert decoded(pack_of(larger, box=whole, size=(1024, 1024)), 0).shape == (1024, 1024)


def test_streams_that_are_truncated_or_none_are_refused() -> None:
    row = still(30, 20)
    for length in (0, 1, 2, 5, 20, len(row) // 2, len(row) - 1):
        refused(pack_of(row[:length]), "AV1")
    rng = np.random.default_rng(0)
    for bad in (b"xyz", b"\xff" * 40, rng.bytes(300), row[2:], row * 65):
        refused(pack_of(bad), "AV1")


def test_streams_of_other_formats_are_refused() -> None:
    colour = encode_still(scene(30, 20), quality=50, speed=10)
    refused(pack_of(colour), "30x20 yuv444p: expected 30x20 gray")
    pack = pack_of(still(30, 20))
    lying = replace(pack, stacks=(pack.stacks[0], replace(pack.stacks[1], spec=SPEC)))
    refused(lying, "3 channels for a picture of mode L")


def test_spliced_rows_are_refused() -> None:
    small = temporal_units(encode_stills([scene(30, 20, grey=True)] * 2, quality=50, speed=10))
    other = still(40, 30)
    refused(pack_of(b"".join(small[1:])), "AV1")
    refused(pack_of(small[0] + small[0][2:]), "AV1")
    # A picture of another size behind the first is a picture, in which the cell has to be.
    refused(pack_of(small[0] + other, Cell(1, 20, 0)), "leaves its atlas of 40x30")
    refused(pack_of(small[0] + other, Cell(0, 10, 0)), "leaves its atlas of 30x20")
    assert decoded(pack_of(small[0] + other, Cell(1, 19, 17)), 0).shape == (48, 64)


def many(n: int, time: int = 0, *, size: int = 8, box: Box | None = None) -> Pack:
    """A frame with boxes that each have a row of their own: the same few bytes, many times."""
    row = encode_stills([np.full((8, 8), 128, np.uint8)] * (time + 1), quality=10, speed=10)
    pack = pack_of(row, box=box or Box(0, 0, 0, 1, 1), size=(size, size))
    objects = tuple(ObjectInr(InrRef(1, k), cell=Cell(time)) for k in range(n))
    frame = replace(pack.frames[0], boxes=pack.frames[0].boxes * n, objects=objects)
    return Pack((frame,), (pack.stacks[0], group_of(*[row] * n, grey=True)))


def test_the_work_of_rows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row may be an atlas of the largest size, and those before the last are decoded, too."""
    assert decoded(many(20), 0).shape == (8, 8)
    monkeypatch.setattr(RowDecoder, "read", lambda _: pytest.fail("a frame was decoded"))
    for pack in (
        many(10_000, 63),
        many(2_000, 63),
        many(2_000, size=8192, box=Box(0, 0, 0, 8192, 8192)),
    ):
        with pytest.raises(RinrLimitError, match="max_work"):
            decoded(pack, 0)


def test_many_objects_of_one_row_are_decoded_from_one_atlas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = still(64, 48)
    pack = pack_of(row, box=Box(0, 0, 0, 1, 1))
    objects = tuple(ObjectInr(InrRef(1, 0), cell=Cell(0, k % 64, k % 48)) for k in range(10_000))
    boxes = tuple(Box(0, k % 64, k % 48, 1, 1) for k in range(10_000))
    reads = []
    read = RowDecoder.read
    monkeypatch.setattr(RowDecoder, "read", lambda one: (reads.append(1), read(one))[1])
    frame = replace(pack.frames[0], boxes=boxes, objects=objects)
    decoded(replace(pack, frames=(frame,)), 0)
    assert len(reads) == 2


def test_mutated_rows_are_refused_or_give_pixels(walk: Pack) -> None:
    rng = np.random.default_rng(0)
    still = encode(pictures_of([BOXES]), target=COARSE)
    outcomes = set()
    for pack in (still, walk):
        number = next(one for one in pack.frames[0].objects if one).inr.group
        group = pack.stacks[number]
        for _ in range(100):
            row = bytearray(group.rows.coded[-1])
            for position in rng.integers(0, min(len(row), 300), int(rng.integers(1, 4))):
                row[position] ^= int(rng.integers(1, 256))
            if rng.integers(4) == 0:
                row = row[: int(rng.integers(len(row)))]
            rows = replace(group.rows, coded=(*group.rows.coded[:-1], bytes(row)))
            stacks = list(pack.stacks)
            stacks[number] = replace(group, rows=rows)
            try:
                for i in range(pack.n_frames):
                    frame = replace(pack, stacks=tuple(stacks)).frames[i]
                    pixels = decoded(replace(pack, stacks=tuple(stacks)), i)
                    assert pixels.shape[:2] == (frame.height, frame.width)
                outcomes.add("decoded")
            except RinrError:
                outcomes.add("refused")
    assert outcomes == {"decoded", "refused"}


def test_false_cells_are_refused_or_give_pixels(walk: Pack) -> None:
    rng = np.random.default_rng(1)
    outcomes = set()
    for _ in range(100):
        frame = walk.frames[int(rng.integers(5))]
        (inr,) = frame.objects
        assert inr is not None
        cell = Cell(*(int(v) for v in rng.integers(0, (8, 3, 3))))
        corner, size = rng.integers(0, 60, 2), rng.integers(1, 30, 2)
        box = Box(0, *(float(v) for v in (*corner, *size)))
        false = replace(frame, boxes=(box,), objects=(replace(inr, cell=cell),))
        region = box.region(frame.width, frame.height)
        try:
            decoded(replace(walk, frames=(false,)), 0)
            outcomes.add("decoded")
            assert cell.time < 5
            assert cell.x + region.width <= 24
            assert cell.y + region.height <= 24
        except RinrFormatError:
            outcomes.add("refused")
            beyond = cell.x + region.width > 24 or cell.y + region.height > 24
            assert cell.time >= 5 or beyond
    assert outcomes == {"decoded", "refused"}

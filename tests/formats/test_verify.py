"""`verify` checks whole columns: it must refuse what reading frame by frame refuses."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from forge import assemble, take_apart
from sample_packs import PACKS, make_group, many_frames

from rinrcodec.errors import RinrError, RinrFormatError, RinrLimitError
from rinrcodec.formats import PackReader, _chunks, pack_bytes, schema
from rinrcodec.formats.schema import Kind
from rinrcodec.limits import Limits
from rinrcodec.pack import Frame, InrRef, Pack, Spec

INTEGERS = (0, 1, 2, 3, 5, 11, 12, 13, 255, 2**16, 2**16 + 1, 2**26, 2**31, 2**32 - 1, 2**63)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 47.99, 48.0, 63.5, 64.0, 1e300, -1e300, 1e-300)
FLOATS += (float("nan"), float("inf"), -float("inf"))
COLUMNS = [
    (kind, column)
    for kind in (Kind.FRAMES, Kind.BOXES, Kind.OBJECTS, Kind.CELLS)
    for column in schema.TABLES[kind]
    if column.dtype != "bytes"
]


def sentence_of(check: Any) -> str | None:
    try:
        check()
    except RinrError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", ["one_frame", "many_frames", "features", "cells"])
@pytest.mark.parametrize(("kind", "column"), COLUMNS, ids=lambda x: getattr(x, "name", None))
def test_verify_refuses_what_reading_refuses(name: str, kind: Kind, column: schema.Column) -> None:
    data = pack_bytes(PACKS[name]())
    if kind not in take_apart(data).chunks["kind"]:
        return  # a pack without boxes
    n_rows = take_apart(data).chunks["rows"][take_apart(data).find(kind)]
    values: tuple[float, ...] = FLOATS
    if not column.dtype.startswith("<f"):
        values = tuple(v for v in INTEGERS if v <= np.iinfo(column.dtype).max)
    for row in {0, n_rows // 2, n_rows - 1}:
        for value in values:

            def change(columns: dict[str, Any], row: int = row, value: Any = value) -> None:
                with np.errstate(over="ignore"):
                    columns[column.name][row] = np.array(value).astype(column.dtype)

            file = PackReader(assemble(take_apart(data).edit(kind, change)))
            by_frame = sentence_of(lambda file=file: [file.frame(i) for i in range(file.n_frames)])
            if by_frame is not None:
                assert sentence_of(file.verify) == by_frame, (row, value)


def test_tables_may_be_cut_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "CHUNK_BYTES", 300)  # 7 rows of boxes, 33 of objects
    data = pack_bytes(many_frames(90, boxes=5))
    PackReader(data).verify()
    parts = take_apart(data)
    last = parts.find(Kind.OBJECTS, parts.chunks["kind"].count(Kind.OBJECTS) - 1)
    parts.raw[last] = parts.raw[last][:-1] + b"\2"
    with pytest.raises(RinrFormatError, match="object INR of the unknown mode 2"):
        PackReader(assemble(parts)).verify()


def test_every_chunk_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large chunks are not kept, so reading them for every frame would take hours."""
    monkeypatch.setattr(_chunks, "_CACHED_BYTES", 0)
    loads = []
    load = _chunks._load_chunk

    def counted(source: Any, directory: Any, number: int) -> bytes:
        loads.append(number)
        return load(source, directory, number)

    monkeypatch.setattr(_chunks, "_load_chunk", counted)
    file = PackReader(pack_bytes(many_frames(600, boxes=3)))
    file.verify()
    assert set(loads) == set(range(file.header.n_chunks))
    assert len(loads) <= file.header.n_chunks + 6  # and those of the first frame


def test_items_take_no_more_than_a_pointer_each() -> None:
    n = 2**20
    tracemalloc.start()
    try:
        schema.decode_rows(schema.METADATA, n, bytes(4 * n))
        assert tracemalloc.get_traced_memory()[1] < 30 * n  # a list of ints takes 32 more
    finally:
        tracemalloc.stop()


def test_rows_are_checked_in_batches() -> None:
    n = 2**22
    group = make_group(Spec.of("siren"), 8, 1, 1, 0)
    parts = take_apart(pack_bytes(Pack((Frame("0", 8, 8, InrRef(0, 0)),), (group,))))
    at = parts.find(Kind.ROWS)
    parts.raw[at] = bytes(n)
    parts.chunks["rows"][at] = parts.groups["n_rows"][0] = n
    file = PackReader(assemble(parts))
    tracemalloc.start()
    try:
        file.verify()
        assert tracemalloc.get_traced_memory()[1] < 4 * n  # numbers of rows take 8 bytes each
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("limits", [Limits(max_boxes=1), Limits(max_pixels=65 * 48)])
def test_limits_hold_for_every_frame(limits: Limits) -> None:
    file = PackReader(pack_bytes(many_frames()), limits=limits)
    file.frame(0)
    with pytest.raises(RinrLimitError, match="of frame"):
        file.verify()

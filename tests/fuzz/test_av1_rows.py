"""Rows of AV1 that were changed: a `RinrError` or some picture, soon, and no other exception.

The fuzzer makes files up; this makes many more rows in the same time. RINR_MUTATIONS=20000 takes a
hundred thousand.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from dataclasses import replace

import pytest
from make_seeds import av1_group, av1_objects

import rinrcodec
from rinrcodec.errors import RinrError
from rinrcodec.pack import Pack, Rows

PARTS = 5
TOTAL = 5 * int(os.environ.get("RINR_MUTATIONS", "1000"))
SECONDS = 2.0  # of CPU time for one picture, a hundred times what it takes


@pytest.fixture(scope="module")
def packs() -> list[Pack]:
    stills = [av1_group(12, 9, 1, 3), av1_group(7, 5, 1, 1), av1_group(33, 17, 1, 3)]
    return [*stills, av1_group(16, 16, 3, 3), av1_group(40, 30, 8, 3), av1_objects()]


def rows_of(pack: Pack) -> list[bytes]:
    return list(pack.stacks[0].rows.coded)


def changed(row: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A row cut, spliced, repeated, with other bytes or another header, or another row."""
    data = bytearray(row)
    at = rng.randrange(len(data))
    kind = rng.randrange(6)
    if kind == 0:
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        other = rng.choice(others)
        start = rng.randrange(len(other))
        data[at : at + rng.randrange(1, 20)] = other[start : start + rng.randrange(1, 40)]
    elif kind == 3:
        return rng.choice(others)
    elif kind == 4:
        data[at:at] = data[at : at + rng.randrange(1, 30)] * rng.choice((1, 2, 50))
    else:
        for i in range(min(len(data), 24)):
            if rng.random() < 0.15:
                data[i] ^= 1 << rng.randrange(8)
    return bytes(data)


@pytest.mark.parametrize("part", range(PARTS))
def test_changed_rows_are_refused_or_decoded(packs: list[Pack], part: int) -> None:
    rng = random.Random(part)
    others = [row for pack in packs for row in rows_of(pack)]
    outcomes = Counter[bool]()
    for _ in range(TOTAL // PARTS):
        pack = rng.choice(packs)
        rows = rows_of(pack)
        number = rng.randrange(len(rows))
        rows[number] = changed(rows[number], others, rng)
        group = pack.stacks[0]
        damaged = Rows(group.rows.codes, group.rows.scales, tuple(rows))
        start = time.process_time()
        try:
            frame = rng.randrange(pack.n_frames)
            rinrcodec.decode(replace(pack, stacks=(replace(group, rows=damaged),)), frame)
            outcomes[True] += 1
        except RinrError:
            outcomes[False] += 1
        assert time.process_time() - start < SECONDS
    assert min(outcomes[False], outcomes[True]) > 0.02 * outcomes.total()

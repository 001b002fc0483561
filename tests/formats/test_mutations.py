"""Damaged files: every mutation ends in a `RinrError` or in exactly the original content.

Pixels too: what opens is decoded without `verify`, as a viewer does.
The default run takes 1,000 of the 20,000 seeded mutations, half as many forged files and a quarter
as many of each for pixels; RINR_MUTATIONS=20000 takes all.
"""

from __future__ import annotations

import os
import random
import re
import time
import tracemalloc
from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from forge import Parts, assemble, fix_block, take_apart
from sample_packs import PACKS, decodable, same_content

from rinrcodec.decoder import decode
from rinrcodec.errors import RinrError
from rinrcodec.formats import PackReader, pack_bytes, read_header
from rinrcodec.formats.schema import Kind
from rinrcodec.limits import Limits
from rinrcodec.pack import Pack

TOTAL = int(os.environ.get("RINR_MUTATIONS", "1000"))
PARTS = 8  # so that the tests can run side by side
MEMORY = 300 * 2**20
SECONDS = 10  # for one file; a good one takes 2 ms
SMALL = Limits(max_pixels=2**14)  # of frames that are decoded: sizes may be forged


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to three random changes of random kinds."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(out))
        # Half of the changes hit the parts that are parsed first.
        if rng.random() < 0.5:
            at = rng.choice([rng.randrange(104), min(len(out) - 1, 512 + rng.randrange(700))])
            at = min(at, len(out) - 1)
        length = min(rng.choice([1, 2, 4, 8, 64, 512]), len(out) - at)
        other = rng.randrange(len(out) - length + 1)
        kind = rng.randrange(8)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif kind == 2:
            del out[rng.choice([at, len(out) - 1 - rng.randrange(min(64, len(out)))]) :]
        elif kind == 3:
            out[at : at + length] = bytes(length)
        elif kind == 4:
            out[at : at + length] = out[other : other + length]
        elif kind == 5:
            a, b = bytes(out[at : at + length]), bytes(out[other : other + length])
            out[at : at + length], out[other : other + length] = b, a
        elif kind == 6:
            out[at:at] = rng.randbytes(length)
        else:
            del out[at : at + length]
        if not out:
            return b""
    return bytes(out)


def outcome(data: bytes, original: Pack) -> str:
    """ "refused" or "same"; anything else fails the test."""
    start = time.perf_counter()
    try:
        with PackReader(data) as file:
            file.verify()
            assert same_content(file, original)
            assert file.info == original.info
        result = "same"
    except RinrError:
        result = "refused"
    assert time.perf_counter() - start < SECONDS
    return result


def pictures(data: bytes) -> list[torch.Tensor | None]:
    """The pixels of every frame, None where it is refused; any other exception fails the test."""
    try:
        file = PackReader(data, limits=SMALL)
    except RinrError:
        return []
    decoded: list[torch.Tensor | None] = []
    for index in range(file.n_frames):
        try:
            decoded.append(decode(file, index))
        except RinrError:
            decoded.append(None)
    return decoded


@pytest.mark.parametrize("part", range(PARTS))
def test_mutated_files(part: int) -> None:
    originals = {name: build() for name, build in PACKS.items()}
    files = {name: pack_bytes(pack) for name, pack in originals.items()}
    whole = pictures(files["decodable"])
    results = []
    tracemalloc.start()
    try:
        for seed in range(part, TOTAL, PARTS):
            rng = random.Random(seed)
            name = rng.choice(sorted(files))
            data = mutate(files[name], rng)
            if rng.random() < 0.4 and len(data) >= 512:
                data = fix_block(data)
            if data == files[name]:
                continue
            try:
                results.append(outcome(data, originals[name]))
                if name == "decodable":
                    for picture, original in zip(pictures(data), whole, strict=False):
                        assert picture is None or torch.equal(picture, original)
            except Exception as error:
                raise AssertionError(f"seed {seed} ({name}): {error!r}") from error
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    # Only bytes that readers ignore, with the CRC made right again, leave a file as it was.
    assert results.count("refused") > 0.9 * len(results)


def forge_value(rng: random.Random, value: int) -> int:
    edges = [0, 1, 2, 255, 256, 2**16, 2**26, 2**31, 2**32 - 1]
    return rng.choice([*edges, value + 1, max(0, value - 1), rng.randrange(2**32)])


def forged(data: bytes, rng: random.Random) -> bytes:
    """A file with false values inside and every checksum right: made by hand, not by accident."""
    parts: Parts = take_apart(data)
    changes = {}
    for _ in range(rng.choice([1, 1, 2, 3])):
        kind = rng.randrange(7)
        if kind == 0:
            chunk = rng.randrange(len(parts.raw))
            if parts.raw[chunk]:
                parts.raw[chunk] = mutate(parts.raw[chunk], rng)
        elif kind == 1:
            column = rng.choice(sorted(parts.chunks))
            chunk = rng.randrange(len(parts.raw))
            value = forge_value(rng, parts.chunks[column][chunk])
            parts.forged[column, chunk] = value & (0xFF if column == "kind" else 2**32 - 1)
        elif kind == 2:
            column = rng.choice(["bits", "flags", "n_rows", "n_params", "n_scales"])
            value = forge_value(rng, parts.groups[column][0])
            parts.groups[column][0] = value & (0xFF if column in ("bits", "flags") else 2**32 - 1)
        elif kind == 3:
            column = rng.choice(["n_frames", "width", "height", "required", "n_groups", "n_info"])
            changes[column] = forge_value(rng, 1) & (31 if column == "required" else 2**32 - 1)
        elif kind == 4:
            spec = parts.groups["spec"]
            spec[0] = mutate(spec[0], rng) if spec[0] else b"{}"
        elif kind == 5:  # rows that take no bytes
            chunk = parts.find(Kind.ROWS)
            parts.groups["n_params"][0] = parts.groups["n_scales"][0] = 0
            n_rows = forge_value(rng, parts.groups["n_rows"][0]) & (2**32 - 1)
            parts.groups["n_rows"][0] = parts.chunks["rows"][chunk] = n_rows
            parts.raw[chunk] = b""
        else:
            chunk = rng.randrange(len(parts.raw))
            rows = parts.chunks["rows"]
            rows[chunk] = forge_value(rng, rows[chunk]) & (2**32 - 1)
    return assemble(parts, **changes)


@pytest.mark.parametrize("part", range(PARTS))
def test_forged_files(part: int) -> None:
    """No crash, no hang, no other exception, and bounded memory; the content may be another."""
    files = [pack_bytes(build()) for build in PACKS.values()]
    refused = 0
    tracemalloc.start()
    try:
        for seed in range(part, TOTAL // 2, PARTS):
            rng = random.Random(seed)
            data = forged(rng.choice(files), rng)
            start = time.perf_counter()
            try:
                with PackReader(data) as file:
                    file.verify()
                    file.names()
            except RinrError:
                refused += 1
            except Exception as error:
                raise AssertionError(f"seed {seed}: {error!r}") from error
            assert time.perf_counter() - start < SECONDS
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert refused > 0.25 * TOTAL / PARTS


@pytest.mark.parametrize("part", range(PARTS))
def test_pixels_of_damaged_files(part: int) -> None:
    """Damage outside the directory: a picture is refused, or equal to the pixel."""
    data = pack_bytes(decodable())
    header = read_header(data)
    whole = pictures(data)
    counts = Counter[bool]()
    for seed in range(part, TOTAL // 4, PARTS):
        rng = random.Random(seed)
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8])):
            at = rng.randrange(header.data_start, len(data) - header.sections[-1])
            damaged[at] ^= rng.randrange(1, 256)
        decoded = pictures(bytes(damaged))
        assert len(decoded) == len(whole)
        for picture, original in zip(decoded, whole, strict=True):
            counts[picture is None] += 1
            assert picture is None or torch.equal(picture, original), f"seed {seed}"
    assert min(counts[False], counts[True]) > 0.1 * counts.total()


NUMBER = re.compile(rb"(?<=:)[0-9.]+")
EDITS: list[tuple[Kind | None, str]] = [
    (None, "spec"),
    *((Kind.ROWS, name) for name in ("codes", "scales") * 3),
    *((Kind.BOXES, name) for name in ("x", "y", "w", "h", "gain")),
    *((Kind.OBJECTS, name) for name in ("group", "row", "mode")),
    *((Kind.FRAMES, name) for name in ("width", "height", "mode", "background_group")),
    *((Kind.FRAMES, name) for name in ("background_row", "box_count", "time")),
]


def set_one(column: str, rng: random.Random, columns: dict[str, Any]) -> None:
    """Replace one value of a column: by a small number, or by any bits."""
    values = columns[column].reshape(-1)
    at = rng.randrange(len(values))
    if rng.random() < 0.5:
        values[at] = rng.randrange(6)
    else:
        values[at : at + 1] = np.frombuffer(rng.randbytes(values.itemsize), values.dtype)


@pytest.mark.parametrize("part", range(PARTS))
def test_pixels_of_forged_files(part: int) -> None:
    """False values with right checksums: a `RinrError` or some picture, no other exception."""
    data = pack_bytes(decodable())
    counts = Counter[bool]()
    for seed in range(part, TOTAL // 4, PARTS):
        rng = random.Random(seed)
        parts = take_apart(data)
        for _ in range(rng.choice([1, 2, 3])):
            kind, column = rng.choice(EDITS)
            if kind is not None:
                parts.edit(kind, partial(set_one, column, rng))
                continue
            group = rng.randrange(len(parts.groups["spec"]))
            numbers = NUMBER.findall(parts.groups["spec"][group])
            old, new = rng.choice(numbers), rng.choice([b"0", b"1", b"2", b"3", b"4", b"1e3"])
            parts.groups["spec"][group] = parts.groups["spec"][group].replace(old, new, 1)
        try:
            decoded = pictures(assemble(parts))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        for picture in decoded:
            counts[picture is None] += 1
            assert picture is None or (picture.dtype == torch.uint8 and picture.shape[0] == 3)
    assert min(counts[False], counts[True]) > 0.1 * counts.total()


@pytest.mark.parametrize("name", PACKS)
def test_every_single_bit_counts(name: str) -> None:
    """One flipped bit anywhere is found, and so is every length the file may be cut to."""
    data = pack_bytes(PACKS[name]())
    # Behind the directory, whole chunks have checksums: one byte of so many speaks for the others.
    for at in [*range(512), *range(512, len(data), 5)]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(RinrError), PackReader(bytes(damaged)) as file:
            file.verify()
    for length in range(0, len(data), 17):
        with pytest.raises(RinrError):
            PackReader(data[:length])

"""Changes inside of packs that leave every checksum right, and so reach what reads the content.

`mutate` takes a file apart with the tools that make the hostile files (`tests/formats/forge.py`),
changes one or a few pieces, and puts it together again. Bytes come from the fuzzer's own mutator,
which knows what the reader compared them with. Files that cannot be taken apart, and some of those
that can, are changed as bytes, with or without a right checksum.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import zstandard
from forge import Parts, assemble, compress, fix_block, take_apart

from rinrcodec.errors import RinrError
from rinrcodec.formats import schema
from rinrcodec.formats.header import HEADER_SIZE, MODES, Header
from rinrcodec.formats.schema import Kind

__all__ = ["MutateBytes", "cross", "mutate"]

MutateBytes = Callable[[bytes, int], bytes]  # bytes and how many there may be afterwards

_U32 = 2**32 - 1
_NUMBERS = (0, 1, 2, 3, 4, 8, 16, 127, 128, 255, 256, 2**12, 2**15, 2**16, 2**24, 2**26)
_NUMBERS += (2**31 - 1, 2**31, _U32 - 1, _U32)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 3.0, 63.0, 1e-300, 1e300, 1.7e308, -1.7e308)
_FLOATS += (float("inf"), float("-inf"), float("nan"))
_SPECS = (
    b'{"depth":2,"family":"siren","out":3,"w0":30.0,"w0_first":30.0,"width":4}',
    b'{"family":"pyramid","out":3,"start":"a"}',
    b'{"family":"pyramid","out":1,"start":"a"}',
    b'{"base":1.25,"family":"nerv","features":1,"grid_height":2,"grid_width":2,"levels":1,"out":3,'
    b'"stem":1,"strides":"2","widths":"1"}',
    b'{"base":1.5,"family":"nerv","features":1,"grid_height":9,"grid_width":9,"levels":2,"out":1,'
    b'"stem":2,"strides":"16,16,16,2","widths":"1,2,1,4096"}',
    b'{"base":1,"family":"nerv","features":1,"grid_height":1,"grid_width":1,"levels":1,"more":1,'
    b'"out":3,"stem":1,"strides":"2,2","widths":"1"}',
    b'{"depth":1,"family":"siren","more":"","out":1,"w0":0,"w0_first":1e4,"width":1}',
    b'{"bits":8,"chroma":"444","family":"av1","out":3,"rows":1}',
    b'{"bits":10,"chroma":"420","family":"av1","out":1,"rows":1}',
    b'{"bits":8,"chroma":"444","family":"av1","out":3,"rows":1,"shrink":2}',
    b"{}",
)
_NAMES = (b"a", b"a/b", b"..", b"a/../b", b"/a", b"C:a", b"\\\\a\\b", b"\xff", b"\0", b"")
_LABELS = (
    b'{"polygons":[3]}',
    b'{"polygons":[3,4],"keypoints":[2,3]}',
    b'{"keypoints":[1,2],"track_id":7}',
    b'{"keypoints":[999999999999,3]}',
    b'{"crowd":true,"difficult":true}',
    b'{"score":1e999}',
    b'{"score":0.5,"attributes":{"a":[1,{"b":null}]}}',
    b'{"track_id":9223372036854775808}',
    b'{"attributes":{"a":"\\ud800"}}',
    b"",
)
_SHAPES = (
    b"\0" + bytes(8),
    b"\2\1\1" + bytes(range(6)),
    b"\x09" + b"\xff" * 64,
    b"\0" + b"\1" * 8 + bytes(48) + b"\x10" * 8,
    b"\xff" + bytes(48),
    b"\xff" + b"\x7f" * 48,
    b"",
)
_HEADER = ("n_frames", "width", "height", "required", "optional", "version", "mode")
_ITEMS = {"name": _NAMES, "extras": _LABELS, "attributes": _LABELS, "shapes": _SHAPES}
_LONG = 500_000
_EDGE = 40_000  # uncompressed bytes of a chunk that is made longer


def mutate(data: bytes, most: int, rng: random.Random, mutate_bytes: MutateBytes) -> bytes:
    """Another file of at most `most` bytes, near to `data`; the same for the same `rng`."""
    if rng.random() < 0.9:
        made = _attempt(lambda: _forged(take_apart(data), _Tools(rng, mutate_bytes)))
        if made is not None and len(made) <= most:
            return made
    return _damaged(data, most, rng, mutate_bytes)


def cross(data: bytes, other: bytes, most: int, rng: random.Random) -> bytes:
    """`data` with a chunk, a group or a row of the directory from another file."""
    made = _attempt(lambda: _crossed(take_apart(data), take_apart(other), rng))
    return data if made is None or len(made) > most else made


def _attempt(make: Callable[[], bytes]) -> bytes | None:
    """None where pieces are so wrong that they cannot be changed, or written down."""
    try:
        return make()
    except (RinrError, zstandard.ZstdError, struct.error, ArithmeticError, LookupError, ValueError):
        return None


def _crossed(parts: Parts, donor: Parts, rng: random.Random) -> bytes:
    _keep(parts)
    kind = rng.randrange(3)
    if kind == 0 and parts.raw and donor.raw:
        at, start = rng.randrange(len(parts.raw)), rng.randrange(len(donor.raw))
        _drop(parts, at)
        parts.raw[at] = donor.raw[start]
        parts.chunks["rows"][at] = donor.chunks["rows"][start]
    else:
        table, others = (parts.groups, donor.groups) if kind == 1 else (parts.chunks, donor.chunks)
        column = rng.choice(sorted(set(table) - {"stored", "size", "crc"}))
        if table[column] and others[column]:
            table[column][rng.randrange(len(table[column]))] = rng.choice(others[column])
    return assemble(parts)


class _Tools:
    """Where random choices and changed bytes come from, and where false headers go."""

    def __init__(self, rng: random.Random, mutate_bytes: MutateBytes) -> None:
        self.rng = rng
        self.header: dict[str, Any] = {}
        self._mutate_bytes = mutate_bytes

    def bytes(self, data: bytes, longer: int = 64) -> bytes:
        """Other bytes; now and then a part of them over and over, which zstd stores in a few."""
        if data and longer >= 64 and self.rng.random() < 0.03:
            start = self.rng.randrange(len(data))
            stop = start + self.rng.randrange(1, 20)
            times = self.rng.choice((100, 1000, _LONG)) // len(data[start:stop])
            return data[:start] + data[start:stop] * times + data[stop:]
        return self._mutate_bytes(data or b"\0", max(1, len(data) + longer))

    def number(self, value: int, bits: int = 32) -> int:
        """Another number: near, far, or one at which something ends."""
        rng = self.rng
        kind = rng.randrange(4)
        if kind == 0:
            value += rng.choice((-2, -1, 1, 2))
        elif kind == 1:
            value ^= 1 << rng.randrange(bits)
        elif kind == 2:
            value = rng.choice(_NUMBERS)
        else:
            value = rng.randrange(1 << rng.randrange(1, bits + 1))
        return value & ((1 << bits) - 1)


def _damaged(data: bytes, most: int, rng: random.Random, mutate_bytes: MutateBytes) -> bytes:
    """Change bytes anywhere: in the whole file, its user block or its structure."""
    kind = rng.randrange(4)
    if kind == 0 or len(data) < HEADER_SIZE:
        return mutate_bytes(data or b"\0", most)
    if kind == 1:
        head = mutate_bytes(data[:100], 100).ljust(100, b"\0")
        return fix_block(head + data[100:])[:most]
    try:
        end = Header.from_bytes(data).data_start
    except RinrError:
        end = len(data)
    if kind == 2:
        old = data[HEADER_SIZE:end] or b"\0"
        new = mutate_bytes(old, len(old)).ljust(len(old), b"\0")
        return (data[:HEADER_SIZE] + new + data[end:])[:most]
    return fix_block(data[:end] + mutate_bytes(data[end:] or b"\0", max(1, most - end)))[:most]


def _keep(parts: Parts) -> None:
    """Leave the compressed bytes of all chunks as they are; `_drop` says which have changed."""
    parts.stored = dict(enumerate(parts.packed))


def _drop(parts: Parts, number: int) -> None:
    parts.stored.pop(number, None)
    for column in ("stored", "size", "crc"):
        parts.forged.pop((column, number), None)


def _forged(parts: Parts, tools: _Tools) -> bytes:
    _keep(parts)
    for _ in range(tools.rng.choice((1, 1, 1, 2, 3))):
        change = tools.rng.choice(_CHANGES)
        change(parts, tools)
    return assemble(parts, **tools.header)


def _change_header(parts: Parts, tools: _Tools) -> None:
    name = tools.rng.choice(_HEADER)
    if name == "mode":
        tools.header[name] = tools.rng.choice(MODES)
    elif name == "required":
        tools.header[name] = tools.rng.choice(
            (7, 31, tools.rng.randrange(32), 1 << tools.rng.randrange(32))
        )
    elif name == "version":
        tools.header[name] = tools.number(parts.header.version, 8)
    else:
        tools.header[name] = tools.number(getattr(parts.header, name))


def _change_group(parts: Parts, tools: _Tools) -> None:
    if not parts.groups["bits"]:
        return
    rng = tools.rng
    column = rng.choice(("spec", "spec", *parts.groups))
    at = rng.randrange(len(parts.groups[column]))
    value = parts.groups[column][at]
    if column == "spec":
        kind = rng.randrange(3)
        if kind == 0:
            value = rng.choice((*_SPECS, *parts.groups["spec"]))
        elif kind == 1:
            value = _with_number(value, tools)
        else:
            value = tools.bytes(value)
    elif column == "bits":
        value = rng.choice((2, 7, 8, 9, 16, tools.number(value, 8)))
    elif column == "flags":
        value ^= 1 << rng.choice((0, 0, 0, rng.randrange(8)))
    else:
        value = tools.number(value)
    parts.groups[column][at] = value


def _with_number(spec: bytes, tools: _Tools) -> bytes:
    """A spec with one of its numbers replaced."""
    places = [i for i, byte in enumerate(spec) if 48 <= byte < 58]
    if not places:
        return spec + b"1"
    at = tools.rng.choice(places)
    new = tools.rng.choice((b"0", b"1", b"2", b"3", b"9", b"-1", b"1.0", b"1e3", b"1e400", b"64"))
    return spec[:at] + new + spec[at + 1 :]


def _change_group_list(parts: Parts, tools: _Tools) -> None:
    """Repeat, drop or swap whole groups."""
    n = len(parts.groups["bits"])
    if not n:
        return
    a, b = tools.rng.randrange(n), tools.rng.randrange(n)
    kind = tools.rng.randrange(3)
    for values in parts.groups.values():
        if kind == 0:
            values.insert(a, values[b])
        elif kind == 1:
            values.pop(a)
        else:
            values[a], values[b] = values[b], values[a]


def _change_info(parts: Parts, tools: _Tools) -> None:
    keys, values = parts.info["key"], parts.info["value"]
    kind = tools.rng.randrange(3) if keys else 2
    if kind == 2:
        at = tools.rng.randrange(len(keys) + 1)
        keys.insert(at, tools.bytes(b"key"))
        values.insert(at, tools.bytes(b"value"))
        return
    column = tools.rng.choice((keys, values))
    at = tools.rng.randrange(len(column))
    if kind == 0:
        column[at] = tools.bytes(column[at])
    else:
        keys.pop(at)
        values.pop(at)


def _change_chunk_table(parts: Parts, tools: _Tools) -> None:
    column = tools.rng.choice(sorted(parts.chunks))
    at = tools.rng.randrange(len(parts.raw))
    bits = 8 if column == "kind" else 32
    value = tools.rng.randrange(10) if column == "kind" else tools.number(parts.chunks[column][at])
    if column in ("stored", "size", "crc"):
        parts.forged[column, at] = value & ((1 << bits) - 1)
    else:
        parts.chunks[column][at] = value


def _change_chunk_list(parts: Parts, tools: _Tools) -> None:
    """Repeat, drop, swap or cut whole chunks."""
    n = len(parts.raw)
    a, b = tools.rng.randrange(n), tools.rng.randrange(n)
    kind = tools.rng.randrange(4)
    packed = [parts.stored.get(i) for i in range(n)]
    parts.forged.clear()
    for values in (*parts.chunks.values(), parts.raw, packed):
        if kind == 0:
            values.insert(a, values[a])
        elif kind == 1:
            values.pop(a)
        elif kind == 2:
            values[a], values[b] = values[b], values[a]
    parts.stored = {i: value for i, value in enumerate(packed) if value is not None}
    if kind == 3:
        _cut(parts, tools, a)


def _table(parts: Parts, number: int) -> schema.Table | None:
    """The columns of a chunk, None where it has none."""
    kind = parts.chunks["kind"][number]
    group = parts.chunks["group"][number]
    if kind == Kind.ROWS:
        return schema.rows_table(parts.group(group)) if group < len(parts.groups["bits"]) else None
    return schema.TABLES.get(kind)


def _columns(parts: Parts, number: int) -> tuple[schema.Table, dict[str, Any]] | None:
    try:
        table = _table(parts, number)
        if table is None:
            return None
        columns = schema.decode_rows(table, parts.chunks["rows"][number], parts.raw[number])
    except (RinrError, ValueError):
        return None
    return table, {k: v if isinstance(v, list) else v.copy() for k, v in columns.items()}


def _cut(parts: Parts, tools: _Tools, number: int) -> None:
    """One chunk as two, in which nothing is wrong."""
    found, n = _columns(parts, number), parts.chunks["rows"][number]
    if found is None or n < 2:
        return
    table, columns = found
    at = tools.rng.randrange(1, n)
    two = [
        schema.encode_rows(table, {k: v[part] for k, v in columns.items()})
        for part in (slice(at), slice(at, n))
    ]
    packed = [parts.stored.get(i) for i in range(len(parts.raw))]
    packed[number : number + 1] = [None, None]
    for values in parts.chunks.values():
        values.insert(number, values[number])
    parts.raw[number : number + 1] = two
    parts.chunks["rows"][number : number + 2] = [at, n - at]
    parts.stored = {i: value for i, value in enumerate(packed) if value is not None}


def _change_values(parts: Parts, tools: _Tools) -> None:
    """Replace a few values of one column of a chunk, or the bytes of an item."""
    rng = tools.rng
    number = rng.randrange(len(parts.raw))
    found = _columns(parts, number)
    if found is None:
        _change_raw(parts, tools)
        return
    table, columns = found
    column = rng.choice(table)
    values = columns[column.name]
    if not len(values) or (column.dtype != "bytes" and not values.size):
        return
    for _ in range(rng.choice((1, 1, 2))):
        if column.dtype == "bytes":
            at = rng.randrange(len(values))
            known = _ITEMS.get(column.name, ())
            same = known and rng.random() < 0.3
            values[at] = rng.choice((*known, *values)) if same else tools.bytes(values[at])
            continue
        flat = values.reshape(-1)
        at = rng.randrange(len(flat))
        if flat.dtype.kind == "f" and rng.random() < 0.7:
            value = rng.choice(_FLOATS) if rng.random() < 0.7 else rng.uniform(-50, 700)
            with np.errstate(over="ignore"):
                flat[at] = value
        else:
            bits = 8 * flat.itemsize
            unsigned = flat.view(f"<u{flat.itemsize}")
            unsigned[at] = tools.number(int(unsigned[at]), bits)
    _drop(parts, number)
    parts.raw[number] = schema.encode_rows(table, columns)


def _change_coded(parts: Parts, tools: _Tools) -> None:
    """Change the coded bytes of a row."""
    chunks = [i for i, kind in enumerate(parts.chunks["kind"]) if kind == Kind.ROWS]
    for number in tools.rng.sample(chunks, len(chunks)):
        found = _columns(parts, number)
        if found is None or not found[1].get("coded"):
            continue
        table, columns = found
        at = tools.rng.randrange(len(columns["coded"]))
        item = columns["coded"][at]
        # After the first change all that follows is noise: the head alone, the end alone, or all.
        cut = tools.rng.choice((0, 8, tools.rng.randrange(len(item) + 1)))
        head, tail = item[:cut], item[cut:]
        item = tools.bytes(head, 2) + tail if cut == 8 else head + tools.bytes(tail)
        columns["coded"][at] = item
        _drop(parts, number)
        parts.raw[number] = schema.encode_rows(table, columns)
        return


def _change_raw(parts: Parts, tools: _Tools) -> None:
    number = tools.rng.randrange(len(parts.raw))
    _drop(parts, number)
    parts.raw[number] = tools.bytes(parts.raw[number])


def _change_packed(parts: Parts, tools: _Tools) -> None:
    """Store a chunk in another way, or in none that zstd knows."""
    number = tools.rng.randrange(len(parts.raw))
    raw = parts.raw[number]
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: zstandard.ZstdCompressor(write_content_size=False).compress(raw),
        lambda: zstandard.compress(raw),
        lambda: compress(raw[: len(raw) // 2]) + compress(raw[len(raw) // 2 :]),
        lambda: compress(raw) + tools.bytes(b"extra"),
        lambda: compress(raw)[: -tools.rng.randrange(1, 9)],
        lambda: compress(raw + bytes(_EDGE)),
        lambda: tools.bytes(compress(raw)),
    )
    parts.stored[number] = tools.rng.choice(ways)()
    if tools.rng.random() < 0.3:
        parts.forged["size", number] = len(raw) + tools.rng.choice((0, _EDGE))


def _repeat_rows(parts: Parts, tools: _Tools) -> None:
    """Many rows where there were a few, with counts that agree."""
    rng = tools.rng
    number = rng.randrange(len(parts.raw))
    found = _columns(parts, number)
    if found is None:
        return
    table, columns = found
    n = parts.chunks["rows"][number]
    times = rng.choice((2, 3, 10, 100, 2000))
    size = max(1, len(parts.raw[number]))
    times = max(1, min(times, _EDGE // size))
    grown = {
        k: v * times if isinstance(v, list) else np.concatenate([v] * times)
        for k, v in columns.items()
    }
    if "name" in grown and rng.random() < 0.8:
        grown["name"] = [b"%d" % i for i in range(n * times)]
    _drop(parts, number)
    parts.raw[number] = schema.encode_rows(table, grown)
    parts.chunks["rows"][number] = n * times
    kind, group = parts.chunks["kind"][number], parts.chunks["group"][number]
    if kind == Kind.FRAMES:
        tools.header["n_frames"] = sum(
            rows
            for k, rows in zip(parts.chunks["kind"], parts.chunks["rows"], strict=True)
            if not k
        )
        tools.header["required"] = 7
    elif kind == Kind.ROWS:
        parts.groups["n_rows"][group] += n * (times - 1)


def _small_frame(parts: Parts, tools: _Tools) -> None:
    """Another size of the first frame, small enough to be decoded, in both places."""
    try:
        number = parts.find(Kind.FRAMES)
    except IndexError:
        return
    found = _columns(parts, number)
    if found is None:
        return
    table, columns = found
    width, height = tools.rng.randrange(1, 40), tools.rng.randrange(1, 25)
    columns["width"][:], columns["height"][:] = width, height
    tools.header |= {"width": width, "height": height}
    _drop(parts, number)
    parts.raw[number] = schema.encode_rows(table, columns)


def _change_directory(parts: Parts, tools: _Tools) -> None:
    """The directory as bytes, with the counts that it had."""
    plain = b"".join(
        schema.encode_rows(table, columns)
        for table, columns in (
            (schema.GROUPS, parts.groups),
            (schema.INFO, parts.info),
            (schema.CHUNKS, parts.chunks),
        )
    )
    parts.directory = tools.bytes(plain)


# A kind that is listed twice is chosen twice as often.
_CHANGES = (
    *(_change_values,) * 6,
    *(_change_coded,) * 4,
    *(_change_group,) * 4,
    *(_change_chunk_table,) * 2,
    *(_change_chunk_list,) * 2,
    *(_repeat_rows,) * 2,
    _change_header,
    _change_group_list,
    _change_info,
    _change_raw,
    _change_packed,
    _small_frame,
    _change_directory,
)

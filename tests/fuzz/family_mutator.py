"""Changes of what packs mean: networks, rows, streams, times, objects and labels, of every family.

`mutate` reads a file, changes the pack, and writes it again, so that all checksums and counts are
right and the decoder is reached. Other files, and some of those too, go to `pack_mutator.mutate`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pack_mutator
from decode_checks import LIMITS
from make_seeds import SEEDS
from pack_mutator import MutateBytes

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError
from rinrcodec.families import family_of
from rinrcodec.families.av1.layout import temporal_units
from rinrcodec.families.nerv import network as nerv
from rinrcodec.families.siren import network as siren
from rinrcodec.formats import pack_bytes, read_pack
from rinrcodec.pack import Cell, Frame, Group, InrRef, ObjectInr, Pack, Rows, Spec, code_dtype

__all__ = ["changed_stream", "cross", "mutate"]

_TIMES = (0.0, 1.0, 2.0, 7.0, 8.0, 63.0, 64.0, 0.5, -1.0, 1e300, 2.0**53)
_GAINS = (0.0, 1.0, -1.0, 1e-45, 3e38, -3e38, 0.5)
_EDGES = (-1e300, -5.0, -0.5, 0.0, 0.5, 3.0, 7.5, 19.0, 1e300)
_SCALES = (0.0, 1.0, -1.0, 2.0**-126, 2.0**-133, 2.0**127, -(2.0**127), 2.0**-7)


def mutate(data: bytes, most: int, rng: random.Random, mutate_bytes: MutateBytes) -> bytes:
    """Another file of at most `most` bytes, near to `data`; the same for the same `rng`."""
    if rng.random() < 0.75:
        try:
            pack = read_pack(data, limits=LIMITS)
            for _ in range(rng.choice((1, 1, 2, 3))):
                pack = rng.choice(_CHANGES)(pack, rng, mutate_bytes)
            made = pack_bytes(pack, limits=LIMITS)
        except (RinrError, ArithmeticError, LookupError, ValueError):
            made = b""
        if 0 < len(made) <= most:
            return made
    return pack_mutator.mutate(data, most, rng, mutate_bytes)


def cross(data: bytes, other: bytes, most: int, rng: random.Random) -> bytes:
    """`data` with a group of another file, or as `pack_mutator.cross`."""
    if rng.random() < 0.5:
        try:
            pack, donor = (read_pack(one, limits=LIMITS) for one in (data, other))
            made = pack_bytes(_with_group(pack, rng.choice(donor.stacks), rng), limits=LIMITS)
        except (RinrError, LookupError, ValueError):
            made = b""
        if 0 < len(made) <= most:
            return made
    return pack_mutator.cross(data, other, most, rng)


def _any_frame(pack: Pack, rng: random.Random) -> tuple[int, Frame]:
    number = rng.randrange(len(pack.frames))
    return number, pack.frames[number]


def _with_frame(pack: Pack, number: int, frame: Frame) -> Pack:
    return replace(pack, frames=(*pack.frames[:number], frame, *pack.frames[number + 1 :]))


def _with_stack(pack: Pack, number: int, group: Group) -> Pack:
    return replace(pack, stacks=(*pack.stacks[:number], group, *pack.stacks[number + 1 :]))


def _ref(pack: Pack, rng: random.Random) -> InrRef:
    group = rng.randrange(len(pack.stacks))
    return InrRef(group, rng.randrange(len(pack.stacks[group].rows.codes)))


def _change_frame(pack: Pack, rng: random.Random, _: MutateBytes) -> Pack:
    number, frame = _any_frame(pack, rng)
    kind = rng.randrange(5)
    if kind == 0:
        frame = replace(frame, width=rng.randrange(1, 65), height=rng.randrange(1, 65))
        if rng.random() < 0.5:
            frames = [replace(f, width=frame.width, height=frame.height) for f in pack.frames]
            return replace(pack, frames=tuple(frames))
    elif kind == 1:
        frame = replace(frame, mode=rng.choice(("L", "RGB")))
    elif kind == 2:
        frame = replace(frame, time=rng.choice(_TIMES))
    elif kind == 3:
        frame = replace(frame, background=_ref(pack, rng))
    else:
        frames = (*pack.frames, replace(frame, name=f"{frame.name[:40]}+{len(pack.frames)}"))
        return replace(pack, frames=frames)
    return _with_frame(pack, number, frame)


def _change_object(pack: Pack, rng: random.Random, _: MutateBytes) -> Pack:
    number, frame = _any_frame(pack, rng)
    boxes, objects = list(frame.boxes), list(frame.objects)
    if not boxes or rng.random() < 0.3:
        size = (rng.uniform(0.1, frame.width), rng.uniform(0.1, frame.height))
        corner = (rng.uniform(-1, frame.width - 0.1), rng.uniform(-1, frame.height - 0.1))
        boxes.append(Box(rng.randrange(3), *corner, *size))
        objects.append(ObjectInr(_ref(pack, rng)))
    at = rng.randrange(len(boxes))
    inr = objects[at] or ObjectInr(_ref(pack, rng))
    kind = rng.randrange(5)
    if kind == 0:
        edges = [rng.choice(_EDGES) for _ in range(2)] + [abs(rng.choice(_EDGES)) for _ in range(2)]
        boxes[at] = Box(boxes[at].class_id, *edges)
    elif kind == 1:
        inr = replace(inr, inr=_ref(pack, rng))
    elif kind == 2:
        inr = replace(inr, gain=float(np.float32(rng.choice(_GAINS))))
    elif kind == 3:
        corner = [rng.choice((0, 1, 2, 5, 6, 65_535, rng.randrange(40))) for _ in range(2)]
        inr = replace(inr, cell=Cell(rng.choice((0, 0, 1, 2, 63, 255)), *corner))
    else:
        inr = replace(inr, mode=rng.choice(("direct", "residual")))
    objects[at] = inr
    return _with_frame(pack, number, replace(frame, boxes=tuple(boxes), objects=tuple(objects)))


def _change_labels(pack: Pack, rng: random.Random, mutate_bytes: MutateBytes) -> Pack:
    number, frame = _any_frame(pack, rng)
    text = mutate_bytes(b"text", 40).decode("utf-8", "replace")
    if not frame.boxes or rng.random() < 0.3:
        changes = ({"labelled": False}, {"attributes": {text: [text, {"a": None}]}})
        return _with_frame(pack, number, replace(frame, **rng.choice(changes)))
    at = rng.randrange(len(frame.boxes))
    points = [rng.choice((*_EDGES, rng.uniform(-9, 70))) for _ in range(6)]
    changes = (
        {"polygons": (tuple(points),)},
        {"keypoints": ((points[0], points[1], 2.0), (points[2], points[3], 0.0))},
        {"track_id": rng.choice((0, -1, 2**63 - 1))},
        {"score": points[0], "crowd": True, "difficult": True, "attributes": {text: text}},
    )
    box = replace(frame.boxes[at], **rng.choice(changes))
    boxes = (*frame.boxes[:at], box, *frame.boxes[at + 1 :])
    return _with_frame(pack, number, replace(frame, boxes=boxes))


def _change_weights(pack: Pack, rng: random.Random, _: MutateBytes) -> Pack:
    """Extreme scales and weights: infinities and NaN, once they are multiplied."""
    number = rng.randrange(len(pack.stacks))
    group = pack.stacks[number]
    codes, scales = group.rows.codes.copy(), group.rows.scales.copy()
    for values, choices in (
        (scales, _SCALES),
        (codes, (0, 1, -1, -(1 << (group.bits - 1)), (1 << (group.bits - 1)) - 1)),
    ):
        if values.size and rng.random() < 0.7:
            part = values.reshape(-1)[rng.randrange(values.size) :]
            part[: rng.choice((1, 2, part.size))] = rng.choice(choices)
    return _with_stack(pack, number, replace(group, rows=Rows(codes, scales, group.rows.coded)))


def _change_bits(pack: Pack, rng: random.Random, _: MutateBytes) -> Pack:
    number = rng.randrange(len(pack.stacks))
    group, bits = pack.stacks[number], rng.choice((2, 5, 8, 9, 16))
    bound = 1 << (bits - 1)
    codes = np.clip(group.rows.codes, -bound, bound - 1).astype(code_dtype(bits))
    rows = Rows(codes, group.rows.scales, group.rows.coded)
    return _with_stack(pack, number, replace(group, bits=bits, rows=rows))


def _siren_spec(rng: random.Random) -> Spec:
    w0 = rng.choice((1.0, 20, 30.0, 1e-300, 1e4))
    return Spec.of(
        "siren",
        depth=rng.choice((1, 1, 2, 3, 64)),
        width=rng.choice((1, 2, 3, 5, 17, 31)),
        out=rng.choice((1, 3)),
        w0=w0,
        w0_first=rng.choice((w0, 30.0)),
    )


def _nerv_spec(rng: random.Random) -> Spec:
    blocks = rng.choice((1, 1, 2, 3))
    return Spec.of(
        "nerv",
        base=rng.choice((1, 1.25, 2)),
        features=rng.choice((1, 2, 5)),
        grid_height=rng.choice((1, 2, 3, 9)),
        grid_width=rng.choice((1, 2, 3, 16)),
        levels=rng.choice((1, 2, 8, 128)),
        out=rng.choice((1, 3)),
        stem=rng.choice((1, 2, 9)),
        strides=",".join(str(rng.choice((1, 2, 3, 16))) for _ in range(blocks)),
        widths=",".join(str(rng.choice((1, 2, 3))) for _ in range(blocks)),
    )


def _change_network(pack: Pack, rng: random.Random, _: MutateBytes) -> Pack:
    """Another network in place of a group, or a group more, with rows that fit it."""
    spec = _siren_spec(rng) if rng.random() < 0.5 else _nerv_spec(rng)
    of = siren if spec.family == "siren" else nerv
    of.check(spec)
    sizes = of.tensor_sizes(spec)
    if sum(sizes) > LIMITS.max_params:
        return pack
    bits = rng.choice((2, 8, 8, 12))
    n = max(len(group.rows.codes) for group in pack.stacks)
    numbers = np.random.default_rng(rng.randrange(100))
    bound = 1 << (bits - 1)
    codes = numbers.integers(-bound, bound, (n, sum(sizes))).astype(code_dtype(bits))
    scales = np.full((n, len(sizes)), rng.choice(_SCALES), np.float32)
    group = Group(spec, bits, Rows(codes, scales))
    if rng.random() < 0.3:
        return _with_group(pack, group, rng)
    return _with_stack(pack, rng.randrange(len(pack.stacks)), group)


def _with_group(pack: Pack, group: Group, rng: random.Random) -> Pack:
    """A group more, which a frame or an object uses."""
    pack = replace(pack, stacks=(*pack.stacks, group))
    number, frame = _any_frame(pack, rng)
    ref = InrRef(len(pack.stacks) - 1, rng.randrange(max(1, len(group.rows.codes))))
    there = [at for at, inr in enumerate(frame.objects) if inr is not None]
    if there and rng.random() < 0.6:
        at = rng.choice(there)
        objects = list(frame.objects)
        objects[at] = ObjectInr(ref, cell=Cell() if rng.random() < 0.7 else Cell(1, 2, 3))
        return _with_frame(pack, number, replace(frame, objects=tuple(objects)))
    mode = "L" if group.spec["out"] == 1 else "RGB"
    return _with_frame(pack, number, replace(frame, background=ref, mode=mode))


@cache
def _seed_groups() -> tuple[Group, ...]:
    names = [name for name in SEEDS if name.startswith(("latents", "av1", "sequence", "decod"))]
    return tuple(group for name in names for group in SEEDS[name]().stacks)


def _borrow_group(pack: Pack, rng: random.Random, _: MutateBytes) -> Pack:
    return _with_group(pack, rng.choice(_seed_groups()), rng)


def _change_coded(pack: Pack, rng: random.Random, mutate_bytes: MutateBytes) -> Pack:
    """Other coded bytes of a row, cut where the format cuts them."""
    coded = [number for number, group in enumerate(pack.stacks) if group.rows.coded]
    if not coded:
        return pack
    number = rng.choice(coded)
    group = pack.stacks[number]
    items = list(group.rows.coded)
    at = rng.randrange(len(items))
    others = [item for one in _seed_groups() for item in one.rows.coded]
    if family_of(group.spec.family).chained and group.spec.family == "pyramid":
        items[at] = _changed_latents(items[at], others, rng, mutate_bytes)
    else:
        items[at] = changed_stream(items[at], others, rng, mutate_bytes)
    rows = Rows(group.rows.codes, group.rows.scales, tuple(items))
    return _with_stack(pack, number, replace(group, rows=rows))


def _changed_latents(
    row: bytes, others: list[bytes], rng: random.Random, mutate_bytes: MutateBytes
) -> bytes:
    """The head, the lengths, or the streams: what comes after a change is noise."""
    kind = rng.randrange(6)
    if kind == 0:  # another number of frames, predicted or not
        return bytes([rng.choice((1, 2, 8, 64, 65, 0x81, 0x88, 0x89, 0, row[0] ^ 0x80))]) + row[1:]
    if kind == 1:
        return rng.choice(others)
    if kind == 2:
        return row[: rng.randrange(len(row) + 1)]
    if kind == 3:
        return mutate_bytes(row[:8], 9) + row[8:]
    if kind == 4:
        return row + mutate_bytes(row[-8:], 40)
    cut = rng.randrange(len(row))
    return row[:cut] + mutate_bytes(row[cut:] or b"\0", max(1, len(row) - cut + 8))


def changed_stream(
    row: bytes, others: list[bytes], rng: random.Random, mutate_bytes: MutateBytes
) -> bytes:
    """A row of AV1 with other temporal units, another header, or other samples."""
    try:
        units = temporal_units(row)
    except RinrError:
        units = [row]
    kind = rng.randrange(8)
    at = rng.randrange(len(units))
    if kind == 0:
        units.insert(at, units[rng.randrange(len(units))])
    elif kind == 1 and len(units) > 1:
        del units[at]
    elif kind == 2:
        rng.shuffle(units)
    elif kind == 3:
        units[at] = rng.choice(others)
    elif kind == 4:  # the delimiter, the sequence header and the frame header
        units[at] = mutate_bytes(units[at][:24], 25) + units[at][24:]
    elif kind == 5:
        units[at] = units[at][: rng.randrange(len(units[at]) + 1)]
    elif kind == 6:
        units *= rng.choice((2, 3, 65))
    else:
        cut = rng.randrange(len(units[at]) + 1)
        units[at] = units[at][:cut] + mutate_bytes(units[at][cut:] or b"\0", 4000)
    return b"".join(units)


_Change = Callable[[Pack, random.Random, MutateBytes], Pack]
# A kind that is listed twice is chosen twice as often.
_CHANGES: tuple[_Change, ...] = (
    *(_change_frame,) * 4,
    *(_change_object,) * 4,
    *(_change_coded,) * 6,
    *(_change_network,) * 4,
    *(_change_weights,) * 2,
    *(_borrow_group,) * 2,
    _change_bits,
    _change_labels,
)

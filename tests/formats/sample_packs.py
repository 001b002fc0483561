"""Small packs made by plain arithmetic, the same on every machine and for every library version."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rinrcodec.boxes import Box
from rinrcodec.pack import (
    Cell,
    Frame,
    Group,
    InrRef,
    Metadata,
    ObjectInr,
    Pack,
    PackSource,
    Rows,
    Spec,
    code_dtype,
)


def make_group(
    spec: Spec, bits: int, n: int, params: int, scales: int, *, coded: bool = False, shared=b""
) -> Group:
    """A group whose codes go through all values of `bits` bits in a scrambled order."""
    span = 2**bits
    codes = np.arange(n * params, dtype=np.int64) * 2_654_435_761 % span - span // 2
    factors = np.arange(n * scales, dtype=np.int64) % 97 + 1
    floats = (factors.astype("f4") / 64).reshape(n, scales)  # 7 bits of mantissa: exact
    items = tuple(bytes((i * 7 + k) % 251 for k in range(i % 5 * 3)) for i in range(n))
    rows = Rows(codes.reshape(n, params).astype(code_dtype(bits)), floats, items if coded else ())
    return Group(spec, bits, rows, shared)


def one_frame() -> Pack:
    """A frame with three boxes, two of them with object INRs of different specs."""
    frame = Frame(
        name="val/cam 0/000001.jpg",
        width=640,
        height=360,
        background=InrRef(0, 0),
        boxes=(
            Box(3, 10.25, 20.5, 30.0, 40.125),
            Box(0, -5.0, -1e-3, 700.0, 400.0),
            Box(7, 100.1, 200.2, 0.0, 3.3),
        ),
        objects=(
            ObjectInr(InrRef(1, 0), "residual", 0.75),
            ObjectInr(InrRef(2, 0), "direct", 1.0),
            None,
        ),
        source_size=(1280, 720),
        source_bytes=41_207,
        metadata=Metadata(exif=b"Exif\0\0MM\0*", icc=b"", xmp=b"<x:xmpmeta/>"),
    )
    return Pack(
        (frame,),
        (
            make_group(Spec.of("siren", depth=3, width=8, out=3, w0=30.0), 8, 1, 123, 8),
            make_group(Spec.of("siren", depth=2, width=4, out=3, w0=30.0), 16, 1, 47, 6),
            make_group(Spec.of("siren", depth=2, width=5, out=3, w0=30.0), 12, 1, 63, 6),
        ),
        {"preset": "balanced", "seed": "0", "names": '["car","person"]'},
    )


def many_frames(n: int = 12, *, boxes: int = 2) -> Pack:
    """`n` frames of several sizes and modes, each with up to `boxes` boxes."""
    frames = []
    n_objects = 0
    for i in range(n):
        labels = tuple(Box(k, 1.5 * k, 2.0, 3.0 + i / 8, 4.0) for k in range(i % (boxes + 1)))
        inrs: list[ObjectInr | None] = []
        for k in range(len(labels)):
            inrs.append(ObjectInr(InrRef(1, n_objects), "residual", (i % 256) / 256) if k else None)
            n_objects += bool(k)
        frames.append(
            Frame(
                name=f"höhe/{i:06d}.png",
                width=64 + i % 3,
                height=48,
                background=InrRef(0, n - 1 - i),
                mode="L" if i % 4 == 3 else "RGB",
                boxes=labels,
                objects=tuple(inrs),
                source_size=(64, 48),
                source_bytes=2**33 + i,
                metadata=Metadata(icc=b"the same profile", exif=b"E%d" % (i // 2)),
            )
        )
    groups = (
        make_group(Spec.of("siren", depth=2, width=6), 8, n, 60, 4),
        make_group(Spec.of("siren", depth=1, width=3), 16, n_objects, 21, 2),
    )
    return Pack(tuple(frames), groups, {})


def realistic(n: int, *, boxes: int = 1) -> Pack:
    """`n` frames with INRs of the usual sizes and weights that do not compress well."""
    rng = np.random.default_rng(7)
    specs = ((0, 28, 10, 8), (1, 8, 3, 16), (2, 12, 4, 16))
    counts = [0, 0, 0]
    frames = []
    for i in range(n):
        labels, objects = [], []
        for _ in range(boxes):
            group = 1 + int(rng.integers(2))
            labels.append(Box(int(rng.integers(12)), *(rng.random(4) * 300 + 1).round(3).tolist()))
            gain = float(np.float32(rng.random()))
            objects.append(ObjectInr(InrRef(group, counts[group]), "residual", gain))
            counts[group] += 1
        frames.append(
            Frame(
                f"images/val/{i * 7:06d}.jpg",
                640,
                360,
                InrRef(0, i),
                boxes=tuple(labels),
                objects=tuple(objects),
                source_size=(640, 360),
                source_bytes=int(rng.integers(30_000, 60_000)),
            )
        )
    counts[0] = n
    stacks = []
    for group, width, depth, bits in specs:
        params = 3 * width + (depth - 1) * (width + 1) * width + 3 * (width + 1)
        spec = Spec.of("siren", depth=depth, out=3, w0=30.0, width=width)
        stack = make_group(spec, bits, counts[group], params, 2 * (depth + 1))
        bell = rng.normal(0, 2 ** (bits - 1) / 4, stack.rows.codes.shape)
        stack.rows.codes[:] = np.clip(bell, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        stacks.append(stack)
    return Pack(tuple(frames), tuple(stacks), {"preset": "balanced", "seed": "0"})


def features() -> Pack:
    """Every required feature bit: shared weights, coded rows, and rows that serve many frames."""
    frames = tuple(
        Frame(f"{i}", 32, 32, InrRef(i % 2, i // 4), time=i / 8, boxes=(), objects=())
        for i in range(8)
    )
    groups = (
        make_group(Spec.of("nerv", width=4), 6, 2, 30, 3, shared=bytes(range(200))),
        make_group(Spec.of("nerv", width=4, kind="coded"), 5, 6, 0, 2, coded=True),
    )
    return Pack(frames, groups, {"encoder": "ünïcode"})


def cells(n: int = 9) -> Pack:
    """Frames whose objects are parts of two rows, but for some that have a row to themselves."""
    pack = many_frames(n, boxes=3)

    def part(i: int, k: int, inr: ObjectInr | None) -> ObjectInr | None:
        whole = inr is None or k == 2
        return inr and replace(inr, cell=Cell() if whole else Cell(i % 3, 7 * k, 65_535 - i))

    frames = tuple(
        replace(frame, objects=tuple(part(i, k, inr) for k, inr in enumerate(frame.objects)))
        for i, frame in enumerate(pack.frames)
    )
    return replace(pack, frames=frames)


def decodable() -> Pack:
    """Real INRs, as presets make them: two pictures in colour, one grey, each with objects."""

    def siren(n: int, bits: int, out: int) -> Group:
        spec = Spec.of("siren", depth=2, width=4, out=out, w0=30.0, w0_first=30.0)
        params = 2 * 4 + 4 + 4 * 4 + 4 + 4 * out + out
        return make_group(spec, bits, n, params, 2 * (2 + 1))

    frames = tuple(
        Frame(
            name=f"{i}.png",
            width=20,
            height=12 + i,
            background=InrRef(int(mode == "L"), 0 if mode == "L" else i),
            mode=mode,
            boxes=(Box(0, 2.5, 1.0, 9.0, 7.5), Box(1, 4.0, 2.0, 3.0, 3.0)),
            objects=(
                ObjectInr(InrRef(3 if mode == "L" else 2, i % 2), "residual", 0.25),
                ObjectInr(InrRef(3 if mode == "L" else 2, i % 2), "direct"),
            ),
        )
        for i, mode in enumerate(("RGB", "RGB", "L"))
    )
    groups = (siren(2, 8, 3), siren(1, 8, 1), siren(2, 16, 3), siren(1, 16, 1))
    return Pack(frames, groups)


def labels() -> Pack:
    """Everything that labels have besides class and rectangle, by frames and by boxes."""
    outline = tuple(
        round(v * size, 9) for v in (0.1015625, 0.25, 0.333333, 0.9, 0.5) for size in (64, 48)
    )
    nested = {"RLE": {"size": [48, 64], "counts": "höhe 高度"}, "none": None, "n": [1.5, [], {}]}
    boxes = (
        Box(0, 1.0, 2.0, 30.0, 40.0, polygons=(outline, (0.1, 0.2, -7.25, 1e-9, 3.0, 2.0**20))),
        Box(1, 1.0, 2.0, 3.0, 4.0, keypoints=((12.5, 25, 2), (0, 0, 0), (31.25, 7, 1)), score=0.1),
        Box(2, 0.0, 0.0, 5.0, 5.0),
        Box(1, 1.0, 2.0, 3.0, 4.0, keypoints=((1e300, -0.0), (1 / 3, 5e-324)), track_id=2**63 - 1),
        Box(1, 9.0, 2.0, 3.0, 4.0, track_id=-7, crowd=True, difficult=True, attributes=nested),
        Box(3, 0.0, 0.0, 9.0, 9.0, polygons=(outline,), keypoints=((1, 2, 0.5), (3, 4, 1))),
    )
    pack = many_frames(4, boxes=0)
    changes = (
        {"boxes": boxes[:3], "attributes": {"file_name": "höhe.jpg", "id": 10**30, "license": 3}},
        {"labelled": False},
        {"boxes": boxes[3:], "labelled": False, "attributes": {"": {}}},
        {},
    )
    frames = tuple(
        replace(frame, objects=(None,) * len(change.get("boxes", ())), **change)
        for frame, change in zip(pack.frames, changes, strict=True)
    )
    return replace(
        pack,
        frames=frames,
        stacks=pack.stacks[:1],
        info={"kpt_shape": "[3,3]", "names": '["a","b","c","d"]', "task": "pose"},
    )


PACKS = {
    "one_frame": one_frame,
    "many_frames": many_frames,
    "features": features,
    "cells": cells,
    "decodable": decodable,
    "labels": labels,
}


def same_content(a: PackSource, b: PackSource) -> bool:
    """Whether two sources hold the same frames, groups and weights, to the bit."""
    if a.n_frames != b.n_frames or tuple(a.groups) != tuple(b.groups):
        return False
    if any(a.frame(i) != b.frame(i) for i in range(a.n_frames)):
        return False
    for number, group in enumerate(a.groups):
        rows, others = (source.read_rows(number, range(group.n_rows)) for source in (a, b))
        same = (
            rows.codes.dtype == others.codes.dtype
            and np.array_equal(rows.codes, others.codes)
            and rows.scales.tobytes() == others.scales.tobytes()
            and rows.coded == others.coded
        )
        if not same:
            return False
    return True

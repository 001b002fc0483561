"""The files that fuzzing starts from, besides the hostile ones: small sound packs of every kind.

`run_fuzz.py --minimise` makes them again and keeps what the corpus lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sample_packs import PACKS, make_group

from rinrcodec.boxes import Box
from rinrcodec.families.av1.colour import to_planes
from rinrcodec.families.av1.layout import row_spec
from rinrcodec.families.av1.stream import encode_still, encode_video
from rinrcodec.families.nerv import network as nerv
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.latents import Change, PyramidRow, best_scale, encode_row
from rinrcodec.formats import pack_bytes
from rinrcodec.pack import Cell, Frame, Group, InrRef, Metadata, ObjectInr, Pack, Rows, Spec

__all__ = ["SEEDS", "write_seeds"]


def latents(
    width: int,
    height: int,
    n: int,
    *,
    out: int = 3,
    largest: int = 3,
    predicted: bool = False,
    changes: tuple[str, ...] = (),
    seed: int = 0,
) -> Pack:
    """`n` frames that are one row of latents: integers up to `largest`, and other networks."""
    spec = Spec.of("pyramid", out=out, start="a")
    rng = np.random.default_rng(seed)
    grids = [
        [
            [rng.integers(-largest, largest + 1, size, np.int32) for size in sizes]
            for sizes in pyramid.grid_sizes(width, height)
        ]
        for _ in range(n)
    ]
    start = pyramid.start_weights(spec)
    changed = {}
    for exponent, name in enumerate(changes):
        codes = rng.integers(-3, 4, start[name].numel(), np.int32)
        changed[name] = Change(exponent + 3, best_scale(codes), codes)
    steps = rng.integers(-40, 20, (n, 2, pyramid.LEVELS), np.int32)
    coded = encode_row(spec, PyramidRow(changed, steps, grids, predicted))
    rows = Rows(np.zeros((1, 0), np.int8), np.zeros((1, 0), np.float32), (coded,))
    mode = "RGB" if out == 3 else "L"
    frames = tuple(
        Frame(f"{k}.png", width, height, InrRef(0, 0), mode, time=float(k)) for k in range(n)
    )
    return Pack(frames, (Group(spec, 8, rows),), {})


def latents_with_object() -> Pack:
    """A box with a SIREN on a background of latents."""
    pack = latents(9, 7, 1)
    siren = Spec.of("siren", depth=1, width=3, out=3, w0=20.0, w0_first=15.0)
    frame = replace(
        pack.frames[0],
        boxes=(Box(1, 2.5, 1.0, 4.0, 5.5), Box(0, -1.0, 0.0, 3.0, 2.0)),
        objects=(ObjectInr(InrRef(1, 0), "residual", 0.5), None),
        metadata=Metadata(icc=b"profile"),
    )
    return Pack((frame,), (*pack.stacks, make_group(siren, 16, 1, 21, 4)), {"seed": "1"})


def sequence() -> Pack:
    """Three frames from one small `nerv` network."""
    spec = Spec.of(
        "nerv",
        base=1.25,
        features=2,
        grid_height=2,
        grid_width=3,
        levels=2,
        out=3,
        stem=2,
        strides="2",
        widths="3",
    )
    sizes = nerv.tensor_sizes(spec)
    frames = tuple(Frame(f"{k}", 6, 4, InrRef(0, 0), time=k / 3) for k in range(3))
    return Pack(frames, (make_group(spec, 8, 1, sum(sizes), len(sizes)),), {})


def one_pixel() -> Pack:
    """The smallest pack."""
    spec = Spec.of("siren", depth=1, width=1, out=1, w0=1.0, w0_first=1.0)
    frame = Frame("a", 1, 1, InrRef(0, 0), mode="L")
    return Pack((frame,), (make_group(spec, 2, 1, 5, 4),), {})


def picture(width: int, height: int, channels: int, shift: int = 0) -> NDArray[np.uint8]:
    """Smooth pixels, [h, w] or [h, w, 3]."""
    y, x, c = np.mgrid[:height, :width, :channels]
    pixels = (9 * x + 7 * y + 40 * c + 5 * shift + 3 * (x * y % 5)).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def av1_group(width: int, height: int, n: int, channels: int, shrink: int = 1) -> Pack:
    """One row of AV1: a still, or `n` frames of a sequence."""
    coded_width, coded_height = -(-width // shrink), -(-height // shrink)
    chroma, bits = ("420", 10) if n > 1 else ("400" if channels == 1 else "444", 8)
    if n > 1:
        planes = [to_planes(picture(coded_width, coded_height, channels, i)) for i in range(n)]
        row = encode_video(planes, crf=50, preset=12)
    else:
        row = encode_still(picture(coded_width, coded_height, channels), quality=20, speed=10)
    rows = Rows(np.zeros((1, 0), np.int8), np.zeros((1, 0), np.float32), (row,))
    mode = "L" if channels == 1 else "RGB"
    frames = tuple(
        Frame(f"{k}.png", width, height, InrRef(0, 0), mode, time=float(k)) for k in range(n)
    )
    return Pack(frames, (Group(row_spec(channels, chroma, bits, shrink), 8, rows),), {})


def av1_objects() -> Pack:
    """Two objects that share an atlas, on a background of AV1."""
    pack = av1_group(20, 14, 1, 3)
    atlas = encode_still(picture(11, 6, 3), quality=40, speed=10)
    rows = Rows(
        np.zeros((2, 0), np.int8), np.zeros((2, 0), np.float32), (*pack.stacks[0].rows.coded, atlas)
    )
    frame = replace(
        pack.frames[0],
        boxes=(Box(1, 2.5, 1.0, 4.0, 5.0), Box(0, 6.0, 3.0, 6.0, 6.0), Box(0, 0.0, 0.0, 1.0, 1.0)),
        objects=(
            ObjectInr(InrRef(0, 1), cell=Cell(0, 6, 1)),
            ObjectInr(InrRef(0, 1), cell=Cell(0, 0, 0)),
            None,
        ),
    )
    return Pack((frame,), (replace(pack.stacks[0], rows=rows),), {})


SEEDS: dict[str, Callable[[], Pack]] = {
    **PACKS,
    "one_pixel": one_pixel,
    "sequence": sequence,
    "latents": lambda: latents(9, 6, 1),
    "latents_grey": lambda: latents(4, 5, 1, out=1, largest=0),
    "latents_wide": lambda: latents(3, 2, 1, largest=127),
    "latents_pixel": lambda: latents(1, 1, 1),
    "latents_many": lambda: latents(1, 2, 64, largest=1),
    "latents_predicted": lambda: latents(5, 3, 8, largest=1, predicted=True),
    "latents_pair": lambda: latents(5, 3, 2, largest=1, predicted=True),
    "latents_changed": lambda: latents(
        6, 4, 2, changes=("context.00.bias", "kernel.up", "synthesis.skip", "filter.1_bias")
    ),
    "latents_with_object": latents_with_object,
    "av1": lambda: av1_group(12, 9, 1, 3),
    "av1_grey": lambda: av1_group(7, 5, 1, 1),
    "av1_sequence": lambda: av1_group(16, 16, 3, 3),
    "av1_shrunk": lambda: av1_group(13, 9, 1, 3, shrink=2),
    "av1_shrunk_sequence": lambda: av1_group(35, 33, 2, 1, shrink=4),
    "av1_objects": av1_objects,
}


def write_seeds(folder: Path) -> None:
    """Write every pack of `SEEDS` to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in SEEDS.items():
        (folder / f"{name}.rinr").write_bytes(pack_bytes(build()))

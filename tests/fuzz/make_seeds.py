"""The files that fuzzing starts from, besides the hostile ones: small sound packs of every kind.

`run_fuzz.py --minimise` makes them again and keeps what the corpus lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from sample_packs import PACKS, make_group

from rinrcodec.boxes import Box
from rinrcodec.families.nerv import network as nerv
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.latents import Change, PyramidRow, best_scale, encode_row
from rinrcodec.formats import pack_bytes
from rinrcodec.pack import Frame, Group, InrRef, Metadata, ObjectInr, Pack, Rows, Spec

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
    "latents_changed": lambda: latents(
        6, 4, 2, changes=("context.00.bias", "kernel.up", "synthesis.skip", "filter.1_bias")
    ),
    "latents_with_object": latents_with_object,
}


def write_seeds(folder: Path) -> None:
    """Write every pack of `SEEDS` to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in SEEDS.items():
        (folder / f"{name}.rinr").write_bytes(pack_bytes(build()))

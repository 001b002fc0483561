"""Pictures that are worth coding, as arrays and as packs of `av1`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rinrcodec
from rinrcodec.compute.compose import to_array
from rinrcodec.pack import Frame, InrRef, Pack
from rinrcodec.picture import Picture


def scene(width: int, height: int, *, grey: bool = False, shift: float = 0.0) -> NDArray[np.uint8]:
    """Waves with an edge; `shift` moves them to the right, as a camera does."""
    y, x = np.mgrid[0:height, 0:width]
    x = x - shift
    waves = [
        127 + 60 * np.sin(x / 9 + k) + 40 * np.cos(y / 7 * (k + 1)) + 25 * (x + y > width)
        for k in range(1 if grey else 3)
    ]
    pixels = np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8)
    return pixels[..., 0] if grey else pixels


def sequence(n: int, width: int = 96, height: int = 64, *, grey: bool = False) -> list[Picture]:
    """Frames of one folder that follow each other."""
    return [
        Picture(f"clip/{k:03d}", scene(width, height, grey=grey, shift=1.5 * k)) for k in range(n)
    ]


def streams(pack: Pack) -> list[tuple[bytes, ...]]:
    """What was coded, without what the pack says of its making."""
    return [
        pack.read_rows(number, range(group.n_rows)).coded
        for number, group in enumerate(pack.groups)
    ]


def encode(pictures: Sequence[Any], **options: Any) -> Pack:
    return rinrcodec.encode(pictures, **{"preset": "fast", "background": "av1"} | options)


def decoded(pack: Pack, i: int, **options: Any) -> NDArray[np.uint8]:
    return to_array(rinrcodec.decode(pack, i, **options), pack.frames[i].mode)


def with_row(pack: Pack, row: bytes, **spec: Any) -> Pack:
    """A pack of one group with another row, and other parameters of the spec."""
    (group,) = pack.stacks
    config = dict(group.spec.config) | spec
    rows = replace(group.rows, coded=(row,))
    return replace(
        pack, stacks=(replace(group, spec=type(group.spec).of("av1", **config), rows=rows),)
    )


def with_frame(pack: Pack, **fields: Any) -> Pack:
    """A pack of its first frame, of which some fields are others."""
    frame: Frame = replace(pack.frames[0], background=InrRef(0, 0), **fields)
    return replace(pack, frames=(frame,))

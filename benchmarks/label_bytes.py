"""Bytes of labels beyond boxes in a pack: outlines, rotated boxes and keypoints.

    python benchmarks/label_bytes.py --frames 250

Shapes are drawn by chance inside the boxes of real frames: smooth outlines and poses, as labels of
COCO (two decimals of a pixel) and of YOLO (six decimals of the picture) write them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import zstandard

from harness.arguments import common_parser, setup
from harness.frames import load_frames
from harness.packs import fresh_pack
from harness.reports import markdown_table, write_report
from rinrcodec.boxes import Box
from rinrcodec.formats import PackReader, pack_bytes
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset

LEVEL = 19  # of zstd, as tables of packs have
KEYPOINTS = 17
Drawn = Callable[[np.random.Generator, Box, Picture], Box]
Rounded = Callable[[float, float], float]


def coco(value: float, size: float) -> float:  # noqa: ARG001 (as `yolo`)
    """Round a coordinate as COCO writes it: to two decimals of a pixel."""
    return round(value, 2)


def yolo(value: float, size: float) -> float:
    """Round a coordinate as a YOLO label does: to six decimals of the picture's size."""
    return round(round(value / size, 6) * size, 9)


def outline(rng: np.random.Generator, n: int) -> np.ndarray[Any, Any]:
    """Draw a smooth outline of `n` points in the unit square, float64 [n, 2]."""
    turns = np.linspace(0, 2 * np.pi, n, endpoint=False)
    waves = sum(
        rng.normal(0, 0.12 / k) * np.cos(k * turns + rng.uniform(0, 6.3)) for k in range(1, 6)
    )
    radius = np.clip(0.38 + waves, 0.05, 0.5)
    return np.stack([0.5 + radius * np.cos(turns), 0.5 + radius * np.sin(turns)], 1)


def with_outline(rounded: Rounded) -> Drawn:
    """Add an outline of 20 to 60 points to a box."""

    def draw(rng: np.random.Generator, box: Box, picture: Picture) -> Box:
        points = outline(rng, int(rng.integers(20, 61)))
        return replace(box, polygons=(_placed(points, box, picture, rounded),))

    return draw


def with_corners(rounded: Rounded) -> Drawn:
    """Add a rotated box of four corners."""

    def draw(rng: np.random.Generator, box: Box, picture: Picture) -> Box:
        turn = rng.uniform(0, 1.57) + np.pi / 2 * np.arange(4)
        points = 0.5 + 0.5 * np.stack([np.cos(turn), np.sin(turn)], 1)
        return replace(box, polygons=(_placed(points, box, picture, rounded),))

    return draw


def with_pose(rounded: Rounded) -> Drawn:
    """Add 17 keypoints with visibility, a third of them not labelled."""

    def draw(rng: np.random.Generator, box: Box, picture: Picture) -> Box:
        flat = _placed(rng.random((KEYPOINTS, 2)), box, picture, rounded)
        seen = rng.random(KEYPOINTS) > 1 / 3
        points = zip(flat[0::2], flat[1::2], seen, strict=True)
        return replace(
            box, keypoints=tuple((x, y, 2.0) if s else (0.0, 0.0, 0.0) for x, y, s in points)
        )

    return draw


def _placed(
    points: np.ndarray[Any, Any], box: Box, picture: Picture, rounded: Rounded
) -> tuple[float, ...]:
    """Move points of the unit square into a box; return them as (x1, y1, x2, y2, ...)."""
    flat: list[float] = []
    for x, y in points.tolist():
        flat += [
            rounded(box.x + x * box.w, picture.width),
            rounded(box.y + y * box.h, picture.height),
        ]
    return tuple(flat)


def label_bytes(pack: Pack) -> int:
    """Return the bytes of all labels in a file."""
    with PackReader(pack_bytes(pack)) as reader:
        return reader.sizes().boxes


def as_json(pack: Pack) -> bytes:
    """Return the extras of all boxes as JSON, one a line."""
    boxes = [box.extras for frame in pack.frames for box in frame.boxes]
    return "\n".join(json.dumps(extras, separators=(",", ":")) for extras in boxes).encode()


def as_floats(pack: Pack) -> bytes:
    """Return all coordinates as byte planes of float64."""
    shapes = [s for f in pack.frames for b in f.boxes for s in (*b.polygons, *b.keypoints)]
    numbers = np.concatenate(shapes).astype("<f8")
    return bytes(numbers.view("u1").reshape(-1, 8).T.tobytes())


def measure(name: str, drawn: Drawn, plain: Pack, pictures: list[Picture], seed: int) -> list[Any]:
    """Return one row: bytes a box beyond the plain box."""
    rng = np.random.default_rng(seed)
    frames = tuple(
        replace(frame, boxes=tuple(drawn(rng, box, picture) for box in frame.boxes))
        for frame, picture in zip(plain.frames, pictures, strict=True)
    )
    pack = replace(plain, frames=frames)
    n_boxes = sum(len(frame.boxes) for frame in frames)
    ours = label_bytes(pack) - label_bytes(plain)
    compress = zstandard.ZstdCompressor(level=LEVEL).compress
    rivals = [len(compress(data(pack))) for data in (as_json, as_floats)]
    saved = 100 * (ours / rivals[0] - 1)
    return [name, *(f"{size / n_boxes:.1f}" for size in (ours, *rivals)), f"{saved:+.0f} %"]


def main() -> None:
    parser = common_parser(__doc__, frames=250)
    options = parser.parse_args()
    setup(options)
    what, loaded = load_frames(options.frames)
    pictures = list(loaded)
    plain = fresh_pack(
        pictures, get_preset("fast", background="siren", objects="siren"), seed=options.seed
    )
    kinds = {
        "outlines, COCO": with_outline(coco),
        "outlines, YOLO": with_outline(yolo),
        "rotated boxes, YOLO": with_corners(yolo),
        "poses, COCO": with_pose(lambda value, size: float(round(coco(value, size)))),
        "poses, YOLO": with_pose(yolo),
    }
    rows = [measure(name, drawn, plain, pictures, options.seed) for name, drawn in kinds.items()]
    header = ["labels", "in a pack", "JSON and zstd", "float64 and zstd", "pack against JSON"]
    intro = (
        f"Bytes a box, beyond class and rectangle, on {what}. Outlines have 20 to 60 points, poses "
        f"{KEYPOINTS} keypoints. The shapes are drawn by chance, so real ones differ."
    )
    write_report(
        "label_bytes",
        options,
        title="Bytes of labels beyond boxes",
        body="\n\n".join([intro, markdown_table(header, rows)]),
        data={"frames": what, "rows": [dict(zip(header, row, strict=True)) for row in rows]},
    )


if __name__ == "__main__":
    main()

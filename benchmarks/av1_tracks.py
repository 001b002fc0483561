"""Objects of sequences as `av1` residuals, with and without tracks, against bare AV1 crops.

    python benchmarks/av1_tracks.py --frames 48

Bytes are those of coded rows and streams, without a container, interpolated at a mean PSNR.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from av1_objects import at, bare_row, crops_of, curve, decoded
from av1_sequences import names

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import load_sequence
from harness.reports import markdown_table, write_report
from rinrcodec.metrics import psnr
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset

TARGET = -20.0  # percent, against bare crops


def object_bytes(pack: Pack) -> int:
    """Bytes of the rows of all objects."""
    refs = {inr.inr for frame in pack.frames for inr in frame.objects if inr}
    return sum(len(pack.stacks[ref.group].rows.coded[ref.row]) for ref in refs)


def residuals(
    pictures: Sequence[Picture], base: Pack, options: argparse.Namespace, *, tracks: bool
) -> list[tuple[float, float]]:
    """Bytes an object, and their mean PSNR, at every quality."""
    preset = get_preset(options.preset, background="av1", objects="av1")
    objects = preset.objects
    if objects is not None and not tracks:
        objects = objects.with_gop(1)
    preset = replace(preset, objects=objects, min_gain=-np.inf)
    originals = crops_of(pictures, [picture.pixels for picture in pictures])
    points = []
    for quality in options.objects:
        target = rinrcodec.Target(objects_quality=quality)
        pack = rinrcodec.encode(pictures, preset=preset, target=target, reuse=base, device="cpu")
        crops = crops_of(pictures, decoded(pack, pictures))
        errors = [psnr(a, b) for a, b in zip(originals, crops, strict=True)]
        points.append((object_bytes(pack) / len(originals), float(np.mean(errors))))
    return points


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """All curves of one sequence."""
    what, pictures = load_sequence(name, options.frames)
    base = rinrcodec.encode(
        pictures,
        preset=options.preset,
        background="av1",
        objects="none",
        target=rinrcodec.Target(quality=options.background),
        device="cpu",
    )
    crops = crops_of(pictures, [picture.pixels for picture in pictures])
    return {
        "sequence": name,
        "frames": what,
        "pixels": float(np.mean([crop.shape[0] * crop.shape[1] for crop in crops])),
        "crops": curve(crops, bare_row, options.objects, len(crops)),
        "atlases": residuals(pictures, base, options, tracks=False),
        "tracks": residuals(pictures, base, options, tracks=True),
    }


def table_row(row: dict[str, Any], wanted: float) -> list[str]:
    """A line of the table."""
    crops, atlases, tracks = (at(row[key], wanted) for key in ("crops", "atlases", "tracks"))
    saved = 100 * (tracks / crops - 1)
    return [
        row["sequence"],
        f"{row['pixels']:,.0f}",
        *(f"{size:,.0f}" for size in (crops, atlases, tracks)),
        f"{saved:+.0f} %",
        f"{100 * (tracks / atlases - 1):+.1f} %",
        "yes" if saved <= TARGET else "no",
    ]


HEADER = ["sequence", "pixels an object", "bare AV1 crops, bytes", "residuals in atlases"]
HEADER += ["and along tracks", "against crops", "what tracks add", "at least 20 % less"]


def main() -> None:
    parser = common_parser(__doc__, frames=48)
    parser.add_argument("--sequences", nargs="+", default=names(), help="folders of sequences")
    parser.add_argument("--preset", default="balanced", help="our preset")
    parser.add_argument("--background", type=int, default=20, help="quality of the background")
    parser.add_argument("--objects", type=int, nargs="+", default=[30, 45, 60, 75, 88])
    parser.add_argument("--object-psnr", type=float, default=36.0, metavar="DB")
    options = parser.parse_args()
    setup(options)
    rows, table = [], []
    for name in options.sequences:
        row = measure(name, options)
        rows.append(row)
        table.append(table_row(row, options.object_psnr))
        print(*table[-1], sep=" | ", flush=True)
    intro = (
        f"On {'; '.join(row['frames'] for row in rows)}. Bytes an object of coded rows, at a mean "
        f"PSNR of {options.object_psnr:g} dB of the objects, on backgrounds of quality "
        f"{options.background} in groups of 16. Crops are AV1 streams of libaom at speed 6, "
        f"without a file around them; ours are those of `{options.preset}`."
    )
    write_report(
        "av1_tracks",
        options,
        title="Objects of sequences as AV1 residuals",
        body="\n\n".join([intro, markdown_table(HEADER, table)]),
        data={"frames": "; ".join(row["frames"] for row in rows), "rows": rows},
    )


if __name__ == "__main__":
    main()

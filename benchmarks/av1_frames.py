"""Frames as `av1` backgrounds against AVIF files: the BD-rate of whole packs.

    python benchmarks/av1_frames.py --frames 8

Every picture becomes a pack without boxes, of which every byte counts, and AVIF files of Pillow
(4:4:4, speed 6, tune=psnr). A pack of all frames shows what a frame takes among others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import load_frames, load_kodak
from harness.reports import markdown_table, write_report
from rinrcodec.compute.compose import to_array
from rinrcodec.evaluation.baselines import decode_picture, encode_picture
from rinrcodec.evaluation.rates import bd_rate, rate_curve
from rinrcodec.formats import pack_bytes
from rinrcodec.metrics import psnr
from rinrcodec.pack import Pack, select_frames
from rinrcodec.picture import Picture

Points = list[tuple[float, float]]


def avif(pixels: NDArray[np.uint8], quality: int) -> tuple[float, float]:
    """Return bytes and PSNR of an AVIF file."""
    data = encode_picture("avif", pixels, quality)
    return len(data), psnr(pixels, decode_picture(data, "L" if pixels.ndim == 2 else "RGB"))


def measure(
    pictures: Sequence[Picture], preset: str, quality: int, seed: int
) -> tuple[Pack, list[float], float]:
    """Return a pack of all pictures, the PSNR of every frame, and seconds to encode a frame."""
    began = time.perf_counter()
    pack = rinrcodec.encode(
        pictures,
        preset=preset,
        background="av1",
        target=rinrcodec.Target(quality=quality, tune="psnr"),
        gop=1,
        seed=seed,
        device="cpu",
    )
    seconds = (time.perf_counter() - began) / len(pictures)
    decoded = [to_array(rinrcodec.decode(pack, i), p.mode) for i, p in enumerate(pictures)]
    return pack, [psnr(p.pixels, d) for p, d in zip(pictures, decoded, strict=True)], seconds


def coded_bytes(pack: Pack, i: int) -> int:
    """Return the bytes of the coded row of a frame."""
    ref = pack.frames[i].background
    return sum(map(len, pack.read_rows(ref.group, [ref.row]).coded))


def compare(
    pictures: Sequence[Picture], anchors: list[Points], preset: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Return the curves of one preset, and their rates against the anchors."""
    alone: list[Points] = [[] for _ in pictures]
    shared: list[Points] = [[] for _ in pictures]
    times = []
    for quality in options.qualities:
        pack, errors, seconds = measure(pictures, preset, quality, options.seed)
        times.append(seconds)
        coded = [coded_bytes(pack, i) for i in range(len(pictures))]
        rest = (len(pack_bytes(pack)) - sum(coded)) / len(pictures)
        for i, error in enumerate(errors):
            alone[i].append((len(pack_bytes(select_frames(pack, [i]))), error))
            shared[i].append((coded[i] + rest, error))
    return {
        "preset": preset,
        "bd_rate_alone": mean_rate(alone, anchors),
        "bd_rate_in_a_pack": mean_rate(shared, anchors),
        "seconds": times,
        "alone": alone,
        "in_a_pack": shared,
    }


def mean_rate(curves: list[Points], anchors: list[Points]) -> float:
    """Return the mean over the pictures of their BD-rates, in percent."""
    pairs = zip(curves, anchors, strict=True)
    return float(np.mean([bd_rate(rate_curve(ours), rate_curve(anchor)) for ours, anchor in pairs]))


def table_row(name: str, row: dict[str, Any]) -> list[str]:
    """Return a line of the table; bytes and dB are those of the quality in the middle."""
    middle = len(row["seconds"]) // 2

    def mean(key: str, k: int) -> float:
        return float(np.mean([points[middle][k] for points in row[key]]))

    return [
        f"{name}, {row['preset']}",
        f"{row['bd_rate_alone']:+.1f} %",
        f"{row['bd_rate_in_a_pack']:+.1f} %",
        f"{np.mean(row['seconds']):.2f}",
        f"{mean('alone', 0):,.0f}",
        f"{mean('in_a_pack', 0):,.0f}",
        f"{mean('alone', 1):.2f}",
    ]


HEADER = [
    *("set, preset", "BD-rate alone", "BD-rate in a pack", "s a frame"),
    *("bytes alone", "bytes in a pack", "dB"),
]


def main() -> None:
    parser = common_parser(__doc__, frames=8)
    parser.add_argument("--presets", nargs="+", default=["fast", "balanced"], help="our presets")
    parser.add_argument("--qualities", type=int, nargs="+", default=[8, 16, 28, 44])
    options = parser.parse_args()
    setup(options)
    frames, dacsdc = load_frames(options.frames, evenly=True)
    kodak_frames, kodak = load_kodak(options.frames, 640, 432)
    table, rows = [], []
    for name, loaded in (("kodak", kodak), ("dacsdc", dacsdc)):
        pictures = [replace(picture, boxes=()) for picture in loaded]
        anchors = [
            [avif(picture.pixels, quality) for quality in options.qualities] for picture in pictures
        ]
        for preset in options.presets:
            row = compare(pictures, anchors, preset, options)
            table.append(table_row(name, row))
            rows.append({"set": name, "avif": anchors, **row})
            print(*table[-1], sep=" | ", flush=True)
    intro = (
        f"*kodak*: {kodak_frames}. *dacsdc*: {frames}. The rates *alone* and *in a pack* are "
        "BD-rates against AVIF files of Pillow (4:4:4, speed 6, tune=psnr). They are means over "
        "the pictures, and negative is smaller. Alone, every frame is a whole pack. In a pack of "
        "these frames, a frame has its coded row and an equal part of all other bytes. Both take "
        f"the qualities {options.qualities}. Bytes and dB are the means at quality "
        f"{options.qualities[len(options.qualities) // 2]}."
    )
    write_report(
        "av1_frames",
        options,
        title="Frames as AV1 against AVIF files",
        body="\n\n".join([intro, markdown_table(HEADER, table)]),
        data={"frames": frames, "kodak": kodak_frames, "rows": rows},
    )


if __name__ == "__main__":
    main()

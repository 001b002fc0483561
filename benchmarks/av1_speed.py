"""How fast `av1` backgrounds are encoded and decoded, beside JPEG and AVIF of Pillow.

    python benchmarks/av1_speed.py

Stills are frames of DAC-SDC, each in a row of its own; the sequence is otb_motorrolling, in groups
of 16. Encoding is `rinrcodec.compress` on a folder of PNG files, and includes its start. Decoding
is on one core, from open files.
"""

from __future__ import annotations

import argparse
import io
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import load_frames, load_sequence
from harness.reports import markdown_table, write_report
from harness.timing import timed
from rinrcodec.files import RinrFile
from rinrcodec.picture import Picture

BATCH = 16
GROUPS = {"stills": 1, "sequence": 16}
JOBS = (1, 2)
FEWEST_A_SECOND = {"fast": 5.0, "balanced": 1.0}  # gate 4
MOST_OF_JPEG = 4.0  # gate 5: times the decode of a JPEG file
MOST_RANDOM_MS = 60.0


def encode_rows(
    sets: Mapping[str, Sequence[Picture]], options: argparse.Namespace
) -> list[tuple[str, str, int, float]]:
    """(set, preset, jobs, frames a second) of every run of `compress`."""
    rows = []
    with tempfile.TemporaryDirectory() as work:
        for name, pictures in sets.items():
            folder = Path(work) / name
            folder.mkdir()
            for k, picture in enumerate(pictures):
                Image.fromarray(picture.pixels).save(folder / f"{k:06d}.png", compress_level=1)
            for preset in options.presets:
                for jobs in JOBS:
                    began = time.perf_counter()
                    rinrcodec.compress(
                        folder,
                        Path(work) / f"{name}-{preset}-{jobs}",
                        labels="none",
                        background="av1",
                        preset=preset,
                        gop=GROUPS[name],
                        shard_size=-(-len(pictures) // max(JOBS)),
                        device="cpu",
                        jobs=jobs,
                        seed=options.seed,
                    )
                    rate = len(pictures) / (time.perf_counter() - began)
                    rows.append((name, preset, jobs, rate))
                    print(*rows[-1], flush=True)
    return rows


def pillow_ms(pictures: Sequence[Picture], codec: str, options: argparse.Namespace) -> float:
    """Milliseconds to decode a file of Pillow."""
    files = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture.pixels).save(file, codec, quality=TYPES[codec])
        files.append(file.getvalue())

    def decode() -> None:
        for data in files:
            with Image.open(io.BytesIO(data)) as image:
                np.asarray(image)

    return milliseconds(decode, len(files), options)


def milliseconds(work: Callable[[], object], count: int, options: argparse.Namespace) -> float:
    return 1e3 * timed(work, device="cpu", repeats=options.repeats) / count


def decode_ms(
    sets: Mapping[str, Sequence[Picture]], options: argparse.Namespace
) -> dict[str, float]:
    """Milliseconds a frame of every way to decode, on one core."""
    result = {f"{codec} in Pillow": pillow_ms(sets["stills"], codec, options) for codec in TYPES}
    with tempfile.TemporaryDirectory() as work:
        for name, pictures in sets.items():
            path = Path(work) / f"{name}.rinr"
            pack = rinrcodec.encode(
                pictures, preset="fast", background="av1", gop=GROUPS[name], device="cpu"
            )
            rinrcodec.save(pack, path)
            n = len(pictures)
            with rinrcodec.open(path) as file:

                def in_order(file: RinrFile = file, n: int = n) -> None:
                    for k in range(n):
                        file.decode(k)

                def in_batches(file: RinrFile = file, n: int = n) -> None:
                    for first in range(0, n, BATCH):
                        file.decode(range(first, min(n, first + BATCH)))

                result[f"{name}, one by one in order"] = milliseconds(in_order, n, options)
                result[f"{name}, batches of {BATCH}"] = milliseconds(in_batches, n, options)
            chosen = random.Random(options.seed).choices(range(n), k=20)

            def at_random(path: Path = path, chosen: list[int] = chosen) -> None:
                for k in chosen:
                    with rinrcodec.open(path) as file:
                        file.decode(k)

            result[f"{name}, a random frame, file opened anew"] = milliseconds(
                at_random, len(chosen), options
            )
    return result


TYPES = {"JPEG": 90, "AVIF": 60}  # with their qualities


def encode_table(rows: Sequence[tuple[str, str, int, float]]) -> str:
    """Frames a second by set and preset, with one job and with two."""
    rates = {(name, preset, jobs): rate for name, preset, jobs, rate in rows}
    lines = []
    for name, preset in dict.fromkeys((name, preset) for name, preset, _, _ in rows):
        one, two = (rates[name, preset, jobs] for jobs in JOBS)
        fewest = FEWEST_A_SECOND.get(preset)
        met = "-" if fewest is None else "met" if max(one, two) >= fewest else "missed"
        want = "-" if fewest is None else f"{fewest:g}"
        lines.append(
            (f"{name}, {preset}", f"{one:.1f}", f"{two:.1f}", f"{two / one:.2f}", want, met)
        )
    header = ["frames a second", "--jobs 1", "--jobs 2", "ratio", "gate 4: at least", "gate"]
    return markdown_table(header, lines)


def decode_table(times: dict[str, float]) -> str:
    """Milliseconds a frame, and how many times those of JPEG."""
    jpeg = times["JPEG in Pillow"]
    lines = []
    for name, value in times.items():
        gate = "-"
        if name == "sequence, a random frame, file opened anew":
            gate = f"{'met' if value <= MOST_RANDOM_MS else 'missed'}: {MOST_RANDOM_MS:g} ms"
        elif name.endswith("in order"):
            gate = f"{'met' if value <= MOST_OF_JPEG * jpeg else 'missed'}: {MOST_OF_JPEG:g} times"
        lines.append((name, f"{value:.1f}", f"{value / jpeg:.1f}", gate))
    return markdown_table(["decode on one core", "ms a frame", "times JPEG", "gate 5"], lines)


def main() -> None:
    parser = common_parser(__doc__, frames=32)
    parser.add_argument("--presets", nargs="+", default=["fast", "balanced"], help="our presets")
    parser.add_argument("--repeats", type=int, default=5, help="runs of a decode; the best counts")
    options = parser.parse_args()
    setup(options)
    stills, loaded = load_frames(options.frames, evenly=True)
    sequence, clip = load_sequence("otb_motorrolling", options.frames)
    sets = {
        name: [replace(picture, boxes=()) for picture in pictures]
        for name, pictures in (("stills", loaded), ("sequence", clip))
    }
    torch.set_num_threads(1)
    times = decode_ms(sets, options)
    print(decode_table(times), flush=True)
    torch.set_num_threads(options.threads)
    rates = encode_rows(sets, options)
    body = (
        f"*stills*: {stills}. *sequence*: {sequence}. Encoding is `rinrcodec.compress` of PNG "
        "files in two packs at the default quality, its start included; with one job, a pack has "
        f"{options.threads} threads. Decoding is of packs of `fast`, the best of "
        f"{options.repeats} runs; JPEG has quality 90, AVIF quality 60. Files are open before the "
        "clock starts except where the table says otherwise.\n\n"
        f"## Encoding\n\n{encode_table(rates)}\n\n## Decoding\n\n{decode_table(times)}"
    )
    write_report(
        "av1_speed",
        options,
        title="The speed of AV1 backgrounds",
        body=body,
        data={"frames": f"{stills}; {sequence}", "encode": rates, "decode_ms": times},
    )


if __name__ == "__main__":
    main()

"""How fast every family encodes and decodes, against JPEG, WebP and AVIF.

    python benchmarks/speed.py [--device cuda]

Stills are frames of DAC-SDC, each in a row of its own; the sequence is otb_motorrolling, in groups
of 16 where a family makes groups. All have their boxes. Families that fit networks get fewer
frames, as a fit takes seconds to minutes. On a CPU, decoding has one thread. On CUDA, JPEG is also
decoded by the GPU (nvJPEG through torchvision), which is the bar there.

Interrupted? Rerun the same command to continue.
"""

from __future__ import annotations

import argparse
import io
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import AvifImagePlugin, Image

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import load_frames, load_sequence
from harness.ledger import Ledger
from harness.reports import markdown_table
from harness.timing import synchronize, timed
from rinrcodec.evaluation.baselines import CODECS, available_codecs
from rinrcodec.families import background_families, background_family
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset

BATCH = 16
STILLS, SEQUENCE = "stills", "sequence"
GROUPS = {STILLS: 1, SEQUENCE: 16}
# How Pillow is asked to write. First as pictures usually come; the others are codecs of
# `accuracy.py`, at the qualities at which a detector finds about the same in each of them.
SOURCE = "JPEG 90"
PILLOW: Mapping[str, Mapping[str, Any]] = {
    SOURCE: {"format": "JPEG", "quality": 90},
    "JPEG 40": {**CODECS["jpeg"][0], "quality": 40},
    "WebP 20": {**CODECS["webp"][0], "quality": 20},
    "AVIF 30": {**CODECS["avif"][0], "quality": 30},
    "AVIF-default 30": {**CODECS["avif"][0], "quality": 30, "advanced": {}},
}
# Of our frames without objects: that of the AVIF files, as a detector finds as much in both.
BARE_QUALITY = 30


@dataclass(frozen=True)
class Speed:
    """One codec on one set of frames; None where a figure says nothing.

    random_ms: to open a file and decode a frame at random.
    """

    codec: str
    data: str
    frames: int
    bytes_a_frame: float
    encoded_per_s: float | None
    decoded_per_s: float
    random_ms: float | None


def pillow_speed(
    codec: str, pictures: Sequence[Picture], *, repeats: int, seed: int, threads: int = 1
) -> Speed:
    """Measure the speed of a codec of `PILLOW`; only AVIF encodes with several threads."""
    files = pillow_files(codec, pictures)
    count = len(files)

    def encode() -> None:
        pillow_files(codec, pictures, threads)

    def decode() -> None:
        for data in files:
            with Image.open(io.BytesIO(data)) as image:
                np.asarray(image)

    # AVIF, or all cores would decode it.
    usual, AvifImagePlugin.DEFAULT_MAX_THREADS = AvifImagePlugin.DEFAULT_MAX_THREADS, 1
    decoding = timed(decode, device="cpu", repeats=repeats) / count
    chosen = numbers_at_random(count, seed)
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            Path(folder) / f"{number}.{PILLOW[codec]['format'].lower()}" for number in range(count)
        ]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)

        def at_random() -> None:
            for number in chosen:
                with Image.open(paths[number]) as image:
                    np.asarray(image)

        opening = timed(at_random, device="cpu", repeats=repeats) / len(chosen)
    AvifImagePlugin.DEFAULT_MAX_THREADS = usual
    return Speed(
        f"{codec}, Pillow",
        STILLS,
        count,
        sum(map(len, files)) / count,
        count / timed(encode, device="cpu", repeats=1),
        1 / decoding,
        1e3 * opening,
    )


def numbers_at_random(count: int, seed: int) -> list[int]:
    """Choose frames of `count` to open one after the other, the same for every codec."""
    return random.Random(seed).choices(range(count), k=min(20, 2 * count))


def pillow_files(codec: str, pictures: Sequence[Picture], threads: int = 1) -> list[bytes]:
    """Return the frames as files."""
    settings = dict(PILLOW[codec])
    if settings["format"] == "AVIF":
        settings["max_threads"] = threads
    files = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture.pixels).save(file, **settings)
        files.append(file.getvalue())
    return files


def torchvision_speed(pictures: Sequence[Picture], options: argparse.Namespace) -> Speed:
    """Measure how fast torchvision decodes JPEG on the device, in batches."""
    tv = import_module("torchvision.io")
    files = pillow_files(SOURCE, pictures)
    data = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]

    def decode() -> None:
        for first in range(0, len(data), BATCH):
            tv.decode_jpeg(
                data[first : first + BATCH], mode=tv.ImageReadMode.RGB, device=options.device
            )

    return Speed(
        f"{SOURCE}, torchvision on {torch.device(options.device).type}",
        STILLS,
        len(files),
        sum(map(len, files)) / len(files),
        None,
        len(files) / timed(decode, device=options.device, repeats=options.repeats),
        None,
    )


def family_speed(
    family: str,
    preset: str,
    data: str,
    pictures: Sequence[Picture],
    options: argparse.Namespace,
    *,
    bare: bool = False,
    shrink: int = 1,
) -> Speed:
    """Measure a family: encoded with all threads, decoded with one or on the device.

    With `bare`, the frames have no boxes, and so no objects; their quality is that of the AVIF
    files. `shrink` is as of `encode`.
    """
    if bare:
        pictures = [replace(picture, boxes=()) for picture in pictures]
    gop = GROUPS[data] if background_family(family).gop else None
    steps = steps_of(family, options)
    made = get_preset(preset, background=family, steps=steps, gop=gop, shrink=shrink)
    torch.set_num_threads(options.threads)
    synchronize(options.device)
    began = time.perf_counter()
    pack = rinrcodec.encode(
        pictures,
        preset=made,
        target=rinrcodec.Target(quality=BARE_QUALITY) if bare else None,
        seed=options.seed,
        device=options.device,
        on_progress=None,
    )
    synchronize(options.device)
    encoding = time.perf_counter() - began
    torch.set_num_threads(1)
    count = len(pictures)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.rinr"
        size = rinrcodec.save(pack, path)
        with rinrcodec.open(path) as file:

            def in_batches() -> None:
                for first in range(0, count, BATCH):
                    file.decode(range(first, min(count, first + BATCH)), device=options.device)

            decoding = timed(in_batches, device=options.device, repeats=options.repeats)
        chosen = numbers_at_random(count, options.seed)

        def at_random() -> None:
            for number in chosen:
                with rinrcodec.open(path) as file:
                    file.decode(number, device=options.device)

        opening = timed(at_random, device=options.device, repeats=options.repeats)
    name = f"{family}, {made.name.partition(',')[0]}{', no objects' if bare else ''}"
    name += f", shrink {shrink}" if shrink > 1 else ""
    per_frame = 1e3 * opening / len(chosen)
    return Speed(name, data, count, size / count, count / encoding, count / decoding, per_frame)


def frames_for(
    family: str, stills: Sequence[Picture], clip: Sequence[Picture], few: int
) -> dict[str, Sequence[Picture]]:
    """Return the sets of frames to try a family on; one that fits networks gets few stills."""
    one = background_family(family)
    if one.joins_frames and one.gop is None:
        return {SEQUENCE: clip}
    if one.fits_networks:
        return {STILLS: stills[:few]}
    return {STILLS: stills, SEQUENCE: clip}


def steps_of(family: str, options: argparse.Namespace) -> int | None:
    """Return the steps that replace those of the preset, for families that have steps."""
    return options.steps if background_family(family).fits_networks else None


def page(rows: Sequence[Speed], options: argparse.Namespace, stills: str, sequence: str) -> str:
    """Return the table, and how it is to be read."""
    jpeg = next(row for row in rows if row.codec == f"{SOURCE}, Pillow")

    def text(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    table = markdown_table(
        ["codec", "frames", "bytes a frame", "encoded a second", "decoded a second",
         f"decoded, times {SOURCE} in Pillow", "ms for one at random"],
        [
            (
                f"{row.codec}, {row.data}",
                row.frames,
                f"{row.bytes_a_frame:,.0f}",
                text(row.encoded_per_s, ".3g"),
                text(row.decoded_per_s, ",.3g" if row.decoded_per_s < 100 else ",.0f"),
                f"{row.decoded_per_s / jpeg.decoded_per_s:.2f}",
                text(row.random_ms, ".3g"),
            )
            for row in rows
        ],
    )  # fmt: skip
    steps = f" Networks were fitted for {options.steps} steps only." if options.steps else ""
    threads = "one thread" if options.device == "cpu" else f"{options.device}"
    return (
        f"*stills*: {stills}, the first of them for families that fit networks. *sequence*: "
        f"{sequence}.{steps}\n\n"
        f"* **Encoding**: `rinrcodec.encode` has {options.threads} threads on {options.device}. "
        f"Pillow encodes one frame after the other. AVIF has {options.threads} threads, too, JPEG "
        "and WebP have one.\n"
        f"* **Decoding**: batches of {BATCH} with {threads}, the best of {options.repeats} runs.\n"
        "* **One at random**: a file is opened for every frame, in random order. It is a pack of "
        "all frames, or a picture file of one.\n"
        f"* **Numbers** after Pillow's codecs are qualities. {SOURCE} is usual for camera files. "
        "The others are codecs of [accuracy](accuracy.md), at qualities at which a detector finds "
        "about the same in all of them. AVIF is tuned for PSNR, AVIF-default has Pillow's default "
        "tune.\n"
        "* **Ours** have objects and their default qualities. Without objects, the quality is "
        f"{BARE_QUALITY}, as of AVIF. Frames are encoded side by side.\n\n"
        f"{table}"
    )


def main() -> None:
    parser = common_parser(__doc__, frames=32)
    parser.add_argument("--presets", nargs="+", default=["fast", "balanced"], help="our presets")
    parser.add_argument("--fitted-presets", nargs="+", default=["fast"], help="those of networks")
    parser.add_argument("--fitted-frames", type=int, default=2, help="stills for networks")
    parser.add_argument(
        "--families", nargs="+", choices=background_families(), default=list(background_families())
    )
    parser.add_argument("--steps", type=int, help="steps of networks in place of the preset's")
    parser.add_argument("--repeats", type=int, default=5, help="runs of a decode; the best counts")
    options = parser.parse_args()
    setup(options)
    stills, loaded = load_frames(options.frames, evenly=True)
    sequence, clip = load_sequence("otb_motorrolling", min(options.frames, 32))
    ledger = Ledger("speed", "speed", options)

    def row(key: str, make: Callable[[], Speed]) -> Speed:
        found = Speed(**ledger.row(key, lambda: asdict(make())))
        print(found, flush=True)
        return found

    torch.set_num_threads(1)
    rows = [
        row(
            codec,
            partial(
                pillow_speed,
                codec,
                loaded,
                repeats=options.repeats,
                seed=options.seed,
                threads=options.threads,
            ),
        )
        for codec in PILLOW
        if str(PILLOW[codec]["format"]).lower() in available_codecs()
    ]
    if find_spec("torchvision"):
        rows.append(row("JPEG, torchvision", lambda: torchvision_speed(loaded, options)))
    for name in options.families:
        fitted = background_family(name).fits_networks
        for preset in options.fitted_presets if fitted else options.presets:
            for data, pictures in frames_for(name, loaded, clip, options.fitted_frames).items():
                make = partial(family_speed, name, preset, data, pictures, options)
                rows.append(row(f"{name} {preset} {data}", make))
                if data == STILLS and not fitted:
                    made = partial(make, bare=True)
                    rows.append(row(f"{name} {preset} {data} bare", made))
                    for factor in background_family(name).shrinks:
                        made = partial(make, shrink=factor)
                        rows.append(row(f"{name} {preset} {data} shrink {factor}", made))
    ledger.finish(
        title="Speed",
        body=page(rows, options, stills, sequence),
        data={"frames": f"{stills}; {sequence}", "rows": [asdict(one) for one in rows]},
    )


if __name__ == "__main__":
    main()

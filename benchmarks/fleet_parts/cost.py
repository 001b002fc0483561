"""The cost of a frame by family and preset, through `compress` as a user runs it."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

import rinrcodec
from fleet_parts.runs import Compress, quick_words, write_tiles
from harness.frames import DATA, load_frames
from harness.ledger import Ledger
from harness.reports import markdown_table
from rinrcodec.families import background_family
from rinrcodec.sources.discover import open_source

# Pixels of a side of a frame that costs next to nothing.
_TINY = 48


def write_data(folder: Path, count: int) -> tuple[str, Path]:
    """Write a folder of frames, with labels where there are any, and describe them.

    Frames are of the train split of DAC-SDC, evenly apart, or pictures of scikit-image.
    """
    images = folder / "images"
    images.mkdir(parents=True)
    yaml = DATA / "dacsdc" / "dacsdc.yaml"
    if not yaml.is_file():
        what, pictures = load_frames(count)
        for picture in pictures:
            path = images / Path(picture.name).with_suffix(".png").name
            Image.fromarray(picture.pixels).save(path)
        return what, images
    (folder / "labels").mkdir()
    refs = {series.name: series for series in open_source(yaml).series}["train"].refs
    for number in range(min(count, len(refs))):
        ref = refs[number * len(refs) // count]
        shutil.copyfile(ref.path, images / f"{number:04d}{ref.path.suffix}")
        if ref.label is not None and ref.label_stamp:
            shutil.copyfile(ref.label, folder / "labels" / f"{number:04d}.txt")
    return f"{count} train frames of DAC-SDC, evenly apart", images


def cost(options: argparse.Namespace, ledger: Ledger) -> None:
    """Write the report fleet_cost: a row for every family and preset."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        what, images = write_data(Path(folder, "data"), options.frames)
        # As many processes, which do next to nothing.
        tiny = write_tiles(Path(folder, "tiny"), options.jobs[-1], _TINY, seed=options.seed)
        for background in options.backgrounds:
            out = Path(folder, background)
            run = partial(_start, tiny, out, background, options)
            start = ledger.row(f"start of {background}", run)["cpu_s"]
            for preset in options.presets:
                run = partial(_row, images, out / preset, background, preset, options)
                rows.append({**ledger.row(f"{background}, {preset}", run), "start_s": start})
    for row in rows:
        row["fit_s"] = row["cpu_s"] - row["start_s"]
    table = [
        (
            row["background"],
            row["preset"],
            f"{row['pixels'] / row['frames']:,.0f}",
            f"{row['fit_s'] / row['frames']:.2f}",
            f"{row['bytes'] / row['frames']:,.0f}",
            f"{row['source_bytes'] / row['frames']:,.0f}",
            f"{1000 * row['decode_s'] / row['frames']:.0f}",
            f"{row['psnr_frame']:.2f}",
        )
        for row in rows
    ]
    jobs = options.jobs[-1]
    starts = {row["background"]: row["start_s"] for row in rows}
    less = " and ".join(f"{start:.1f} s for {name}" for name, start in starts.items())
    body = (
        f"On {what}, by `compress` with {jobs} processes of one thread each. *Core-seconds* are "
        "CPU time from reading a frame to measuring the result: those of the whole command, less "
        f"those of the start ({less}). A command with one frame of {_TINY}x{_TINY} pixels for each "
        "process takes these. Decoding is CPU time, too, from an open file. Bytes are "
        "those of whole packs.\n\n"
        + markdown_table(
            [
                "background",
                "preset",
                "pixels a frame",
                "core-seconds a frame",
                "bytes a frame in packs",
                "bytes a frame in the source",
                "decode, ms a frame",
                "frame, dB",
            ],
            table,
        )
    )
    ledger.finish(title="What a frame costs", body=body, data={"frames": what, "rows": rows})


def _start(
    images: Path, out: Path, background: str, options: argparse.Namespace
) -> dict[str, float]:
    jobs = options.jobs[-1]
    words = [images, "-o", out / "start", *quick_words(background, steps=1), "--shard-size", 1]
    with Compress(*words, "--jobs", jobs, "--device", options.device, threads=jobs) as run:
        run.wait()
    return {"cpu_s": run.all_cpu_s}


def _row(
    images: Path, out: Path, background: str, preset: str, options: argparse.Namespace
) -> dict[str, Any]:
    jobs = options.jobs[-1]
    report = out.with_suffix(".json")
    words = [images, "-o", out, "--background", background, "--preset", preset, "--jobs", jobs]
    words += ["--seed", options.seed, "--shard-size", max(1, options.frames // jobs)]
    words += ["--device", options.device, "--json", report, "--quiet"]
    if options.steps and background_family(background).fits_networks:
        words += ["--steps", options.steps]
    with Compress(*words, threads=jobs) as run:
        run.wait()
    total = json.loads(report.read_text(encoding="utf-8"))["total"]
    torch.set_num_threads(1)
    decode = 0.0
    for path in sorted(out.glob("*.rinr")):
        with rinrcodec.open(path) as file:
            file.decode(0)
            began = time.process_time()
            for index in range(len(file)):
                file.decode(index)
            decode += time.process_time() - began
    row = {
        "background": background,
        "preset": preset,
        "frames": total["frames"],
        "pixels": total["pixels"],
        "seconds": run.seconds,
        "cpu_s": run.all_cpu_s,
        "bytes": total["bytes"],
        "source_bytes": total["source_bytes"],
        "psnr_frame": total["psnr_frame"],
        "decode_s": decode,
    }
    print(row, flush=True)
    return row

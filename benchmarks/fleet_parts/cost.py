"""The cost of a frame with every preset, through `compress` as a user runs it."""

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
from fleet_parts.runs import Compress
from harness.frames import DATA, load_frames
from harness.ledger import Ledger
from harness.reports import markdown_table
from rinrcodec.sources.discover import open_source


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
    """Write the report fleet_cost: a row for every preset."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        what, images = write_data(Path(folder, "data"), options.frames)
        # As many processes, which do next to nothing.
        _, some = write_data(Path(folder, "some"), options.jobs[-1])
        words = ["--background", "siren", "--objects", "siren", "--preset", "fast", "--steps", 1]
        words += ["--shard-size", 1]
        run = partial(_start, [some, "-o", Path(folder, "start"), *words], options)
        start = ledger.row("start", run)["cpu_s"]
        for preset in options.presets:
            run = partial(_row, images, Path(folder, preset), preset, options)
            rows.append(ledger.row(preset, run))
    for row in rows:
        row["fit_s"] = row["cpu_s"] - start
    table = [
        (
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
    body = (
        f"On {what}, by `compress` with {jobs} processes of one thread each. *Core-seconds* are "
        "CPU time from reading a frame to measuring the result. They are those of the whole "
        f"command, less {start:.1f} s for the start. A command that starts as many processes, and "
        "fits a frame in each for one step, takes these. Decoding is CPU time, too, from an "
        "open file. Bytes are those of whole packs.\n\n"
        + markdown_table(
            [
                "preset",
                "pixels a frame",
                "core-seconds a frame",
                "bytes a frame",
                "of the source",
                "decode, ms a frame",
                "frame, dB",
            ],
            table,
        )
    )
    data = {"frames": what, "start_s": start, "rows": rows}
    ledger.finish(title="What a frame costs", body=body, data=data)


def _start(words: list[Any], options: argparse.Namespace) -> dict[str, float]:
    jobs = options.jobs[-1]
    with Compress(*words, "--jobs", jobs, "--device", options.device, threads=jobs) as run:
        run.wait()
    return {"cpu_s": run.all_cpu_s}


def _row(images: Path, out: Path, preset: str, options: argparse.Namespace) -> dict[str, Any]:
    jobs = options.jobs[-1]
    report = out.with_suffix(".json")
    words = [images, "-o", out, "--background", "siren", "--objects", "siren", "--preset", preset]
    words += ["--jobs", jobs]
    words += [
        "--seed",
        options.seed,
        "--shard-size",
        max(1, options.frames // jobs),
        "--device",
        options.device,
    ]
    words += ["--json", report, "--quiet"]
    if options.steps:
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

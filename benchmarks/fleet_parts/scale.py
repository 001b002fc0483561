"""Many tiny frames: what the driver takes, and how long the result takes to open."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from fleet_parts.runs import Compress, manifest_bytes, quick_words, tiles
from harness.ledger import Ledger
from harness.reports import markdown_table

T = TypeVar("T")

_IN_A_FOLDER = 1000
_REPEATS = 3


def write_frames(folder: Path, count: int, size: int, *, seed: int) -> Path:
    """Write the tiles in folders of 1,000, as PPM files: the cheapest to write and read."""
    header = f"P6 {size} {size} 255\n".encode()
    for number, pixels in enumerate(tiles(count, size, seed=seed)):
        inside = folder / f"{number // _IN_A_FOLDER:04d}"
        if number % _IN_A_FOLDER == 0:
            inside.mkdir(parents=True)
        (inside / f"{number:07d}.ppm").write_bytes(header + pixels.tobytes())
    return folder


def alone(work: Callable[..., T], *words: Any) -> T:
    """Return the result of a function in a new process, which has done nothing before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *words).result()


def source_cost(folder: Path) -> dict[str, float]:
    """Return seconds to find the frames of a folder, and bytes of memory of what is found."""
    from rinrcodec.sources.discover import open_source

    began = time.perf_counter()
    open_source(folder)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "bytes": _memory(lambda: open_source(folder))}


def opening_cost(folder: Path, samples: int, seed: int) -> dict[str, float]:
    """Measure opening the packs below a folder as a data set, and reading frames of it.

    The files are in the system's cache. Times are the best of three, of a new data set each.
    """
    import torch

    import rinrcodec

    torch.set_num_threads(1)
    opened: Counter[str] = Counter()

    def hear(event: str, words: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(words[0], (str, Path)):
            opened[Path(words[0]).suffix] += 1

    first = sorted(folder.rglob("*.rinr"))[0]
    with rinrcodec.open(first) as file:  # loads what decoding needs
        file.decode(0)
    sys.addaudithook(hear)
    best: dict[str, float] = {}
    for _ in range(_REPEATS):
        opened.clear()
        began = time.perf_counter()
        dataset = rinrcodec.RinrDataset(folder)
        took = {"open_s": time.perf_counter() - began, "open_files": opened.total()}
        chosen = random.Random(seed).sample(range(len(dataset)), min(samples, len(dataset)))
        began = time.perf_counter()
        for index in chosen:
            dataset[index]
        took |= {"sample_s": time.perf_counter() - began}
        took |= {"sample_files": opened.total() - took["open_files"]}
        again = rinrcodec.RinrDataset(folder)
        began = time.perf_counter()
        again.read(chosen)
        took |= {"read_s": time.perf_counter() - began, "samples": len(chosen)}
        best = {name: min(value, best.get(name, value)) for name, value in took.items()}

    def open_one() -> Any:
        file = rinrcodec.open(first)
        file.frame(0)
        file.read_rows(0, [0])
        return file

    return {
        **best,
        "dataset_bytes": _memory(lambda: rinrcodec.RinrDataset(folder)),
        "pack_bytes": _memory(open_one),
    }


def scale(options: argparse.Namespace, ledger: Ledger) -> None:
    """Write the report fleet_scale: a row for every count of frames and shards."""
    from rinrcodec.families import background_family

    sizes = [(options.frames, shards) for shards in options.shards]
    # Fewer frames in shards of the same size as in the middle row: what a frame adds.
    per_shard = -(-options.frames // options.shards[len(options.shards) // 2])
    sizes = [(fewer, max(1, fewer // per_shard)) for fewer in options.fewer] + sizes
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for frames, shards in sizes:
            source, out = Path(folder, f"frames-{frames}"), Path(folder, f"{frames}-{shards}")
            run = partial(_row, source, out, frames, shards, options)
            rows.append(ledger.row(f"{frames} frames, {shards} shards", run))
    what = f"windows of {options.size}x{options.size} pixels of pictures of scikit-image"
    compressing = [
        (
            f"{row['frames']:,}",
            f"{row['shards']:,}",
            f"{row['seconds']:.0f}",
            f"{1000 * row['cpu_s'] / row['frames']:.2f}",
            f"{row['driver_peak_bytes'] / 1e6:.0f}",
            f"{row['driver_own_bytes'] / 1e6:.0f}",
            f"{1000 * row['driver_cpu_s'] / row['frames']:.3f}",
            f"{row['files']:,}",
            f"{row['bytes'] / row['frames']:.1f}",
            f"{row['manifest_bytes'] / 1e3:.1f}",
        )
        for row in rows
    ]
    opening = [
        (
            f"{row['frames']:,}",
            f"{row['shards']:,}",
            f"{1000 * row['opening']['open_s']:.1f}",
            f"{row['opening']['open_files']:,}",
            f"{row['opening']['dataset_bytes'] / 1e3:.1f}",
            f"{row['opening']['pack_bytes'] / 1e3:.1f}",
            f"{1000 * row['opening']['sample_s'] / row['opening']['samples']:.2f}",
            f"{row['opening']['sample_files']:,}",
            f"{1000 * row['opening']['read_s'] / row['opening']['samples']:.2f}",
        )
        for row in rows
    ]
    slope = _slope(rows, per_shard)
    background = options.backgrounds[0]
    steps = " (one step)" if background_family(background).fits_networks else ""
    body = (
        f"Frames are {what}, as PPM files. They are encoded as {background} with the preset `fast`"
        f"{steps} by {options.jobs[-1]} processes. They are so small that what grows with their "
        "number shows.\n\n"
        "## Compressing\n\n*CPU* is the time of all processes, including their start. It covers "
        "reading a frame, encoding, writing and measuring. *Driver* is the process that hands out "
        "the shards, without those that encode. It has its peak of memory and its CPU time. "
        "*Without libraries* leaves out memory that is read from files.\n\n"
        + markdown_table(
            [
                "frames",
                "shards",
                "s",
                "CPU, ms a frame",
                "driver, MB",
                "driver without libraries, MB",
                "driver, CPU ms a frame",
                "files",
                "bytes a frame",
                "manifest, kB",
            ],
            compressing,
        )
        + f"\n\n{slope['words']}\n\n"
        "## Opening\n\n`RinrDataset` of the output folder, with the files in the system's cache, "
        "one thread. *Files* are those that are opened for it. Then "
        f"{options.samples} frames at random: decoded one by one (`dataset[i]`), and read "
        "undecoded as one batch (`dataset.read`). Times are the best of three. Memory is what "
        "Python and NumPy hold for the data set before a frame is read, and for one open "
        "pack.\n\n"
        + markdown_table(
            [
                "frames",
                "shards",
                "open, ms",
                "files",
                "data set, kB",
                "one pack, kB",
                "decode, ms a frame",
                "files ",
                "read, ms a frame",
            ],
            opening,
        )
    )
    data = {"frames": what, "slope": slope, "rows": rows}
    ledger.finish(title="Many frames", body=body, data=data)


def _row(
    source: Path, out: Path, frames: int, shards: int, options: argparse.Namespace
) -> dict[str, Any]:
    if not source.exists():
        write_frames(source, frames, options.size, seed=options.seed)
    report = out.with_suffix(".json")
    words = [source, "-o", out, *quick_words(options.backgrounds[0], steps=1)]
    words += ["--labels", "none", "--shard-size", -(-frames // shards), "--jobs", options.jobs[-1]]
    words += ["--seed", options.seed, "--device", options.device, "--json", report, "--quiet"]
    with Compress(*words, threads=options.threads) as run:
        run.wait()
    manifest, packs, packed = manifest_bytes(out)
    total = json.loads(report.read_text(encoding="utf-8"))["total"]
    row = {
        "frames": total["frames"],
        "shards": shards,
        "seconds": run.seconds,
        "cpu_s": run.all_cpu_s,
        "driver_peak_bytes": run.peak_bytes,
        "driver_own_bytes": run.own_bytes,
        "driver_cpu_s": run.cpu_s,
        "files": sum(1 for path in out.rglob("*") if path.is_file()),
        "packs": packs,
        "bytes": packed,
        "manifest_bytes": manifest,
        "source": alone(source_cost, source),
        "opening": alone(opening_cost, out, options.samples, options.seed),
    }
    print(row, flush=True)
    return row


def _slope(rows: list[dict[str, Any]], per_shard: int) -> dict[str, Any]:
    """Return the memory that a frame adds to the driver, between runs of equal shards."""
    same = [row for row in rows if -(-row["frames"] // row["shards"]) == per_shard]
    few, many = same[0], same[-1]
    if few is many:
        return {"words": "Only one count of frames: what a frame adds is not known."}
    more = many["frames"] - few["frames"]
    peak = (many["driver_own_bytes"] - few["driver_own_bytes"]) / more
    refs = (many["source"]["bytes"] - few["source"]["bytes"]) / more
    base = few["driver_own_bytes"] - peak * few["frames"]
    words = (
        f"From {few['frames']:,} to {many['frames']:,} frames, in shards of {per_shard:,}, the "
        f"driver needs {base / 1e6:.0f} MB of its own, and {peak:,.0f} bytes for each frame. "
        f"The names, places and stamps of a frame are {refs:,.0f} bytes of "
        f"that. Finding them took {many['source']['seconds']:.1f} s."
    )
    return {"bytes_a_frame": peak, "base_bytes": base, "refs_a_frame": refs, "words": words}


def _memory(make: Callable[[], object]) -> int:
    """Return the bytes that Python and NumPy hold for what a function gives."""
    make()  # what it loads and caches is not its own
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = make()
        after = tracemalloc.get_traced_memory()[0]
        del kept
    finally:
        tracemalloc.stop()
    return after - before

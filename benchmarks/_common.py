"""What the benchmark scripts share: options, frames, the machine, and the report they write."""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.Image import Transpose

from rinrcodec.boxes import Box
from rinrcodec.compute.devices import resolve_device
from rinrcodec.errors import RinrDeviceError, RinrInputError
from rinrcodec.picture import Picture
from rinrcodec.presets import Part, Preset, get_preset
from rinrcodec.sources.images import load_picture, picture_from_array
from rinrcodec.sources.samples import sample_pictures
from rinrcodec.sources.source import open_source

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("RINRCODEC_DATA", ROOT.parent / "shared" / "data"))

# The first six are of all kinds: brick and texture, much detail, smooth surfaces, a face. Then the
# others.
KODAK = (1, 5, 8, 13, 15, 23, *(n for n in range(1, 25) if n not in (1, 5, 8, 13, 15, 23)))


def parser(description: str | None, *, frames: int) -> argparse.ArgumentParser:
    """The options that every script has; `frames` is the default of --frames."""
    made = argparse.ArgumentParser(
        description=(description or "").splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    made.add_argument("--frames", type=int, default=frames, help="how many frames")
    made.add_argument("--out", type=Path, default=Path("bench-out"), help="folder of the reports")
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    made.add_argument("--seed", type=int, default=0, help="seed of every fit")
    return made


def setup(options: argparse.Namespace) -> None:
    """Apply the options that concern the whole process; one that cannot be met ends it."""
    try:
        resolve_device(options.device)
    except RinrDeviceError as error:
        raise SystemExit(f"error: {error}") from None
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    _commit()


def load_frames(
    count: int, *, split: str = "val", one_in: int = 1, evenly: bool = False
) -> tuple[str, list[Picture]]:
    """What the frames are, in words, and the first `count` of them, or of one in so many.

    With `evenly`, `count` frames that are as far apart as the split allows.

    Real frames are a split of DAC-SDC below the folder that RINRCODEC_DATA names (by default
    `../shared/data` beside the checkout). Where they are absent, the pictures that ship with
    scikit-image stand in.
    """
    yaml = DATA / "dacsdc" / "dacsdc.yaml"
    if not yaml.is_file():
        pictures = sample_pictures()[:count]
        return f"{len(pictures)} pictures of scikit-image", pictures
    series = {series.name: series for series in open_source(yaml).series}[split]
    refs = series.refs[::one_in]
    if evenly:
        count = min(count, len(refs))
        refs = tuple(refs[i * len(refs) // count] for i in range(count))
    pictures = []
    for reading in replace(series, refs=refs[:count]).read():
        if reading.picture is None:
            raise RinrInputError(f"{reading.name}: {reading.error}")
        pictures.append(reading.picture)
    if evenly:
        return (
            f"{len(pictures)} of the {len(series)} {split} frames of DAC-SDC, evenly apart",
            pictures,
        )
    what = f"the first {len(pictures)} {split} frames of DAC-SDC"
    return what + (f", taking one in {one_in}" if one_in > 1 else ""), pictures


def load_kodak(count: int, width: int, height: int) -> tuple[str, list[Picture]]:
    """What the pictures are, in words, and up to `count` pictures of Kodak at one size.

    Of each the largest centred part of the wanted shape is resized with Lanczos; an upright one is
    first turned by 90 degrees. The folder is DATA/kodak; where it is absent, pictures of
    scikit-image stand in.
    """
    paths = [path for n in KODAK if (path := DATA / "kodak" / f"kodim{n:02}.png").is_file()]
    if paths:
        source = "Kodak"
        images = [(path.stem, load_picture(path).pixels) for path in paths[:count]]
    else:
        source = "scikit-image"
        images = [(picture.name, picture.pixels) for picture in sample_pictures()[:count]]
    pictures = []
    for name, pixels in images:
        image = Image.fromarray(pixels)
        turned = image if image.width >= image.height else image.transpose(Transpose.ROTATE_90)
        fitted = ImageOps.fit(turned, (width, height), Image.Resampling.LANCZOS)
        pictures.append(picture_from_array(np.asarray(fitted), name=name))
    made = f"the centre of each resized to {width}x{height} with Lanczos"
    return f"{len(pictures)} pictures of {source}, {made}", pictures


def load_sequence(name: str, count: int) -> tuple[str, list[Picture]]:
    """What a sequence is, in words, and its first `count` frames (0: all) with their boxes.

    Sequences are folders below DATA/sequences. Where they are absent, a window that moves over a
    picture of scikit-image stands in.
    """
    folder = DATA / "sequences" / name
    if not folder.is_dir():
        pixels = sample_pictures()[0].pixels
        count = count or 8
        windows = [pixels[2 * i : 2 * i + 96, 4 * i : 4 * i + 128] for i in range(count)]
        box = Box(0, 40, 30, 20, 24)
        pictures = [
            replace(picture_from_array(np.ascontiguousarray(w), name=f"{i:06d}"), boxes=(box,))
            for i, w in enumerate(windows)
        ]
        return f"{count} windows of a picture of scikit-image", pictures
    with (folder / "boxes.csv").open(encoding="utf-8", newline="") as file:
        rows = {int(row["frame"]): row for row in csv.DictReader(file)}
    first = 1 if name.startswith(("otb", "uav123")) else 0  # these count pixels from 1
    (series,) = open_source(folder, labels="none").series
    pictures = []
    for reading in islice(series.read(), count or None):
        if reading.picture is None:
            raise RinrInputError(f"{reading.name}: {reading.error}")
        x, y, w, h = (float(rows[int(Path(reading.name).stem)][key]) for key in "xywh")
        pictures.append(replace(reading.picture, boxes=(Box(0, x - first, y - first, w, h),)))
    size = f"{pictures[0].width}x{pictures[0].height}"
    return f"the first {len(pictures)} of {len(series)} frames of {name}, {size}", pictures


def frame_part(preset: str | Preset, *, steps: int | None = None) -> Part:
    """The background of a preset whose every frame has a network of its own."""
    part = get_preset(preset, steps=steps).background
    assert isinstance(part, Part)
    return part


def picture_mode(picture: Picture) -> str:
    """Pillow's mode of a picture, which `to_array` wants."""
    return picture.mode


def synchronize(device: str) -> None:
    """Wait until the device has finished, so that a clock read next means something."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def timed(work: Callable[[], object], *, device: str, repeats: int) -> float:
    """The best time of `repeats` runs in seconds, after one run that is not counted."""
    work()
    best = float("inf")
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|--:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def made_by(script: str, options: argparse.Namespace) -> dict[str, str]:
    """The command, the commit and the machine, as they stand in every report."""
    return {"command": _command(script, options), "commit": _commit(), **_machine(options)}


def write_report(
    name: str,
    options: argparse.Namespace,
    *,
    title: str,
    body: str,
    data: Mapping[str, Any],
    made: Mapping[str, str] | None = None,
) -> None:
    """Write `name`.json and `name`.md, both with what `made_by` says or, in its place, `made`."""
    made = made_by(name, options) if made is None else made
    folder: Path = options.out
    text = json.dumps({"made": made, **data}, indent=1, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    lines = "\n".join(f"    {key:9} {value}" for key, value in made.items())
    page = f"# {title}\n\n{body.strip()}\n\n## How this was made\n\n{lines}\n"
    (folder / f"{name}.md").write_text(page, encoding="utf-8")
    print(page)
    print(f"written: {folder / name}.md and .json")


def _command(name: str, options: argparse.Namespace) -> str:
    words = ["python", f"benchmarks/{name}.py"]
    for key, value in vars(options).items():
        # The folder of the report is left out: it says nothing about the figures.
        if key in ("out", "data") or value is None or value is False:
            continue
        words.append(f"--{key.replace('_', '-')}")
        if value is not True:
            words += map(str, value if isinstance(value, list) else [value])
    return " ".join(words)


@cache
def _commit() -> str:
    """The commit at the start of the run, whatever happens to the checkout meanwhile."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # Reports that the same run wrote do not make the code another one.
        changed = git("status", "--porcelain", "--", ".", ":!docs")
        return git("rev-parse", "--short", "HEAD") + (" with local changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _machine(options: argparse.Namespace) -> dict[str, str]:
    machine = {
        "cpu": f"{_cpu_name()}, {os.cpu_count()} cores, up to {options.threads} threads",
        "software": f"Python {platform.python_version()}, torch {torch.__version__}",
    }
    if options.device.startswith("cuda"):
        machine["gpu"] = torch.cuda.get_device_name(options.device)
    return machine


def _cpu_name() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

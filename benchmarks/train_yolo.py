"""Training YOLO on compressed frames: what does the detector lose, at equal bytes?

A detector is trained on the train split of DAC-SDC as it comes (JPEG files), on the same frames as
a pack, and on JPEG, WebP and AVIF of the pack's mean bytes a frame; it is validated on the val
split as it comes. Every training is repeated with several seeds. Without DAC-SDC the pictures of
scikit-image stand in, for both splits: that shows only that the script runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import DATA
from harness.reports import markdown_table, write_report
from rinrcodec.datasets.packs import find_packs
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.baselines import QualityScan, available_codecs
from rinrcodec.formats import read_pack
from rinrcodec.labels.yolo import format_labels
from rinrcodec.pack import Pack, merge_packs, select_frames
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.samples import CLASS_NAMES, sample_pictures


@dataclass(frozen=True)
class Split:
    """Pictures, and the JPEG file of each where it comes from one."""

    pictures: list[Picture]
    files: list[Path | None]


@dataclass(frozen=True)
class Run:
    """One training: `bytes_a_frame` is the mean over the train split."""

    arm: str
    seed: int
    bytes_a_frame: float
    map50: float
    map50_95: float
    seconds: float


def load_split(name: str, count: int) -> tuple[str, Split, dict[int, str]]:
    """What the frames are, `count` of them spread evenly over the split (0: all), class names."""
    path = DATA / "dacsdc" / "dacsdc.yaml"
    if not path.is_file():
        samples = sample_pictures()[: count or None]
        words = f"{len(samples)} pictures of scikit-image"
        return words, Split(samples, [None] * len(samples)), dict(enumerate(CLASS_NAMES))
    source = open_source(path)
    series = next(series for series in source.series if series.name == name)
    count = min(count, len(series)) or len(series)
    chosen = {round(i * (len(series) - 1) / max(1, count - 1)) for i in range(count)}
    pictures: list[Picture] = []
    files: list[Path | None] = []
    for index, (ref, reading) in enumerate(zip(series.refs, series.read(), strict=True)):
        if index in chosen:
            if reading.picture is None:
                raise RinrInputError(f"{reading.name}: {reading.error}")
            pictures.append(reading.picture)
            files.append(ref.path)
    words = f"{len(pictures)} {name} frames of DAC-SDC"
    return words, Split(pictures, files), dict(source.names)


def get_pack(pictures: Sequence[Picture], options: argparse.Namespace) -> Pack:
    """The pictures as a pack: from those that `compress` made, or fitted now."""
    if options.packs is None:
        preset = get_preset(options.preset, steps=options.steps, background=options.background)
        return rinrcodec.encode(pictures, preset=preset, seed=options.seed, device=options.device)
    splits = find_packs(options.packs).splits
    pack = merge_packs([read_pack(path) for path in splits.get("train", splits.get("", []))])
    numbers = {frame.name: index for index, frame in enumerate(pack.frames)}
    missing = [picture.name for picture in pictures if picture.name not in numbers]
    if missing:
        raise RinrInputError(
            f"{options.packs}: has no frame {missing[0]}, of {len(missing)} wanted"
        )
    return select_frames(pack, [numbers[picture.name] for picture in pictures])


def write_pictures(folder: Path, split: Split, arm: str, n_bytes: float) -> float:
    """Write a split as pictures with labels, in a codec of about `n_bytes`; the mean bytes.

    Codecs other than "original" are written as the PNG of what they decode to.
    """
    total = 0
    for number, (picture, file) in enumerate(zip(split.pictures, split.files, strict=True)):
        target = folder / "images" / f"{number:06d}"
        label = folder / "labels" / f"{number:06d}.txt"
        for path in (target, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        text = format_labels(picture.boxes, width=picture.width, height=picture.height)
        label.write_text(text, encoding="utf-8")
        if arm != "original":
            coded = QualityScan(arm, picture.pixels).nearest(round(n_bytes))
            Image.fromarray(coded.pixels).save(target.with_suffix(".png"), compress_level=1)
            total += coded.n_bytes
        elif file is not None:
            shutil.copy(file, target.with_suffix(file.suffix))
            total += file.stat().st_size
        else:
            Image.fromarray(picture.pixels).save(target.with_suffix(".png"))
            total += picture.source_bytes
    return total / len(split.pictures)


def write_data(path: Path, train: Path, val: Path, names: dict[int, str]) -> Path:
    """The data yaml of an arm."""
    data = {"train": str(train), "val": str(val), "names": names}
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def starting_from(weights: Path) -> Callable[[Any], None]:
    """What loads all tensors of a state dict that fit the model by name and shape."""

    def load(trainer: Any) -> None:
        current = trainer.model.state_dict()
        saved = torch.load(weights, map_location="cpu", weights_only=True)
        saved = saved.get("state_dict", saved)
        fitting = {k: v for k, v in saved.items() if k in current and current[k].shape == v.shape}
        if not fitting:
            raise RinrInputError(f"{weights}: no tensor of it fits the model")
        print(f"{len(fitting)} of {len(current)} tensors start from {weights.name}")
        trainer.model.load_state_dict(fitting, strict=False)
        trainer.ema.ema.load_state_dict(trainer.model.state_dict())

    return load


def train(arm: str, data: Path, seed: int, size: float, options: argparse.Namespace) -> Run:
    """Train once, and validate the last weights."""
    from ultralytics import YOLO

    model = YOLO(options.model)
    if options.weights is not None:
        model.add_callback("on_pretrain_routine_end", starting_from(options.weights))
    shared = {
        "data": str(data),
        "imgsz": options.imgsz,
        "batch": options.batch,
        "device": options.device,
        "workers": options.workers,
        "project": str(data.parent),
        "plots": False,
        "verbose": False,
    }
    start = time.perf_counter()
    # The best epoch would be chosen on the frames that it is then judged by, so the last counts.
    model.train(
        **{**shared, "epochs": options.epochs, "seed": seed, "name": f"{arm}-{seed}"},
        **{"val": False, "amp": False, "cache": "ram", "deterministic": True},
    )
    seconds = time.perf_counter() - start
    last = Path(model.trainer.last)
    scores = YOLO(last).val(**shared, name=f"{arm}-{seed}-val").box
    return Run(arm, seed, size, float(scores.map50), float(scores.map), seconds)


def train_all(tasks: Sequence[tuple[str, Path, int, float]], options: Any) -> list[Run]:
    """Train once for each task (the arguments of `train`), `options.jobs` at a time."""
    if options.jobs == 1:
        return [train(*task, options) for task in tasks]
    with ProcessPoolExecutor(
        options.jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=rinrcodec.enable_ultralytics,
    ) as pool:
        return list(pool.map(train, *zip(*tasks, strict=True), repeat(options)))


def table(runs: Sequence[Run]) -> str:
    """Mean and standard deviation over the seeds, as Markdown."""
    rows = []
    for arm in dict.fromkeys(run.arm for run in runs):
        group = [run for run in runs if run.arm == arm]
        scores = [
            f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"
            if len(values) > 1
            else f"{values[0]:.3f}"
            for values in ([run.map50 for run in group], [run.map50_95 for run in group])
        ]
        rows.append((arm, f"{group[0].bytes_a_frame:,.0f}", *scores))
    return markdown_table(["trained on", "bytes a frame", "mAP50", "mAP50-95"], rows)


def page(runs: Sequence[Run], options: argparse.Namespace, train: str, val: str) -> str:
    """What was done, the table, and how to read it; `train` and `val` say what was used."""
    spread = max(
        statistics.stdev([run.map50 for run in runs if run.arm == arm]) if options.seeds > 1 else 0
        for arm in options.arms
    )
    pack = f"a pack of `{options.background}` backgrounds" if options.background else "a pack"
    return (
        f"{options.model}, {options.epochs} epochs at {options.imgsz} pixels, trained on {train}, "
        f"validated on {val} as they come. Scores are those of the last epoch: mean and "
        f"standard deviation over {options.seeds} seeds.\n\n{table(runs)}\n\n"
        f"`original` are the JPEG files as they come, `rinr` is {pack}, and the others have as "
        f"many bytes a frame as it. The seeds alone move mAP50 by up to ±{spread:.3f}: a smaller "
        "difference between two rows says nothing. Times of the trainings are in the JSON file."
    )


def main() -> None:
    parser = common_parser(__doc__, frames=0)
    arms = ["original", "rinr", *available_codecs()]
    parser.add_argument("--val-frames", type=int, default=0, help="how many to validate on")
    parser.add_argument("--arms", nargs="+", choices=arms, default=arms, help="what to train on")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each, from --seed on")
    parser.add_argument("--model", default="yolov8n.yaml", help="a model of Ultralytics")
    parser.add_argument("--weights", type=Path, help="state dict whose fitting tensors to start at")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--background", default="av1", help="family of the pack's backgrounds")
    parser.add_argument("--preset", default="balanced", help="preset of the pack")
    parser.add_argument("--steps", type=int, help="fitting steps in place of the preset's")
    parser.add_argument("--packs", type=Path, help="output of compress, in place of fitting")
    options = parser.parse_args()
    setup(options)
    words, frames, names = load_split("train", options.frames)
    val_words, val_frames, _ = load_split("val", options.val_frames)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # Nothing is looked up in the network, and the user's own settings stay as they are.
        os.environ.update(YOLO_OFFLINE="true", YOLO_CONFIG_DIR=temporary)
        rinrcodec.enable_ultralytics()
        val = folder / "val"
        write_pictures(val, val_frames, "original", 0)
        pack_file = folder / "rinr" / "train.rinr"
        pack_file.parent.mkdir()
        rinrcodec.save(get_pack(frames.pictures, options), pack_file)
        ours = pack_file.stat().st_size / len(frames.pictures)
        tasks = []
        for arm in options.arms:
            root, size = pack_file.parent, ours
            if arm != "rinr":
                root = folder / arm
                size = write_pictures(root, frames, arm, ours)
            train_place = root if arm == "rinr" else root / "images"
            data = write_data(folder / f"{arm}.yaml", train_place, val / "images", names)
            for seed in range(options.seed, options.seed + options.seeds):
                tasks.append((arm, data, seed, size))
        runs = train_all(tasks, options)
    if options.packs is not None:
        # What the packs were made with is not known here.
        options.preset = options.steps = options.background = None
    for name in ("packs", "weights"):  # on the page by name, without the folders of this machine
        path = getattr(options, name)
        setattr(options, name, path and Path(path.name))
    body = page(runs, options, words, val_words)
    data_rows = {"frames": words, "val_frames": val_words, "runs": [asdict(run) for run in runs]}
    write_report(
        "train_yolo", options, title="YOLO trained on compressed frames", body=body, data=data_rows
    )


if __name__ == "__main__":
    main()

"""Training YOLO on compressed frames: what does the detector lose, at equal bytes?

A detector is trained on the train split of DAC-SDC as it comes (JPEG files), on the same frames as
packs of one or more families, and on other codecs, all at equal bytes a frame; it is validated on
the val split as it comes. Every training is repeated with several seeds, and the page says which
difference they could have shown. Without DAC-SDC the pictures of scikit-image replace it, for both
splits: that shows only that the script runs.

Interrupted? Rerun the same command to continue. With `--work`, coded frames are kept as well.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image
from scipy.stats import t as students_t

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import DATA
from harness.ledger import Ledger
from harness.reports import markdown_table
from harness.work_folder import keep_options
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.baselines import QualityScan, available_codecs, best_composite
from rinrcodec.families import background_families
from rinrcodec.labels.yolo import format_labels
from rinrcodec.metrics import frame_quality
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.samples import CLASS_NAMES, sample_pictures
from rinrcodec.targets import Target

# An arm, its data yaml, a seed, and the bytes a frame.
Task = tuple[str, Path, int, float]
# The chance to call two equal arms different, and the chance to see the difference that is named.
_ALPHA, _POWER = 0.05, 0.8
SCORES = {"mAP50": "map50", "mAP50-95": "map50_95"}  # names of columns and of fields


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
    """Load frames spread evenly over a split, all for 0, with a description and class names."""
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


def write_pack(folder: Path, split: Split, family: str, options: Any, n_bytes: float) -> float:
    """Write a split as one pack of a family; return the bytes a frame.

    With `n_bytes` the family is asked for that size, otherwise its preset decides.
    """
    preset = get_preset(options.preset, steps=options.steps, background=family)
    pack = rinrcodec.encode(
        split.pictures,
        preset=preset,
        seed=options.seed,
        device=options.device,
        target=Target(n_bytes=round(n_bytes)) if n_bytes else None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    rinrcodec.save(pack, folder / "train.rinr")
    return (folder / "train.rinr").stat().st_size / len(split.pictures)


def write_pictures(
    folder: Path, split: Split, arm: str, n_bytes: float, reference: Path | None = None
) -> float:
    """Write a split as labelled pictures, in a codec of about `n_bytes`; return the mean bytes.

    Codecs other than "original" are written as the PNG of what they decode to. AVIF has the default
    tune of Pillow, whose accuracy is higher than that of tune=psnr (see benchmarks/accuracy.py).
    The composite has the sharpest objects of those whose background is as good as that of the pack
    `reference`.
    """
    total = 0
    pack = rinrcodec.open(reference) if arm == "composite" and reference else None
    for number, (picture, file) in enumerate(zip(split.pictures, split.files, strict=True)):
        target = folder / "images" / f"{number:06d}"
        label = folder / "labels" / f"{number:06d}.txt"
        for path in (target, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        text = format_labels(picture.boxes, width=picture.width, height=picture.height)
        label.write_text(text, encoding="utf-8")
        if arm == "composite":
            scan = QualityScan("avif", picture.pixels, avif_tune=None)
            least = None
            if pack is not None:
                decoded = pack.pixels([number])[0]
                least = frame_quality(picture.pixels, decoded, picture.boxes).background
            coded = best_composite(scan, picture.boxes, round(n_bytes), background_psnr=least)
        elif arm != "original":
            coded = QualityScan(arm, picture.pixels, avif_tune=None).nearest(round(n_bytes))
        elif file is not None:
            shutil.copy(file, target.with_suffix(file.suffix))
            total += file.stat().st_size
            continue
        else:
            Image.fromarray(picture.pixels).save(target.with_suffix(".png"))
            total += picture.source_bytes
            continue
        Image.fromarray(coded.pixels).save(target.with_suffix(".png"), compress_level=1)
        total += coded.n_bytes
    return total / len(split.pictures)


def write_arms(work: Path, options: Any) -> dict[str, tuple[Path, float]]:
    """Write every arm; return the folder to train on, and the bytes a frame.

    The first family among the arms decides the size of all. What an earlier run wrote is kept.

    Raises:
        SystemExit: The folder was filled with other options.
    """
    families = [arm for arm in options.arms if arm in background_families()]
    keep_options(work, coding_options(options, families))
    size, reference = float(options.bytes), None
    written: dict[str, float] = {}
    if families:
        # With all cores: the others wait for it.
        torch.set_num_threads(options.threads * options.jobs)
        written[families[0]] = write_arm(families[0], work, options, size, None)
        torch.set_num_threads(options.threads)
        size, reference = size or written[families[0]], work / families[0] / "train.rinr"
    others = [arm for arm in dict.fromkeys(options.arms) if arm not in written]
    write = partial(write_arm, work=work, options=options, size=size, reference=reference)
    with _workers(options) as call:
        written.update(zip(others, call(write, others), strict=True))
    return {
        arm: (work / arm if arm in families else work / arm / "images", written[arm])
        for arm in options.arms
    }


def write_arm(arm: str, work: Path, options: Any, size: float, reference: Path | None) -> float:
    """Write an arm, unless an earlier run wrote it; return the bytes a frame."""
    done = work / f"{arm}.json"
    if not done.is_file():
        shutil.rmtree(work / arm, ignore_errors=True)
        _, split, _ = load_split("train", options.frames)
        if arm in background_families():
            written = write_pack(work / arm, split, arm, options, size)
        else:
            written = write_pictures(work / arm, split, arm, size, reference)
        done.write_text(json.dumps(written), encoding="utf-8")
    result = float(json.loads(done.read_text(encoding="utf-8")))
    print(f"{arm}: {result:,.0f} bytes a frame", flush=True)
    return result


def coding_options(options: Any, families: Sequence[str]) -> dict[str, Any]:
    """Return the options that coded frames depend on, for the folder that keeps them."""
    names = ("frames", "preset", "steps", "bytes", "seed", "device")
    found = {f"--{name}": getattr(options, name) for name in names}
    data = str(DATA.resolve()) if DATA.is_dir() else "scikit-image"
    first = families[0] if families else None
    return {**found, "first family": first, "AVIF": "default tune", "data": data}


def write_data(path: Path, train: Path, val: Path, names: dict[int, str]) -> Path:
    """Write the data yaml of an arm, and return its path."""
    data = {"train": str(train), "val": str(val), "names": names}
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def starting_from(weights: Path) -> Callable[[Any], None]:
    """Return a callback that loads all tensors of a state dict that fit by name and shape."""

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


def train(task: Task, options: Any) -> Run:
    """Train once, and validate the last weights."""
    from ultralytics import YOLO

    arm, data, seed, size = task
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
        **{"freeze": options.freeze, "single_cls": options.single_class, "cos_lr": True},
    )
    seconds = time.perf_counter() - start
    last = Path(model.trainer.last)
    val = {**shared, "single_cls": options.single_class, "name": f"{arm}-{seed}-val"}
    scores = YOLO(last).val(**val).box
    return Run(arm, seed, size, float(scores.map50), float(scores.map), seconds)


def train_all(tasks: Sequence[Task], ledger: Ledger, options: Any) -> list[Run]:
    """Train once for each task, `options.jobs` at a time."""
    keys = [f"{arm} {seed}" for arm, _, seed, _ in tasks]
    new = [task for key, task in zip(keys, tasks, strict=True) if key not in ledger]
    with _workers(options) as call:
        results = iter(call(partial(train, options=options), new))
        rows = [ledger.row(key, lambda: asdict(next(results))) for key in keys]
    return [Run(**row) for row in rows]


@contextmanager
def _workers(options: Any) -> Iterator[Callable[..., Iterator[Any]]]:
    """Yield a `map` that runs in `options.jobs` processes and keeps the order."""
    if options.jobs == 1:
        yield map
        return
    with ProcessPoolExecutor(
        options.jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(options.threads,),
    ) as pool:
        yield pool.map


def _start_worker(threads: int) -> None:
    torch.set_num_threads(threads)
    rinrcodec.enable_ultralytics()


def _by_arm(runs: Sequence[Run], score: str) -> dict[str, list[float]]:
    arms = dict.fromkeys(run.arm for run in runs)
    return {arm: [getattr(run, score) for run in runs if run.arm == arm] for arm in arms}


def table(runs: Sequence[Run]) -> str:
    """Return mean and standard deviation over the seeds, and differences, as Markdown."""
    sizes = {run.arm: f"{run.bytes_a_frame:,.0f}" for run in runs}
    header = ["trained on", "bytes a frame"]
    rows = [[arm, size] for arm, size in sizes.items()]
    for name, score in SCORES.items():
        scores = _by_arm(runs, score)
        header += [name, "more than original"]
        for row, values in zip(rows, scores.values(), strict=True):
            row += [_spread(values), difference(scores, row[0], "original")]
    return markdown_table(header, rows)


def _spread(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def difference(scores: Mapping[str, Sequence[float]], arm: str, other: str) -> str:
    """Return by how much one arm's mean is above another's, with its 95 % interval."""
    noise = _noise(scores)
    if arm == other or other not in scores or noise is None:
        return "-"
    found = statistics.mean(scores[arm]) - statistics.mean(scores[other])
    deviation, freedom = noise
    half = deviation * students_t.ppf(1 - _ALPHA / 2, freedom)
    shown = [round(value, 3) + 0.0 for value in (found, found - half, found + half)]  # no -0.000
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*shown)


def detectable(scores: Mapping[str, Sequence[float]]) -> float | None:
    """Return the smallest difference of two arms that so many seeds show; None for one seed.

    Student's t test of two arms of n seeds with the pooled standard deviation s of all arms: with a
    chance of 5 % to call equal arms different, (t(0.975) + t(0.8)) s sqrt(2 / n) is seen with a
    chance of 80 %.
    """
    noise = _noise(scores)
    if noise is None:
        return None
    deviation, freedom = noise
    quantiles = students_t.ppf(1 - _ALPHA / 2, freedom) + students_t.ppf(_POWER, freedom)
    return float(quantiles * deviation)


def _noise(scores: Mapping[str, Sequence[float]]) -> tuple[float, int] | None:
    """Return the standard error of a difference of two means, s sqrt(2 / n), and its freedom.

    s is the pooled standard deviation of all arms, n the number of seeds.
    """
    groups = [values for values in scores.values() if len(values) > 1]
    if not groups:
        return None
    pooled = math.sqrt(statistics.mean(statistics.variance(values) for values in groups))
    n = min(map(len, groups))
    return pooled * math.sqrt(2 / n), sum(len(values) - 1 for values in groups)


def page(runs: Sequence[Run], options: argparse.Namespace, train: str, val: str) -> str:
    """Return the page: what was done, the table, and how to read it."""
    families = [arm for arm in options.arms if arm in background_families()]
    seen = {name: detectable(_by_arm(runs, score)) for name, score in SCORES.items()}
    power = " and ".join(f"{value:.3f} of {name}" for name, value in seen.items() if value)
    noise = _noise(_by_arm(runs, SCORES["mAP50"]))
    start = f", from the tensors of {options.weights.name} that fit" if options.weights else ""
    frozen = f", the first {options.freeze} layers frozen" if options.freeze else ""
    classes = "all classes as one" if options.single_class else "every class"
    body = (
        f"{options.model}{start}{frozen}, {options.epochs} epochs at {options.imgsz} pixels, "
        f"{classes}, trained on {train}, validated on {val} as they come. Scores are those of the "
        f"last epoch: mean and standard deviation over {options.seeds} seeds.\n\n{table(runs)}\n\n"
        "`original` are the files as they come. "
    )
    if families:
        names = ", ".join(f"`{name}`" for name in families)
        body += (
            f"{names}: packs, with objects in the labelled boxes; their bytes include the boxes. "
        )
    body += "All others have as many bytes a frame as the first of these. "
    if {"avif", "composite"} & {*options.arms}:
        body += (
            "AVIF, also in the composite, has the default tune of Pillow. The composite is a frame "
            "with crops of the boxes pasted in. Of those whose background is as good as that of "
            "the first pack, it has the sharpest objects. "
        )
    if noise:
        body += (
            "Intervals are of 95 %, from the spread of the seeds in all rows. A mean of mAP50 has "
            f"a standard error of {noise[0] / math.sqrt(2):.3f}. "
            f"A difference of {power} between two rows would have shown in four of five such "
            "experiments (t test, 5 %); of smaller ones this page says nothing. "
        )
    return body + "Times of the trainings are in the JSON file."


def main() -> None:
    parser = common_parser(__doc__, frames=0)
    families = list(background_families())
    arms = ["original", *families, *available_codecs(), "composite"]
    usual = ["original", "siren", "av1", "composite", *reversed(available_codecs())]
    parser.add_argument("--val-frames", type=int, default=0, help="how many to validate on")
    parser.add_argument(
        "--arms", nargs="+", choices=arms, default=usual,
        help="what to train on; the first family among them decides the bytes of all",
    )  # fmt: skip
    parser.add_argument("--bytes", type=int, default=0, help="a frame; 0: those of the preset")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each, from --seed on")
    parser.add_argument("--model", default="yolov8n.yaml", help="a model of Ultralytics")
    parser.add_argument("--weights", type=Path, help="state dict whose fitting tensors to start at")
    parser.add_argument("--freeze", type=int, default=0, help="layers that keep their weights")
    parser.add_argument("--single-class", action="store_true", help="take all classes as one")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--preset", default="balanced", help="preset of the packs")
    parser.add_argument("--steps", type=int, help="fitting steps in place of the preset's")
    parser.add_argument("--work", type=Path, help="folder that keeps what was encoded")
    options = parser.parse_args()
    setup(options)
    words, _, names = load_split("train", options.frames)
    val_words, val_frames, _ = load_split("val", options.val_frames)
    work, weights = options.work, options.weights
    # On the page by name, without the folders of this machine.
    options.work, options.weights = None, weights and Path(weights.name)
    ledger = Ledger("train_yolo", "train_yolo", options)
    options.weights = weights
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # Nothing is looked up in the network, and the user's own settings stay as they are.
        os.environ.update(YOLO_OFFLINE="true", YOLO_CONFIG_DIR=temporary)
        rinrcodec.enable_ultralytics()
        val = folder / "val"
        write_pictures(val, val_frames, "original", 0)
        kept = (work or folder / "work").resolve()
        kept.mkdir(parents=True, exist_ok=True)
        seeds = range(options.seed, options.seed + options.seeds)
        written = write_arms(kept, options)
        tasks = [
            (arm, write_data(folder / f"{arm}.yaml", place, val / "images", names), seed, size)
            for seed in seeds
            for arm, (place, size) in written.items()
        ]
        runs = train_all(tasks, ledger, options)
    body = page(runs, options, words, val_words)
    data_rows = {"frames": words, "val_frames": val_words, "runs": [asdict(run) for run in runs]}
    ledger.finish(title="YOLO trained on compressed frames", body=body, data=data_rows)


if __name__ == "__main__":
    main()

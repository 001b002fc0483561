"""How fast frames reach the training device: JPEG files against packs of every family.

Frames a second over a whole epoch, shuffled and in order, workers already started and the files in
the system's cache, until every batch is a uint8 tensor on the device. The speed of networks does
not depend on what their weights are, so they are fitted for one step; sizes, specs and boxes are
real. The JPEG files hold the same frames at quality 90.

    python benchmarks/dataloader.py --part epoch

The same YOLO model is trained from JPEG files and from the packs. Ultralytics would keep so few
frames in memory; this is turned off, so every epoch decodes every frame.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import load_frames, load_sequence
from harness.reports import made_by, markdown_table, write_report
from harness.timing import timed
from rinrcodec.families import background_families, background_family
from rinrcodec.labels.yolo import format_labels
from rinrcodec.picture import Picture
from rinrcodec.plugins.torch_data import collate
from rinrcodec.presets import get_preset

Read = Callable[[str], Tensor]
ORDERS = {"shuffled": True, "in order": False}
# Steps that are fitted. Latents need some: their speed depends on their bytes, of which they have
# more than after a whole fit.
STEPS, STEPS_OF_LATENTS = 1, 30
# By part, the options that it does not use.
UNUSED = {
    "loading": ("model", "imgsz", "yolo_workers", "epochs"),
    "epoch": ("workers", "repeats"),
}


def read_with_pillow(path: str) -> Tensor:
    """Return uint8 [3, H, W] RGB, as all readers here."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def read_with_opencv(path: str) -> Tensor:
    """Read through `cv2.imread`, which gives BGR."""
    cv2 = import_module("cv2")
    image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()


def read_with_torchvision(path: str) -> Tensor:
    """Read through `torchvision.io.decode_jpeg` on the CPU."""
    io = import_module("torchvision.io")
    image: Tensor = io.decode_jpeg(io.read_file(path), mode=io.ImageReadMode.RGB)
    return image


def read_bytes(path: str) -> Tensor:
    """Return the undecoded file: uint8 [bytes]."""
    return torch.from_numpy(np.fromfile(path, np.uint8))


@dataclass(frozen=True, slots=True)
class JpegFiles(Dataset[Any]):
    """Items of a reader, with an empty target."""

    paths: Sequence[str]
    read: Read

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Any]]:
        return self.read(self.paths[index]), {}


class OnDevice:
    """Moves the images of a `DataLoader` to the device, decoding them there where they are JPEG."""

    def __init__(
        self,
        dataset: Dataset[Any],
        options: Any,
        workers: int,
        *,
        shuffle: bool,
        jpeg: bool = False,
    ) -> None:
        self.device, self.jpeg = options.device, jpeg
        self.loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=options.batch_size,
            shuffle=shuffle,
            num_workers=workers,
            persistent_workers=workers > 0,
            # As one would: pictures are copied to a GPU from pinned memory.
            pin_memory=options.device.startswith("cuda") and not jpeg,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(options.seed),
        )

    def __iter__(self) -> Any:
        for images, targets in self.loader:
            if self.jpeg:
                io = import_module("torchvision.io")
                yield (
                    io.decode_jpeg(images, mode=io.ImageReadMode.RGB, device=self.device),
                    targets,
                )
            else:
                yield [image.to(self.device, non_blocking=True) for image in images], targets


def jpeg_loaders(
    paths: Sequence[str], options: Any, *, shuffle: bool
) -> Iterable[tuple[str, int, Iterable[Any]]]:
    """Yield (name, workers, loader) for every way to load JPEG files that this machine has."""
    readers: dict[str, Read] = {"JPEG, Pillow": read_with_pillow}
    if find_spec("cv2"):
        readers["JPEG, OpenCV"] = read_with_opencv
    if find_spec("torchvision"):
        readers["JPEG, torchvision"] = read_with_torchvision
    for name, read in readers.items():
        for workers in options.workers:
            files = JpegFiles(paths, read)
            yield name, workers, OnDevice(files, options, workers, shuffle=shuffle)
    if find_spec("torchvision") and options.device.startswith("cuda"):
        for workers in options.workers:
            files = JpegFiles(paths, read_bytes)
            made = OnDevice(files, options, workers, shuffle=shuffle, jpeg=True)
            yield "JPEG, torchvision on the device", workers, made


def pack_loaders(
    family: str, pack: Path, options: Any, *, shuffle: bool
) -> Iterable[tuple[str, int, Iterable[Any]]]:
    """Yield every way to load a pack, as `jpeg_loaders` does."""
    packs = rinrcodec.RinrDataset([pack] * options.copies)
    loader = {
        "batch_size": options.batch_size,
        "device": options.device,
        "shuffle": shuffle,
        "seed": options.seed,
    }
    for workers in options.workers:
        yield f"{family}, RinrDataset", workers, OnDevice(packs, options, workers, shuffle=shuffle)
    for workers in options.workers:
        made = rinrcodec.RinrLoader(packs, num_workers=workers, **loader)
        yield f"{family}, RinrLoader", workers, made
    if background_family(family).fits_networks:
        resident = rinrcodec.RinrLoader(packs, resident=True, **loader)
        yield f"{family}, RinrLoader, weights resident", 0, resident


def frames_per_second(loader: Iterable[Any], *, device: str, repeats: int) -> float:
    """Return the speed of the best epoch, after one that starts workers and fills caches."""
    count = 0

    def epoch() -> None:
        nonlocal count
        count = sum(len(targets) for _, targets in loader)

    seconds = timed(epoch, device=device, repeats=repeats)
    return count / seconds


def write_jpegs(folder: Path, pictures: Sequence[Picture]) -> list[str]:
    """Write the frames as JPEG files, with their labels as YOLO has them."""
    images, labels = folder / "images", folder / "labels"
    images.mkdir(parents=True)
    labels.mkdir()
    paths = []
    for number, picture in enumerate(pictures):
        path = images / f"{number:06d}.jpg"
        Image.fromarray(picture.pixels).save(path, quality=90)
        paths.append(str(path))
        text = format_labels(picture.boxes, width=picture.width, height=picture.height)
        (labels / f"{number:06d}.txt").write_text(text, encoding="utf-8")
    return paths


def write_pack(folder: Path, pictures: Sequence[Picture], family: str, options: Any) -> Path:
    """Write the frames as one pack of a family."""
    folder.mkdir()
    preset = get_preset(options.preset, background=family)
    if background_family(family).fits_networks:
        steps = STEPS if background_family(family).resizable else STEPS_OF_LATENTS
        # Every object INR is kept, however little it gains.
        preset = replace(preset.with_steps(steps), min_gain=-math.inf)
    pack = rinrcodec.encode(pictures, preset=preset, seed=options.seed, device=options.device)
    path = folder / "frames.rinr"
    rinrcodec.save(pack, path)
    return path


def epoch_seconds(place: Path, n_classes: int, options: Any) -> float:
    """Return the mean seconds of the epochs of a YOLO training, without the first and the last."""
    from ultralytics import YOLO

    data = place.with_suffix(".yaml")
    names = [f"class {number}" for number in range(n_classes)]
    text = {"train": str(place), "val": str(place), "names": names}
    data.write_text(yaml.safe_dump(text), encoding="utf-8")
    starts: list[float] = []
    model = YOLO(options.model)
    model.add_callback("on_train_epoch_start", lambda _: starts.append(time.perf_counter()))
    with nothing_kept():
        model.train(
            **{"data": str(data), "imgsz": options.imgsz, "batch": options.batch_size},
            **{"device": options.device, "workers": options.yolo_workers, "seed": options.seed},
            **{"project": str(place.parent / "runs"), "epochs": options.epochs + 2},
            **{"val": False, "plots": False, "verbose": False, "amp": False, "save": False},
            mosaic=0.0,  # which takes its pictures from those that are kept
        )
    # The first epoch starts workers, and in the last one they have nothing left to load.
    return (starts[-1] - starts[1]) / len(starts[1:-1])


@contextmanager
def nothing_kept() -> Iterator[None]:
    """Have data sets of Ultralytics keep no decoded picture, as with more than fit in memory."""
    base = import_module("ultralytics.data.base").BaseDataset
    made = base.__init__

    def make(self: Any, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        self.max_buffer_length = 0

    base.__init__ = make
    try:
        yield
    finally:
        base.__init__ = made


def speed_table(speeds: Mapping[str, Mapping[str, Mapping[int, float]]], workers: list[int]) -> str:
    """Return frames a second: a row for each way to load, columns for orders and workers."""
    rows = [
        (
            way,
            *(f"{of[order][w]:.0f}" if w in of[order] else "" for order in ORDERS for w in workers),
        )
        for way, of in speeds.items()
    ]
    header = [f"{order}, {count} workers" for order in ORDERS for count in workers]
    return markdown_table(["frames/s", *header], rows)


def main() -> None:
    parser = common_parser(__doc__, frames=32)
    parser.add_argument("--part", choices=UNUSED, default="loading", help="what is measured")
    parser.add_argument("--preset", default="balanced", help="of the packs")
    parser.add_argument(
        "--families", nargs="+", choices=background_families(), default=list(background_families())
    )
    parser.add_argument("--sequence", help="frames of this sequence, in place of DAC-SDC")
    parser.add_argument("--batch-size", type=int, default=16, help="frames in a batch")
    parser.add_argument("--copies", type=int, default=2, help="how often an epoch has each frame")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2, 4], help="to be tried")
    parser.add_argument("--repeats", type=int, default=2, help="epochs, of which the best counts")
    parser.add_argument("--model", default="yolov8n.yaml", help="the YOLO that is trained")
    parser.add_argument("--imgsz", type=int, default=320, help="pixels it is trained at")
    parser.add_argument("--yolo-workers", type=int, default=2, help="workers of its training")
    parser.add_argument("--epochs", type=int, default=2, help="timed, between two others")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs: expected 1 or more")
    for name in UNUSED[options.part]:
        setattr(options, name, None)  # not on the page
    setup(options)
    # More workers than cores are tried on purpose.
    warnings.filterwarnings("ignore", message="This DataLoader will create")
    if options.sequence:
        what, pictures = load_sequence(options.sequence, options.frames)
    else:
        what, pictures = load_frames(options.frames)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # Nothing is looked up in the network, and the user's own settings stay as they are.
        os.environ.update(YOLO_OFFLINE="true", YOLO_CONFIG_DIR=temporary)
        jpegs = write_jpegs(folder / "jpeg", pictures)
        packs = {
            family: write_pack(folder / family, pictures, family, options)
            for family in options.families
        }
        sizes = {"JPEG": sum(Path(path).stat().st_size for path in jpegs) / len(jpegs)} | {
            family: path.stat().st_size / len(pictures) for family, path in packs.items()
        }
        figures: Mapping[str, Any]
        if options.part == "loading":
            title = "Loading frames for training"
            speeds = measure_loading(jpegs, packs, options)
            body, figures = loading_body(speeds, options), {"frames_per_s": speeds}
        else:
            title = "An epoch of YOLO training"
            epochs = measure_epochs(folder, pictures, options)
            body, figures = epoch_body(epochs, options), {"epoch_s": epochs}
    name = "dataloader" if options.part == "loading" else "dataloader_epoch"
    write_report(
        name if options.sequence is None else f"{name}_{options.sequence}",
        options,
        title=title,
        body=f"{intro(what, sizes, options)}{body}",
        data={"frames": what, **figures, "bytes_per_frame": sizes},
        made=made_by("dataloader", options),
    )


def measure_loading(
    jpegs: Sequence[str], packs: Mapping[str, Path], options: Any
) -> dict[str, dict[str, dict[int, float]]]:
    """Return frames a second by way to load, order and workers."""
    speeds: dict[str, dict[str, dict[int, float]]] = {}
    for order, shuffle in ORDERS.items():
        loaders = [jpeg_loaders(list(jpegs) * options.copies, options, shuffle=shuffle)]
        loaders += [pack_loaders(one, packs[one], options, shuffle=shuffle) for one in packs]
        for name, workers, loader in (row for group in loaders for row in group):
            speed = frames_per_second(loader, device=options.device, repeats=options.repeats)
            speeds.setdefault(name, {kind: {} for kind in ORDERS})[order][workers] = speed
            print(f"{name}, {order}, {workers} workers: {speed:.1f} frames/s", flush=True)
    return speeds


def measure_epochs(folder: Path, pictures: Sequence[Picture], options: Any) -> dict[str, float]:
    """Return the seconds of an epoch of YOLO training, from JPEG files and from every pack."""
    rinrcodec.enable_ultralytics()
    n_classes = 1 + max((box.class_id for one in pictures for box in one.boxes), default=0)
    places = {"JPEG": folder / "jpeg" / "images"}
    places |= {family: folder / family for family in options.families}
    seconds = {}
    for name, place in places.items():
        copy_frames(place, options.copies)
        seconds[name] = epoch_seconds(place, n_classes, options)
        print(f"{name}: {seconds[name]:.2f} s an epoch", flush=True)
    return seconds


def copy_frames(place: Path, copies: int) -> None:
    """Copy the files of a folder, with their labels, so that each frame is there often."""
    labels = place.parent / "labels"
    for path in sorted(place.iterdir()):
        for copy in range(1, copies):
            shutil.copy(path, path.with_stem(f"{path.stem}-{copy}"))
            label = labels / f"{path.stem}.txt"
            if label.is_file():
                shutil.copy(label, label.with_stem(f"{path.stem}-{copy}"))


def intro(what: str, sizes: Mapping[str, float], options: argparse.Namespace) -> str:
    """Say what was measured."""
    taken = ", ".join(f"{size:,.0f} as {name}" for name, size in sizes.items())
    return (
        f"On {what}, each {options.copies} times in an epoch. Packs have the preset "
        f"`{options.preset}`, networks fitted for {STEPS} step ({STEPS_OF_LATENTS} for latents). "
        "Latents of so few steps have more bytes than those of a whole fit, and decode more "
        f"slowly. Batches of {options.batch_size}, on {options.device}. Bytes a frame: {taken} "
        "(JPEG of quality 90). "
    )


def loading_body(
    speeds: Mapping[str, Mapping[str, Mapping[int, float]]], options: argparse.Namespace
) -> str:
    """Return the table of speeds, with notes for readers."""
    return (
        "`RinrDataset` is decoded by the workers on the CPU. `RinrLoader` decodes batches on the "
        "device in the main process, from rows that the workers read, or from weights that stay on "
        f"the device.\n\n{speed_table(speeds, options.workers)}"
    )


def epoch_body(epochs: Mapping[str, float], options: argparse.Namespace) -> str:
    """Return the table of epochs, with notes for readers."""
    jpeg = epochs["JPEG"]
    rows = [(name, f"{s:.2f}", f"{jpeg / s:.2f}") for name, s in epochs.items()]
    table = markdown_table(["from", "s an epoch", "times as fast as from JPEG"], rows)
    return (
        f"{options.model} at {options.imgsz} pixels, {options.yolo_workers} workers, no mosaics: "
        "loading and training together. Every frame is decoded anew in every epoch. The mean of "
        f"{options.epochs} epochs, without the first and the last.\n\n{table}"
    )


if __name__ == "__main__":
    main()

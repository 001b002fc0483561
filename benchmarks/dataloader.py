"""How fast frames reach the training device: JPEG files against packs.

Frames a second over a whole epoch in random order, workers already started and the files in the
system's cache, until every batch is a uint8 tensor on the device. Speed does not depend on what
the weights are, so they are fitted for one step; sizes, specs and boxes are real. The JPEG files
hold the same frames at quality 90.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import load_frames
from harness.reports import markdown_table, write_report
from harness.timing import timed
from rinrcodec.picture import Picture
from rinrcodec.plugins.torch_data import collate
from rinrcodec.presets import get_preset

Read = Callable[[str], Tensor]


def read_with_pillow(path: str) -> Tensor:
    """uint8 [3, H, W] RGB, as all readers here."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


def read_with_opencv(path: str) -> Tensor:
    """Through `cv2.imread`, which gives BGR."""
    cv2 = import_module("cv2")
    image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(image).permute(2, 0, 1).contiguous()


def read_with_torchvision(path: str) -> Tensor:
    """Through `torchvision.io.decode_jpeg` on the CPU."""
    io = import_module("torchvision.io")
    image: Tensor = io.decode_jpeg(io.read_file(path), mode=io.ImageReadMode.RGB)
    return image


def read_bytes(path: str) -> Tensor:
    """The undecoded file: uint8 [bytes]."""
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

    def __init__(self, dataset: Dataset[Any], options: Any, workers: int, *, jpeg: bool) -> None:
        self.device, self.jpeg = options.device, jpeg
        self.loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=options.batch_size,
            shuffle=True,
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


def loaders(
    jpegs: Sequence[str], pack: Path, options: Any
) -> Iterable[tuple[str, int, Iterable[Any]]]:
    """Every way to load that this machine has: its name, how many workers, and the loader."""
    readers: dict[str, Read] = {"JPEG, Pillow": read_with_pillow}
    if find_spec("cv2"):
        readers["JPEG, OpenCV"] = read_with_opencv
    if find_spec("torchvision"):
        readers["JPEG, torchvision"] = read_with_torchvision
    packs = rinrcodec.RinrDataset([pack] * options.copies)
    loader = {
        "batch_size": options.batch_size,
        "device": options.device,
        "shuffle": True,
        "seed": options.seed,
    }
    for name, read in readers.items():
        for workers in options.workers:
            files = JpegFiles(jpegs, read)
            yield name, workers, OnDevice(files, options, workers, jpeg=False)
    if find_spec("torchvision") and options.device.startswith("cuda"):
        for workers in options.workers:
            files = JpegFiles(jpegs, read_bytes)
            name = "JPEG, torchvision on the device"
            yield name, workers, OnDevice(files, options, workers, jpeg=True)
    for workers in options.workers:
        yield "pack, RinrDataset", workers, OnDevice(packs, options, workers, jpeg=False)
    for workers in options.workers:
        made = rinrcodec.RinrLoader(packs, num_workers=workers, **loader)
        yield "pack, RinrLoader", workers, made
    resident = rinrcodec.RinrLoader(packs, resident=True, **loader)
    yield "pack, RinrLoader, weights resident", 0, resident


def frames_per_second(loader: Iterable[Any], *, device: str, repeats: int) -> float:
    """Of the best epoch, after one that starts workers and fills caches."""
    count = 0

    def epoch() -> None:
        nonlocal count
        count = sum(len(targets) for _, targets in loader)

    seconds = timed(epoch, device=device, repeats=repeats)
    return count / seconds


def write_files(folder: Path, pictures: Sequence[Picture], options: Any) -> tuple[list[str], Path]:
    """The frames as JPEG files and as one pack."""
    jpegs = []
    for number, picture in enumerate(pictures):
        path = folder / f"{number:06d}.jpg"
        Image.fromarray(picture.pixels).save(path, quality=90)
        jpegs.append(str(path))
    path = folder / "frames.rinr"
    # Every object INR is kept, however little it gains.
    preset = replace(
        get_preset(options.preset, steps=1, background="siren", objects="siren"), min_gain=-math.inf
    )
    pack = rinrcodec.encode(pictures, preset=preset, seed=options.seed, device=options.device)
    rinrcodec.save(pack, path)
    return jpegs, path


def main() -> None:
    parser = common_parser(__doc__, frames=32)
    parser.add_argument("--preset", default="balanced", help="whose networks are decoded")
    parser.add_argument("--batch-size", type=int, default=16, help="frames in a batch")
    parser.add_argument("--copies", type=int, default=2, help="how often an epoch has each frame")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2, 4], help="to be tried")
    parser.add_argument("--repeats", type=int, default=2, help="epochs, of which the best counts")
    options = parser.parse_args()
    setup(options)
    # More workers than cores are tried on purpose.
    warnings.filterwarnings("ignore", message="This DataLoader will create")
    what, pictures = load_frames(options.frames)
    speeds: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        jpegs, pack = write_files(Path(folder), pictures, options)
        jpeg_bytes = sum(Path(path).stat().st_size for path in jpegs) / len(jpegs)
        pack_bytes = pack.stat().st_size / len(pictures)
        for name, workers, loader in loaders(jpegs * options.copies, pack, options):
            speed = frames_per_second(loader, device=options.device, repeats=options.repeats)
            speeds.setdefault(name, {})[workers] = speed
            print(f"{name}, {workers} workers: {speed:.0f} frames/s")
    rows = [
        (name, *(f"{rates[w]:.0f}" if w in rates else "" for w in options.workers))
        for name, rates in speeds.items()
    ]
    table = markdown_table(
        ["frames/s", *(f"{workers} workers" for workers in options.workers)], rows
    )
    body = (
        f"On {what}, networks of the preset `{options.preset}`, batches of {options.batch_size}, "
        f"to {options.device}. A frame takes {jpeg_bytes:,.0f} bytes as JPEG (quality 90) and "
        f"{pack_bytes:,.0f} in the pack. `RinrDataset` is decoded by the workers on the CPU; "
        "`RinrLoader` decodes batches on the device in the main process, from rows that the "
        "workers read, or from weights that stay on the device.\n\n" + table
    )
    write_report(
        "dataloader",
        options,
        title="Loading frames for training",
        body=body,
        data={
            "frames": what,
            "frames_per_s": speeds,
            "bytes_per_frame": {"jpeg": jpeg_bytes, "pack": pack_bytes},
        },
    )


if __name__ == "__main__":
    main()

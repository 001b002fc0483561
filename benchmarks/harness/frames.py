"""The frames that are measured: real ones below DATA, or pictures of scikit-image."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Transpose

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.families.siren.encode import SirenBackgrounds, SirenObjects
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset, get_preset
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.images import load_picture, picture_from_array
from rinrcodec.sources.samples import sample_pictures

__all__ = ["DATA", "frame_part", "load_frames", "load_kodak", "load_sequence", "object_part"]

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("RINRCODEC_DATA", ROOT / "bench-data"))

# The first six are of all kinds: brick and texture, much detail, smooth surfaces, a face. Then the
# others.
KODAK = (1, 5, 8, 13, 15, 23, *(n for n in range(1, 25) if n not in (1, 5, 8, 13, 15, 23)))


def load_frames(
    count: int, *, split: str = "val", one_in: int = 1, evenly: bool = False
) -> tuple[str, list[Picture]]:
    """Load the first `count` frames (0: all), or of one in so many, with a description.

    With `evenly`, `count` frames that are as far apart as the split allows.

    Real frames are a split of DAC-SDC below the folder that RINRCODEC_DATA names (`bench-data` in
    the checkout by default). Where they are absent, the pictures that ship with scikit-image
    replace them.
    """
    yaml = DATA / "dacsdc" / "dacsdc.yaml"
    if not yaml.is_file():
        pictures = sample_pictures()[: count or None]
        return f"{len(pictures)} pictures of scikit-image", pictures
    series = {series.name: series for series in open_source(yaml).series}[split]
    refs = series.refs[::one_in]
    if evenly:
        count = min(count or len(refs), len(refs))
        refs = tuple(refs[i * len(refs) // count] for i in range(count))
    pictures = []
    for reading in replace(series, refs=refs[: count or None]).read():
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
    """Load up to `count` pictures of Kodak at one size, with a description.

    Of each the largest centred part of the wanted shape is resized with Lanczos; an upright one is
    first turned by 90 degrees. The folder is DATA/kodak; where it is absent, pictures of
    scikit-image replace them.
    """
    paths = [path for n in KODAK if (path := DATA / "kodak" / f"kodim{n:02}.png").is_file()]
    if paths:
        source = "Kodak"
        images = [(path.stem, load_picture(path).pixels) for path in paths[: count or None]]
    else:
        source = "scikit-image"
        images = [(picture.name, picture.pixels) for picture in sample_pictures()[: count or None]]
    pictures = []
    for name, pixels in images:
        image = Image.fromarray(pixels)
        turned = image if image.width >= image.height else image.transpose(Transpose.ROTATE_90)
        fitted = ImageOps.fit(turned, (width, height), Image.Resampling.LANCZOS)
        pictures.append(picture_from_array(np.asarray(fitted), name=name))
    made = f"the centre of each resized to {width}x{height} with Lanczos"
    return f"{len(pictures)} pictures of {source}, {made}", pictures


def load_sequence(name: str, count: int) -> tuple[str, list[Picture]]:
    """Load the first `count` frames (0: all) of a sequence with their boxes, and a description.

    Sequences are folders below DATA/sequences. Where they are absent, a window that moves over a
    picture of scikit-image replaces them.
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


def frame_part(preset: str | Preset, *, steps: int | None = None) -> SirenBackgrounds:
    """Return the backgrounds of a preset, which are SIRENs."""
    part = get_preset(preset, steps=steps, background="siren", objects="siren").background
    if not isinstance(part, SirenBackgrounds):
        raise RinrInputError(f"the backgrounds of the preset {preset!r} are not of siren")
    return part


def object_part(preset: Preset) -> SirenObjects:
    """Return the objects of a preset, which are SIRENs."""
    if not isinstance(preset.objects, SirenObjects):
        raise RinrInputError(f"the objects of the preset {preset.name!r} are not of siren")
    return preset.objects

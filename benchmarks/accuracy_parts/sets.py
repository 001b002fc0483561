"""The pictures that a detector looks at, with their labels, and the detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from harness.frames import DATA, load_sequence
from harness.yolov5 import YoloV5
from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.accuracy import Detections
from rinrcodec.picture import Picture
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.samples import sample_pictures
from rinrcodec.sources.source import Series

__all__ = ["WEIGHTS", "Finder", "Shown", "finder", "load_set", "sources"]

WEIGHTS = DATA / "weights" / "yolov5n_v6.0_coco_state_dict.pt"
_PACK = 24  # pictures of a pack, at most
_STAND_IN = "scikit-image"


@dataclass(frozen=True)
class Shown:
    """A set of pictures.

    words: what it is. any_class: its labels have other classes than the detector, and its figure
    is the recall of the labelled objects. halves: which half each picture is in, 0 or 1.
    chunks: numbers of the pictures that share a pack, of one half each. sequence: the pictures are
    the frames of a video.
    """

    name: str
    words: str
    pictures: Sequence[Picture]
    any_class: bool
    halves: Sequence[int]
    chunks: Sequence[Sequence[int]]
    sequence: bool = False


class Finder(Protocol):
    """A detector that also gives the boxes to encode with."""

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]: ...

    def boxes(self, picture: NDArray[np.uint8]) -> tuple[Box, ...]: ...


@cache
def load_set(name: str, count: int) -> Shown:
    """Load "coco", "dacsdc" or a sequence by name, or its first `count` pictures (0: all).

    Photos of COCO are in two halves: every other one. Without the data, the pictures of
    scikit-image replace them.
    """
    if name not in ("coco", "dacsdc"):
        words, pictures = load_sequence(name, count)
        return Shown(name, words, pictures, True, [0] * len(pictures), [range(len(pictures))], True)
    path = DATA / {"coco": "coco128/coco128.yaml", "dacsdc": "dacsdc/dacsdc.yaml"}[name]
    if not path.is_file():
        pictures = sample_pictures()[: count or None]
        what = f"{len(pictures)} pictures of {_STAND_IN}"
    else:
        wanted = ("train", "val") if name == "coco" else ("val",)
        pictures = [
            picture
            for series in open_source(path).series
            if series.name in wanted
            for picture in _pictures(series)
        ][: count or None]
        kind = "photos of COCO" if name == "coco" else "val frames of DAC-SDC"
        what = f"{len(pictures)} {kind}"
    halves = [number % 2 if name == "coco" else 0 for number in range(len(pictures))]
    chunks: list[Sequence[int]] = []
    for half in sorted(set(halves)):
        members = [number for number, its in enumerate(halves) if its == half]
        n_packs = -(-len(members) // _PACK)
        chunks += [part.tolist() for part in np.array_split(members, n_packs)]
    return Shown(name, what, pictures, name == "dacsdc", halves, chunks)


def sources() -> dict[str, str]:
    """Return where the pictures come from, and which weights the detector has."""
    data = str(DATA.resolve()) if DATA.is_dir() else _STAND_IN
    weights = sha256(WEIGHTS.read_bytes()).hexdigest() if WEIGHTS.is_file() else "none"
    return {"data": data, "weights": weights}


def _pictures(series: Series) -> list[Picture]:
    pictures = []
    for reading in series.read():
        if reading.picture is None:
            raise RinrInputError(f"{reading.name}: {reading.error}")
        pictures.append(reading.picture)
    return pictures


@cache
def finder(device: str) -> Finder:
    """Return the detector; without its weights, one that takes bright blobs for objects."""
    return YoloV5(WEIGHTS, device=device) if WEIGHTS.is_file() else _Blobs()


class _Blobs:
    """A replacement that finds something, so that the script runs without weights."""

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        return [self._detect(picture) for picture in pictures]

    def boxes(self, picture: NDArray[np.uint8]) -> tuple[Box, ...]:
        found = self._detect(picture)
        return tuple(Box(0, x, y, a - x, b - y) for x, y, a, b in found.boxes.tolist())

    def _detect(self, picture: NDArray[np.uint8]) -> Detections:
        from scipy import ndimage

        grey = ndimage.uniform_filter(picture.mean(axis=2), 9)
        blobs, _ = ndimage.label(grey > grey.mean() + grey.std())
        slices = [s for s in ndimage.find_objects(blobs) if min(x.stop - x.start for x in s) > 16]
        boxes = [(x.start, y.start, x.stop, y.stop) for y, x in slices]
        scores = np.linspace(0.9, 0.3, len(boxes), dtype=np.float32)
        table = np.array(boxes, np.float32).reshape(-1, 4)
        return Detections(table, scores, np.zeros(len(boxes), np.int64))

"""Code pictures and look at the result with the detector, in parts that survive a cut run.

A part is one coding of one pack of pictures. Its bytes and detections are kept in a file of the
work folder, so a rerun computes only what is missing. Delete the folder where the code of a codec
or of the detector has changed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import torch

from accuracy_parts.codings import Coding
from accuracy_parts.sets import Shown, finder, load_set, sources
from harness.reports import current_commit
from harness.work_folder import keep_options
from rinrcodec.boxes import Box
from rinrcodec.evaluation.accuracy import Detections, Matches, as_rgb, match
from rinrcodec.storage.atomic import write_text

__all__ = ["Looked", "Part", "Workplace", "commits", "compute", "is_done", "looked"]


@dataclass(frozen=True)
class Part:
    """One coding of one pack of a set."""

    set_name: str
    chunk: int
    coding: Coding


@dataclass(frozen=True)
class Workplace:
    """The folder that keeps the parts, and the number of pictures of each set.

    commit: of the code that computes parts.
    """

    folder: Path
    count: int
    device: str
    commit: str = field(default_factory=current_commit)

    def keep_options(self) -> None:
        """Exit if the parts in the folder are of other options."""
        options = {"--frames": self.count, "--device": self.device, **sources()}
        keep_options(self.folder, options)

    def set(self, name: str) -> Shown:
        return load_set(name, self.count)

    def path(self, part: Part) -> Path:
        return self.folder / part.set_name / f"{part.chunk}-{part.coding.key}.npz"


@dataclass(frozen=True, eq=False)
class Looked:
    """A coded picture: its bytes, and what the detector finds, matched with its labels."""

    n_bytes: float
    matches: Matches


def compute(
    parts: Sequence[Part], place: Workplace, *, jobs: int, on_part: Callable[[int], None]
) -> None:
    """Compute the parts that are missing, in order, with so many processes of one thread each."""
    missing = [part for part in parts if not place.path(part).is_file()]
    if not missing:
        return
    boxes = [(name, chunk) for name, chunk in dict.fromkeys((p.set_name, p.chunk) for p in missing)]
    if jobs == 1:
        for number, part in enumerate(missing, 1):
            look(place, part)
            on_part(len(missing) - number)
        return
    with ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(1,),
    ) as pool:
        list(pool.map(found_boxes, repeat(place), *zip(*boxes, strict=True)))
        futures = [pool.submit(look, place, part) for part in missing]
        try:
            for number, future in enumerate(as_completed(futures), 1):
                future.result()
                on_part(len(missing) - number)
        finally:
            pool.shutdown(cancel_futures=True)


def found_boxes(place: Workplace, set_name: str, chunk: int) -> list[tuple[Box, ...]]:
    """Return the boxes to encode with: those that the detector finds in the originals."""
    path = place.folder / set_name / f"{chunk}-boxes.json"
    if not path.is_file():
        shown = place.set(set_name)
        pictures = [shown.pictures[number] for number in shown.chunks[chunk]]
        found = [finder(place.device).boxes(as_rgb(picture.pixels)) for picture in pictures]
        rows = [[(b.class_id, b.x, b.y, b.w, b.h) for b in boxes] for boxes in found]
        write_text(path, json.dumps(rows))
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [tuple(Box(*row) for row in rows) for rows in stored]


def look(place: Workplace, part: Part) -> None:
    """Compute a part and keep it."""
    shown = place.set(part.set_name)
    pictures = [shown.pictures[number] for number in shown.chunks[part.chunk]]
    work = place.folder / part.set_name / f"{part.chunk}"
    found = found_boxes(place, part.set_name, part.chunk)
    coded = part.coding.code(pictures, found, work)
    seen = finder(place.device)([as_rgb(pixels) for _, pixels in coded])
    path = place.path(part)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part.npz")
    np.savez_compressed(
        partial,
        n_bytes=np.array([size for size, _ in coded]),
        counts=np.array([len(one.scores) for one in seen]),
        boxes=np.concatenate([one.boxes for one in seen]),
        scores=np.concatenate([one.scores for one in seen]),
        classes=np.concatenate([one.classes for one in seen]).astype(np.int16),
        commit=np.array(place.commit),
    )
    partial.replace(path)


def is_done(
    place: Workplace, set_name: str, coding: Coding, chunks: Sequence[int] | None = None
) -> bool:
    """Return whether all parts that `looked` needs are there."""
    chosen = range(len(place.set(set_name).chunks)) if chunks is None else chunks
    return all(place.path(Part(set_name, chunk, coding)).is_file() for chunk in chosen)


def looked(
    place: Workplace, set_name: str, coding: Coding, chunks: Sequence[int] | None = None
) -> list[Looked]:
    """Return all pictures of these packs of a set (None: all) in a coding, in the set's order."""
    shown = place.set(set_name)
    chosen = range(len(shown.chunks)) if chunks is None else chunks
    rows = chain.from_iterable(
        stored(place.path(Part(set_name, chunk, coding))) for chunk in chosen
    )
    numbers = chain.from_iterable(shown.chunks[chunk] for chunk in chosen)
    result = {
        number: Looked(size, match(seen, shown.pictures[number].boxes, any_class=shown.any_class))
        for number, (size, seen) in zip(numbers, rows, strict=True)
    }
    return [result[number] for number in sorted(result)]


def commits(
    place: Workplace, set_name: str, coding: Coding, chunks: Sequence[int] | None = None
) -> dict[Path, str]:
    """Return the commits of the parts that `looked` takes."""
    chosen = range(len(place.set(set_name).chunks)) if chunks is None else chunks
    result = {}
    for path in (place.path(Part(set_name, chunk, coding)) for chunk in chosen):
        with np.load(path) as file:
            result[path] = str(file["commit"])
    return result


def stored(path: Path) -> Iterable[tuple[float, Detections]]:
    """Yield the bytes and the detections of the pictures of a part."""
    with np.load(path) as file:
        ends = np.cumsum(file["counts"])[:-1]
        columns = [np.split(file[name], ends) for name in ("boxes", "scores", "classes")]
        sizes = file["n_bytes"].tolist()
    for size, boxes, scores, classes in zip(sizes, *columns, strict=True):
        yield size, Detections(boxes, scores, classes.astype(np.int64))

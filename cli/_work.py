"""Fitting in parts: each batch of frames is kept on disk as soon as it is fitted.

A part is a pack and a JSON file about it, which is written last and so says that the part is
complete. Parts depend on the pictures and options alone, never on when a run was interrupted, and
packs are merged from the files of the parts: a resumed run gives the bytes of an undisturbed one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rinrcodec import __version__
from rinrcodec.cli._files import write_text, write_yaml
from rinrcodec.formats import write_pack
from rinrcodec.sources import Reading, Series, Source

if TYPE_CHECKING:
    from rinrcodec.images import Picture
    from rinrcodec.model import Pack
    from rinrcodec.presets import Preset

__all__ = ["Fitter", "Part", "Work", "measure", "run_key", "unfinished_runs"]

BATCH_FRAMES = 16
# Large pictures come in smaller batches, so that a batch and its decoded form fit in memory.
BATCH_PIXELS = 2**24
# The name that a run's folder takes when nothing in it is needed any more.
_DONE = "done"


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of a fitted batch: pictures `start` to `start + count` of its series.

    quality: PSNR in dB of (frame, background, objects) of each frame, of the decoded part.
    seconds: reading, fitting and measuring.
    """

    start: int
    count: int
    names: list[str]
    boxes: int
    object_inrs: int
    pixels: int
    source_bytes: int
    quality: list[tuple[float, float | None, float | None]]
    seconds: float
    failures: list[str]
    warnings: list[str]

    @property
    def stop(self) -> int:
        return self.start + self.count


def run_key(source: Source, **options: object) -> str:
    """A name for a run, by everything that decides its bytes: pictures, labels and options."""
    options["version"] = __version__
    digest = hashlib.sha256(json.dumps(options, sort_keys=True, default=repr).encode())
    for series in source.series:
        digest.update(repr((series.name, series.video and _stamp(series.video))).encode())
        if series.labels is not None:
            stamps = [_stamp(label) for label in sorted(series.labels.rglob("*.txt"))]
            digest.update(repr(stamps).encode())
        for ref in series.refs:
            stamp = ref.label and _stamp(ref.label)
            digest.update(repr((ref.name, _stamp(ref.path), stamp)).encode())
    return digest.hexdigest()[:24]


def unfinished_runs(root: Path) -> list[str]:
    """The keys of the runs that wait in a work folder, which is removed where there are none."""
    runs = [folder.name for folder in root.iterdir()] if root.is_dir() else []
    waiting = sorted(name for name in runs if name != _DONE)
    if runs and not waiting:  # a run was killed while it cleaned up
        shutil.rmtree(root)
    return waiting


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), status.st_size, status.st_mtime_ns


class Work:
    """The folder of one run's parts; there from the first moment, gone when the run is done."""

    def __init__(self, root: Path, key: str, *, fresh: bool = False) -> None:
        self._root = root
        self._folder = root / key
        if fresh:
            shutil.rmtree(root, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)

    @property
    def started(self) -> bool:
        """Whether any part is complete."""
        return next(self._folder.glob("*.json"), None) is not None

    def parts(self, series: Series) -> list[Part]:
        """The complete parts of a series, in order."""
        parts: list[Part] = []
        while True:
            file = self._file(series, len(parts), ".json")
            if not file.exists():
                return parts
            parts.append(Part(**json.loads(file.read_text(encoding="utf-8"))))

    def pack_path(self, series: Series, number: int) -> Path:
        """The pack of a part; there is none where no picture of it could be read."""
        return self._file(series, number, ".rinr")

    def add(self, series: Series, number: int, part: Part) -> None:
        """Say that a part is complete; its pack, if any, is already in its place."""
        write_text(self._file(series, number, ".json"), json.dumps(asdict(part)))

    def publish(self, path: Path, pack: Pack) -> None:
        """Write a pack to its final place, by way of this folder.

        A run that is killed leaves its unfinished file here, where the next run removes it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        ready = self._folder / "ready.rinr"
        write_pack(ready, pack)
        try:
            ready.replace(path)
        except OSError as error:
            if error.errno != errno.EXDEV:  # a folder of the output is a link to another disk
                raise
            write_pack(path, pack)

    def publish_yaml(self, path: Path, data: Mapping[str, object]) -> None:
        """Write a yaml file to its final place, by way of this folder."""
        ready = self._folder / "ready.yaml"
        write_yaml(ready, data)
        ready.replace(path)

    def finish(self) -> None:
        """Remove everything; a run that ends in the middle of this counts as done."""
        if self._folder.is_dir():
            done = self._root / _DONE
            shutil.rmtree(done, ignore_errors=True)
            self._folder.replace(done)
        shutil.rmtree(self._root, ignore_errors=True)

    def drop(self) -> None:
        """Remove this run's folder, and the root where no other run is in it."""
        shutil.rmtree(self._folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._root.rmdir()

    def _file(self, series: Series, number: int, suffix: str) -> Path:
        # Series of one run have different names: the splits of a yaml, or just one.
        folder = hashlib.sha256(os.fsencode(series.name)).hexdigest()[:8]
        return self._folder / f"{folder}-{number:06d}{suffix}"


@dataclass(frozen=True, slots=True)
class Fitter:
    """Fits the batches of a series that are not in the work folder yet."""

    work: Work
    preset: Preset
    seed: int
    device: str
    shard_size: int
    jobs: int

    def run(self, series: Series, on_progress: Callable[[float], None]) -> list[Part]:
        """Fit a series and return all its parts; `on_progress` is told the pictures done."""
        parts = self.work.parts(series)
        start = parts[-1].stop if parts else 0
        on_progress(start)
        began = time.monotonic()
        for batch in _batches(series.read(start, jobs=self.jobs), start, self.shard_size):
            position = parts[-1].stop if parts else 0

            def report(fraction: float, position: int = position, size: int = len(batch)) -> None:
                on_progress(position + fraction * size)

            part = self._fit(series, len(parts), position, batch, began, report)
            parts.append(part)
            on_progress(part.stop)
            began = time.monotonic()
        return parts

    def _fit(
        self,
        series: Series,
        number: int,
        start: int,
        batch: list[Reading],
        began: float,
        report: Callable[[float], None],
    ) -> Part:
        from rinrcodec.encoder import encode

        pictures = [reading.picture for reading in batch if reading.picture is not None]
        quality: list[tuple[float, float | None, float | None]] = []
        objects = 0
        if pictures:
            pack = encode(
                pictures,
                preset=self.preset,
                seed=self.seed,
                device=self.device,
                on_progress=report,
            )
            path = self.work.pack_path(series, number)
            write_pack(path, pack)
            quality = measure(path, pictures, device=self.device)
            objects = sum(inr is not None for frame in pack.frames for inr in frame.objects)
        part = Part(
            start=start,
            count=len(batch),
            names=[picture.name for picture in pictures],
            boxes=sum(len(picture.boxes) for picture in pictures),
            object_inrs=objects,
            pixels=sum(picture.width * picture.height for picture in pictures),
            source_bytes=sum(picture.source_bytes for picture in pictures),
            quality=quality,
            seconds=time.monotonic() - began,
            failures=[reading.error for reading in batch if reading.error is not None],
            warnings=[warning for reading in batch for warning in reading.warnings],
        )
        self.work.add(series, number, part)
        return part


def measure(
    path: Path, pictures: list[Picture], *, device: str
) -> list[tuple[float, float | None, float | None]]:
    """PSNR in dB of (frame, background, objects) of each frame of a file, against its pictures."""
    from rinrcodec.decoder import decode
    from rinrcodec.devices import resolve_device
    from rinrcodec.formats import PackReader
    from rinrcodec.metrics import frame_quality

    result = []
    with PackReader(path) as reader:
        decoded = decode(reader, list(range(len(pictures))), device=resolve_device(device))
        for picture, pixels in zip(pictures, decoded, strict=True):
            grey = picture.pixels.ndim == 2
            array = (pixels[0] if grey else pixels.permute(1, 2, 0)).cpu().numpy()
            quality = frame_quality(picture.pixels, array, picture.boxes)
            result.append((quality.frame, quality.background, quality.objects))
    return result


def _batches(readings: Iterator[Reading], start: int, shard_size: int) -> Iterator[list[Reading]]:
    """Cut into batches whose bounds depend on the pictures alone; none crosses two packs."""
    batch: list[Reading] = []
    pixels = 0
    for position, reading in enumerate(readings, start=start + 1):
        batch.append(reading)
        if reading.picture is not None:
            pixels += reading.picture.width * reading.picture.height
        full = len(batch) == BATCH_FRAMES or pixels >= BATCH_PIXELS
        if full or (shard_size and position % shard_size == 0):
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch

"""From pictures to fitted parts, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rinrcodec.cli._batches import batches, sequence_batches
from rinrcodec.cli._errors import plain
from rinrcodec.cli._work import FittedPart, Work
from rinrcodec.formats import write_pack
from rinrcodec.presets import Preset, SequencePart, Target
from rinrcodec.sources import Reading, Series

if TYPE_CHECKING:
    from rinrcodec.images import Picture

__all__ = ["Fitter", "measure"]


@dataclass(frozen=True, slots=True)
class Fitter:
    """Fits the batches of a series that are not in the work folder yet."""

    work: Work
    preset: Preset
    target: Target | None
    seed: int
    device: str
    shard_size: int
    jobs: int

    def run(self, series: Series, on_progress: Callable[[float], None]) -> list[FittedPart]:
        """Fit a series and return all its parts; `on_progress` is told the pictures done."""
        parts = self.work.parts(series)
        start = parts[-1].stop if parts else 0
        on_progress(start)
        began = time.monotonic()
        for batch in self._batches(series, start):
            position = parts[-1].stop if parts else 0

            def report(fraction: float, position: int = position, size: int = len(batch)) -> None:
                on_progress(position + fraction * size)

            part = self._fit(series, len(parts), position, batch, began, report)
            parts.append(part)
            on_progress(part.stop)
            began = time.monotonic()
        return parts

    def _batches(self, series: Series, start: int) -> Iterator[list[Reading]]:
        readings = series.read(start, jobs=self.jobs)
        part = self.preset.background
        if not isinstance(part, SequencePart):
            return batches(readings, _pixels, start=start, shard_size=self.shard_size)
        folders = [ref.name.rpartition("/")[0] for ref in series.refs] or [""] * len(series)
        return sequence_batches(
            readings, _pixels, part.chunk, folders=folders, start=start, shard_size=self.shard_size
        )

    def _fit(
        self,
        series: Series,
        number: int,
        start: int,
        batch: list[Reading],
        began: float,
        report: Callable[[float], None],
    ) -> FittedPart:
        from rinrcodec.encoder import encode

        pictures = [reading.picture for reading in batch if reading.picture is not None]
        quality: list[tuple[float, float | None, float | None]] = []
        objects = 0
        if pictures:
            pack = encode(
                pictures,
                preset=self.preset,
                target=self.target,
                seed=self.seed,
                device=self.device,
                on_progress=report,
            )
            path = self.work.pack_path(series, number)
            write_pack(path, pack)
            quality = measure(path, pictures, device=self.device)
            objects = sum(inr is not None for frame in pack.frames for inr in frame.objects)
        part = FittedPart(
            start=start,
            count=len(batch),
            names=[picture.name for picture in pictures],
            boxes=sum(len(picture.boxes) for picture in pictures),
            object_inrs=objects,
            pixels=sum(picture.width * picture.height for picture in pictures),
            source_bytes=sum(picture.source_bytes for picture in pictures),
            quality=quality,
            seconds=time.monotonic() - began,
            failures=[plain(reading.error) for reading in batch if reading.error is not None],
            warnings=[warning for reading in batch for warning in reading.warnings],
        )
        self.work.add(series, number, part)
        return part


def measure(
    path: Path, pictures: list[Picture], *, device: str
) -> list[tuple[float, float | None, float | None]]:
    """PSNR in dB of (frame, background, objects) of each frame of a file, against its pictures."""
    from rinrcodec.compose import to_array
    from rinrcodec.decoder import decode
    from rinrcodec.devices import resolve_device
    from rinrcodec.formats import PackReader
    from rinrcodec.metrics import frame_quality

    result = []
    with PackReader(path) as reader:
        # A few at a time: those of a sequence are many.
        for members in batches(range(len(pictures)), lambda i: pictures[i].pixels.size):
            decoded = decode(reader, members, device=resolve_device(device))
            for i, pixels in zip(members, decoded, strict=True):
                array = to_array(pixels, "L" if pictures[i].pixels.ndim == 2 else "RGB")
                quality = frame_quality(pictures[i].pixels, array, pictures[i].boxes)
                result.append((quality.frame, quality.background, quality.objects))
    return result


def _pixels(reading: Reading) -> int:
    return 0 if reading.picture is None else reading.picture.width * reading.picture.height

"""The result of `compress`: its figures, series by series, and what failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rinrcodec.datasets.manifest import FileRecord
from rinrcodec.datasets.options import CompressOptions
from rinrcodec.datasets.work_folder import FittedPart
from rinrcodec.metrics import mean_db
from rinrcodec.printing import count
from rinrcodec.targets import Miss

__all__ = ["CompressResult", "SeriesSummary", "joined_misses", "summarise", "total"]


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """Hold the figures of one series, such as a split, or of all series together.

    Attributes:
        name: Of the series; "total" for several together.
        frames: How many frames there are.
        boxes: How many boxes.
        object_inrs: How many boxes have an object.
        source_bytes: Of the source files.
        bytes: Of the files that were written.
        pixels: Of all frames.
        psnr_frame: Mean over frames, in dB.
        psnr_background: Mean outside of the boxes, in dB; None where no frame has such pixels.
        psnr_objects: Mean inside the boxes, in dB; None where no frame has any.
        seconds: Reading, fitting and measuring, of all processes together.

    Example:
        >>> from rinrcodec import SeriesSummary
        >>> SeriesSummary("val", 1, 0, 0, 5000, 1000, 8000, 30.0, 30.0, None, 2.0).ratio
        5.0
    """

    name: str
    frames: int
    boxes: int
    object_inrs: int
    source_bytes: int
    bytes: int
    pixels: int
    psnr_frame: float | None
    psnr_background: float | None
    psnr_objects: float | None
    seconds: float

    @property
    def ratio(self) -> float | None:
        """Source bytes per byte of output; None where either is 0."""
        return self.source_bytes / self.bytes if self.source_bytes and self.bytes else None

    @property
    def bits_per_pixel(self) -> float | None:
        """Bits of output per pixel; None where there is no pixel."""
        return 8 * self.bytes / self.pixels if self.pixels else None

    def as_json(self) -> dict[str, Any]:
        """Give all figures by their names."""
        return {**asdict(self), "ratio": self.ratio, "bits_per_pixel": self.bits_per_pixel}


@dataclass(frozen=True, slots=True, repr=False)
class CompressResult:
    """Hold the result of `compress`.

    Attributes:
        source: The path or URL, as text.
        out: The path or URL of the output, as text.
        options: The options of the call.
        devices: The devices that were used.
        series: The figures of each series, a split or the whole folder.
        total: The figures of all of them.
        shards: How many packs the source is cut into.
        kept_shards: How many of them `resume` kept. They are not counted in any other figure.
        changed_shards: How many `resume` encoded again because pictures or labels changed.
        removed_files: How many files of earlier pictures `resume` removed.
        failed_shards: How many killed the process that encoded them. `resume` tries them again.
        failed_pictures: How many of `failures` are pictures that cannot be read. The others are
            about shards, and about files or folders of the source.
        warnings: Messages.
        failures: Messages. Failed pictures and shards are missing in `out`.
        lost_labels: One message for each label that could not be understood; its frame is in `out`
            and not `labelled`. Also messages about labels that belong to no picture.
        missed: The targets that some frames miss.
        nothing_to_do: `resume` found a complete output and changed nothing. What failed or was
            missed then is listed again.

    Example:
        >>> import numpy as np, rinrcodec
        >>> from PIL import Image
        >>> Image.fromarray(np.zeros((24, 32, 3), np.uint8)).save("black.png")
        >>> result = rinrcodec.compress("black.png", "packs", labels="none")
        >>> result.total.frames, result.failures
        (1, ())
    """

    source: str
    out: str
    options: CompressOptions
    devices: tuple[str, ...]
    series: tuple[SeriesSummary, ...]
    total: SeriesSummary
    shards: int
    kept_shards: int = 0
    changed_shards: int = 0
    removed_files: int = 0
    failed_shards: int = 0
    failed_pictures: int = 0
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    lost_labels: tuple[str, ...] = ()
    missed: tuple[Miss, ...] = ()
    nothing_to_do: bool = False

    def __repr__(self) -> str:
        whole = self.total
        return (
            f"<CompressResult: {count(whole.frames, 'frame')}, {count(whole.bytes, 'byte')} of "
            f"{whole.source_bytes:,} in {self.out!r}, {count(len(self.warnings), 'warning')}, "
            f"{count(len(self.failures), 'failure')}>"
        )

    @property
    def can_resume(self) -> bool:
        """Whether something failed and there is output that `resume` can complete."""
        return bool(self.failures) and (self.total.frames > 0 or self.kept_shards > 0)

    def as_json(self) -> dict[str, Any]:
        """Give the figures as `--json` writes them."""
        return {
            "source": self.source,
            "out": self.out,
            "preset": self.options.preset,
            "background": self.options.background,
            "objects": self.options.objects,
            "steps": self.options.steps,
            "target": self.options.target_as_json(),
            "seed": self.options.seed,
            "device": self.devices[0] if len(self.devices) == 1 else list(self.devices),
            "series": [one.as_json() for one in self.series],
            "total": self.total.as_json(),
            "kept_shards": self.kept_shards,
            "changed_shards": self.changed_shards,
            "removed_files": self.removed_files,
            "warnings": list(self.warnings),
            "failures": list(self.failures),
            "lost_labels": list(self.lost_labels),
            "missed": [asdict(miss) for miss in self.missed],
        }


def summarise(name: str, parts: Sequence[FittedPart], files: Iterable[FileRecord]) -> SeriesSummary:
    """Sum up one series, from its parts and the files written."""
    quality = [item for part in parts for item in part.quality]
    return SeriesSummary(
        name=name,
        frames=sum(len(part.names) for part in parts),
        boxes=sum(part.boxes for part in parts),
        object_inrs=sum(part.object_inrs for part in parts),
        source_bytes=sum(part.source_bytes for part in parts),
        bytes=sum(file.bytes for file in files),
        pixels=sum(part.pixels for part in parts),
        psnr_frame=mean_db(item[0] for item in quality),
        psnr_background=mean_db(item[1] for item in quality),
        psnr_objects=mean_db(item[2] for item in quality),
        seconds=sum(part.seconds for part in parts),
    )


def total(series: Sequence[tuple[SeriesSummary, Sequence[FittedPart]]]) -> SeriesSummary:
    """Sum up all series; a single one keeps its name."""
    if len(series) == 1:
        return series[0][0]
    whole = summarise("total", [part for _, parts in series for part in parts], ())
    return replace(whole, bytes=sum(one.bytes for one, _ in series))


def joined_misses(missed: Iterable[Mapping[str, Any]]) -> tuple[Miss, ...]:
    """Join misses, given by their fields: one for each target, with the worst frame or the mean."""
    joined: dict[str, Miss] = {}
    for miss in (Miss(**fields) for fields in missed):
        other = joined.get(miss.field)
        if other is not None:
            frames = miss.frames + other.frames
            if miss.field == "n_bytes":  # which is a mean in each of them
                of_all = miss.reached * miss.frames + other.reached * other.frames
                miss = replace(other, reached=of_all / frames, frames=frames)
            else:
                miss = replace(miss if miss.worse(other) else other, frames=frames)
        joined[miss.field] = miss
    return tuple(joined.values())

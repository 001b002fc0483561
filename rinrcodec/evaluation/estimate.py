"""`compress --dry-run`: what would be done, and how long and how large it would be.

Nothing is written. Sizes and times are those of a small sample that is encoded, times the number of
pictures: an estimate, because pictures differ and a busy machine is slower.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rinrcodec.datasets.batches import batches, sequence_batches
from rinrcodec.datasets.options import CompressOptions
from rinrcodec.datasets.plan import Plan
from rinrcodec.datasets.progress import ignore
from rinrcodec.datasets.shards import shards_of
from rinrcodec.encoder import encode_pictures
from rinrcodec.errors import RinrInputError
from rinrcodec.families import background_family
from rinrcodec.formats import pack_bytes
from rinrcodec.limits import limits_for
from rinrcodec.memory import memory_errors
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset
from rinrcodec.sources.readings import Reading
from rinrcodec.sources.source import Series
from rinrcodec.sources.survey import label_info
from rinrcodec.storage import size_in

__all__ = ["Estimate", "estimate"]

_MOST_TOGETHER = 16  # frames of a sequence at one place of the sample
_ALONE = 2
_FEW = 4  # pictures of which all are encoded, and the least of a sequence
_SHARE = 4  # a sample of more pictures is at most one of so many


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated result of `compress`: its `bytes` and `seconds`.

    Attributes:
        source, out: the paths or URLs, as text.
        frames, sequences, shards: how many there are; a folder or a video is a sequence.
        source_bytes: of the files of the pictures; 0 where they are not known.
        bytes: of all packs.
        seconds: with `processes` at a time.
        sample_frames, sample_bytes, sample_seconds: of the frames that were encoded.
        sample_places: bytes a picture at each place of the source from which frames were taken.
        is_short: the frames of a place are fewer than `compress` joins, which takes fewer bytes.
        existing: how many files of the output are there already.
        warnings: what is odd about the source.
        failures: the parts of the source that are missing.
    """

    source: str
    out: str
    frames: int
    sequences: int
    shards: int
    source_bytes: int
    bytes: int
    seconds: float
    processes: int
    sample_frames: int
    sample_bytes: int
    sample_seconds: float
    sample_places: tuple[float, ...]
    is_short: bool
    existing: int
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give the figures as `--json` writes them."""
        return {"dry_run": True, **asdict(self)}


def estimate(
    plan: Plan,
    out: Path,
    options: CompressOptions,
    devices: Sequence[str],
    *,
    on_message: Callable[[str], object] = ignore,
) -> Estimate:
    """Encode a small sample of the source in memory, and extrapolate; writes nothing.

    Args:
        plan: From `rinrcodec.datasets.compress.prepare`.
        out: The output, as the user named it.
        options: Those of `compress`.
        devices: From `rinrcodec.datasets.compress.prepare`.
        on_message: Gets a line that says what begins.

    Raises:
        RinrInputError: No picture of the sample can be read.
    """
    source, recipe = plan.source, options.recipe()
    frames = sum(map(len, source.series))
    shards = len(shards_of(source, plan.shard_size))
    on_message(f"encoding a sample of the pictures ({frames:,}) for the estimate")
    count, n_bytes, seconds = 0, 0, 0.0
    places: dict[int, tuple[int, int]] = {}
    series = max(source.series, key=len)
    most = _most(plan, options, recipe)
    take = min(most, max(_FEW, len(series) // _SHARE))
    with memory_errors(f"{source.path}: encoding a sample"):
        for start, pictures in _sample(series, take, options, recipe):
            began = time.monotonic()
            pack, _ = encode_pictures(
                pictures,
                recipe,
                target=options.target,
                seed=options.seed,
                device=devices[0],
                info=label_info(source),
            )
            size = len(pack_bytes(pack, limits=limits_for(options.max_pixels)))
            seconds += time.monotonic() - began
            n_bytes, count = n_bytes + size, count + len(pictures)
            before = places.get(start, (0, 0))
            places[start] = before[0] + size, before[1] + len(pictures)
    if not count:
        raise RinrInputError(f"{source.path}: no picture of the sample can be read")
    processes = max(1, min(shards, options.jobs or len(devices)))
    return Estimate(
        source=str(source.path),
        out=str(out),
        frames=frames,
        sequences=sum(_sequences(series) for series in source.series),
        shards=shards,
        source_bytes=sum(_source_bytes(series) for series in source.series),
        bytes=round(n_bytes * frames / count),
        seconds=seconds * frames / count / processes,
        processes=processes,
        sample_frames=count,
        sample_bytes=n_bytes,
        sample_seconds=seconds,
        sample_places=tuple(size / number for size, number in places.values()),
        is_short=take < min(most, len(series)),
        existing=sum(1 for _ in plan.existing()),
        warnings=source.warnings,
        failures=source.failures,
    )


def _most(plan: Plan, options: CompressOptions, recipe: Preset) -> int:
    """Return how many frames to take at one place: as many as `compress` joins, at most 16."""
    family = background_family(recipe.background.family)
    if not family.joins_frames or plan.layout != "pack":
        return _ALONE
    return min(options.gop or family.gop or _MOST_TOGETHER, _MOST_TOGETHER)


def _sample(
    series: Series, take: int, options: CompressOptions, recipe: Preset
) -> Iterator[tuple[int, list[Picture]]]:
    """Read some frames in a row at one place or two, in batches as `compress` does.

    Yields:
        The number of the first frame of the place, and the pictures of a batch.
    """
    family = background_family(recipe.background.family)
    starts = [0]
    if series.video is None:
        starts = [max(0, len(series) - take) // 2]
        if len(series) >= 2 * _SHARE * take:
            starts = [len(series) // 4, 3 * len(series) // 4]
    for start in starts:
        part = series
        if series.video is None:
            part = replace(series, refs=series.refs[start:])  # some may be unreadable
        limits = limits_for(options.max_pixels)
        readings = _first(part.read(depth_range=options.depth_range, limits=limits), take)
        if family.joins_frames:
            found = sequence_batches(
                readings, _pixels, recipe.background.chunk, folders=_folders(part)
            )
        else:
            found = batches(readings, _pixels)
        for batch in found:
            if pictures := [item.picture for item in batch if item.picture is not None]:
                yield start, pictures


def _first(readings: Iterable[Reading], most: int) -> Iterator[Reading]:
    """Stop after so many pictures."""
    for reading in readings:
        yield reading
        most -= reading.picture is not None
        if not most:
            return


def _pixels(reading: Reading) -> int:
    return reading.picture.width * reading.picture.height if reading.picture is not None else 0


def _folders(series: Series) -> list[str]:
    if series.video is not None:
        return [""] * len(series)
    return [ref.name.rpartition("/")[0] for ref in series.refs]


def _sequences(series: Series) -> int:
    if series.video is not None:
        return 1
    return len(set(_folders(series)))


def _source_bytes(series: Series) -> int:
    stamps = [series.stamp] if series.video is not None else [ref.stamp for ref in series.refs]
    return sum(size_in(stamp) for stamp in stamps if stamp)

"""Shards: the pictures of one pack, which any process of any machine can fit by themselves."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rinrcodec import __version__
from rinrcodec.datasets.manifest import RunEntry, ShardEntry
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.presets import Preset
from rinrcodec.sources.pictures.depth import DepthRange
from rinrcodec.sources.readings import Reading
from rinrcodec.sources.source import Series, Source
from rinrcodec.storage import size_in

__all__ = ["Shard", "make_entry", "run_key", "shards_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """Pictures `start` to `start + count` of a series, which become its pack number `number`.

    series: with these pictures alone; that of a video is whole, as only its frames before tell
    where one begins. last: of its series; the last one of a video takes what it did not declare.
    """

    series: Series
    number: int
    start: int
    count: int
    last: bool

    @property
    def name(self) -> str:
        """A name for files, of which no other shard of the run has the same."""
        # Series of one run have different names: the splits of a yaml, or just one.
        digest = hashlib.sha256(self.series.name.encode(errors="surrogateescape")).hexdigest()
        return f"{digest[:8]}-{self.number:06d}"

    @property
    def label(self) -> str:
        """The name of the shard in messages."""
        names = [ref.name for ref in self.series.refs]
        if names:
            inside = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        else:
            inside = f"frames {self.start + 1} to {self.start + self.count}"
        return f"shard {self.number} of {self.series.name} ({inside})"

    @property
    def stamps(self) -> str:
        """A hash of what its pictures and labels looked like when the run began."""
        return self.stamps_of(0, self.count)

    def stamps_of(self, start: int, stop: int) -> str:
        """Hash the stamps of pictures `start` to `stop` of the shard, or of the whole video."""
        series = self.series
        video = (series.stamp, series.label_stamps) if series.label_stamps else series.stamp
        digest = hashlib.sha256(repr((series.name, video)).encode())
        digest.update(repr((self.start, self.count)).encode())
        for ref in series.refs[start:stop]:
            # One that is expected and not there is a warning.
            label = ref.label_stamp or ("absent" if ref.label else "")
            if ref.label_data is not None:
                label = hashlib.sha256(ref.label_data).hexdigest()
            digest.update(repr((ref.name, ref.stamp, label)).encode())
        return digest.hexdigest()[:32]

    @property
    def names(self) -> str:
        """A hash of the names and the order of its pictures, which bound its batches."""
        names: list[object] = [ref.name for ref in self.series.refs]
        if self.series.video is not None:
            # Frames keep their share of the bytes of the file.
            names = [size_in(self.series.stamp), self.series.n_frames]
        return hashlib.sha256(repr((self.start, self.count, names)).encode()).hexdigest()[:32]

    def inputs(self, digests: Iterable[str]) -> str:
        """Hash all that decides its bytes except settings: names, pictures and labels.

        The hash is a SHA-256.

        digests: those of the `Reading` of every picture.
        """
        return hashlib.sha256("\n".join((self.names, *digests)).encode()).hexdigest()

    def folders(self) -> Sequence[str]:
        """Return the folder of each picture, which separates sequences."""
        return [ref.name.rpartition("/")[0] for ref in self.series.refs] or [""] * self.count

    def read(
        self,
        position: int,
        *,
        jobs: int,
        depth_range: DepthRange | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> Iterator[Reading]:
        """Read the pictures from number `position` of this shard on, in order."""
        if self.series.video is None:
            return self.series.read(position, jobs=jobs, depth_range=depth_range, limits=limits)
        count = None if self.last else self.count - position
        return itertools.islice(self.series.read(self.start + position, limits=limits), count)


def shards_of(source: Source, shard_size: int) -> list[Shard]:
    """Cut all series into shards of so many pictures; 0 makes one of each."""
    shards = []
    for series in source.series:
        # A video may hold frames, or an error to tell of, also where it declares none.
        size = shard_size or max(1, len(series))
        for number, start in enumerate(range(0, max(1, len(series)), size)):
            stop = min(start + size, len(series))
            part = series if series.video else replace(series, refs=series.refs[start:stop])
            shards.append(Shard(part, number, start, stop - start, stop == len(series)))
    return shards


def run_key(settings: Mapping[str, Any], shards: Sequence[Shard]) -> str:
    """Return a name for a run, by its settings and series.

    It says nothing of the pictures, so that a run can be continued after one of them was fixed.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode())
    for name in sorted({shard.series.name for shard in shards}):
        digest.update(repr(name).encode())
    return digest.hexdigest()[:24]


def make_entry(settings: Mapping[str, Any], preset: Preset, shards: Sequence[Shard]) -> RunEntry:
    """Return a run as the manifest has it, before anything is fitted."""
    recipe = hashlib.sha256(repr(preset).encode()).hexdigest()[:16]
    known = {"version": __version__, "recipe": recipe, **settings}
    return RunEntry(run_key(known, shards), known, [_entry(shard) for shard in shards])


def _entry(shard: Shard) -> ShardEntry:
    refs = shard.series.refs
    return ShardEntry(
        series=shard.series.name,
        number=shard.number,
        start=shard.start,
        count=shard.count,
        first=refs[0].name if refs else f"frame {shard.start + 1}",
        last=refs[-1].name if refs else f"frame {shard.start + shard.count}",
        stamps=shard.stamps,
    )

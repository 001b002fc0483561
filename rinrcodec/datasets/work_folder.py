"""Work in progress: what is fitted of a run, kept on disk or in a bucket as soon as it is fitted.

A shard is fitted in parts, batches of frames that are kept one by one. A part is a pack and a JSON
file about it, which is written last and so says that the part is complete; a shard whose parts are
all there becomes one pack and one JSON file likewise. Parts depend on pictures and options alone,
never on who fitted them or when a run was interrupted: a resumed run gives the bytes of an
undisturbed one. Both JSON files say what the pictures were, because one may change before the run
is resumed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rinrcodec.datasets.manifest import FileRecord
from rinrcodec.errors import RinrInputError
from rinrcodec.formats import pack_bytes
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.storage import (
    file_or_folder,
    make_folder,
    names_in,
    read_file,
    remove_file,
    remove_tree,
    storage_of,
)
from rinrcodec.storage.atomic import move, write_whole
from rinrcodec.storage.lock import LOCK

if TYPE_CHECKING:
    from rinrcodec.datasets.shards import Shard
    from rinrcodec.pack import Pack

__all__ = ["FittedPart", "FittedShard", "Work", "unfinished_runs"]


@dataclass(frozen=True, slots=True)
class FittedPart:
    """What is known of a fitted batch: pictures `start` to `start + count` of its shard.

    quality: PSNR in dB of (frame, background, objects) of each frame, of the decoded part.
    seconds: reading, fitting and measuring. digests: of the files of all its pictures, in order.
    missed: the fields of a `Miss` for every target that some of its frames miss. lost: a message
    for each label that could not be understood. unlabelled: how many frames such labels are of.
    shard_names, stamps: `Shard.names`, and the `Shard.stamps_of` its pictures, when it was fitted;
    "" in what earlier code left.
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
    digests: list[str]
    missed: list[dict[str, Any]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unlabelled: int = 0
    shard_names: str = ""
    stamps: str = ""

    @property
    def stop(self) -> int:
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class FittedShard:
    """What is known of a shard that is done.

    parts: without the digests of their pictures. inputs, stamps: those of the shard when it was
    fitted. pack: its pack, None where no picture of it could be read.
    """

    parts: list[FittedPart]
    inputs: str
    pack: FileRecord | None
    stamps: str = ""


class Work:
    """The folder of one run in a locked work folder: there until the run is done.

    It is handed to workers, which may be on other machines if they can reach the folder.
    """

    def __init__(self, root: Path, key: str, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits = limits  # of the packs
        self._root = root
        self._folder = root / key

    def begin(self, *, fresh: bool) -> None:
        """Make the folder; `fresh` forgets what unfinished runs left."""
        if fresh:
            for name in unfinished_runs(self._root):
                remove_tree(self._root / name)
        make_folder(self._folder)

    @property
    def poll_seconds(self) -> float:
        """How long to wait between two looks at what is done."""
        return storage_of(self._folder).poll_seconds

    def is_there(self) -> bool:
        """Whether the folder still is where it was made; a disk may have been unmounted.

        A store has no folders that could be gone.
        """
        exists = file_or_folder(self._folder) is not None
        return exists or not storage_of(self._folder).has_folders

    @property
    def started(self) -> bool:
        """Whether any part is complete."""
        return any(
            name.endswith(".json") or self._parts_of(name) for name in names_in(self._folder)
        )

    def parts(self, shard: Shard) -> list[FittedPart]:
        """The complete parts of a shard, in order."""
        folder = self._folder / shard.name
        parts: list[FittedPart] = []
        for name in self._parts_of(shard.name):
            part = FittedPart(**json.loads(read_file(folder / name)))
            if part.start == (parts[-1].stop if parts else 0):
                parts.append(part)
        return parts

    def count(self, shard: Shard) -> int:
        """How many pictures of a shard that is not done yet are in complete parts."""
        names = self._parts_of(shard.name)
        return int(names[-1].removesuffix(".json").split("-")[1]) if names else 0

    def drop_parts(self, shard: Shard, *, after: int) -> None:
        """Remove the parts of a shard that begin at `after` or later, the last one first."""
        for name in reversed(self._parts_of(shard.name)):
            if int(name.split("-")[0]) >= after:
                remove_file(self._folder / shard.name / name)

    def part_path(self, shard: Shard, start: int, stop: int) -> Path:
        """The pack of a part; there is none where no picture of it could be read."""
        return self._folder / shard.name / f"{start:08d}-{stop:08d}.rinr"

    def begin_shard(self, shard: Shard) -> None:
        """Make the folder of its parts."""
        make_folder(self._folder / shard.name, parents=False)

    def add(self, shard: Shard, part: FittedPart) -> None:
        """Say that a part is complete; its pack, if any, is already written."""
        path = self.part_path(shard, part.start, part.stop).with_suffix(".json")
        write_whole(path, json.dumps(asdict(part)).encode())

    def pack_path(self, shard: Shard) -> Path:
        """The pack of a shard that is done, until it is published."""
        return self._folder / f"{shard.name}.rinr"

    def complete(self, shard: Shard, parts: Sequence[FittedPart], pack: Pack | None) -> None:
        """Write the pack of a shard, mark the shard as done, and drop its parts."""
        record = None
        if pack is not None:
            data = pack_bytes(pack, limits=self.limits)
            write_whole(self.pack_path(shard), data)
            record = FileRecord(len(data), hashlib.sha256(data).hexdigest())
        digests = (digest for part in parts for digest in part.digests)
        fitted = FittedShard(
            [replace(part, digests=[]) for part in parts],
            shard.inputs(digests),
            record,
            shard.stamps,
        )
        write_whole(self._record(shard), json.dumps(asdict(fitted)).encode())
        remove_tree(self._folder / shard.name)

    def done(self, shards: Sequence[Shard]) -> dict[Shard, bool]:
        """The shards that are done, and whether their packs still wait here, from one listing."""
        names = set(names_in(self._folder))
        done = (shard for shard in shards if self._record(shard).name in names)
        return {shard: self.pack_path(shard).name in names for shard in done}

    def forget(self, shard: Shard) -> None:
        """Have a shard that is done fitted again."""
        remove_file(self._record(shard))

    def fitted(self, shard: Shard) -> FittedShard | None:
        """What is known of a shard, None where it is not done."""
        try:
            known = json.loads(read_file(self._record(shard)))
        except FileNotFoundError:
            return None
        parts = [FittedPart(**part) for part in known["parts"]]
        pack = known["pack"] and FileRecord(**known["pack"])
        return FittedShard(parts, known["inputs"], pack, known.get("stamps", ""))

    def publish(self, shard: Shard, path: Path) -> None:
        """Move the pack of a shard that is done to its final path.

        A run that was killed while it published has done so with some already.
        """
        ready = self.pack_path(shard)
        if file_or_folder(ready):
            make_folder(path.parent)
            move(ready, path)
        elif not file_or_folder(path):
            raise RinrInputError(
                f"{path} was written and is gone; --overwrite makes everything again"
            )

    def publish_bytes(self, path: Path, data: bytes) -> FileRecord:
        """Write a file to its final path, by way of this folder.

        A run that is killed leaves its unfinished file here, where the next run removes it.
        """
        if storage_of(path).writes_whole:
            write_whole(path, data)
        else:
            ready = self._folder / "ready"
            write_whole(ready, data)
            make_folder(path.parent)
            move(ready, path)
        return FileRecord(len(data), hashlib.sha256(data).hexdigest())

    def drop(self) -> None:
        """Remove this run's folder, when it is done or nothing came of it."""
        remove_tree(self._folder)

    def _record(self, shard: Shard) -> Path:
        return self._folder / f"{shard.name}.json"

    def _parts_of(self, name: str) -> list[str]:
        return sorted(part for part in names_in(self._folder / name) if part.endswith(".json"))


def unfinished_runs(root: Path) -> list[str]:
    """The keys of the runs that wait in a work folder."""
    return sorted(set(names_in(root)) - {LOCK})

"""Work in progress: what is fitted of a run, kept on disk or in a bucket as soon as it is fitted.

A shard is fitted in parts, batches of frames that are kept one by one. A part is a pack and a JSON
file about it, which is written last and so says that the part is complete; a shard whose parts are
all there becomes one pack and one JSON file likewise. Parts depend on pictures and options alone,
never on who fitted them or when a run was interrupted: a resumed run gives the bytes of an
undisturbed one. Both JSON files say what the pictures were, because one may change before the run
is resumed. They are sealed and have the SHA-256 of their packs. What is damaged when a run is
resumed is fitted again (`Work.check`), and nothing in the folder may be a link (`check_work`).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rinrcodec.datasets.manifest import (
    FileRecord,
    check_miss,
    checked_record,
    is_run_key,
    read_record,
)
from rinrcodec.errors import RinrError, RinrInputError, RinrMemoryError
from rinrcodec.formats import PackReader, pack_bytes
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
from rinrcodec.storage.lock import LOCK, MARKER
from rinrcodec.storage.sealed import checked, seal, unseal

if TYPE_CHECKING:
    from rinrcodec.datasets.shards import Shard
    from rinrcodec.pack import Pack

__all__ = ["FittedPart", "FittedShard", "Work", "check_work", "unfinished_runs"]

# A million pictures with their names and messages.
_MOST_BYTES = 2**28
_SHARD = re.compile(r"[0-9a-f]{8}-\d{6,}")
_PART = re.compile(r"(\d{8,})-(\d{8,})\.json")


@dataclass(frozen=True, slots=True)
class FittedPart:
    """The record of a fitted batch: pictures `start` to `start + count` of its shard.

    quality: PSNR in dB of (frame, background, objects) of each frame, of the decoded part.
    seconds: reading, fitting and measuring. digests: of the files of all its pictures, in order.
    missed: the fields of a `Miss` for every target that some of its frames miss. lost: a message
    for each label that could not be understood. unlabelled: how many frames such labels are of.
    shard_names, stamps: `Shard.names`, and the `Shard.stamps_of` its pictures, when it was fitted.
    pack: the pack of the part, None where no picture of it could be read.
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
    pack: FileRecord | None = None

    @property
    def stop(self) -> int:
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class FittedShard:
    """The record of a finished shard.

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
        """Return whether the folder is still where it was made; a disk may have been unmounted.

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

    def check(self, shards: Sequence[Shard]) -> list[str]:
        """Drop what is damaged of the work that an earlier run left; return a message for each.

        What is dropped is fitted again. Every byte of packs that wait here is read.
        """
        messages = []
        names = set(names_in(self._folder))
        for shard in shards:
            if self._record(shard).name in names:
                problem = self._problem(shard)
                if problem is not None:
                    self.forget(shard)
                    remove_file(self.pack_path(shard))
            elif shard.name in names:
                problem = self._problem_of_parts(shard)
            else:
                continue
            if problem is not None:
                messages.append(f"{problem}; {shard.label} is fitted again")
        return messages

    def _problem(self, shard: Shard) -> str | None:
        """Describe what is wrong with a finished shard; None if nothing is."""
        record = self._record(shard)
        try:
            known = _fitted_shard(_read(record))
        except ValueError as error:
            return f"{record}: damaged ({error})"
        ends = [0, *(part.stop for part in known.parts)]
        is_whole = ends[-1] == shard.count or shard.series.video is not None
        if [part.start for part in known.parts] != ends[:-1] or not is_whole:
            return f"{record}: damaged (its parts are not those of the shard)"
        names = [name for part in known.parts for name in part.names]
        if known.pack is None:
            return f"{record}: damaged (it names pictures and no pack)" if names else None
        pack = self.pack_path(shard)
        # Where it is not here, it was published before the run ended.
        return self._problem_of_pack(pack, known.pack, names) if file_or_folder(pack) else None

    def _problem_of_parts(self, shard: Shard) -> str | None:
        """Drop the parts from the first damaged one on; return what is wrong with it."""
        position = 0
        for name in self._parts_of(shard.name):
            record = self._folder / shard.name / name
            problem = None
            try:
                part = _fitted_part(_read(record))
            except ValueError as error:
                problem = f"{record}: damaged ({error})"
            else:
                if name != f"{part.start:08d}-{part.stop:08d}.json" or part.start > position:
                    problem = f"{record}: damaged (it is not the part that follows the one before)"
                elif part.pack is None and part.names:
                    problem = f"{record}: damaged (it names pictures and no pack)"
                elif part.pack is not None:
                    pack = record.with_suffix(".rinr")
                    problem = self._problem_of_pack(pack, part.pack, part.names)
                position = max(position, part.stop)
            if problem is not None:
                self.drop_parts(shard, after=int(name.split("-")[0]))
                return problem
        return None

    def _problem_of_pack(self, path: Path, record: FileRecord, names: list[str]) -> str | None:
        """Describe what is wrong with a pack that waits here; None if nothing is."""
        try:
            with storage_of(path).open_file(path) as file:
                if read_record(file) != record:
                    return f"{path}: damaged (its SHA-256 is another)"
            # A forged record agrees with its pack.
            with PackReader(path, limits=self.limits) as reader:
                reader.verify()
                if list(reader.names()) != names:
                    return f"{path}: damaged (it has other pictures than its record)"
        except FileNotFoundError:
            return f"{path}: missing"
        except RinrMemoryError:  # which says nothing of the file
            raise
        except RinrError as error:
            return f"{path}: damaged ({str(error).removeprefix(f'{path}: ')})"
        return None

    def parts(self, shard: Shard) -> list[FittedPart]:
        """Return the complete parts of a shard, in order, up to the first that cannot be read."""
        folder = self._folder / shard.name
        parts: list[FittedPart] = []
        for name in self._parts_of(shard.name):
            try:
                part = _fitted_part(_read(folder / name))
            except ValueError:
                break
            if part.start == (parts[-1].stop if parts else 0):
                parts.append(part)
        return parts

    def count(self, shard: Shard) -> int:
        """Count the pictures in complete parts of an unfinished shard."""
        names = self._parts_of(shard.name)
        return int(names[-1].removesuffix(".json").split("-")[1]) if names else 0

    def drop_parts(self, shard: Shard, *, after: int) -> None:
        """Remove the parts of a shard that begin at `after` or later, the last one first."""
        for name in reversed(self._parts_of(shard.name)):
            if int(name.split("-")[0]) >= after:
                remove_file(self._folder / shard.name / name)

    def part_path(self, shard: Shard, start: int, stop: int) -> Path:
        """Return the pack of a part; there is none where no picture of it could be read."""
        return self._folder / shard.name / f"{start:08d}-{stop:08d}.rinr"

    def begin_shard(self, shard: Shard) -> None:
        """Make the folder of its parts."""
        make_folder(self._folder / shard.name, parents=False)

    def add(self, shard: Shard, part: FittedPart) -> None:
        """Say that a part is complete; its pack, if any, is already written."""
        path = self.part_path(shard, part.start, part.stop).with_suffix(".json")
        write_whole(path, seal(asdict(part)))

    def pack_path(self, shard: Shard) -> Path:
        """Return the pack of a finished shard, until it is published."""
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
        write_whole(self._record(shard), seal(asdict(fitted)))
        remove_tree(self._folder / shard.name)

    def done(self, shards: Sequence[Shard]) -> dict[Shard, bool]:
        """Return the finished shards, and whether their packs still wait here, from one listing."""
        names = set(names_in(self._folder))
        done = (shard for shard in shards if self._record(shard).name in names)
        return {shard: self.pack_path(shard).name in names for shard in done}

    def forget(self, shard: Shard) -> None:
        """Have a shard that is done fitted again."""
        remove_file(self._record(shard))

    def fitted(self, shard: Shard) -> FittedShard | None:
        """Return the record of a shard, None if it is unfinished or its record is unreadable."""
        try:
            return _fitted_shard(_read(self._record(shard)))
        except (FileNotFoundError, ValueError):
            return None

    def publish(self, shard: Shard, path: Path) -> None:
        """Move the pack of a shard that is done to its final path."""
        ready = self.pack_path(shard)
        if not file_or_folder(ready):
            raise RinrInputError(
                f"{path} was written and is gone; `overwrite=True` makes everything again"
            )
        make_folder(path.parent)
        move(ready, path)

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
        return sorted(filter(_PART.fullmatch, names_in(self._folder / name)))


def unfinished_runs(root: Path) -> list[str]:
    """Return the keys of the runs that wait in a work folder."""
    return sorted(filter(is_run_key, names_in(root)))


def check_work(root: Path) -> None:
    """Raise `RinrInputError` unless a work folder holds what runs write there, and nothing else.

    Runs write into it and remove from it, which a link or a foreign folder would lead elsewhere.
    """
    foreign = sorted(name for name in names_in(root) if not _is_own(name))
    if foreign:
        raise _not_own(root / foreign[0])
    if not storage_of(root).has_folders:  # and no links
        return
    for key in unfinished_runs(root):
        _check_folder(root / key)
        for entry in list(os.scandir(root / key)):
            if _SHARD.fullmatch(entry.name):
                _check_folder(Path(entry.path))
                inside = list(os.scandir(entry.path))
            else:
                inside = [entry]
            for file in inside:
                if not file.is_file(follow_symlinks=False):
                    raise _not_own(Path(file.path))


def _is_own(name: str) -> bool:
    return name in (LOCK, MARKER) or is_run_key(name)


def _check_folder(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        raise _not_own(path)


def _not_own(path: Path) -> RinrInputError:
    what = "a link" if path.is_symlink() else "not a file of an unfinished run"
    return RinrInputError(
        f"{path}: it is {what}, so compress neither uses nor removes its folder; move it away"
    )


def _read(path: Path) -> dict[str, Any]:
    """Read a sealed record; raise `ValueError` if it is damaged."""
    return unseal(read_file(path, most=_MOST_BYTES))


def _fitted_shard(data: dict[str, Any]) -> FittedShard:
    """Parse the record of a shard; raise `ValueError` if it is none, as a forged one is."""
    known = isinstance(data.get("pack"), dict)
    checked(data, parts=list, inputs=str, pack=dict if known else type(None), stamps=str)
    return FittedShard(
        [_fitted_part(part) for part in data["parts"]],
        data["inputs"],
        checked_record(data["pack"]) if known else None,
        data["stamps"],
    )


def _fitted_part(data: Any) -> FittedPart:
    """Parse the record of a part; raise `ValueError` if it is none, as a forged one is."""
    has_pack = isinstance(data, dict) and isinstance(data.get("pack"), dict)
    numbers = ("start", "count", "boxes", "object_inrs", "pixels", "source_bytes", "unlabelled")
    texts = ("names", "failures", "warnings", "digests", "lost")
    checked(
        data,
        **dict.fromkeys(numbers, int),
        **dict.fromkeys(texts, list),
        **dict.fromkeys(("quality", "missed"), list),
        **dict.fromkeys(("shard_names", "stamps"), str),
        seconds=float,
        pack=dict if has_pack else type(None),
    )
    for name in texts:
        if not all(isinstance(text, str) for text in data[name]):
            raise ValueError(f"{name} holds a value that is no text")
    for miss in data["missed"]:
        check_miss(miss)
    if not all(map(_is_quality, data["quality"])) or len(data["quality"]) != len(data["names"]):
        raise ValueError("quality is not three numbers for each picture")
    return FittedPart(
        **{
            **data,
            "quality": [tuple(item) for item in data["quality"]],
            "pack": checked_record(data["pack"]) if has_pack else None,
        }
    )


def _is_quality(item: Any) -> bool:
    if not isinstance(item, list) or len(item) != 3:
        return False
    frame, *others = item
    return isinstance(frame, float) and all(isinstance(x, (float, type(None))) for x in others)

"""The manifest of an output folder: what was made of what, shard by shard, and how far it is.

`manifest.json` lists the runs of `compress` that wrote to the folder. Of each it has the settings,
the shards with a hash of their pictures and labels, and the files with their sizes and hashes. By
it `--resume` knows what is left, `verify` what must be there, and a reader how many frames there
are without opening a file.

A manifest may come with data from anywhere, so what is read is checked, names above all, and what
it says of a file is never believed over the file.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, TypeAlias

from rinrcodec.errors import RinrError, RinrFormatError, reason
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.printing import printable
from rinrcodec.storage import files_below, read_file, size_in, text_of
from rinrcodec.storage.sealed import checked, seal, unseal
from rinrcodec.strict_json import parse_json

__all__ = [
    "MANIFEST",
    "CountedPack",
    "FileRecord",
    "Manifest",
    "RunEntry",
    "ShardEntry",
    "check_miss",
    "checked_record",
    "counted_packs",
    "is_run_key",
    "read_record",
]

MANIFEST = "manifest.json"
_KIND = "rinrcodec manifest"
_VERSION = 1
# A million files; parsing takes some ten times as much memory.
_MOST_BYTES = 2**28
_BLOCK = 1 << 20
_HEAD_BYTES, _SEAL_BYTES = 64, 128
_SHA256 = re.compile("[0-9a-f]{64}")
_RUN_KEY = re.compile("[0-9a-f]{24}")
_STATES = ("waiting", "done", "failed")
# Files that earlier runs wrote, by name, with what they may hold.
Replaced: TypeAlias = "dict[str, list[FileRecord]]"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The content of a file: its size in bytes and its SHA-256."""

    bytes: int
    sha256: str


def is_run_key(name: str) -> bool:
    """Return whether a text may be the key of a run, which is the name of its work folder, too."""
    return _RUN_KEY.fullmatch(name) is not None


def read_record(file: IO[bytes]) -> FileRecord:
    """Compute the record of an open file from its position to its end."""
    size, digest = 0, hashlib.sha256()
    while block := file.read(_BLOCK):
        size += len(block)
        digest.update(block)
    return FileRecord(size, digest.hexdigest())


@dataclass(slots=True)
class ShardEntry:
    """One shard: its number in its series, its pictures, and its state.

    stamps: a hash of names, sizes and times of its pictures and labels when the run began. inputs:
    a SHA-256 over their names and contents. files: by their names within the folder, one of all
    `frames` or one of each. state: waiting, done, or failed, where its workers died. unreadable,
    warned: how many failures and warnings there were; to show them, its pictures are read again.
    missed: the fields of a `Miss` for every target that some of its frames miss. unlabelled: how
    many of its frames are not `labelled`, None where only its files tell.
    """

    series: str
    number: int
    start: int
    count: int
    first: str
    last: str
    stamps: str
    state: Literal["waiting", "done", "failed"] = "waiting"
    frames: int = 0
    unreadable: int = 0
    inputs: str = ""
    files: dict[str, FileRecord] = field(default_factory=dict)
    warned: int = 0
    missed: list[dict[str, Any]] = field(default_factory=list)
    unlabelled: int | None = None

    @property
    def frames_of_a_file(self) -> int:
        """How many frames each of its files holds."""
        return self.frames if len(self.files) == 1 else 1


@dataclass(slots=True)
class RunEntry:
    """One run of `compress`.

    complete: all its shards are done and published. files: those that are of no shard, such as
    `data.yaml`. replaced: files of earlier runs and inputs, with all that they may hold; they go
    when the run is complete. Until then, any of them may have been replaced already.
    """

    key: str
    settings: dict[str, Any]
    shards: list[ShardEntry]
    complete: bool = False
    files: dict[str, FileRecord] = field(default_factory=dict)
    replaced: Replaced = field(default_factory=dict)

    @property
    def is_used(self) -> bool:
        """Whether any file of it may be there."""
        return self.complete or bool(self.all_files() or self.replaced)

    def all_files(self) -> dict[str, FileRecord]:
        """Return all files of the run, by their names within the folder."""
        shard_files = {
            name: record for shard in self.shards for name, record in shard.files.items()
        }
        return {**shard_files, **self.files}

    def known_files(self) -> Replaced:
        """Return every content that files of the run, and those it replaces, may have."""
        known = {name: list(records) for name, records in self.replaced.items()}
        for name, record in self.all_files().items():
            if record not in known.setdefault(name, []):
                known[name].append(record)
        return dict(sorted(known.items()))


class Manifest:
    """The runs of one folder, read from `path`; `data` is what it shall hold now."""

    def __init__(self, path: Path, *, on_damage: Callable[[str], None] | None = None) -> None:
        """Read the file, if there is one.

        on_damage: called with a message where the file is damaged, or of another release; it is
        taken for one without runs then. Without it, such a file is an error.

        Raises `RinrFormatError` where it is another program's, damaged or hostile, `RinrLimitError`
        where it is absurdly large, `OSError` where it cannot be read.
        """
        self.path = path
        self.runs: dict[str, RunEntry] = {}
        self.is_sealed = False
        try:
            text = read_file(path, most=_MOST_BYTES)
        except FileNotFoundError:
            return
        try:
            self.is_sealed = b'"sha256"' in text[-_SEAL_BYTES:].rpartition(b"]")[2]
            self.runs = _parse(unseal(text) if self.is_sealed else parse_json(text))
        except ValueError as error:
            # Else another program may need it.
            is_ours = not text.strip() or _KIND.encode() in text[:_HEAD_BYTES]
            if is_ours and on_damage is not None:
                on_damage(f"{path}: damaged, or of another release ({_first_line(error)})")
                return
            todo = "if it is another program's file, take another folder, else remove it"
            if is_ours:
                todo = "compress with `resume=True` makes another and fits what it does not find"
            raise RinrFormatError(
                f"{path}: not a manifest of this rinrcodec ({_first_line(error)}); {todo}"
            ) from error

    @property
    def folder(self) -> Path:
        """The folder that its names are relative to."""
        return self.path.parent

    def put(self, run: RunEntry) -> None:
        """Take in a run as it is now; others whose files it has replaced are forgotten."""
        replaced = run.all_files().keys()
        self.runs = {
            key: run if key == run.key else other
            for key, other in self.runs.items()
            if key == run.key or not replaced & other.all_files().keys()
        }
        self.runs.setdefault(run.key, run)

    def forget_unfinished(self) -> None:
        """Drop the runs of which nothing is there, as one is about to begin in their place."""
        self.runs = {key: run for key, run in self.runs.items() if run.is_used}

    def data(self) -> bytes:
        """Return the content of the file, as UTF-8."""
        runs = [asdict(run) for run in self.runs.values()]
        return seal({"kind": _KIND, "version": _VERSION, "runs": runs}, indent=1)


@dataclass(frozen=True, slots=True)
class CountedPack:
    """A pack of a folder, and how many frames it has, if a manifest says so; which one does.

    labelled: the manifest says that all its frames are `labelled`. listed: it was found in a
    folder, not named.
    """

    path: Path
    n_frames: int | None = None
    manifest: Path | None = None
    labelled: bool = False
    listed: bool = False


def counted_packs(folder: Path, *, limits: Limits = DEFAULT_LIMITS) -> list[CountedPack]:
    """Return the packs in a folder and below it, and what manifests know of them.

    They are sorted by path as text.

    Takes one listing of the folder and reads the manifests in it, below it or right above it, but
    no pack. What a complete run lists is counted, where the file has the size that it says. A
    manifest that claims more frames than `limits` allow, or that is without its SHA-256, counts
    nothing; nor does a damaged one, which is a warning. So are packs that one lists and that are
    not there.
    """
    unlisted: list[OSError] = []
    files = files_below(folder, unlisted=unlisted)
    for error in unlisted:
        warnings.warn(
            printable(f"left out: {reason(Path(error.filename), error)}"),
            stacklevel=4,  # the caller that makes a data set
        )
    manifests = [path for path, _ in files if path.name == MANIFEST]
    if folder / MANIFEST not in manifests:
        manifests.append(folder.parent / MANIFEST)
    counts: dict[str, _Count] = {}
    damaged: list[str] = []
    # The manifest that is nearest to a file comes last, and counts.
    for path in sorted(manifests, key=lambda path: len(path.parts)):
        counts.update(_counts(path, limits, damaged.append))
    if damaged:
        warnings.warn(
            printable(
                f"{damaged[0]}; it is not used, and frames are counted in the files themselves"
            ),
            stacklevel=4,  # the caller that makes a data set
        )
    start = _start_of(folder)
    there = {text_of(path) for path, _ in files}
    # A listing has no hidden files.
    gone = sorted(
        text
        for text in counts
        if text.startswith(start)
        and text not in there
        and not any(part.startswith(".") for part in text.removeprefix(start).split("/"))
    )
    if gone:
        more = f" and {len(gone) - 1:,} more" if len(gone) > 1 else ""
        warnings.warn(
            printable(
                f"{gone[0]}{more}: not there, although {counts[gone[0]].manifest} lists it; "
                "rinrcodec verify says what is missing"
            ),
            stacklevel=4,  # the caller that makes a data set
        )
    packs = []
    for path, stamp in files:
        if path.suffix.lower() != ".rinr":
            continue
        count = counts.get(text_of(path))
        if count is not None and stamp and size_in(stamp) == count.bytes:
            packs.append(
                CountedPack(path, count.n_frames, count.manifest, count.labelled, listed=True)
            )
        else:
            packs.append(CountedPack(path, listed=True))
    return packs


class _Count(NamedTuple):
    """The size of a file, its frames, who says so, and whether all frames are `labelled`."""

    bytes: int
    n_frames: int
    manifest: Path
    labelled: bool


def _counts(
    path: Path, limits: Limits, on_damage: Callable[[str], None]
) -> Iterator[tuple[str, _Count]]:
    """Yield the files of the complete runs of a manifest, by their whole names."""
    try:
        manifest = Manifest(path, on_damage=on_damage)
    except RinrError:
        return
    except OSError as error:
        warnings.warn(
            printable(f"{reason(path, error)}; frames are counted in the files themselves"),
            stacklevel=5,
        )
        return
    if not manifest.is_sealed:  # its counts may have been changed since
        return
    start = _start_of(manifest.folder)
    for run in manifest.runs.values():
        for shard in run.shards if run.complete else ():
            n_frames = shard.frames_of_a_file
            if n_frames <= limits.max_frames:
                for name, record in shard.files.items():
                    labelled = shard.unlabelled == 0
                    yield start + name, _Count(record.bytes, n_frames, path, labelled)


def _start_of(folder: Path) -> str:
    """Return the text with which the names of all files in and below a folder begin."""
    text = text_of(folder).rstrip("/")
    return "" if text == "." else f"{text}/"


def _parse(data: Any) -> dict[str, RunEntry]:
    if not isinstance(data, dict) or "kind" not in data or "version" not in data:
        raise ValueError(f"it begins with {str(data)[:60]!r}")
    if (data["kind"], data["version"]) != (_KIND, _VERSION):
        raise ValueError(f"{str(data['kind'])[:60]!r}, version {str(data['version'])[:20]}")
    whole = checked(data, kind=str, version=int, runs=list)
    runs = [_run(run) for run in whole["runs"]]
    names: set[str] = set()
    for run in runs:
        for files in (*(shard.files for shard in run.shards), run.files):
            for name in files:
                if name in names:
                    raise ValueError(f"it lists {name[:100]!r} twice")
                names.add(name)
    if len({run.key for run in runs}) < len(runs):
        raise ValueError("two of its runs have one key")
    return {run.key: run for run in runs}


def _run(data: Any) -> RunEntry:
    listed = isinstance(data, dict) and isinstance(data.get("replaced", []), list)
    run = checked(
        _with_defaults(data, replaced=[]),
        key=str,
        settings=dict,
        shards=list,
        complete=bool,
        files=dict,
        replaced=list if listed else dict,
    )
    if not is_run_key(run["key"]):
        raise ValueError(f"the key of a run is {run['key'][:60]!r}")
    shards = [_shard(item) for item in run["shards"]]
    complete = run["complete"] and all(shard.state == "done" for shard in shards)
    # Earlier code listed names alone. Of such files nobody knows what they held, so they stay.
    replaced = run["replaced"]
    known: Replaced = {}
    for name, records in ((name, []) for name in replaced) if listed else replaced.items():
        _check_inside(name)
        if not isinstance(records, list):
            raise ValueError(f"replaced: {name[:100]!r} is {str(records)[:60]!r}")
        known[name] = [checked_record(record) for record in records]
    files = _files(run["files"])
    return RunEntry(run["key"], run["settings"], shards, complete, files, known)


def _shard(data: Any) -> ShardEntry:
    known = isinstance(data, dict) and data.get("unlabelled") is not None
    item = checked(
        _with_defaults(data, warned=0, missed=[], unlabelled=None),
        series=str,
        number=int,
        start=int,
        count=int,
        first=str,
        last=str,
        stamps=str,
        state=str,
        frames=int,
        unreadable=int,
        inputs=str,
        files=dict,
        warned=int,
        missed=list,
        unlabelled=int if known else type(None),
    )
    for miss in item["missed"]:
        check_miss(miss)
    shard = ShardEntry(**{**item, "files": _files(item["files"])})
    if shard.state not in _STATES:
        raise ValueError(f"a shard is {shard.state!r}"[:100])
    if shard.files and (shard.frames == 0 or len(shard.files) not in (1, shard.frames)):
        raise ValueError(f"a shard has {shard.frames:,} frames in {len(shard.files):,} files")
    return shard


def _files(data: dict[str, Any]) -> dict[str, FileRecord]:
    files = {}
    for name, value in data.items():
        _check_inside(name)
        files[name] = checked_record(value)
    return files


def checked_record(data: Any) -> FileRecord:
    """Return the record of a JSON object; raise `ValueError` for anything else."""
    record = FileRecord(**checked(data, bytes=int, sha256=str))
    if not _SHA256.fullmatch(record.sha256):
        raise ValueError(f"the SHA-256 of a file is {record.sha256[:100]!r}")
    return record


def _with_defaults(data: Any, **defaults: Any) -> Any:
    """Return a JSON object with the keys that earlier code did not write."""
    return {**defaults, **data} if isinstance(data, dict) else data


def check_miss(data: Any) -> None:
    """Raise `ValueError` unless these are the fields of a `Miss`."""
    numbers = {"wanted", "reached"}
    rest = {name: data[name] for name in data.keys() - numbers} if isinstance(data, dict) else {}
    checked(rest, field=str, frames=int, name=str)
    for name in numbers:
        value = data.get(name)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError(f"{name} of a missed target is {str(value)[:60]!r}")


def _check_inside(name: str) -> None:
    """Raise `ValueError` unless it names a file below a folder, in the one way there is."""
    if not isinstance(name, str):
        raise ValueError(f"{str(name)[:100]!r} is no name of a file")
    wrong = "\0" in name or not {"", ".", ".."}.isdisjoint(name.split("/"))
    if wrong or (os.sep != "/" and (os.sep in name or ":" in name)):
        raise ValueError(f"{name[:100]!r} is no name of a file in its folder")


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"

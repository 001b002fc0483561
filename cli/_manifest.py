"""The manifest of an output folder: what was made of what, shard by shard, and how far it is.

`manifest.json` lists the runs of `compress` that wrote to the folder. Of each it has the settings,
the shards with a hash of their pictures and labels, and the files with their sizes and hashes. By
it `--resume` knows what is left, `verify` what must be there, and a reader how many frames there
are without opening a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rinrcodec.cli._files import FileRecord, json_text
from rinrcodec.errors import RinrFormatError
from rinrcodec.storage import read_file

__all__ = ["MANIFEST", "Manifest", "RunEntry", "ShardEntry", "differences"]

MANIFEST = "manifest.json"
_KIND = "rinrcodec manifest"
_VERSION = 1


@dataclass(slots=True)
class ShardEntry:
    """One shard: its place in its series, its pictures, and what came of it.

    stamps: a hash of names, sizes and times of its pictures and labels when the run began. inputs:
    a SHA-256 over those of their contents. files: by their names within the folder. state: waiting,
    done, or failed, where its workers died.
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


@dataclass(slots=True)
class RunEntry:
    """One run of `compress`. files: those that are of no shard, such as `data.yaml`."""

    key: str
    settings: dict[str, Any]
    shards: list[ShardEntry]
    complete: bool = False
    files: dict[str, FileRecord] = field(default_factory=dict)

    def all_files(self) -> dict[str, FileRecord]:
        """All files of the run, by their names within the folder."""
        found = {name: record for shard in self.shards for name, record in shard.files.items()}
        return {**found, **self.files}


class Manifest:
    """The runs of one folder, read from `path`; `data` is what it shall hold now."""

    def __init__(self, path: Path) -> None:
        """Read the file, if there is one; raises `RinrFormatError` where it is another's."""
        self.path = path
        self.runs: dict[str, RunEntry] = {}
        try:
            text = read_file(path)
        except FileNotFoundError:
            return
        try:
            data = json.loads(text)
            if data["kind"] != _KIND or data["version"] != _VERSION:
                raise ValueError(f"{data['kind']}, version {data['version']}")
            self.runs = {run["key"]: _run(run) for run in data["runs"]}
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise RinrFormatError(
                f"{path}: not a manifest of this rinrcodec ({type(error).__name__}: {error}); "
                "if it is another program's file, take another folder, else remove it"
            ) from error

    def put(self, run: RunEntry) -> None:
        """Take in a run as it is now; others whose files it has replaced are forgotten."""
        replaced = run.all_files().keys()
        self.runs = {
            key: other
            for key, other in self.runs.items()
            if key != run.key and not replaced & other.all_files().keys()
        }
        self.runs[run.key] = run

    def forget_unfinished(self) -> None:
        """Drop the runs that are not complete, as one is about to begin in their place."""
        self.runs = {key: run for key, run in self.runs.items() if run.complete}

    def data(self) -> bytes:
        """The file, as UTF-8."""
        runs = [asdict(run) for run in self.runs.values()]
        return json_text({"kind": _KIND, "version": _VERSION, "runs": runs}).encode()


def differences(before: RunEntry, now: RunEntry) -> str:
    """What sets a run apart from an earlier one, for people."""
    for name in now.settings.keys() | before.settings.keys():
        then, here = before.settings.get(name), now.settings.get(name)
        if then != here and name != "recipe":
            return f"{name} was {json.dumps(then)} and is {json.dumps(here)}"
    sizes = [_pictures(run.shards) for run in (before, now)]
    for name in sizes[0].keys() | sizes[1].keys():
        then, here = sizes[0].get(name, 0), sizes[1].get(name, 0)
        if then != here:
            return f"{name} had {then:,} pictures and has {here:,}"
    for old, new in zip(before.shards, now.shards, strict=False):
        if old.stamps != new.stamps:
            return f"pictures or labels changed between {new.first} and {new.last} of {new.series}"
    return "the code of rinrcodec changed"


def _pictures(shards: Iterable[ShardEntry]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for shard in shards:
        counts[shard.series] = counts.get(shard.series, 0) + shard.count
    return counts


def _run(data: Mapping[str, Any]) -> RunEntry:
    shards = [ShardEntry(**{**item, "files": _files(item["files"])}) for item in data["shards"]]
    return RunEntry(**{**data, "shards": shards, "files": _files(data["files"])})


def _files(data: Mapping[str, Any]) -> dict[str, FileRecord]:
    return {name: FileRecord(**record) for name, record in data.items()}

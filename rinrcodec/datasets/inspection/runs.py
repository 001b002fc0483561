"""The runs in manifests: as JSON, and as messages about those that are not complete."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rinrcodec.datasets.manifest import MANIFEST, Manifest, RunEntry, ShardEntry
from rinrcodec.errors import RinrError, reason
from rinrcodec.printing import count, printable
from rinrcodec.storage import file_or_folder, files_below, size_in, text_of

__all__ = [
    "by_manifest",
    "folder_as_json",
    "missing",
    "missing_packs",
    "read_manifests",
    "run_as_json",
    "unfinished",
]

_SUMMED = ("shards", "done", "failed", "frames", "unreadable", "files", "bytes")


def read_manifests(source: Path) -> tuple[list[Manifest], dict[str, str]]:
    """Read the manifests of a folder and of all below it, or of the folder of a data yaml.

    Gives those that have runs, outer ones first, and what is wrong with others, by name.
    """
    manifests, bad = [], {}
    for path in _manifest_paths(source):
        try:
            manifest = Manifest(path)
        except (RinrError, OSError) as error:
            bad[str(path)] = reason(path, error)
            continue
        if manifest.runs:
            manifests.append(manifest)
    return manifests, bad


def missing_packs(source: Path, packs: Iterable[Path]) -> tuple[list[str], list[str]]:
    """List what manifests record of a source and is missing, and the other problems they show.

    source: a folder, or a data yaml. packs: those of it that are there. Gives a message for each
    pack, and one for each run that is not complete and each manifest that cannot be used.
    """
    manifests, unusable = read_manifests(source)
    notes = list(unusable.values())
    inside = ""
    if file_or_folder(source) == "folder" and not manifests:  # it may be a split
        above, _ = read_manifests(source.parent / "data.yaml")
        manifests, inside = above, f"{source.name}/"
    there = {text_of(pack) for pack in packs}
    lost = []
    for manifest in manifests:
        if not inside:
            notes += unfinished(manifest)
        names = (name for run in manifest.runs.values() for name in run.all_files())
        for name in sorted(names):
            path = manifest.folder / name
            if not name.startswith(inside) or path.suffix.lower() != ".rinr":
                continue
            if text_of(path) not in there and file_or_folder(path) != "file":
                lost.append(missing(path, manifest.path))
    return lost, notes


def missing(path: Path, manifest: Path) -> str:
    """Return the message about a file that a manifest lists and that is not there."""
    return (
        f"{printable(str(path))}: it is missing, and {manifest} lists it; "
        "fetch it again, or make it again by the same compress with `resume=True`"
    )


def _manifest_paths(source: Path) -> list[Path]:
    if file_or_folder(source) == "folder":
        files = files_below(source, unlisted=[])  # `find_packs` reports them
        paths = [path for path, _ in files if path.name == MANIFEST]
        return sorted(paths, key=lambda path: len(path.parts))
    return [source.parent / MANIFEST] if source.suffix.lower() in {".yaml", ".yml"} else []


def unfinished(manifest: Manifest) -> list[str]:
    """Return a message for every incomplete run: what is missing, and what to do."""
    return [
        f"{manifest.folder}: {_state(run)}" for run in manifest.runs.values() if not run.complete
    ]


def run_as_json(manifest: Manifest, run: RunEntry) -> dict[str, Any]:
    """Return a run and its progress: `frames`, `files` and `bytes` are those of its series."""
    series = [_series_as_json(shards) for shards in _by_series(run)]
    return {
        "manifest": str(manifest.path),
        "key": run.key,
        "complete": run.complete,
        "settings": run.settings,
        "series": series,
        **_sums(series),
    }


def by_manifest(
    manifests: Sequence[Manifest], packs: Iterable[Path]
) -> tuple[dict[str, list[Path]], list[Path]]:
    """Sort packs by the path of the nearest manifest above them; also return those without."""
    inside: dict[str, list[Path]] = {str(manifest.path): [] for manifest in manifests}
    folders = {text_of(manifest.folder): str(manifest.path) for manifest in manifests}
    outside: list[Path] = []
    for pack in packs:
        above = (folders.get(text_of(folder)) for folder in pack.parents)
        path = next(filter(None, above), None)
        (outside if path is None else inside[path]).append(pack)
    return inside, outside


def folder_as_json(manifest: Manifest, packs: Iterable[Path]) -> dict[str, Any]:
    """Describe what the runs of a folder made, from its manifest and a listing; open no pack.

    packs: those that are there. absent: how many files of the runs are not there, or have another
    size. unlisted: how many packs are of no run.
    """
    runs = [run_as_json(manifest, one) for one in manifest.runs.values()]
    there = {str(path): stamp for path, stamp in files_below(manifest.folder)}
    listed: set[str] = set()
    absent = 0
    for run in manifest.runs.values():
        for name, record in run.all_files().items():
            path = str(manifest.folder / name)
            listed.add(path)
            # A listing passes over what is hidden.
            hidden = "/." in f"/{name}"
            stamp = there.get(path, "")
            absent += not hidden and not (stamp and size_in(stamp) == record.bytes)
    return {
        "folder": str(manifest.folder),
        "complete": all(one["complete"] for one in runs),
        **_sums(runs),
        "absent": absent,
        "unlisted": sum(str(pack) not in listed for pack in packs),
        "runs": runs,
    }


def _state(run: RunEntry) -> str:
    failed = [shard for shard in run.shards if shard.state == "failed"]
    left = [shard for shard in run.shards if shard.state == "waiting"]
    if failed and not left:
        first = failed[0]
        more = f" and {len(failed) - 1:,} more" if len(failed) > 1 else ""
        return (
            f"shard {first.number} of {printable(first.series)} ({printable(first.first)} "
            f"to {printable(first.last)}){more} failed; "
            "the same compress command with `resume=True` tries again"
        )
    done = len(run.shards) - len(left) - len(failed)
    return (
        f"a run is not finished, {done:,} of {count(len(run.shards), 'shard')} "
        f"{'is' if done == 1 else 'are'} done; "
        "the same compress command with `resume=True` continues"
    )


def _by_series(run: RunEntry) -> list[list[ShardEntry]]:
    series: dict[str, list[ShardEntry]] = {}
    for shard in run.shards:
        series.setdefault(shard.series, []).append(shard)
    return list(series.values())


def _series_as_json(shards: Sequence[ShardEntry]) -> dict[str, Any]:
    return {
        "name": shards[0].series,
        "shards": len(shards),
        "done": sum(shard.state == "done" for shard in shards),
        "failed": sum(shard.state == "failed" for shard in shards),
        "frames": sum(shard.frames for shard in shards),
        "unreadable": sum(shard.unreadable for shard in shards),
        "files": sum(len(shard.files) for shard in shards),
        "bytes": sum(record.bytes for shard in shards for record in shard.files.values()),
    }


def _sums(items: Sequence[dict[str, Any]]) -> dict[str, int]:
    return {key: sum(item[key] for item in items) for key in _SUMMED}

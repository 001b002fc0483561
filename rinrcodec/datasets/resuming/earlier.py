"""The earlier run of a manifest that `--resume` continues, and how it differs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rinrcodec.datasets.manifest import Manifest, RunEntry, ShardEntry
from rinrcodec.errors import RinrError, RinrMemoryError
from rinrcodec.formats import PackReader
from rinrcodec.labels.info import differing_class, names_by_id
from rinrcodec.limits import Limits
from rinrcodec.sources.source import Source

__all__ = [
    "differences",
    "earlier_run",
    "other_names",
    "other_series",
    "series_of",
    "shares_pictures",
    "take_over",
]

_SHOWN = 60  # characters of a setting
_SHOWN_SERIES = 5
_MOST = 8  # differences
# Settings that are keywords of `compress`, and so are written like them.
_KEYWORDS = (
    *("background", "depth_range", "device", "formats", "gop", "layout", "max_pixels", "objects"),
    *("preset", "seed", "shard_size", "shrink", "soften", "steps"),
)


def earlier_run(known: Mapping[str, RunEntry], now: RunEntry) -> RunEntry | None:
    """Return the run with the same settings and a series of the same name, or None."""
    same = [
        run
        for run in known.values()
        if not _changed(run.settings, now.settings) and series_of(run) & series_of(now)
    ]
    # Where --overwrite was interrupted, there are two.
    same.sort(key=lambda run: (run.key != now.key, run.complete))
    return same[0] if same else None


def series_of(run: RunEntry) -> set[str]:
    """Return the names of the series of a run."""
    return {shard.series for shard in run.shards}


def other_series(manifest: Manifest, entry: RunEntry) -> str:
    """Name the series of the runs that are in the output already, but not of a new run."""
    used = [series_of(run) for run in manifest.runs.values() if run.is_used]
    names = sorted(set().union(*used) - series_of(entry))
    return ", ".join([*names[:_SHOWN_SERIES], *(["..."] if len(names) > _SHOWN_SERIES else [])])


def other_names(folder: Path, known: Iterable[RunEntry], now: RunEntry) -> list[str]:
    """Return at most one message about earlier packs that name a class differently.

    Runs over series of the same name are left out: their packs are replaced.
    """
    mine = names_by_id(now.settings.get("names"))
    for run in known:
        if not run.is_used or series_of(run) & series_of(now):
            continue
        names = names_by_id(run.settings.get("names"))
        number = differing_class(mine, names)
        if number is not None:
            return [
                f"{folder}: class {number} is {mine[number]!r}, and {names[number]!r} in the packs "
                f"of {', '.join(sorted(series_of(run)))} that are there; to train on all of them, "
                "merge the label files and compress again (docs/labels.md)"
            ]
    return []


def take_over(manifest: Manifest, entry: RunEntry) -> None:
    """Take the place of earlier runs over the same series: their files go when this is complete."""
    for run in list(manifest.runs.values()):
        if run.key == entry.key or series_of(run) & series_of(entry):
            for name, records in run.known_files().items():
                entry.replaced.setdefault(name, []).extend(records)
            del manifest.runs[run.key]


def differences(before: RunEntry, now: RunEntry) -> str:
    """Describe all options that differ between two runs."""
    said = []
    for name in _changed(before.settings, now.settings):
        old, new = before.settings.get(name), now.settings.get(name)
        if name == "recipe":
            continue
        if isinstance(old or {}, dict) and isinstance(new or {}, dict):
            old, new = old or {}, new or {}
            said += [_changes(f"{name}.{key}", old, new, key) for key in _changed(old, new)]
        else:
            said.append(_changes(name, before.settings, now.settings, name))
    if len(said) > _MOST:
        said[_MOST:] = [f"and {len(said) - _MOST} more"]
    return "; ".join(said) or "the code of rinrcodec changed"


def _changes(name: str, before: Mapping[str, Any], now: Mapping[str, Any], key: str) -> str:
    """Describe how one setting changed."""
    is_option = name in _KEYWORDS or name.startswith("target.")
    shown = f"`{name}`" if is_option else name
    return f"{shown} was {_shown(before.get(key))} and is {_shown(now.get(key))}"


def shares_pictures(source: Source, folder: Path, before: RunEntry, limits: Limits) -> bool:
    """Return whether an earlier run has a picture with the name of one in the source.

    Another folder may have the same name and settings; its pictures must not replace those. Packs
    are opened within the limits of the run.
    """
    names = {ref.name for series in source.series for ref in series.refs}
    mine = {series.name for series in source.series}
    shards = [shard for shard in before.shards if shard.series in mine]
    if not names:  # frames of a video have numbers alone
        return any(shard.first.startswith("frame ") for shard in shards)
    if any(shard.first in names or shard.last in names for shard in shards):
        return True
    return any(not names.isdisjoint(_names_in(folder, shard, limits)) for shard in shards)


def _names_in(folder: Path, shard: ShardEntry, limits: Limits) -> Iterable[str]:
    for name in shard.files:
        try:
            with PackReader(folder / name, limits=limits) as reader:
                yield from reader.names()
        except RinrMemoryError:
            raise
        except (RinrError, OSError):  # it is lost
            continue


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List the settings that differ; one that an earlier version did not have is None."""
    return [
        name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)
    ]


def _shown(value: object) -> str:
    if value is None:
        return "not given"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

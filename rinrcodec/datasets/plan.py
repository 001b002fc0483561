"""Where `compress` writes, and whether anything is there already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rinrcodec.datasets.manifest import MANIFEST, Manifest, RunEntry
from rinrcodec.datasets.names import WORK, file_suffix, fit_name, output_names, safe_name
from rinrcodec.datasets.resuming.earlier import differences, series_of, shares_pictures
from rinrcodec.datasets.resuming.published import Published
from rinrcodec.datasets.work_folder import unfinished_runs
from rinrcodec.errors import RinrUsageError
from rinrcodec.sources.source import Series, Source
from rinrcodec.storage import (
    file_or_folder,
    files_below,
    names_in,
    remove_tree,
    storage_of,
)
from rinrcodec.storage.own_paths import obstacle

__all__ = ["Plan", "check_name", "check_output", "make_plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The output of one run.

    folder: what is named relative to it. single: the one file to write, if OUT is a `.rinr` file.
    work: where fitted parts wait to be merged. shard_size: frames per pack, 0 for all in one.
    """

    source: Source
    layout: Literal["pack", "files"]
    folder: Path
    single: Path | None
    work: Path
    shard_size: int

    @property
    def manifest(self) -> Path | None:
        """The list of what was made here; one image needs none."""
        if self.source.kind == "image":
            return None
        if self.single is not None:
            return self.folder / fit_name(f".{self.single.name}.rinr-{MANIFEST}")
        return self.folder / MANIFEST

    @property
    def data_yaml(self) -> Path | None:
        """The yaml that describes the output, where the source is one."""
        return self.folder / "data.yaml" if self.source.kind == "yaml" else None

    def series_folder(self, series: Series) -> Path:
        """Return the folder for the files of one series: a split of a yaml has its own."""
        return self.folder / series.name if self.source.kind == "yaml" else self.folder

    def pack_path(self, series: Series, number: int) -> Path:
        """Return the file of pack number `number` (from 0) of a series."""
        if self.single is not None:
            return self.single
        stem = safe_name(series.name)
        name = f"{stem}-{number:05d}" if self.source.kind != "image" else stem
        return self.series_folder(series) / fit_name(f"{name}.rinr")

    def file_paths(self, series: Series, names: list[str]) -> list[Path]:
        """Return the files of a series, one per frame, for layout `files`."""
        folder = self.series_folder(series)
        return [folder / name for name in output_names(names, ".rinr")]

    def existing_packs(self, series: Series) -> list[Path]:
        """Return the packs of a series that exist, of this run or of an earlier one."""
        if self.single is not None or self.source.kind == "image":
            path = self.pack_path(series, 0)
            return [path] if file_or_folder(path) else []
        folder, prefix = self.series_folder(series), f"{safe_name(series.name)}-"
        return [
            folder / name
            for name in names_in(folder)
            if name.endswith(".rinr")
            and name.startswith(prefix)
            and name[len(prefix) : -len(".rinr")].isdigit()
        ]

    def existing(self) -> Iterator[Path]:
        """Yield all outputs that exist already."""
        if self.data_yaml is not None and file_or_folder(self.data_yaml):
            yield self.data_yaml
        for series in self.source.series:
            if self.layout == "pack":
                yield from self.existing_packs(series)
            elif series.video is not None:
                yield from sorted((self.series_folder(series) / series.name).glob("*.rinr"))
            else:
                paths = self.file_paths(series, [ref.name for ref in series.refs])
                there = {path.as_posix() for path, _ in files_below(self.series_folder(series))}
                yield from (path for path in paths if path.as_posix() in there)

    def targets(self) -> Iterator[Path]:
        """Yield all files that a run writes, as far as their names are known before it."""
        yield from filter(None, (self.manifest, self.data_yaml))
        for series in self.source.series:
            if self.layout == "pack":
                n_packs = -(-len(series) // self.shard_size) if self.shard_size else 1
                yield from (self.pack_path(series, number) for number in range(max(1, n_packs)))
            elif series.video is None:
                yield from self.file_paths(series, [ref.name for ref in series.refs])


def check_name(out: Path) -> None:
    """Raise `RinrUsageError` where OUT has the name of a file that is no pack, such as `x.zip`."""
    suffix = file_suffix(out)
    if suffix:
        raise RinrUsageError(
            f"{out}: compress writes .rinr files, not {suffix}; give a folder with `out`, or "
            f"{out.with_suffix('.rinr')} for one file"
        )


def make_plan(
    source: Source, out: Path, *, layout: Literal["pack", "files"], shard_size: int
) -> Plan:
    """Decide where the output of `source` goes; raise `RinrUsageError` if it cannot go."""
    kind = file_or_folder(out)
    if out.suffix.lower() == ".rinr" and kind != "folder":
        if source.kind == "yaml" or (layout == "files" and source.kind != "image"):
            raise RinrUsageError(f"{out}: a single file cannot hold this; give a folder with `out`")
        work = out.parent / fit_name(f".{out.name}.rinr-work")
        return Plan(source, "pack", out.parent, out, work, 0)
    if kind == "file":
        raise RinrUsageError(f"{out}: there is a file where the output folder should be")
    if source.kind == "yaml" and storage_of(out).is_same(out, source.path.parent):
        # The output's data.yaml and split folders would mix with the source's own.
        raise RinrUsageError(f"{out}: the source itself is there; give another folder")
    if source.kind == "image":
        layout = "pack"
    plan = Plan(source, layout, out, None, out / WORK, shard_size)
    if source.kind != "image":
        _refuse_mixing(plan)
    return plan


def _refuse_mixing(plan: Plan) -> None:
    """Raise `RinrUsageError` where packs would be among the pictures of the source."""
    top = [plan.source.path] if plan.source.kind == "folder" else []
    for series in plan.source.series:
        folder = plan.series_folder(series)
        of_pictures = dict.fromkeys([*top, *(ref.path.parent for ref in series.refs)])
        if any(storage_of(folder).is_same(folder, other) for other in of_pictures):
            raise RinrUsageError(
                f"{folder}: pictures of the source are there, and packs would mix with them; give "
                "another folder with `out`"
            )


def check_output(
    plan: Plan,
    run: RunEntry,
    manifest: Manifest | None,
    before: RunEntry | None,
    published: Published,
    *,
    resume: bool,
    overwrite: bool,
) -> None:
    """Raise `RinrUsageError` where output is in the way, or links are in the output.

    run: what is to be done; its key names its folder below `plan.work`. manifest: None for one
    image. before: the run that it resumes, with the same key. published: the files that are there,
    of which `overwrite` replaces those that an earlier run wrote.
    """
    for path in plan.targets():
        problem = obstacle(path, plan.folder)
        if problem is not None:
            raise RinrUsageError(problem)
    if overwrite:
        published.check(plan.existing())
        return
    known = manifest.runs if manifest else {}
    runs = []
    for key in unfinished_runs(plan.work):
        if key in known and known[key].complete:  # it was killed while it removed its folder
            remove_tree(plan.work / key)
        else:
            runs.append(key)
    where = plan.single or plan.folder
    is_continued = before is not None and (run.key in runs or before.is_used)
    if (
        before
        and is_continued
        and not shares_pictures(plan.source, plan.folder, before, published.limits)
    ):
        first = before.shards[0]
        raise RinrUsageError(
            f"{where} holds another run: it has the same settings and the same name "
            f"{first.series}, but other pictures ({first.first} to {before.shards[-1].last}). "
            "Give another `out` to keep both, or `overwrite=True` to replace it."
        )
    if resume and run.key in runs:
        return
    if runs:
        other = known.get(runs[0])
        if not resume:
            raise RinrUsageError(
                f"{plan.folder} holds an unfinished run; `resume=True` continues it, "
                "`overwrite=True` starts again"
            )
        raise RinrUsageError(
            f"{plan.folder} holds an unfinished run with other options{_why(other, run)}. "
            "Give the same options to continue it, or `overwrite=True` to start again."
        )
    if before and before.is_used:
        return
    existing = list(plan.existing())
    if existing and resume and published.is_blind:  # what they are is found out by fitting
        return
    published.check(existing[:1])  # --overwrite replaces only what a manifest lists
    if existing and resume and plan.manifest:
        overlap = (old for old in known.values() if series_of(old) & series_of(run))
        other = next(overlap, None)
        raise RinrUsageError(
            f"{where} holds the output of another run{_why(other, run)}. Give the same options to "
            "keep its packs, or `overwrite=True` to replace them."
        )
    if existing:
        raise RinrUsageError(
            f"{existing[0]}{_more(existing)} already there; `overwrite=True` replaces it"
        )


def _why(before: RunEntry | None, now: RunEntry) -> str:
    if before is None:
        return ""
    if not series_of(before) & series_of(now):
        return f" (of {', '.join(sorted(series_of(before)))})"
    return f" ({differences(before, now)})"


def _more(files: list[Path]) -> str:
    return f" and {len(files) - 1} more are" if len(files) > 1 else " is"

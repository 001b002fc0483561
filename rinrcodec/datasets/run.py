"""One run of `compress`: its shards are fitted by an executor, then published together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rinrcodec.datasets.executors.local import TRIES, Watch, fit_here, fit_in_processes
from rinrcodec.datasets.fitter import Fitter
from rinrcodec.datasets.manifest import Manifest, RunEntry
from rinrcodec.datasets.options import Executor
from rinrcodec.datasets.plan import Plan, lost_files
from rinrcodec.datasets.progress import OnProgress, Progress
from rinrcodec.datasets.publish import publish_series, publish_yaml
from rinrcodec.datasets.shards import Shard
from rinrcodec.datasets.summary import SeriesSummary, summarise
from rinrcodec.datasets.work_folder import FittedPart, FittedShard
from rinrcodec.errors import RinrInputError
from rinrcodec.storage import remove_file, size_of

__all__ = ["Run"]

# How often the manifest says how far a run is; to write it after every shard would take long.
SAVE_S = 5.0


class Run:
    """Fits and publishes; `failures` has a message for every shard that failed."""

    def __init__(
        self,
        plan: Plan,
        shards: Sequence[Shard],
        entry: RunEntry,
        manifest: Manifest | None,
        fitter: Fitter,
        check_lock: Callable[[], None],
        *,
        resume: bool,
        overwrite: bool,
    ) -> None:
        self.failures: list[str] = []
        self._plan = plan
        self._entries = dict(zip(shards, entry.shards, strict=True))
        self._entry = entry
        self._manifest = manifest
        self._fitter = fitter
        self._check_lock = check_lock
        self._overwrite = overwrite
        self._work = fitter.work
        self._fitted: dict[Shard, FittedShard] = {}
        self._kept: set[Shard] = set()
        # The manifest's entry of this run, if it has published files already.
        known = manifest.runs.get(entry.key) if manifest and resume else None
        self._before = known if known and known.all_files() else None
        self._saved = 0.0
        self.is_complete = False  # and the manifest says so

    def fit(
        self,
        executor: Executor,
        *,
        jobs: int | None,
        devices: Sequence[str],
        address: str | None,
        on_progress: OnProgress,
    ) -> None:
        """Fit what is not fitted yet; a shard that kills its workers is a failure."""
        if self._manifest:
            self._manifest.forget_unfinished()
        for shard, pack_waits in self._work.done(list(self._entries)).items():
            self._take(shard)
            if not pack_waits:
                self._drop_if_lost(shard)
        self._keep()
        self._save()
        there = self._fitted.keys() | self._kept
        todo = [shard for shard in self._entries if shard not in there]
        total = sum(shard.count for shard in self._entries)

        def report(done: float, label: str) -> None:
            # A video may hold more frames than it declares.
            on_progress(Progress("fitting", min(done, total), total, label))

        watch = Watch(report, self._done)
        watch.n_done = total - sum(shard.count for shard in todo)
        report(watch.n_done, "")
        if executor == "ray" and todo:
            from rinrcodec.datasets.executors.ray import fit_on_ray

            fit_on_ray(self._fitter, todo, watch, address=address, jobs=jobs)
        else:
            self._fit_locally(todo, watch, jobs or len(devices), devices)
        for shard in watch.died:
            self._entries[shard].state = "failed"
            self.failures.append(
                f"{shard.label}: the process that fitted it died {TRIES} times, "
                "of too little memory perhaps; --resume tries it again"
            )

    def _fit_locally(
        self, todo: Sequence[Shard], watch: Watch, jobs: int, devices: Sequence[str]
    ) -> None:
        jobs = min(jobs, len(todo))
        if jobs <= 1 and len(devices) == 1:
            fit_here(self._fitter, todo, watch)
        elif todo:
            import torch

            threads = max(1, torch.get_num_threads() // jobs)
            each = [devices[i % len(devices)] for i in range(jobs)]
            fit_in_processes(self._fitter, todo, watch, devices=each, threads=threads)

    def _done(self, shard: Shard) -> None:
        self._take(shard)
        if shard not in self._fitted:
            raise RinrInputError(
                f"{shard.label} was fitted, but its result is not visible here: give -o a "
                "folder or URL that is the same for all processes and machines"
            )
        if time.monotonic() - self._saved > SAVE_S:
            self._save()

    def _take(self, shard: Shard) -> None:
        """Note what came of a shard, if it is done."""
        known = self._work.fitted(shard)
        if known is None:
            return
        self._fitted[shard] = known
        entry = self._entries[shard]
        entry.state = "done"
        entry.inputs = known.inputs
        entry.frames = sum(len(part.names) for part in known.parts)
        entry.unreadable = sum(len(part.failures) for part in known.parts)

    def _drop_if_lost(self, shard: Shard) -> None:
        """Forget a shard whose pack was published before the run ended early, and is lost since."""
        pack = self._fitted[shard].pack
        if pack and size_of(self._plan.pack_path(shard.series, shard.number)) != pack.bytes:
            self._work.forget(shard)
            del self._fitted[shard]
            entry = self._entries[shard]
            entry.state, entry.frames, entry.unreadable, entry.inputs = "waiting", 0, 0, ""

    @property
    def kept(self) -> int:
        """How many shards were left alone, as what was made of them before is there."""
        return len(self._kept)

    def _keep(self) -> None:
        if self._before is None:
            return
        lost = {self._name(path) for path in lost_files(self._plan, self._before)}
        if not lost & self._before.files.keys():
            self._entry.files = dict(self._before.files)
        before = {(old.series, old.number): old for old in self._before.shards}
        for shard, entry in self._entries.items():
            old = before.get((entry.series, entry.number))
            if shard in self._fitted or old is None or old.state != "done":
                continue
            if lost & old.files.keys() or not old.files:
                continue
            entry.state, entry.frames, entry.unreadable = old.state, old.frames, old.unreadable
            entry.inputs, entry.files = old.inputs, old.files
            self._kept.add(shard)

    def publish(self) -> list[tuple[SeriesSummary, list[FittedPart]]]:
        """Publish the output; return the figures of every series."""
        self._check_lock()
        summaries = []
        splits = []
        for series in self._plan.source.series:
            mine = {
                shard: self._fitted[shard]
                for shard in self._entries
                if shard.series.name == series.name and shard in self._fitted
            }
            alone = self._before is None
            written = publish_series(self._plan, self._work, series, mine, alone=alone)
            for shard, files in written.items():
                self._entries[shard].files = {self._name(path): files[path] for path in files}
            records = [record for files in written.values() for record in files.values()]
            if records or any(shard.series.name == series.name for shard in self._kept):
                splits.append(series.name)
            parts = [part for known in mine.values() for part in known.parts]
            summaries.append((summarise(series.name, parts, records), parts))
        before = self._before.shards if self._before else ()
        if not self._entry.files or {old.series for old in before if old.files} != set(splits):
            for path, record in publish_yaml(self._plan, self._work, splits).items():
                self._entry.files[self._name(path)] = record
        if self._overwrite:
            self._remove_replaced()
        self._entry.complete = not any(shard.state == "failed" for shard in self._entry.shards)
        if self._entry.all_files() or not self._entry.complete:
            self._save()
        else:
            self.forget()
        # Killed from here on, it is complete: the manifest says so.
        self.is_complete = self._entry.complete
        if self.is_complete:
            self._work.drop()
        return summaries

    def _remove_replaced(self) -> None:
        """Remove the packs of earlier runs over the same series that this one did not write.

        They would be read as part of it.
        """
        series = {shard.series for shard in self._entry.shards}
        mine = self._entry.all_files()
        for run in list(self._manifest.runs.values()) if self._manifest else []:
            if run is self._entry or series.isdisjoint(shard.series for shard in run.shards):
                continue
            for name in run.all_files().keys() - mine.keys():
                if name.endswith(".rinr"):
                    remove_file(self._plan.folder / name)
            assert self._manifest is not None
            del self._manifest.runs[run.key]

    def forget(self) -> None:
        """Nothing came of this run: the manifest is to say what it said before."""
        self._check_lock()
        if self._manifest is None:
            return
        self._manifest.runs.pop(self._entry.key, None)
        if self._before is not None:
            self._manifest.runs[self._before.key] = self._before
        if self._manifest.runs:
            self._write()
        else:
            remove_file(self._manifest.path)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._plan.folder).as_posix()

    def _save(self) -> None:
        if self._manifest is not None:
            self._manifest.put(self._entry)
            self._write()
        self._saved = time.monotonic()

    def _write(self) -> None:
        assert self._manifest is not None
        self._check_lock()
        self._work.publish_bytes(self._manifest.path, self._manifest.data())

"""One run of `compress`: its shards are fitted by an executor, then published together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rinrcodec.compute.parallel import cores
from rinrcodec.datasets.executors.local import TRIES, Watch, fit_here, fit_in_processes
from rinrcodec.datasets.fitter import Fitter
from rinrcodec.datasets.manifest import FileRecord, Manifest, RunEntry, ShardEntry
from rinrcodec.datasets.options import Executor
from rinrcodec.datasets.plan import Plan
from rinrcodec.datasets.progress import Hint, OnMessage, OnProgress, Progress
from rinrcodec.datasets.publish import planned_files, publish_series, sha256_of, yaml_file
from rinrcodec.datasets.resuming.contents import Contents, read_contents, with_messages
from rinrcodec.datasets.resuming.earlier import take_over
from rinrcodec.datasets.resuming.published import Published
from rinrcodec.datasets.shards import Shard
from rinrcodec.datasets.summary import SeriesSummary, summarise
from rinrcodec.datasets.work_folder import FittedPart, FittedShard
from rinrcodec.errors import RinrInputError
from rinrcodec.storage import remove_file
from rinrcodec.storage.own_paths import obstacle

__all__ = ["Run"]

# How often the manifest says how far a run is; to write it after every shard would take long.
SAVE_S = 5.0


class Run:
    """Fits and publishes.

    Attributes:
        failures: a message for every shard that failed.
        is_complete: the manifest says that the run is complete.
        kept: the shards whose earlier packs are kept, with what their pictures were found to be
            where they were read again.
        changed: the shards that are fitted again because their pictures or labels changed.
        removed: how many packs of earlier inputs were removed.
    """

    def __init__(
        self,
        plan: Plan,
        shards: Sequence[Shard],
        entry: RunEntry,
        manifest: Manifest | None,
        before: RunEntry | None,
        fitter: Fitter,
        check_lock: Callable[[], None],
        published: Published,
        *,
        overwrite: bool,
    ) -> None:
        self.failures: list[str] = []
        self.is_complete = False
        self.kept: dict[Shard, Contents | None] = {}
        self.changed: set[Shard] = set()
        self.removed = 0
        self._plan = plan
        self._entries = dict(zip(shards, entry.shards, strict=True))
        self._entry = entry
        self._manifest = manifest
        self._fitter = fitter
        self._check_lock = check_lock
        self._published = published
        self._work = fitter.work
        self._fitted: dict[Shard, FittedShard] = {}
        # The manifest's entry of this run, if it has published files already.
        self._before = before if before and before.is_used else None
        self._written = manifest.data() if manifest and manifest.runs else b""
        self._wrote_yaml = False
        self._notes: list[str] = []
        self._saved = 0.0
        self._n_failed = 0  # pictures of shards that are done
        if overwrite and manifest:
            take_over(manifest, entry)
        # Of a part of the source that is not there, packs are kept until it is back or given up.
        present = {series.name for series in plan.source.series}
        self._absent = [
            shard
            for shard in (self._before.shards if self._before and plan.source.failures else ())
            if shard.series not in present and shard.state == "done"
        ]
        entry.shards += self._absent

    @property
    def did_nothing(self) -> bool:
        """Whether the output was complete and nothing of it changed."""
        return self.is_complete and not (self._fitted or self.removed or self._wrote_yaml)

    @property
    def messages(self) -> tuple[list[str], list[str], list[str]]:
        """The failures, warnings and lost labels of the pictures of kept packs."""
        found = [contents for contents in self.kept.values() if contents is not None]
        return (
            [text for contents in found for text in contents.failures],
            [text for contents in found for text in contents.warnings] + self._notes,
            [text for contents in found for text in contents.lost],
        )

    @property
    def missed(self) -> list[dict[str, Any]]:
        """The fields of a `Miss` for every target that frames of kept packs miss."""
        return [miss for shard in self.kept for miss in self._entries[shard].missed]

    def fit(
        self,
        executor: Executor,
        *,
        jobs: int | None,
        devices: Sequence[str],
        address: str | None,
        on_progress: OnProgress,
        on_message: OnMessage,
    ) -> None:
        """Fit what is not fitted yet; a shard that kills its workers is a failure."""
        if self._manifest:
            self._manifest.forget_unfinished()
        for text in self._work.check(list(self._entries)):
            self._warn(text, on_message)
        for shard, pack_waits in self._work.done(list(self._entries)).items():
            self._take(shard)
            if not pack_waits:
                self._drop_if_lost(shard)
        self._keep(on_message)
        self._check_targets()
        there = self._fitted.keys() | self.kept
        todo = [shard for shard in self._entries if shard not in there]
        if todo or self._fitted:
            self._save()
        total = sum(shard.count for shard in self._entries)

        def report(done: float, label: str) -> None:
            # A video may hold more frames than it declares.
            on_progress(Progress("fitting", min(done, total), total, label, self._n_failed))

        self._n_failed = sum(self._entries[shard].unreadable for shard in there)
        watch = Watch(report, self._done)
        watch.n_done = total - sum(shard.count for shard in todo)
        if todo or self._fitted:
            report(watch.n_done, "")
        if executor == "ray" and todo:
            from rinrcodec.datasets.executors.ray import fit_on_ray

            fit_on_ray(self._fitter, todo, watch, address=address, jobs=jobs)
        else:
            self._fit_locally(todo, watch, jobs or len(devices), devices)
        for shard in watch.died:
            self._entries[shard].state = "failed"
            self.failures.append(
                f"{shard.label}: the worker died {TRIES} times (out of memory?). "
                "Rerun with `resume=True`."
            )

    def _fit_locally(
        self, todo: Sequence[Shard], watch: Watch, jobs: int, devices: Sequence[str]
    ) -> None:
        jobs = min(jobs, len(todo))
        if jobs <= 1 and len(devices) == 1:
            fit_here(self._fitter, todo, watch)
        elif todo:
            threads = max(1, cores() // jobs)
            each = [devices[i % len(devices)] for i in range(jobs)]
            fit_in_processes(self._fitter, todo, watch, devices=each, threads=threads)

    def _done(self, shard: Shard) -> None:
        self._take(shard)
        if shard not in self._fitted:
            raise RinrInputError(
                f"{shard.label} was fitted, but its result is not visible here: give `out` a "
                "folder or URL that is the same for all processes and machines"
            )
        self._n_failed += self._entries[shard].unreadable
        if time.monotonic() - self._saved > SAVE_S:
            self._save()

    def _take(self, shard: Shard) -> None:
        """Record the result of a shard that is done."""
        known = self._work.fitted(shard)
        if known is None:
            return
        self._fitted[shard] = known
        entry = self._entries[shard]
        entry.state = "done"
        entry.inputs = known.inputs
        entry.frames = sum(len(part.names) for part in known.parts)
        self._count_messages(shard)
        entry.unlabelled = sum(part.unlabelled for part in known.parts)
        entry.missed = [miss for part in known.parts for miss in part.missed]

    def _count_messages(self, shard: Shard) -> None:
        entry, parts = self._entries[shard], self._fitted[shard].parts
        entry.unreadable = sum(len(part.failures) for part in parts)
        entry.warned = sum(len(part.warnings) + len(part.lost) for part in parts)

    def _drop_if_lost(self, shard: Shard) -> None:
        """Forget a shard whose pack was published before the run ended early, and is lost since."""
        pack = self._fitted[shard].pack
        if pack is None:
            return
        path = self._plan.pack_path(shard.series, shard.number)
        if not self._published.holds(path, pack):
            self._forget(shard)

    def _check_targets(self) -> None:
        """Raise `RinrUsageError` now, rather than after the fit, for packs that are in the way."""
        if self._plan.layout != "pack" or self._published.is_blind:
            return
        todo = [shard for shard in self._entries if shard not in self.kept]
        for shard in todo:
            known = self._fitted.get(shard)
            if known is not None and known.pack is not None:
                path = self._plan.pack_path(shard.series, shard.number)
                self._published.add(path, known.pack)
        self._published.check(self._plan.pack_path(one.series, one.number) for one in todo)

    def _warn(self, text: str, on_message: OnMessage) -> None:
        """Say at once what a person has to know, and in the result, too."""
        on_message(Hint(f"warning: {text}"))
        self._notes.append(text)

    def _forget(self, shard: Shard) -> None:
        self._work.forget(shard)
        del self._fitted[shard]
        entry = self._entries[shard]
        entry.state, entry.frames, entry.inputs = "waiting", 0, ""
        entry.unreadable, entry.warned, entry.missed = 0, 0, []
        entry.unlabelled = None

    def _keep(self, on_message: OnMessage) -> None:
        """Keep what was fitted of the same pictures and labels; drop what was fitted of others."""
        earlier = self._earlier(on_message)
        doubtful = [
            shard for shard in self._entries if self._is_doubtful(shard, earlier.get(shard))
        ]
        if doubtful:
            packs = "1 pack" if len(doubtful) == 1 else f"{len(doubtful)} packs"
            on_message(f"reading the pictures of {packs} again, to see whether they changed")
        found = read_contents(
            doubtful, depth_range=self._fitter.depth_range, limits=self._fitter.limits
        )
        for shard, known in list(self._fitted.items()):
            if shard in found and found[shard].inputs != known.inputs:
                self._forget(shard)
                self.changed.add(shard)
            elif shard in found:  # a label that was not there may be there now, and empty
                self._fitted[shard] = with_messages(known, found[shard])
                self._count_messages(shard)
        for shard, old in earlier.items():
            if shard in self._fitted:
                continue
            contents = found.get(shard)
            if contents is None or contents.inputs == old.inputs:
                stamps = shard.stamps
            elif old.files and contents.count == len(contents.failures):
                # A damaged disk, or a reader that is not installed here, must not cost a pack.
                stamps = old.stamps
                self._notes.append(
                    f"{shard.label}: all pictures are unreadable; the old pack is kept"
                )
            else:
                self.changed.add(shard)
                continue
            entry = self._entries[shard]
            entry.state, entry.frames, entry.stamps = "done", old.frames, stamps
            entry.unreadable, entry.warned, entry.missed = old.unreadable, old.warned, old.missed
            entry.unlabelled = old.unlabelled
            entry.inputs, entry.files = old.inputs, old.files
            if contents is not None and stamps == shard.stamps:
                entry.warned = len(contents.warnings) + len(contents.lost)
            self.kept[shard] = contents
        if self._before is not None:
            kept = self._entry.all_files().keys()
            files = self._before.known_files()
            self._entry.replaced = {name: files[name] for name in files if name not in kept}

    def _is_doubtful(self, shard: Shard, old: ShardEntry | None) -> bool:
        """Return whether only its pictures can tell if earlier work on a shard is kept.

        Pictures that could not be read are tried again, also where their files did not change.
        """
        known = self._fitted.get(shard)
        if known is not None:
            return known.stamps != shard.stamps or self._entries[shard].unreadable > 0
        return old is not None and (
            old.stamps != shard.stamps or old.unreadable > 0 or old.warned > 0
        )

    def _earlier(self, on_message: OnMessage) -> dict[Shard, ShardEntry]:
        """Return the manifest's entries of finished shards whose files are unchanged.

        Raises `RinrUsageError` for a pack that somebody put in the place of one of ours.
        """
        if self._before is None:
            return {}
        lost = self._lost_files(self._before, on_message)
        if not lost & self._before.files.keys():
            self._entry.files = dict(self._before.files)
        before = {(old.series, old.number): old for old in self._before.shards}
        places = self._places()
        earlier: dict[Shard, ShardEntry] = {}
        for shard, entry in self._entries.items():
            old = before.get((entry.series, entry.number))
            if old is None or old.state != "done" or lost & old.files.keys():
                continue
            if bool(old.frames) != bool(old.files):  # it was not published
                continue
            inside = places.get(entry.series)
            if inside is None or old.files.keys() <= set(inside[shard.start :][: shard.count]):
                earlier[shard] = old
            else:
                self.changed.add(shard)
        return earlier

    def _lost_files(self, run: RunEntry, on_message: OnMessage) -> set[str]:
        """Return the names of missing files of a run, and of packs with other content."""
        lost = set()
        for name, record in run.all_files().items():
            path = self._plan.folder / name
            if path.suffix.lower() != ".rinr":
                if self._published.state(path) == "absent":
                    lost.add(name)
            elif not self._published.holds(path, record):
                self._published.check([path])
                lost.add(name)
                if self._published.state(path) == "damaged":
                    self._warn(
                        f"{path}: damaged since compress wrote it; it is fitted again", on_message
                    )
        return lost

    def _places(self) -> dict[str, list[str]]:
        """Return the files of every picture of a series, where each has its own.

        A new picture with a similar name can move those of others.
        """
        if self._plan.layout == "pack":
            return {}
        return {
            series.name: [
                self._name(path)
                for path in self._plan.file_paths(series, [ref.name for ref in series.refs])
            ]
            for series in self._plan.source.series
            if series.video is None
        }

    def publish(self) -> list[tuple[SeriesSummary, list[FittedPart]]]:
        """Publish the output; return the figures of every series."""
        self._check_lock()
        summaries, splits = [], []
        planned: list[dict[Shard, dict[Path, FileRecord]]] = []
        for series in self._plan.source.series:
            mine = {
                shard: self._fitted[shard]
                for shard in self._entries
                if shard.series.name == series.name and shard in self._fitted
            }
            planned.append(planned_files(self._plan, self._work, series, mine))
            for shard, files in planned[-1].items():
                self._entries[shard].files = {self._name(path): files[path] for path in files}
            records = [record for files in planned[-1].values() for record in files.values()]
            kept = (shard for shard in self.kept if shard.series.name == series.name)
            if records or any(self._entries[shard].files for shard in kept):
                splits.append(series.name)
            parts = [part for known in mine.values() for part in known.parts]
            summaries.append((summarise(series.name, parts, records), parts))
        splits += sorted({shard.series for shard in self._absent} - set(splits))
        text = self._plan_yaml(splits)
        # Killed from here on, the manifest lists all that may be there by then.
        for name, record in self._entry.all_files().items():
            self._published.add(self._plan.folder / name, record)
        if self._fitted or text:
            self._save()
        for files_of_shards in planned:
            publish_series(self._plan, self._work, self._published, files_of_shards)
        if text and self._plan.data_yaml:
            self._work.publish_bytes(self._plan.data_yaml, text)
            self._wrote_yaml = True
        self._entry.complete = not any(shard.state == "failed" for shard in self._entry.shards)
        if self._entry.complete:
            self._remove_outdated()
        if self._entry.all_files() or not self._entry.complete:
            self._save()
        else:
            self._forget_run()
        # Killed from here on, it is complete: the manifest says so.
        self.is_complete = self._entry.complete
        if self.is_complete:
            self._work.drop()
        return summaries

    def _plan_yaml(self, splits: Sequence[str]) -> bytes:
        """Return the `data.yaml` to write; b"" if it exists, or is the user's own."""
        path, text = self._plan.data_yaml, yaml_file(self._plan, splits)
        if path is None:
            return b""
        name, record = self._name(path), FileRecord(len(text), sha256_of(text))
        written = self._entry.files.get(name)
        if written is not None and written != record:
            self._entry.replaced.setdefault(name, []).append(written)
        if self._published.holds(path, record):
            text = b""
        elif written == record or self._published.state(path) not in ("absent", "ours"):
            if written != record:
                self._notes.append(
                    f"{path}: not as compress wrote it, so it is kept as it is; "
                    "to get another, move it away and run this with `resume=True`"
                )
            return b""
        self._entry.files[name] = record
        return text

    def _remove_outdated(self) -> None:
        """Remove the packs of earlier runs and inputs that have no successor of the same name.

        Those stay that are not as they were written, and those that may be all that is left of
        pictures that cannot be read any more.
        """
        mine = self._entry.all_files()
        outdated = sorted(
            name
            for name in self._entry.replaced.keys() - mine.keys()
            if name.endswith(".rinr")
            and self._published.state(self._plan.folder / name) != "absent"
        )
        kept = self._last_of_their_pictures() & set(outdated)
        if kept:
            self._notes.append(
                f"{self._plan.folder / min(kept)}{_more(sorted(kept))}: kept, as the pictures that "
                "replace it cannot be read; fix them and run this with `resume=True`"
            )
        for name in outdated:
            path = self._plan.folder / name
            if name in kept:
                continue
            if self._published.state(path) == "ours":
                remove_file(path)
                self.removed += 1
            else:
                self._notes.append(
                    f"{path}: of an earlier run, but not as compress wrote it, so it is kept; move "
                    "it away, as it is read together with the others"
                )
        self._entry.replaced = {name: self._entry.replaced[name] for name in sorted(kept)}

    def _last_of_their_pictures(self) -> set[str]:
        """Return the replaced files that stay: the pictures of their new shard are unreadable."""
        entries = self._entries.values()
        unread = [one for one in entries if one.unreadable > 0 and not one.files]
        if unread and not any(one.files for one in entries):
            return set(self._entry.replaced)
        return {
            self._name(self._plan.pack_path(shard.series, shard.number))
            for shard, one in self._entries.items()
            if one in unread and self._plan.layout == "pack"
        }

    def forget(self) -> None:
        """Restore the manifest as it was when this run began."""
        self._check_lock()
        self._forget_run(self._before)

    def _forget_run(self, before: RunEntry | None = None) -> None:
        if self._manifest is None:
            return
        self._manifest.runs.pop(self._entry.key, None)
        if before is not None:
            self._manifest.runs[before.key] = before
        if self._manifest.runs:
            self._write()
        elif obstacle(self._manifest.path, self._plan.folder) is None:
            remove_file(self._manifest.path)
            self._written = b""

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
        data = self._manifest.data()
        if data != self._written:
            self._work.publish_bytes(self._manifest.path, data)
            self._written = data


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 1:,} more" if len(names) > 1 else ""

"""`kill -9` of a driver or a worker at random moments, and what `--resume` makes of it."""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from fleet_parts.runs import Compress, contents, is_alive, quick_words, sha256, write_tiles
from harness.ledger import Ledger
from harness.reports import markdown_table

_ORPHAN_S = 5.0
_GIVE_UP_S = 90.0
# So often an output is killed at most until it may be completed.
_MOST = 4
# One output in so many is fitted by Ray.
_RAY = 3


class Output:
    """A folder into which runs write, watched: every pack in it must be whole, always."""

    def __init__(self, out: Path, shards: int, expected: dict[str, str]) -> None:
        self.out = out
        self.n_shards = shards
        self.looks = 0
        self.not_whole: set[str] = set()
        self._expected = expected
        self._seen: dict[Path, tuple[int, int, int]] = {}

    def look(self) -> None:
        """Compare the packs that became visible since the last look."""
        self.looks += 1
        for path in self.out.glob("*.rinr"):
            stat = path.stat()
            mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._seen.get(path) != mark:
                self._seen[path] = mark
                if sha256(path) != self._expected.get(path.name):
                    self.not_whole.add(path.name)

    @property
    def is_begun(self) -> bool:
        return (self.out / ".rinr-work").exists()

    @property
    def n_published(self) -> int:
        return len(list(self.out.glob("*.rinr")))

    @property
    def n_done(self) -> int:
        """Shards that a resumed run need not fit again."""
        # At the end of a run its work folder goes, file by file.
        return max(self.n_published, len(list(self.out.glob(".rinr-work/*/*.json"))))

    @property
    def stage(self) -> str:
        """Describe how far a run is."""
        if not self.is_begun:
            return "begins" if not self.n_published else "all in place"
        if n := self.n_published:
            return f"{n} of {self.n_shards} packs in place"
        kept = len(list(self.out.glob(".rinr-work/*/*/*.json")))
        return f"{self.n_done} of {self.n_shards} shards done, {kept} parts of others"


def kills(options: argparse.Namespace, ledger: Ledger) -> None:
    """Write the report fleet_kills: a row for every kill."""
    n_shards = -(-options.frames // options.shard_size)
    executors = [name for name in options.executors if name != "ray" or find_spec("ray")]
    killed: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        images = write_tiles(Path(folder, "data"), options.frames, options.size, seed=options.seed)
        words = [images, *quick_words(options.backgrounds[0])]
        words += ["--seed", options.seed, "--shard-size", options.shard_size]
        words += ["--device", options.device]
        whole = Path(folder, "whole")
        jobs = options.jobs[-1]
        with Compress(*words, "-o", whole, "--jobs", jobs, threads=options.threads) as first:
            first.wait()
        # Of these, some pass before the first shard begins.
        seconds = first.seconds / 2
        expected = contents(whole)
        while len(killed) < options.kills:
            number, left = len(runs), options.kills - len(killed)
            rng = random.Random(f"{options.seed} {number}")
            run = partial(
                _killed_run,
                words,
                Output(Path(folder, f"run-{number}"), n_shards, expected),
                options,
                rng,
                n_kills=min(left, rng.randint(1, _MOST)),
                by_ray=executors == ["ray"] or ("ray" in executors and number % _RAY == _RAY - 1),
                shard_s=seconds / n_shards,
            )
            runs.append(ledger.row(f"run {number}", run))
            killed += runs[-1]["kills"]
    table = [
        (
            row["victim"],
            row["by"],
            f"{row['s']:.1f}",
            row["stage"],
            row["then"],
            row.get("orphans", ""),
            "" if "all_gone_s" not in row else _seconds(row["all_gone_s"]),
            "yes" if row["equal"] else "**no**",
        )
        for row in killed
    ]
    header = ["victim", "fitted by", "at s", "how far it was", "then"]
    header += ["workers left", "all gone, s", "equal"]
    wrong = sum(not row["equal"] for row in killed)
    torn = sum(len(run["not_whole"]) for run in runs)
    strays = sum(len(run["strays"]) for run in runs)
    orphans = sum(row.get("orphans", 0) for row in killed)
    looks = sum(run["looks"] for run in runs)
    what = (
        f"{options.frames} windows of {options.size}x{options.size} pixels of pictures of "
        f"scikit-image in {n_shards} packs with {options.backgrounds[0]} backgrounds"
    )
    body = (
        f"{len(killed)} times `kill -9` in {len(runs)} runs of `compress`, compared with one "
        f"undisturbed run. The input is {what}. Each kill has a random moment. It hits the driver, "
        "after which `--resume` continues, or a worker, which the driver replaces. *At* is the "
        "time since that command began. *Workers left* counts workers that are still there "
        f"{_ORPHAN_S:.0f} s after the death of their driver. *All gone* is the time at which its "
        "last process had ended, with the services of Ray. `--resume` begins at once, while they "
        "end.\n\n"
        f"Runs that ended with other bytes than the undisturbed one, manifest included: {wrong}. "
        f"Files or folders left over in an output: {strays}. Packs that were not whole in "
        f"{looks:,} looks at the folders, taken all the time: {torn}. Workers left: "
        f"{orphans}.\n\n" + markdown_table(header, table)
    )
    data = {"frames": what, "undisturbed_s": first.seconds, "runs": runs}
    ledger.finish(title="Killed at any moment", body=body, data=data)


def _killed_run(
    words: list[Any],
    output: Output,
    options: argparse.Namespace,
    rng: random.Random,
    *,
    n_kills: int,
    by_ray: bool,
    shard_s: float,
) -> dict[str, Any]:
    """Kill and resume one output until it is complete; return all that was done to it."""
    words = [*words, "-o", output.out, "--jobs", options.jobs[-1]]
    words += ["--executor", "ray"] if by_ray else []
    kills: list[dict[str, Any]] = []
    deaths: list[tuple[dict[str, Any], _Orphans]] = []
    for attempt in range(n_kills + 2):
        command = [*words, "--resume"] if attempt else words
        with Compress(*command, threads=options.threads, look=output.look) as run:
            victim = ""
            while len(kills) < n_kills and victim != "driver":
                kill = _kill(run, output, rng, shard_s)
                if kill is None:
                    break
                kills.append({**kill, "by": "Ray" if by_ray else "processes"})
                victim = kill["victim"]
                print(f"{output.out.name}: {kill}", flush=True)
            said = run.wait(code=None)
            if run.code not in (0, -9):
                print(said, flush=True)
        if victim == "driver":
            # At once, while processes of the dead driver may still be ending.
            kills[-1]["then"] = f"--resume, with {output.n_done} of {output.n_shards} shards"
            deaths.append((kills[-1], _Orphans(run)))
        elif run.code == 0:
            break
        else:
            kills[-1]["then"] = "a shard failed; --resume"
    for kill, orphans in deaths:
        kill |= orphans.figures()
    files = contents(output.out)
    expected = contents(output.out.parent / "whole")
    for kill in kills:
        kill["equal"] = run.code == 0 and files == expected
    return {
        "kills": kills,
        "code": run.code,
        "looks": output.looks,
        "not_whole": sorted(output.not_whole),
        "strays": sorted(files.keys() - expected.keys()),
    }


def _seconds(value: float | None) -> str:
    return f"{value:.1f}" if value is not None else f"over {_GIVE_UP_S:.0f}"


def _kill(
    run: Compress, output: Output, rng: random.Random, shard_s: float
) -> dict[str, Any] | None:
    """Kill the driver or a worker at some moment of what is left; None where the run ended first.

    The moment is so many shards that are done, and a part of the time that one takes.
    """
    victim = rng.choice(["driver", "worker"])
    wanted, part = divmod(rng.uniform(output.n_done, output.n_shards + 0.5), 1)
    while run.running and (not output.is_begun or output.n_done < wanted):
        time.sleep(0.01)
    time.sleep(part * shard_s)
    processes = [run.driver] if victim == "driver" else run.fitting()
    while run.running and not processes:
        time.sleep(0.01)
        processes = run.fitting()
    stage = output.stage
    seconds = run.so_far
    if not run.running:
        return None
    try:
        rng.choice(sorted(processes, key=lambda process: process.pid)).kill()
    except psutil.NoSuchProcess:
        return None
    then = "" if victim == "driver" else "the driver went on"
    return {"victim": victim, "s": seconds, "stage": stage, "then": then}


class _Orphans:
    """Follow the processes of a driver after its death."""

    def __init__(self, run: Compress) -> None:
        self._run = run
        self._figures: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def figures(self) -> dict[str, Any]:
        """Return how many workers were left after some seconds, and when the last process ended."""
        self._thread.join()
        return self._figures

    def _look(self) -> None:
        began = time.monotonic()
        alive = {process for process in self._run.processes if is_alive(process)}
        last: list[str] = []
        while alive and time.monotonic() - began < _GIVE_UP_S:
            time.sleep(0.05)
            alive = {process for process in alive if is_alive(process)}
            if time.monotonic() - began > _ORPHAN_S and "orphans" not in self._figures:
                self._figures["orphans"] = len(alive & self._run.workers)
                last = sorted(map(_name, alive))
        self._figures.setdefault("orphans", 0)
        gone = None if alive else time.monotonic() - began
        self._figures |= {"all_gone_s": gone, "others": last}


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.Error:
        return "?"

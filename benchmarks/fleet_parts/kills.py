"""Kills of a driver or a worker at random moments, and what `--resume` makes of it."""

from __future__ import annotations

import argparse
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)


class Output:
    """A folder into which runs write, watched: every pack in it must be whole, always."""

    def __init__(self, out: Path, shards: int, expected: dict[str, str]) -> None:
        self.out = out
        self.n_shards = shards
        self.looks = 0
        self.not_whole: set[str] = set()
        self.expected = expected
        self._seen: dict[Path, tuple[int, int, int]] = {}

    def look(self) -> None:
        """Compare the packs that became visible since the last look."""
        self.looks += 1
        for path in self.out.glob("*.rinr"):
            stat = path.stat()
            mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._seen.get(path) != mark:
                self._seen[path] = mark
                if sha256(path) != self.expected.get(path.name):
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
            return "all in place" if self.n_published else "begins"
        if self.n_published:
            return "puts packs in place"
        return "some shards done" if self.n_done else "first shards"


def kills(options: argparse.Namespace, ledger: Ledger) -> None:
    """Write the report fleet_kills: kills by victim, signal and stage."""
    n_shards = -(-options.frames // options.shard_size)
    executors = [name for name in options.executors if name != "ray" or find_spec("ray")]
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        images = write_tiles(Path(folder, "data"), options.frames, options.size, seed=options.seed)
        whole = {
            background: _undisturbed(images, Path(folder, background), background, options)
            for background in options.backgrounds
        }
        while (left := options.kills - sum(len(run["kills"]) for run in runs)) > 0:
            number = len(runs)
            background = options.backgrounds[number % len(options.backgrounds)]
            run = partial(
                _killed_run,
                _words(images, background, options),
                Output(Path(folder, f"run-{number}"), n_shards, whole[background].files),
                options,
                random.Random(f"{options.seed} {number}"),
                most=left,
                by_ray=executors == ["ray"] or ("ray" in executors and number % _RAY == _RAY - 1),
                # Half of a run: some of it passes before the first shard begins.
                shard_s=whole[background].seconds / 2 / n_shards,
            )
            runs.append({"background": background, **ledger.row(f"run {number}", run)})
    what = (
        f"{options.frames} windows of {options.size}x{options.size} pixels of pictures of "
        f"scikit-image in {n_shards} packs"
    )
    seconds = {background: one.seconds for background, one in whole.items()}
    data = {"frames": what, "undisturbed_s": seconds, "runs": runs}
    ledger.finish(title="Killed at any moment", body=_body(what, runs), data=data)


@dataclass(frozen=True)
class _Whole:
    """The output of a run that nothing disturbed, and its seconds."""

    files: dict[str, str]
    seconds: float


def _words(images: Path, background: str, options: argparse.Namespace) -> list[Any]:
    words = [images, *quick_words(background), "--seed", options.seed]
    return [*words, "--shard-size", options.shard_size, "--device", options.device]


def _undisturbed(images: Path, out: Path, background: str, options: argparse.Namespace) -> _Whole:
    words = [*_words(images, background, options), "-o", out, "--jobs", options.jobs[-1]]
    with Compress(*words, threads=options.threads) as run:
        run.wait()
    return _Whole(contents(out), run.seconds)


def _body(what: str, runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the page: what was left or wrong, and kills by kind."""
    killed = [kill for run in runs for kill in run["kills"]]
    counts: Counter[tuple[str, ...]] = Counter()
    wrong: Counter[tuple[str, ...]] = Counter()
    for run in runs:
        kinds = [_kind(run["background"], kill) for kill in run["kills"]]
        counts.update(kinds)
        wrong.update(kinds if run["different"] else ())
    table = [
        (*kind, count, f"**{wrong[kind]}**" if wrong[kind] else 0)
        for kind, count in sorted(counts.items())
    ]
    ends = [kill["all_gone_s"] for kill in killed if "all_gone_s" in kill]
    if None in ends:
        ended = f"Processes of a dead driver were still there after {_GIVE_UP_S:.0f} s"
    else:
        ended = (
            f"The last process of a dead driver ended after at most {max(ends, default=0):.1f} s"
        )
    strays = sum(len(run["strays"]) for run in runs)
    torn = sum(len(run["not_whole"]) for run in runs)
    looks = sum(run["looks"] for run in runs)
    orphans = sum(kill.get("orphans", 0) for kill in killed)
    return (
        f"{len(killed)} signals to {len(runs)} runs of `compress`, each compared with an "
        f"undisturbed run of its family. The input is {what}. A signal comes at a random moment. "
        "It hits the driver, after which `--resume` continues, or a worker, which the driver "
        "replaces. `--resume` begins at once, while processes of the dead driver may still be "
        "ending.\n\n"
        f"* Runs that ended with other bytes than the undisturbed one, manifest included: "
        f"{sum(run['different'] for run in runs)}.\n"
        f"* Files or folders left over in an output: {strays}.\n"
        f"* Packs that were not whole in {looks:,} looks at the folders, taken all the time: "
        f"{torn}.\n"
        f"* Workers that were still there {_ORPHAN_S:.0f} s after the death of their driver: "
        f"{orphans}. {ended}, services of Ray among them.\n\n"
        + markdown_table(
            ["background", "fitted by", "victim", "signal", "stage", "signals", "not equal"], table
        )
    )


def _kind(background: str, kill: Mapping[str, Any]) -> tuple[str, ...]:
    return (background, kill["by"], kill["victim"], kill["signal"], kill["stage"])


def _killed_run(
    words: list[Any],
    output: Output,
    options: argparse.Namespace,
    rng: random.Random,
    *,
    most: int,
    by_ray: bool,
    shard_s: float,
) -> dict[str, Any]:
    """Kill and resume one output until it is complete; return all that was done to it."""
    n_kills = min(most, rng.randint(1, _MOST))
    jobs = options.jobs[-1] if by_ray else rng.choice(options.jobs)
    victims = ["driver"] if jobs == 1 and not by_ray else ["driver", "worker"]
    words = [*words, "-o", output.out, "--jobs", jobs]
    words += ["--executor", "ray"] if by_ray else []
    kills: list[dict[str, Any]] = []
    deaths: list[tuple[dict[str, Any], _Orphans]] = []
    for attempt in range(n_kills + 2):
        command = [*words, "--resume"] if attempt else words
        with Compress(*command, threads=options.threads, look=output.look) as run:
            victim = ""
            while len(kills) < n_kills and victim != "driver":
                victim = rng.choice(victims)
                kill = _kill(run, output, victim, rng, shard_s)
                if kill is None:
                    victim = ""
                    break
                kills.append({**kill, "by": "Ray" if by_ray else f"processes, {jobs}"})
                print(f"{output.out.name}: {kills[-1]}", flush=True)
            said = run.wait(code=None)
            if run.code not in (0, -signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM):
                print(said, flush=True)
        if victim == "driver":
            # At once, while processes of the dead driver may still be ending.
            deaths.append((kills[-1], _Orphans(run)))
        elif run.code == 0:
            break
    for kill, orphans in deaths:
        kill |= orphans.figures()
    files = contents(output.out)
    return {
        "kills": kills,
        "code": run.code,
        "different": run.code != 0 or files != output.expected,
        "looks": output.looks,
        "not_whole": sorted(output.not_whole),
        "strays": sorted(files.keys() - output.expected.keys()),
    }


def _kill(
    run: Compress, output: Output, victim: str, rng: random.Random, shard_s: float
) -> dict[str, Any] | None:
    """Send a signal at some moment of what is left of a run; None where it ended first.

    The moment is so many shards that are done, and a part of the time that one takes.
    """
    number = rng.choice(_SIGNALS)
    wanted, part = divmod(rng.uniform(output.n_done, output.n_shards + 0.5), 1)
    while run.running and (not output.is_begun or output.n_done < wanted):
        time.sleep(0.01)
    time.sleep(part * shard_s)
    processes = [run.driver] if victim == "driver" else run.fitting()
    while run.running and not processes:
        time.sleep(0.01)
        processes = run.fitting()
    kill = {"victim": victim, "signal": number.name, "s": run.so_far, "stage": output.stage}
    if not run.running:
        return None
    try:
        rng.choice(sorted(processes, key=lambda process: process.pid)).send_signal(number)
    except psutil.NoSuchProcess:
        return None
    return kill


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

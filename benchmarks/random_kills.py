"""Random kills of `compress`, each followed by `--resume`: the same bytes, and nothing left over?

Every round runs `compress` into a new folder, kills its driver or one of its worker processes at a
random moment (`kill -9`, or SIGTERM), and runs it again with `--resume`. The output must then be
that of a run that nothing disturbed, manifest included, without other files, folders or processes.

To start a process takes most of a round, so `--resume` is a call in the process of this script,
but for every tenth round. Interrupted? Rerun the same command to continue.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

import rinrcodec
from fleet_parts.runs import Compress, contents, is_alive, write_tiles
from harness.arguments import common_parser, setup
from harness.ledger import Ledger
from harness.reports import markdown_table
from rinrcodec.errors import RinrError

# All processes of a round have this in their environment, also those whose parent has died.
_MARK = "RINR_RANDOM_KILLS"
_COMMAND_EVERY = 10
# One driver in so many is killed before it has begun, or rather at any moment of its life.
_ANY_MOMENT = 5
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
_GONE_S = 15.0
_LOOK_S = 0.02


def main() -> None:
    parser = common_parser(__doc__, frames=24)
    parser.add_argument("--kills", type=int, default=200, help="how many runs to kill")
    parser.add_argument("--size", type=int, default=32, help="pixels of a side of a frame")
    parser.add_argument("--shard-size", type=int, default=2, help="frames in a pack")
    parser.add_argument("--background", default="av1", help="the family that is fitted")
    options = parser.parse_args()
    setup(options)
    ledger = Ledger("random_kills", "random_kills", options)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        images = write_tiles(root / "data", options.frames, options.size, seed=options.seed)
        words = [images, "--background", options.background, "--preset", "fast"]
        words += ["--seed", options.seed, "--shard-size", options.shard_size]
        words += ["--device", options.device]
        whole = {jobs: _undisturbed(words, root, jobs, options) for jobs in (1, 2)}
        expected = contents(root / "whole-1")
        rows: list[dict[str, Any]] = []
        while sum(row["s"] is not None for row in rows) < options.kills:
            number = len(rows)
            rng = random.Random(f"{options.seed} {number}")
            by_command = number % _COMMAND_EVERY == _COMMAND_EVERY - 1
            out = root / f"run-{number}"
            make = partial(_round, words, out, options, rng, whole, expected, by_command)
            rows.append(ledger.row(f"kill {number}", make))
            print(number, rows[-1], flush=True)
    _report(rows, ledger, options, whole)


@dataclass(frozen=True)
class Whole:
    """Seconds of an undisturbed run, and of those the ones from its first file on."""

    seconds: float
    work_s: float


def _undisturbed(words: list[Any], root: Path, jobs: int, options: argparse.Namespace) -> Whole:
    out = root / f"whole-{jobs}"
    seen: list[float] = []

    def look() -> None:
        if not seen and out.exists():
            seen.append(time.perf_counter())

    with Compress(*words, "--jobs", jobs, "-o", out, threads=options.threads, look=look) as run:
        run.wait()
    return Whole(run.seconds, time.perf_counter() - seen[0])


def _round(
    words: list[Any],
    out: Path,
    options: argparse.Namespace,
    rng: random.Random,
    whole: dict[int, Whole],
    expected: dict[str, str],
    by_command: bool,
) -> dict[str, Any]:
    """Kill one output once, resume it, and compare it."""
    victim = rng.choice(["driver", "driver", "driver", "worker"])
    jobs = 2 if victim == "worker" else rng.choice([1, 1, 1, 2])
    number = rng.choice(_SIGNALS)
    from_start = victim == "driver" and rng.randrange(_ANY_MOMENT) == 0
    moment = rng.uniform(0, whole[jobs].seconds if from_start else whole[jobs].work_s)
    command = [*words, "--jobs", jobs, "-o", out]
    os.environ[_MARK] = str(out)
    try:
        with Compress(*command, threads=options.threads, look=lambda: None) as run:
            while not from_start and run.running and not out.exists():
                time.sleep(_LOOK_S)
            time.sleep(moment)
            killed_at, stage = _kill(run, out, victim, number, rng)
            said = run.wait(code=None)
        if by_command:
            with Compress(*command, "--resume", threads=options.threads) as resumed:
                said = resumed.wait(code=None)
            error = "" if resumed.code == 0 else said.strip()
        else:
            error = _resume(words, out, options)
    finally:
        del os.environ[_MARK]
    left = _processes_left(str(out))
    found = contents(out) if out.exists() else {}
    if error:
        print(error, flush=True)
    row = {
        "victim": victim,
        "signal": signal.Signals(number).name,
        "jobs": jobs,
        "s": killed_at,
        "stage": stage,
        "code": run.code,
        "error": error,
        "equal": not error and found == expected,
        "strays": sorted(found.keys() - expected.keys()),
        "processes": left,
    }
    shutil.rmtree(out, ignore_errors=True)
    return row


def _resume(words: list[Any], out: Path, options: argparse.Namespace) -> str:
    """Do as `--resume` of the command does; return what went wrong."""
    try:
        result = rinrcodec.compress(
            words[0],
            out,
            background=options.background,
            preset="fast",
            seed=options.seed,
            shard_size=options.shard_size,
            device=options.device,
            resume=True,
        )
    except (RinrError, OSError) as error:
        return str(error)
    return "; ".join(result.failures)


def _kill(
    run: Compress, out: Path, victim: str, number: int, rng: random.Random
) -> tuple[float | None, str]:
    """Send the signal; return when, None where the run had ended before, and how far it was."""
    processes = [run.driver]
    if victim == "worker":
        while run.running and not (processes := run.fitting()):
            time.sleep(_LOOK_S)
    stage, when = _stage(out), run.so_far
    if not run.running:
        return None, "ended"
    try:
        chosen = rng.choice(sorted(processes, key=lambda process: process.pid))
        chosen.send_signal(number)
    except psutil.NoSuchProcess:
        return None, "ended"
    return when, stage


def _stage(out: Path) -> str:
    """Describe how far a run is."""
    if list(out.glob("*.rinr")):
        return "publishes" if (out / ".rinr-work").exists() else "all in place"
    if list(out.glob(".rinr-work/*/*.json")):
        return "some packs fitted"
    return "fits" if (out / ".rinr-work").exists() else "begins"


def _processes_left(mark: str) -> int:
    """Count the processes that outlive their round by some seconds, and end them."""
    end = time.monotonic() + _GONE_S
    while (alive := _processes(mark)) and time.monotonic() < end:
        time.sleep(5 * _LOOK_S)
    for process in alive:
        process.kill()
    return len(alive)


def _processes(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == mark and is_alive(process):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _report(
    rows: list[dict[str, Any]],
    ledger: Ledger,
    options: argparse.Namespace,
    whole: dict[int, Whole],
) -> None:
    killed = [row for row in rows if row["s"] is not None]
    keys = Counter((row["victim"], row["signal"], row["stage"]) for row in killed)
    table = []
    for key in sorted(keys):
        mine = [row for row in killed if (row["victim"], row["signal"], row["stage"]) == key]
        wrong = sum(not row["equal"] for row in mine)
        table.append((*key, len(mine), f"**{wrong}**" if wrong else 0))
    n_shards = -(-options.frames // options.shard_size)
    what = (
        f"{options.frames} windows of {options.size}x{options.size} pixels of pictures "
        "of scikit-image"
    )
    strays = sum(len(row["strays"]) for row in rows)
    left = sum(row["processes"] for row in rows)
    body = (
        f"{len(killed)} runs of `compress` on {what}, in {n_shards} packs. Each was killed once at "
        "a random moment and continued with `--resume`. An undisturbed run takes "
        f"{whole[1].seconds:.1f} s in one process and {whole[2].seconds:.1f} s with two workers. "
        f"{len(rows) - len(killed)} more ended before their signal. *Stage* is how far the run was "
        "when it got the signal.\n\n"
        f"Outputs with other bytes than the undisturbed run, manifest included: "
        f"{sum(not row['equal'] for row in rows)}. Files and folders left over: {strays}. "
        f"Processes left {_GONE_S:.0f} s after the end: {left}.\n\n"
        + markdown_table(["victim", "signal", "stage", "kills", "not equal"], table)
    )
    times = {jobs: asdict(one) for jobs, one in whole.items()}
    data = {"frames": what, "undisturbed": times, "rows": rows}
    ledger.finish(title="Random kills", body=body, data=data)


if __name__ == "__main__":
    main()

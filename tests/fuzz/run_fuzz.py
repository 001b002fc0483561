"""Fuzz the reader and the decoder for some time, starting from their corpora; say what was found.

    python tests/fuzz/run_fuzz.py                       # both for a minute; the same as `make fuzz`
    python tests/fuzz/run_fuzz.py --target decode --seconds 3600 --jobs 4
    python tests/fuzz/run_fuzz.py --target decode --replay FILE ...  # what it does with a file
    python tests/fuzz/run_fuzz.py --minimise            # take over what the last runs came upon
    python tests/fuzz/run_fuzz.py --page docs/results   # and write down how they went

New inputs, findings, figures and logs of libFuzzer go to `fuzz-out/TARGET`, which git ignores. A
run continues with the inputs of earlier runs, and `--page` adds the figures of all runs since
`--fresh`. Replaying and the page need no atheris.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "formats")]

LARGEST = 16_384  # bytes of an input: four times the largest of the hostile files
# Generous, for a busy machine: what an input may take is counted inside, in CPU time and bytes.
HANG = 300  # seconds by the clock
PATIENCE = 600  # seconds beyond those of the run, after which it is stopped
MEMORY = 4096  # MB of the process, most of which is torch
STATUS = re.compile(
    r"#(?P<runs>\d+)\s+(?P<event>INITED|DONE|pulse)\s+cov: (?P<edges>\d+) ft: (?P<features>\d+) "
    r"corp: (?P<files>\d+)/"
)
FIGURES = ("runs", "edges", "features", "files")
RUNS = "runs.json"


@dataclass(frozen=True)
class Target:
    """What is fuzzed: the script that libFuzzer runs, and the files that it starts from."""

    name: str
    script: Path
    corpus: Path
    most_bytes: int  # of the corpus


TARGETS = {
    "read": Target("read", HERE / "fuzz_reader.py", HERE / "corpus", 1_000_000),
    "decode": Target("decode", HERE / "fuzz_decode.py", HERE / "corpus_decode", 600_000),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", choices=(*TARGETS, "both"), default="both")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--jobs", type=int, default=1, help="processes for a target (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer's choices (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("fuzz-out"), help="default: fuzz-out")
    parser.add_argument("--fresh", action="store_true", help="forget the runs in OUT first")
    parser.add_argument("--page", type=Path, metavar="DIR")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--minimise", action="store_true")
    options = parser.parse_args(arguments)
    targets = [t for name, t in TARGETS.items() if options.target in (name, "both")]
    if options.replay:
        return max([replay(options.replay, target.name) for target in targets])
    if options.page:
        runs = {name: read_runs(options.out / name) for name in TARGETS}
        write_page(runs, options.page)
        return 0
    if not _has_atheris():
        print("fuzzing is SKIPPED: atheris cannot be imported, and has no wheels but for Linux on")
        print("x86-64 (pip install atheris). `pytest tests/fuzz` reads the corpora everywhere.")
        return 0
    if options.minimise:
        return max([minimise(target, options.out / target.name) for target in targets])
    if options.fresh:
        for target in targets:
            shutil.rmtree(options.out / target.name, ignore_errors=True)
    return fuzz(options.seconds, targets, seed=options.seed, out=options.out, jobs=options.jobs)


def _has_atheris() -> bool:
    try:
        import_module("atheris")
    except ImportError:
        return False
    return True


def fuzz(seconds: int, targets: Sequence[Target], *, seed: int, out: Path, jobs: int = 1) -> int:
    """Run targets side by side; returns 1, and says how to see it again, if one found something."""
    _check_corpora(targets)
    runs = [_Job(target, number, out, seed) for target in targets for number in range(jobs)]
    names = " and ".join(target.name for target in targets)
    print(f"fuzzing ({names}) for {seconds} s in {len(runs)} process(es), seed {seed}", flush=True)
    commit = _commit()  # before anything changes the checkout
    threads = [threading.Thread(target=run.run, args=(seconds,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run in runs:
        if run.failed:
            print(run.explanation())
            print(f"fuzzing ended with code {run.code} and {len(run.findings)} finding(s)")
            for path in run.findings:
                name = run.target.name
                print(f"again: python tests/fuzz/run_fuzz.py --target {name} --replay {path}")
    for target in targets:
        its = [run.summary() for run in runs if run.target is target and not run.failed]
        if not its:
            continue
        record = {
            "command": f"python tests/fuzz/run_fuzz.py --target {target.name} "
            f"--seconds {seconds} --seed {seed} --jobs {jobs}",
            "commit": commit,
            "machine": f"{os.cpu_count()} CPU cores",
            "software": f"Python {platform.python_version()}, "
            f"atheris {metadata.version('atheris')}",
            "seconds": seconds,
            "findings": sum(len(run.findings) for run in runs if run.target is target),
            "jobs": its,
        }
        _add_run(out / target.name, record)
        print(f"{target.name}: {_inputs(its):,} inputs, nothing found")
    return int(any(run.failed for run in runs))


def _check_corpora(targets: Sequence[Target]) -> None:
    for target in targets:
        if not any(target.corpus.iterdir()):
            raise SystemExit(f"{target.corpus} is empty: run --minimise first")


def _inputs(jobs: Sequence[dict[str, Any]]) -> int:
    return sum(job["executions"] for job in jobs)


class _Job:
    """One process of libFuzzer; those of a target share a folder of inputs."""

    def __init__(self, target: Target, number: int, out: Path, seed: int) -> None:
        self.target = target
        self._out = out / target.name
        self._found = self._out / "findings"
        self._corpus = self._out / "corpus"
        for folder in (self._found, self._corpus):
            folder.mkdir(parents=True, exist_ok=True)
        # A run that continues makes other choices than the earlier ones.
        earlier = len(read_runs(self._out))
        self._seed = seed + 1000 * earlier + number
        self._log = self._out / f"log-{number}.txt"
        self._known = set(self._found.iterdir())
        self._status: dict[str, dict[str, int]] = {}
        self._cpu_seconds = 0.0
        self._pid = 0
        self.code = -1

    def run(self, seconds: int) -> None:
        options = {
            "seed": self._seed,
            "max_total_time": seconds,
            "max_len": LARGEST,
            "len_control": 0,
            "reload": 30,  # takes over what the others found
            "timeout": HANG,
            "report_slow_units": HANG,  # by the clock, which says nothing on a busy machine
            "rss_limit_mb": MEMORY,
            "artifact_prefix": f"{self._found}{os.sep}",
            "print_final_stats": 1,
        }
        command = [sys.executable, str(self.target.script)]
        command += [f"-{k}={v}" for k, v in options.items()]
        command += [str(self._corpus), str(self.target.corpus)]
        with _running(command, most=seconds + PATIENCE) as process:
            self._pid = process.pid
            for event, figures, line in _events(process, self._log):
                self._status[event] = figures
                print(f"{self.target.name:7}{line}", flush=True)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.code = process.returncode
        self._cpu_seconds = used.ru_utime + used.ru_stime

    @property
    def findings(self) -> list[Path]:
        """New files, and those that the log names, which were found before."""
        said = self._log.read_text(encoding="utf-8", errors="replace")
        found = sorted(self._found.iterdir())
        return [path for path in found if path not in self._known and path.name in said]

    @property
    def failed(self) -> bool:
        return bool(self.code or self.findings or "DONE" not in self._status)

    def explanation(self) -> str:
        """The exception, or the last words, of a run that ended early."""
        return _explanation(self._log)

    def summary(self) -> dict[str, Any]:
        text = self._log.read_text(encoding="utf-8", errors="replace")
        peak = re.search(r"peak_rss_mb:\s+(\d+)", text)
        slowest = self._out / f"{self._pid}-slowest.json"
        start, end = self._status["INITED"], self._status["DONE"]
        return {
            "executions": end["runs"],
            **{f"{name}_start": start[name] for name in FIGURES[1:]},
            **{f"{name}_end": end[name] for name in FIGURES[1:]},
            "cpu_seconds": round(self._cpu_seconds),
            "peak_megabytes": int(peak.group(1)) if peak else 0,
            "slowest": json.loads(slowest.read_text("utf-8")) if slowest.exists() else None,
        }


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """The figures of all runs of a target so far."""
    path = folder / RUNS
    runs: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else []
    return runs


def _add_run(folder: Path, record: dict[str, Any]) -> None:
    whole = json.dumps([*read_runs(folder), record], indent=1) + "\n"
    (folder / RUNS).write_text(whole, encoding="utf-8")


@contextmanager
def _running(command: Sequence[str], *, most: int) -> Iterator[subprocess.Popen[str]]:
    """A process of libFuzzer, which ends after so many seconds at most."""
    # One thread, so that CPU time is that of the target, and the same order of sets every time.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        end = threading.Timer(most, process.kill)
        end.start()
        try:
            yield process
        finally:
            end.cancel()


def _events(process: subprocess.Popen[str], log: Path) -> Iterator[tuple[str, dict[str, int], str]]:
    """The lines of status of libFuzzer, while all it says goes to a log."""
    assert process.stdout is not None
    with log.open("w", encoding="utf-8", errors="replace") as file:
        for line in process.stdout:
            file.write(line)
            if match := STATUS.match(line):
                event, *values = match.group("event", *FIGURES)
                figures = dict(zip(FIGURES, map(int, values), strict=True))
                yield event, figures, line.rstrip()


def _explanation(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace")
    start = text.find("FINDING: ")
    return text[start:] if start >= 0 else text[-4000:]


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ".", ":!docs", ":!tests/fuzz/corpus*")
        return git("rev-parse", "--short", "HEAD") + (" with local changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def replay(paths: Sequence[Path], target: str) -> int:
    """Do with files what the fuzzer does; returns 1, with the trace, if one fails."""
    import decode_checks
    import reader_checks
    import torch

    check = decode_checks.check if target == "decode" else reader_checks.check
    torch.set_num_threads(1)
    wrong = 0
    for path in paths:
        try:
            print(f"{path}: {target}: {check(path.read_bytes()).value}, as it should be")
        except Exception:
            wrong = 1
            print(f"{path}: {target}:", traceback.format_exc(), sep="\n")
    return wrong


def minimise(target: Target, out: Path) -> int:
    """Replace a corpus by the fewest files that reach as much, those of the last runs included.

    Seeds, golden and hostile files come first, so that what they reach stays reached.
    """
    from make_seeds import write_seeds

    tests = HERE.parent
    out.mkdir(parents=True, exist_ok=True)
    target.corpus.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_seeds(folder / "seeds")
        for k, source in enumerate(
            (tests / "formats" / "hostile", tests / "rinrcodec" / "vectors")
        ):
            (folder / str(k)).mkdir()
            for path in source.glob("*.rinr"):
                (folder / str(k) / path.name).write_bytes(path.read_bytes())
        merged = folder / "merged"
        merged.mkdir()
        sources = [folder / "seeds", folder / "0", folder / "1", target.corpus, out / "corpus"]
        command = [sys.executable, str(target.script), "-merge=1", f"-max_len={LARGEST}"]
        command += [f"-rss_limit_mb={MEMORY}", f"-timeout={HANG}", str(merged)]
        command += [str(source) for source in sources if source.is_dir()]
        log = out / "merge.txt"
        with _running(command, most=10 * PATIENCE) as process:
            for _ in _events(process, log):
                pass
        files = sorted(merged.iterdir())
        if process.returncode or not files:
            print(_explanation(log))
            return 1
        for old in target.corpus.iterdir():
            old.unlink()
        # Where all are too many, the small ones, which reach most for their size.
        files.sort(key=lambda path: path.stat().st_size)
        total = 0
        for path in files:
            total += path.stat().st_size
            if total > target.most_bytes:
                break
            (target.corpus / f"{path.name[:16]}.rinr").write_bytes(path.read_bytes())
    print("the corpus of {} has {} files of {:,} bytes in all".format(target.name, *_size(target)))
    return 0


def _size(target: Target) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in target.corpus.iterdir()]
    return len(sizes), sum(sizes)


def write_page(runs: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    """Write fuzzing.md, and fuzzing.json with the same figures."""
    columns = {name: _figures(TARGETS[name], its) for name, its in runs.items()}
    rows = dict.fromkeys(row for figures in columns.values() for row in figures)
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "--:|" * len(columns)]
    lines += [
        f"| {row} | {' | '.join(figures.get(row, '') for figures in columns.values())} |"
        for row in rows
    ]
    inputs = sum(_inputs(run["jobs"]) for its in runs.values() for run in its)
    lines += ["", f"{inputs:,} inputs in all."]
    made = [
        f"    {key:9} {run[key]}"
        for its in runs.values()
        for run in its
        for key in ("command", "commit", "machine", "software")
    ]
    found = "\n".join(f"| {what} | {since} |" for what, since in FOUND)
    page = PAGE.format(table="\n".join(lines), made="\n".join(dict.fromkeys(made)), found=found)
    (folder / "fuzzing.md").write_text(page, encoding="utf-8")
    whole = {"runs": runs, "inputs": inputs, "figures": columns}
    (folder / "fuzzing.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def _figures(target: Target, runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The column of a target: all its runs together."""
    jobs = [job for run in runs for job in run["jobs"]]
    if not jobs:
        return {"inputs": "no run"}
    slowest = max((job["slowest"]["seconds"] for job in jobs if job["slowest"]), default=0)
    cpu_seconds = sum(job["cpu_seconds"] for job in jobs)
    peak = max(job["peak_megabytes"] for job in jobs)

    def ends(name: str) -> str:
        start = min(job[f"{name}_start"] for job in jobs)
        return f"{start:,}, {max(job[f'{name}_end'] for job in jobs):,}"

    return {
        "inputs": f"{_inputs(jobs):,}",
        "time by the clock, all runs": f"{sum(run['seconds'] for run in runs) / 60:,.0f} minutes",
        "processes, of the largest run": str(max(len(run["jobs"]) for run in runs)),
        "CPU time of the processes": f"{cpu_seconds / 60:,.0f} minutes",
        "edges of our code, at the start and at the end": ends("edges"),
        "features (edges and how often), likewise": ends("features"),
        "files that libFuzzer kept, likewise": ends("files"),
        "files of the corpus": "{:,} ({:,} bytes)".format(*_size(target)),
        "memory of a process at its peak, torch included": f"{peak:,} MB",
        "slowest input, CPU time": f"{slowest:.2f} s" if slowest else "under 0.1 s",
        "crashes, other errors, inputs over the time or memory allowed": str(
            sum(run["findings"] for run in runs)
        ),
    }


PAGE = """# Fuzzing the reader and the decoder

Coverage-guided fuzzing (atheris, which is libFuzzer for Python) with two targets, from the files in
`tests/fuzz/corpus` and `tests/fuzz/corpus_decode`.

* **read**: all that reads a file. User block, structure, directory, chunks, tables, labels,
  `verify`, the families' checks, and the decoding of small frames.
* **decode**: packs of every family with right checksums, changed in their networks, coded rows,
  streams, atlases, times, sizes, objects and labels. Frames are decoded alone, together, in part
  and at other scales.

{table}

An input may be read or decoded, or be refused with an error of this package of at most 2,000
characters. No other exception is allowed.

| | read | decode |
|---|---|---|
| CPU time, at most | 1 s for an input | 2 s for a call: to open, to verify, to decode frames |
| memory of an input, at most | 24 MiB (small limits), 160 MiB (default limits) | 500 MiB |
| what `verify` calls sound | can be read | decodes, with the same pixels alone and in a batch |

One input in 16 has every allocation of Python and NumPy counted; for all others, allocations fail
that go 40 MiB over the bound. [CONTRIBUTING.md](../../CONTRIBUTING.md) says how to run it.

## What was found, and fixed

| what | since then |
|---|---|
{found}

## How this was made

{made}
"""
# Next to the figures of one run, the findings of all runs.
FOUND = (
    (
        "A label that says that its coordinates are floating-point numbers, and has none, ended in "
        "a `ZeroDivisionError`",
        "`formats/_labels.py`; `tests/formats/hostile/label_no_floats.rinr`",
    ),
    (
        "`verify` called files sound that do not decode: other sizes, times, channels or families, "
        "and damaged coded rows",
        "`rinrcodec/decodable.py`; `tests/rinrcodec/test_decodable.py`",
    ),
    (
        "A file of 44 kB took `verify` 47 s and 1.5 GB, and `info --frames` unpacked a large table "
        "again for every frame",
        "`Limits.max_verify_bytes`; `tests/cli/test_verify_decode.py`",
    ),
    (
        "A spec was bounded by the directory alone: 3 kB of a file became 15 MB of JSON, 430 MB of "
        "Python objects and two seconds of parsing, on opening",
        "`Limits.max_spec_bytes`, 2,048; `tests/formats/hostile/spec_limit.rinr`",
    ),
    (
        "A network of 14 million weights, all zero, is a file of 1.5 kB, and a frame of 8192x8192 "
        "takes 10**15 multiplications",
        "`Limits.max_work`; `tests/rinrcodec/test_work_limit.py`",
    ),
)


if __name__ == "__main__":
    raise SystemExit(main())

"""Fuzz the reader for some time, starting from the corpus, and say what was found.

    python tests/fuzz/run_fuzz.py                       # a minute; the same as `make fuzz`
    python tests/fuzz/run_fuzz.py --replay FILE ...     # what a finding does; needs no atheris
    python tests/fuzz/run_fuzz.py --minimise            # take over what the last run came upon
    python tests/fuzz/run_fuzz.py --page docs/results   # and write down how it went

New inputs, findings and the log of libFuzzer go to `fuzz-out/`, which git ignores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
TARGET = HERE / "fuzz_reader.py"
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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer's choices (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("fuzz-out"), help="default: fuzz-out")
    parser.add_argument("--page", type=Path, metavar="DIR")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--minimise", action="store_true")
    options = parser.parse_args(arguments)
    if options.replay:
        return replay(options.replay)
    if options.page:
        write_page(json.loads((options.out / "run.json").read_text("utf-8")), options.page)
        return 0
    if not _has_atheris():
        print("fuzzing is SKIPPED: atheris cannot be imported, and has no wheels but for Linux on")
        print("x86-64 (pip install atheris). `pytest tests/fuzz` reads the corpus everywhere.")
        return 0
    if options.minimise:
        return minimise(options.out)
    return fuzz(options.seconds, seed=options.seed, out=options.out)


def _has_atheris() -> bool:
    try:
        import_module("atheris")
    except ImportError:
        return False
    return True


def fuzz(seconds: int, *, seed: int, out: Path, target: Path = TARGET) -> int:
    """Run the target; returns 1, and says how to see it again, if it found something."""
    found, corpus = out / "findings", out / "corpus"
    found.mkdir(parents=True, exist_ok=True)
    corpus.mkdir(parents=True, exist_ok=True)
    known = set(found.iterdir())
    before = list(CORPUS.iterdir())
    options = {
        "seed": seed,
        "max_total_time": seconds,
        "max_len": LARGEST,
        "len_control": 0,
        "timeout": HANG,
        "report_slow_units": HANG,  # by the clock, which says nothing on a busy machine
        "rss_limit_mb": MEMORY,
        "artifact_prefix": f"{found}{os.sep}",
        "print_final_stats": 1,
    }
    command = [sys.executable, str(target), *(f"-{k}={v}" for k, v in options.items())]
    print(f"fuzzing the reader for {seconds} s from {len(before)} files, seed {seed}", flush=True)
    log, commit = out / "log.txt", _commit()  # whatever happens to the checkout meanwhile
    status, code = _run([*command, str(corpus), str(CORPUS)], log, most=seconds + PATIENCE)
    cpu_seconds = round(os.times().children_user + os.times().children_system)
    said = log.read_text(encoding="utf-8", errors="replace")  # also of what was found before
    findings = sorted(path for path in found.iterdir() if path not in known or path.name in said)
    if code or findings or "DONE" not in status:
        print(_explanation(log))
        print(f"fuzzing ended with code {code} and {len(findings)} finding(s)")
        for path in findings:
            print(f"again: python tests/fuzz/run_fuzz.py --replay {path}")
        return 1
    run = {"commit": commit, "cpu_seconds": cpu_seconds, **_summary(seconds, seed, log, status)}
    (out / "run.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    print(
        f"{run['executions']:,} inputs, {run['edges_start']:,} edges at the start and "
        f"{run['edges_end']:,} at the end, nothing found"
    )
    return 0


def _run(command: Sequence[str], log: Path, *, most: int) -> tuple[dict[str, dict[str, int]], int]:
    """Run libFuzzer for at most so many seconds; returns its lines of status and its exit code."""
    # One thread, so that CPU time is that of the reader, and the same order of sets every time.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    status: dict[str, dict[str, int]] = {}
    with (
        log.open("w", encoding="utf-8", errors="replace") as file,
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        end = threading.Timer(most, process.kill)
        end.start()
        for line in process.stdout:
            file.write(line)
            if match := STATUS.match(line):
                event, *values = match.group("event", *FIGURES)
                status[event] = dict(zip(FIGURES, map(int, values), strict=True))
                print(line.rstrip(), flush=True)
        end.cancel()
    return status, process.returncode


def _explanation(log: Path) -> str:
    """The exception, or the last words, of a run that ended early."""
    text = log.read_text(encoding="utf-8", errors="replace")
    start = text.find("FINDING: ")
    return text[start:] if start >= 0 else text[-4000:]


def _summary(
    seconds: int, seed: int, log: Path, status: dict[str, dict[str, int]]
) -> dict[str, Any]:
    peak = re.search(r"peak_rss_mb:\s+(\d+)", log.read_text(encoding="utf-8", errors="replace"))
    return {
        "command": f"python tests/fuzz/run_fuzz.py --seconds {seconds} --seed {seed}",
        "machine": f"{os.cpu_count()} CPU cores, of which fuzzing uses one",
        "software": f"Python {platform.python_version()}, atheris {metadata.version('atheris')}",
        "seconds": seconds,
        "executions": status["DONE"]["runs"],
        "edges_start": status["INITED"]["edges"],
        "edges_end": status["DONE"]["edges"],
        "features_start": status["INITED"]["features"],
        "features_end": status["DONE"]["features"],
        "files_start": status["INITED"]["files"],
        "files_end": status["DONE"]["files"],
        "peak_megabytes": int(peak.group(1)) if peak else 0,
        "findings": 0,
    }


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ".", ":!docs", ":!tests/fuzz/corpus")
        return git("rev-parse", "--short", "HEAD") + (" with local changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def replay(paths: Sequence[Path]) -> int:
    """Read files as the fuzzer does; returns 1, with the trace, if one does what it may not."""
    import torch
    from reader_checks import check

    torch.set_num_threads(1)
    wrong = 0
    for path in paths:
        try:
            print(f"{path}: {check(path.read_bytes()).value}, as it should be")
        except Exception:
            wrong = 1
            print(f"{path}:", traceback.format_exc(), sep="\n")
    return wrong


def minimise(out: Path) -> int:
    """Replace the corpus by the fewest files that reach as much, those of the last run included.

    Seeds, golden and hostile files come first, so that what they reach stays reached.
    """
    from make_seeds import write_seeds

    tests = HERE.parent
    out.mkdir(parents=True, exist_ok=True)
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
        sources = [folder / "seeds", folder / "0", folder / "1", CORPUS, out / "corpus"]
        command = [sys.executable, str(TARGET), "-merge=1", f"-max_len={LARGEST}"]
        command += [f"-rss_limit_mb={MEMORY}", f"-timeout={HANG}", str(merged)]
        command += [str(source) for source in sources if source.is_dir()]
        _, code = _run(command, out / "merge.txt", most=10 * PATIENCE)
        files = sorted(merged.iterdir())
        if code or not files:
            print(_explanation(out / "merge.txt"))
            return 1
        for old in CORPUS.iterdir():
            old.unlink()
        for path in files:
            (CORPUS / f"{path.name[:16]}.rinr").write_bytes(path.read_bytes())
    print("the corpus has {} files of {:,} bytes in all".format(*_size()))
    return 0


def _size() -> tuple[int, int]:
    sizes = [path.stat().st_size for path in CORPUS.iterdir()]
    return len(sizes), sum(sizes)


def write_page(run: dict[str, Any], folder: Path) -> None:
    """Write fuzzing.md, and fuzzing.json with the same figures."""
    files, size = _size()
    run = {**run, "corpus_files": files, "corpus_bytes": size}
    rows = {
        "inputs read": f"{run['executions']:,}",
        "CPU time that the process got for it": f"{run['cpu_seconds'] / 60:,.0f} minutes",
        "edges of our code, at the start and at the end": "{edges_start:,}, {edges_end:,}",
        "features (edges and how often), likewise": "{features_start:,}, {features_end:,}",
        "files that libFuzzer kept, likewise": "{files_start:,}, {files_end:,}",
        "files of the corpus afterwards, minimised": "{corpus_files:,} ({corpus_bytes:,} bytes)",
        "memory of the process at its peak, torch included": "{peak_megabytes:,} MB",
        "crashes, undocumented errors, inputs over 1 s or over the memory allowed": "{findings}",
    }
    table = "\n".join(f"| {name} | {value.format(**run)} |" for name, value in rows.items())
    made = "\n".join(
        f"    {name:9} {run[name]}" for name in ("command", "commit", "machine", "software")
    )
    found = "\n".join(f"| {what} | {since} |" for what, since in FOUND)
    page = PAGE.format(minutes=run["seconds"] / 60, table=table, made=made, found=found)
    (folder / "fuzzing.md").write_text(page, encoding="utf-8")
    (folder / "fuzzing.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


PAGE = """# Fuzzing the reader

Coverage-guided fuzzing (atheris, which is libFuzzer for Python) of all that reads a file: user
block, structure, directory, chunks, tables, `verify`, the families' checks, and the decoding of
small frames, entropy-coded latents above all. For {minutes:.0f} minutes, from `tests/fuzz/corpus`.

|  |  |
|---|--:|
{table}

An input may be read, or be refused with `RinrFormatError` or `RinrLimitError` of at most 2,000
characters. It may do nothing else, nor take more than 1 s of CPU time, nor more memory than suits
the limits in force: 24 MiB under small ones, 160 MiB under the default ones. One input in 16 has
every allocation counted; all others fail where the process grows by 40 MiB more than that. What
`verify` has passed must be read without an error.
[CONTRIBUTING.md](../../CONTRIBUTING.md) says how to run it.

## What was found, and mended

| what | since then |
|---|---|
{found}

## How this was made

{made}
"""
# Beside the figures of one run, what all of them have led to.
FOUND = (
    (
        "A spec was bounded by the directory alone: 3 kB of a file became 15 MB of JSON, 430 MB of "
        "Python objects and two seconds of parsing, on opening (seen when bounds were chosen for "
        "these checks, before the first run)",
        "`Limits.max_spec_bytes`, 2,048; `tests/formats/hostile/spec_limit.rinr`",
    ),
    (
        "A network of 14 million weights, all zero, is a file of 1.5 kB, and a frame of 8192x8192 "
        "takes 10**15 multiplications (seen in these checks, which judged for themselves what is "
        "cheap to decode)",
        "`Limits.max_work`; `tests/rinrcodec/test_work_limit.py`",
    ),
)


if __name__ == "__main__":
    raise SystemExit(main())

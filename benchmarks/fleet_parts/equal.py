"""The same bytes from one process, several, and Ray."""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fleet_parts.runs import Compress, contents, quick_words, write_tiles
from harness.ledger import Ledger
from harness.reports import markdown_table


def ways(options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the ways to fit that are installed here, with their options."""
    arguments = {}
    for executor in options.executors:
        if executor == "ray" and not find_spec("ray"):
            print("left out, it is not installed: ray")
            continue
        for jobs in options.jobs:
            name = "Ray" if executor == "ray" else "processes of this machine"
            arguments[f"{name}, {jobs}"] = ["--executor", executor, "--jobs", str(jobs)]
    return arguments


def equal(options: argparse.Namespace, ledger: Ledger) -> None:
    """Write the report fleet_equal: a row for every way to fit, of every family."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        images = write_tiles(Path(folder, "data"), options.frames, options.size, seed=options.seed)
        for background in options.backgrounds:
            for number, (name, words) in enumerate(ways(options).items()):
                out = Path(folder, f"{background}-{number}")
                run = partial(_row, images, out, background, words, options)
                rows.append({"by": name, **ledger.row(f"{background}, {name}", run)})
    first = {row["background"]: row["files"] for row in reversed(rows)}
    table = []
    for row in rows:
        wanted = first[row["background"]]
        row["equal"] = row["files"] == wanted
        same = sum(row["files"].get(name) == digest for name, digest in wanted.items())
        table.append(
            (
                row["background"],
                row["by"],
                f"{row['seconds']:.1f}",
                len(row["files"]),
                f"{same} of {len(wanted)}",
            )
        )
    n_wrong = sum(not row["equal"] for row in rows)
    what = (
        f"{options.frames} windows of {options.size}x{options.size} pixels of pictures of "
        "scikit-image"
    )
    body = (
        f"On {what}, half of them with a box, in shards of {options.shard_size}. The preset is "
        "`fast`, and networks are fitted for a few steps. Every way to fit is a run of `compress` "
        "of its own. *Equal* counts files with the same SHA-256 as in the first run, including "
        "`manifest.json` and hidden files. An extra or a missing file would count as wrong. "
        + ("All are equal." if not n_wrong else f"**{n_wrong} of {len(rows)} runs differ.**")
        + " Seconds are those of the whole command. Most of them are the start of all processes "
        "here, so they say what a fleet costs, not what it gains.\n\n"
        + markdown_table(["background", "fitted by", "s", "files", "equal"], table)
    )
    data = {"frames": what, "rows": rows}
    ledger.finish(title="The same bytes from one process, several, and Ray", body=body, data=data)


def _row(
    images: Path, out: Path, background: str, way: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    words = [images, "-o", out, *quick_words(background), "--shard-size", options.shard_size]
    words += ["--seed", options.seed, "--device", options.device]
    with Compress(*words, *way, threads=options.threads) as run:
        run.wait()
    print(f"{background}, {' '.join(way)}: {run.seconds:.1f} s", flush=True)
    return {"background": background, "seconds": run.seconds, "files": contents(out)}

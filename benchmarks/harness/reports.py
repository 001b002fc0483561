"""The reports of the scripts: a JSON file and a Markdown page, with how they were made."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

__all__ = ["current_commit", "db", "made_by", "markdown_table", "write_report"]

ROOT = Path(__file__).resolve().parents[2]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(header) + " |", "|---" + "|--:" * (len(header) - 1) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def db(value: float | None) -> str:
    """Return a PSNR as a table has it; "-" for None."""
    return "-" if value is None else f"{value:.2f}"


def made_by(script: str, options: argparse.Namespace) -> dict[str, str]:
    """Return the command, the commit and the machine, for a report."""
    return {"command": _command(script, options), "commit": current_commit(), **_machine(options)}


def write_report(
    name: str,
    options: argparse.Namespace,
    *,
    title: str,
    body: str,
    data: Mapping[str, Any],
    made: Mapping[str, str] | None = None,
) -> None:
    """Write `name`.json and `name`.md, both with `made`, or with the result of `made_by`."""
    made = made_by(name, options) if made is None else made
    folder: Path = options.out
    text = json.dumps({"made": made, **data}, indent=1, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    lines = "\n".join(f"    {key:9} {value}" for key, value in made.items())
    page = f"# {title}\n\n{body.strip()}\n\n## How this was made\n\n{lines}\n"
    (folder / f"{name}.md").write_text(page, encoding="utf-8")
    print(page)
    print(f"written: {folder / name}.md and .json")


def _command(name: str, options: argparse.Namespace) -> str:
    words = ["python", f"benchmarks/{name}.py"]
    for key, value in vars(options).items():
        # The folder of the report is left out: it says nothing about the figures.
        if key in ("out", "data") or value is None or value is False:
            continue
        words.append(f"--{key.replace('_', '-')}")
        if value is not True:
            words += map(str, value if isinstance(value, list) else [value])
    return shlex.join(words)


@cache
def current_commit() -> str:
    """Return the commit at the start of the run, also if the checkout changes later."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # Reports that the same run wrote do not make the code another one.
        changed = git("status", "--porcelain", "--", ".", ":!docs")
        return git("rev-parse", "--short", "HEAD") + (" with local changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _machine(options: argparse.Namespace) -> dict[str, str]:
    machine = {
        "cpu": f"{_cpu_name()}, {os.cpu_count()} cores, up to {options.threads} threads",
        "software": f"Python {platform.python_version()}, torch {torch.__version__}",
    }
    if options.device.startswith("cuda"):
        machine["gpu"] = torch.cuda.get_device_name(options.device)
    return machine


def _cpu_name() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

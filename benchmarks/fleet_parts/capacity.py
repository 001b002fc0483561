"""The cost of many frames, computed from the reports of the other parts alone."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.ledger import Ledger
from harness.reports import markdown_table

MILLION, BILLION = 10**6, 10**9
# What stores answer a request for a listing with, at most.
KEYS_A_REQUEST = 1000
SHARD_SIZES = (100, 1_000, 10_000)
_DAY = 86_400.0


def capacity(options: argparse.Namespace, ledger: Ledger) -> None:
    """Write the report fleet_capacity from fleet_cost and fleet_scale."""
    costs = _report(options.pages / "fleet_cost.json")
    many = _report(options.pages / "fleet_scale.json")
    driver = driver_of(many["rows"], many["slope"])
    fit = fit_rows(costs["rows"])
    background = options.backgrounds[0]
    packs = pack_rows(driver, costs["rows"], background, options.preset)
    body = (
        "Arithmetic on [fleet_cost](fleet_cost.md) and [fleet_scale](fleet_scale.md): "
        "every figure is one that was measured there, times a count. What it means is in "
        "[scale.md](../scale.md).\n\n"
        "## Encoding and bytes\n\nFrames of "
        f"{costs['rows'][0]['pixels'] / costs['rows'][0]['frames']:,.0f} pixels. *Cores* are as "
        "many as it takes in that time.\n\n"
        + fit_table(fit)
        + "\n\n## On a GPU\n\nNot measured. GPUs are in time if they encode at least this much, "
        "all together:\n\n"
        + markdown_table(
            ["frames", "in a day", "in 30 days"],
            [
                (f"{n:,}", *(f"{n / (days * _DAY):,.1f} frames/s" for days in (1, 30)))
                for n in (MILLION, BILLION)
            ],
        )
        + f"\n\n## Packs\n\nBytes are those of `{background}` with the preset "
        f"`{options.preset}`. A request lists {KEYS_A_REQUEST:,} keys. The last two columns "
        "open all packs as one data set. What a pack adds to time and memory is taken from the "
        "largest and the smallest data set of fleet_scale.\n\n"
        + pack_table(packs)
        + "\n\n## The driver\n\nOne run of so many frames, in shards of "
        f"{driver['shard_size']:,}. Memory of its own and CPU time grow with the frames as they "
        "did between the runs of fleet_scale.\n\n"
        + markdown_table(
            ["frames in one run", "memory", "CPU time", "finding the frames"],
            [
                (
                    f"{n:,}",
                    size(driver["base_bytes"] + n * driver["bytes_a_frame"]),
                    duration(driver["base_s"] + n * driver["s_a_frame"]),
                    duration(n * driver["find_s_a_frame"]),
                )
                for n in (100_000, MILLION, 10 * MILLION, BILLION)
            ],
        )
    )
    data = {"fit": fit, "packs": packs, "driver": driver}
    ledger.finish(title="What many frames take", body=body, data=data)


def fit_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what a frame costs by family and preset."""
    return [
        {
            "background": row["background"],
            "preset": row["preset"],
            "core_s": row["fit_s"] / row["frames"],
            "bytes": row["bytes"] / row["frames"],
            "source_bytes": row["source_bytes"] / row["frames"],
            "decode_s": row["decode_s"] / row["frames"],
        }
        for row in rows
    ]


def fit_table(rows: Sequence[Mapping[str, Any]]) -> str:
    table = []
    for row in rows:
        for n in (MILLION, BILLION):
            table.append(
                (
                    row["background"],
                    row["preset"],
                    f"{n:,}",
                    f"{n * row['core_s'] / 3600:,.0f}",
                    f"{math.ceil(n * row['core_s'] / _DAY):,}",
                    f"{math.ceil(n * row['core_s'] / (30 * _DAY)):,}",
                    size(n * row["bytes"]),
                    size(n * row["source_bytes"]),
                    f"{n * row['decode_s'] / 3600:,.0f}",
                )
            )
    header = ["background", "preset", "frames", "core-hours to encode", "cores, in a day"]
    header += ["cores, in 30 days", "bytes in packs", "bytes in the source"]
    header.append("core-hours to decode")
    return markdown_table(header, table)


def driver_of(rows: Sequence[Mapping[str, Any]], slope: Mapping[str, Any]) -> dict[str, float]:
    """Return what a frame adds to a driver, and a pack to a manifest and to a data set.

    Raises:
        SystemExit: The rows do not differ in frames at one shard size, or in packs.
    """
    shard_sizes = [round(row["frames"] / row["shards"]) for row in rows]
    few = rows[0]
    alike = [row for row, n in zip(rows, shard_sizes, strict=True) if n == shard_sizes[0]]
    largest = alike[-1]
    more = largest["frames"] - few["frames"]
    equal = sorted(
        (row for row in rows if row["frames"] == rows[-1]["frames"]), key=lambda row: row["shards"]
    )
    first, last = equal[0], equal[-1]
    packs = last["shards"] - first["shards"]
    if not more or not packs:
        raise SystemExit(
            "error: fleet_scale.json: expected data sets of two sizes with shards of one size, and "
            "the largest of them in two numbers of shards; run --part scale with its usual options"
        )
    s_a_frame = (largest["driver_cpu_s"] - few["driver_cpu_s"]) / more
    return {
        "shard_size": shard_sizes[0],
        "base_bytes": slope["base_bytes"],
        "bytes_a_frame": slope["bytes_a_frame"],
        "base_s": few["driver_cpu_s"] - few["frames"] * s_a_frame,
        "s_a_frame": s_a_frame,
        "find_s_a_frame": largest["source"]["seconds"] / largest["frames"],
        "manifest_bytes_a_pack": (last["manifest_bytes"] - first["manifest_bytes"]) / packs,
        "open_s_a_pack": (last["opening"]["open_s"] - first["opening"]["open_s"]) / packs,
        "dataset_bytes_a_pack": (
            last["opening"]["dataset_bytes"] - first["opening"]["dataset_bytes"]
        )
        / packs,
    }


def pack_rows(
    driver: Mapping[str, float], costs: Sequence[Mapping[str, Any]], background: str, preset: str
) -> list[dict[str, Any]]:
    """Return what the packs of one run come to, by frames and frames in a pack."""
    (row,) = (row for row in costs if (row["background"], row["preset"]) == (background, preset))
    a_frame = row["bytes"] / row["frames"]
    rows = []
    for frames in (MILLION, BILLION):
        for in_a_pack in SHARD_SIZES:
            packs = -(-frames // in_a_pack)
            rows.append(
                {
                    "frames": frames,
                    "in_a_pack": in_a_pack,
                    "packs": packs,
                    "bytes_a_pack": a_frame * in_a_pack,
                    "manifest_bytes": packs * driver["manifest_bytes_a_pack"],
                    "requests": -(-packs // KEYS_A_REQUEST),
                    "open_s": packs * driver["open_s_a_pack"],
                    "dataset_bytes": packs * driver["dataset_bytes_a_pack"],
                }
            )
    return rows


def pack_table(rows: Sequence[Mapping[str, Any]]) -> str:
    header = ["frames", "in a pack", "packs", "a pack", "manifest", "requests to list"]
    header += ["to open as one", "memory of it"]
    return markdown_table(
        header,
        [
            (
                f"{row['frames']:,}",
                f"{row['in_a_pack']:,}",
                f"{row['packs']:,}",
                size(row["bytes_a_pack"]),
                size(row["manifest_bytes"]),
                f"{row['requests']:,}",
                duration(row["open_s"]),
                size(row["dataset_bytes"]),
            )
            for row in rows
        ],
    )


def size(value: float) -> str:
    """Return bytes in words, to three digits."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{_three(value / factor)} {unit}"
    return f"{value:.0f} B"


def duration(seconds: float) -> str:
    """Return a time in words, to three digits."""
    for unit, factor in (("days", _DAY), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= 2 * factor or unit == "s":
            return f"{_three(seconds / factor)} {unit}"
    raise AssertionError


def _three(value: float) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def _report(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise SystemExit(f"error: {path.name} is not there: --part {path.stem[6:]} writes it")
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "unfinished" in report:
        raise SystemExit(f"error: {path.name} is not finished: run --part {path.stem[6:]} again")
    return report

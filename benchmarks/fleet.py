"""`compress` on many shards: equal bytes, kills, many frames, and what a fleet would take.

--part equal:    small pictures, fitted by one process, by several, and by Ray: the same bytes?
--part kills:    drivers and workers killed at random moments, then `--resume`.
--part scale:    50,000 tiny frames: memory of the driver, seconds, and how long the result takes
                 to open, by the number of its shards.
--part cost:     seconds and bytes a frame by family and preset, of whole runs of `compress`.
--part capacity: what a million and a billion frames take, from the reports of the others.

The report is called fleet_PART. Interrupted? Rerun the same command to continue: finished rows are
in the JSON file of the report.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.arguments import common_parser, parse_part, setup
from harness.ledger import Ledger

EXECUTORS = ["local", "ray"]

# By part, which is a function in a module of this name, the options that it has, with their
# defaults.
PARTS: dict[str, Mapping[str, Any]] = {
    "equal": {
        "frames": 60,
        "size": 48,
        "shard_size": 8,
        "jobs": [1, 4],
        "executors": EXECUTORS,
        "backgrounds": ["av1", "siren", "nerv", "pyramid"],
    },
    "kills": {
        "frames": 192,
        "size": 48,
        "shard_size": 24,
        "jobs": [1, 4],
        "executors": EXECUTORS,
        "backgrounds": ["av1", "siren"],
        "kills": 40,
    },
    "scale": {
        "frames": 50_000,
        "size": 32,
        "jobs": [2],
        "shards": [5, 50, 500],
        "fewer": [5_000],
        "samples": 256,
        "backgrounds": ["av1"],
    },
    "cost": {
        "frames": 32,
        "backgrounds": ["av1", "siren"],
        "presets": ["fast", "balanced"],
        "jobs": [2],
        "steps": None,
    },
    "capacity": {"backgrounds": ["av1"], "preset": "balanced", "pages": Path("docs/results")},
}


def main() -> None:
    parser = common_parser(__doc__, frames=0)
    parser.add_argument(
        "--size", type=int, help="pixels of a side of a frame (equal, kills, scale)"
    )
    parser.add_argument("--shard-size", type=int, help="frames in a pack (equal, kills)")
    parser.add_argument("--jobs", type=int, nargs="+", help="shards at a time (all but capacity)")
    parser.add_argument("--executors", nargs="+", choices=EXECUTORS, help="who fits (equal, kills)")
    parser.add_argument("--backgrounds", nargs="+", help="families; one (scale, capacity)")
    parser.add_argument("--kills", type=int, help="how many in all (kills)")
    parser.add_argument("--shards", type=int, nargs="+", help="into how many to cut (scale)")
    parser.add_argument("--fewer", type=int, nargs="*", help="further counts of frames (scale)")
    parser.add_argument("--samples", type=int, help="frames that are decoded (scale)")
    parser.add_argument("--presets", nargs="+", help="those that are measured (cost)")
    parser.add_argument("--preset", help="whose bytes those of packs are (capacity)")
    parser.add_argument("--steps", type=int, help="in place of the presets' (cost)")
    parser.add_argument("--pages", type=Path, help="folder of the other pages (capacity)")
    options = parse_part(parser, PARTS)
    if options.part in ("scale", "capacity") and len(options.backgrounds) > 1:
        parser.error(f"--part {options.part} has one of --backgrounds")
    setup(options)
    on_the_page = argparse.Namespace(**{**vars(options), "pages": None})
    work: Callable[..., None] = getattr(import_module(f"fleet_parts.{options.part}"), options.part)
    work(options, Ledger(f"fleet_{options.part}", "fleet", on_the_page))


if __name__ == "__main__":
    main()

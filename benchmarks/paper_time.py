"""How long the paper's own settings take here: what `paper_full.sh` says before it begins.

A few steps of every kind of fit are timed on the device, one frame or group of frames at a time as
`compress` does it, and multiplied. Steps take the same time from the first to the last.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import DATA, load_frames, load_sequence
from harness.reports import markdown_table, write_report
from harness.timing import synchronize
from rinrcodec.datasets.batches import BATCH_FRAMES
from rinrcodec.families.nerv.encode import BACKGROUNDS as NERV
from rinrcodec.families.siren.encode import BACKGROUNDS as SIREN
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset
from rinrcodec.sources.discover import open_source

RECIPES = {"siren": SIREN["paper"].recipe, "nerv": NERV["paper"].recipe}
PROBE_STEPS = (1, 3)
# The ladder fits BE, QRE and BS, whose network has some 1.6 times the weights.
LADDER_FITS = 3.6
LADDER_FRAMES = 12  # of the data set, and of the sequence


def seconds(pictures: list[Picture], background: str, options: argparse.Namespace) -> float:
    """Estimate the time of the paper's whole recipe from fits of one and of three steps."""
    paper = get_preset("paper", background=background)
    took = []
    for steps in (PROBE_STEPS[0], *PROBE_STEPS):  # the first one warms up
        synchronize(options.device)
        start = time.perf_counter()
        rinrcodec.encode(
            pictures, preset=paper.with_steps(steps), seed=options.seed, device=options.device
        )
        synchronize(options.device)
        took.append(time.perf_counter() - start)
    a_step = max(0.0, took[2] - took[1]) / (PROBE_STEPS[1] - PROBE_STEPS[0])
    return took[1] + a_step * RECIPES[background].steps


def hours(value: float) -> str:
    if value >= 48 * 3600:
        return f"{value / (24 * 3600):,.0f} days"
    return f"{value / 3600:.1f} h" if value >= 3600 else f"{value / 60:.1f} min"


def main() -> None:
    parser = common_parser(__doc__, frames=0)
    parser.add_argument("--sequence", default="otb_crossing", help="a folder of data/sequences")
    options = parser.parse_args()
    if not options.frames:
        options.frames = BATCH_FRAMES if options.device.startswith("cuda") else 1
    setup(options)
    what, pictures = load_frames(options.frames)
    yaml = DATA / "dacsdc" / "dacsdc.yaml"
    total = sum(map(len, open_source(yaml).series)) if yaml.is_file() else len(pictures)
    stills = seconds(pictures, "siren", options) / len(pictures) * total
    sequence, frames = load_sequence(options.sequence, 0)
    few = [replace(frame, boxes=()) for frame in frames[: options.frames + 1]]
    moving = seconds(few, "nerv", options) / len(few) * len(frames)
    ladder = LADDER_FITS * (2 * LADDER_FRAMES * stills / total + moving)
    rows = [
        ("siren and objects", f"{total} frames", hours(stills)),
        ("nerv", f"{len(frames)} frames", hours(moving)),
        ("the ladder of both", f"{2 * LADDER_FRAMES} frames and the sequence", hours(ladder)),
    ]
    body = (
        f"Extrapolated from {PROBE_STEPS[-1]} steps on {what} and on {len(few)} frames of "
        f"{sequence}, on {options.device}.\n\n"
        + markdown_table(["preset `paper`", "of what", "about"], rows)
    )
    write_report(
        "paper_time",
        options,
        title="What the paper's settings take",
        body=body,
        data={"frames": what, "seconds": {"siren": stills, "nerv": moving, "ladder": ladder}},
    )


if __name__ == "__main__":
    main()

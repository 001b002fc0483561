"""The ladder: what every step of the method is worth, beside other codecs, on the same frames.

The rows of `rinrcodec bench ladder`, on frames of DAC-SDC and on a sequence, both spread evenly:
the frames over the val split, those of the sequence over its length.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import _common as common

from rinrcodec.cli._ladder_page import NOTES, line, page, row_as_json
from rinrcodec.cli._ladder_plots import draw_ladder
from rinrcodec.cli._samples import sample_pictures
from rinrcodec.images import Picture
from rinrcodec.ladder import Row, family_rows, low_quality_jpeg
from rinrcodec.model import Box
from rinrcodec.presets import get_preset
from rinrcodec.sources import open_source
from rinrcodec.spread import evenly_spread, read_pictures


def load_sets(options: argparse.Namespace) -> dict[str, tuple[str, list[Picture]]]:
    """Name of a set -> what it is, in words, and its frames.

    Where the real data are absent, the pictures that ship with scikit-image stand in.
    """
    yaml = common.DATA / "dacsdc" / "dacsdc.yaml"
    if not yaml.is_file():
        pictures = sample_pictures()[: options.frames]
        return {"samples": (f"{len(pictures)} pictures of scikit-image", pictures)}
    found = open_source(yaml)
    found = replace(found, series=tuple(one for one in found.series if one.name == "val"))
    chosen = evenly_spread(options.frames, len(found.series[0]))
    frames = read_pictures(found, chosen)
    sequence, total = load_sequence(options.sequence, options.frames)
    size = f"{sequence[0].width}x{sequence[0].height}"
    return {
        "dacsdc": (f"{len(frames)} of the {len(found.series[0])} val frames of DAC-SDC", frames),
        options.sequence: (
            f"{len(sequence)} of the {total} frames of {options.sequence}, {size}",
            sequence,
        ),
    }


def load_sequence(name: str, count: int) -> tuple[list[Picture], int]:
    """Frames of a sequence with the boxes of its boxes.csv, and how many it has in all."""
    folder = common.DATA / "sequences" / name
    with (folder / "boxes.csv").open(encoding="utf-8", newline="") as file:
        table = {int(row["frame"]): row for row in csv.DictReader(file)}
    found = open_source(folder, labels="none")
    total = len(found.series[0])
    # Those of OTB and UAV123 count pixels from 1.
    first = 1 if name.startswith(("otb", "uav123")) else 0
    pictures = []
    for picture in read_pictures(found, evenly_spread(count, total)):
        row = table[int(Path(picture.name).stem)]
        x, y, w, h = (float(row[key]) for key in "xywh")
        pictures.append(replace(picture, boxes=(Box(0, x - first, y - first, w, h),)))
    return pictures, total


def measure(pictures: Sequence[Picture], options: argparse.Namespace) -> list[Row]:
    """All rows on one set, printed as they come."""
    rows = [low_quality_jpeg(pictures)]
    preset = get_preset(options.preset, steps=options.steps)
    with tempfile.TemporaryDirectory() as folder:
        for row in family_rows(
            pictures, preset, folder=Path(folder), seed=options.seed, device=options.device
        ):
            print(line(row), flush=True)
            rows.append(row)
    return rows


def main() -> None:
    parser = common.parser(__doc__, frames=12)
    parser.add_argument("--sequence", default="otb_crossing", help="a folder of data/sequences")
    parser.add_argument("--preset", default="balanced", help="our preset")
    parser.add_argument("--steps", type=int, help="fit this many steps in place of the preset's")
    options = parser.parse_args()
    common.setup(options)
    sets = load_sets(options)
    parts, data = [], {}
    for name, (what, pictures) in sets.items():
        print(f"{what}:", flush=True)
        rows = measure(pictures, options)
        plots = draw_ladder(options.out, rows, prefix=f"ladder_{name}")
        parts += [f"## {what}", page(rows, plots=plots)]
        data[name] = [row_as_json(row) for row in rows]
    preset = get_preset(options.preset, steps=options.steps)
    intro = (
        f"The rows of the paper's comparison, and other codecs at equal bytes, with preset "
        f"`{preset.name}`. On your own pictures: `rinrcodec bench ladder SRC`."
    )
    notes = "\n".join(f"* {note}" for note in NOTES)
    common.write_report(
        "ladder",
        options,
        title="The ladder",
        body="\n\n".join([intro, notes, *parts]),
        data={"frames": "; ".join(what for what, _ in sets.values()), "sets": data},
    )


if __name__ == "__main__":
    main()

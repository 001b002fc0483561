"""The ladder: what every step of the method is worth, beside other codecs, on the same frames.

The rows of `rinrcodec bench ladder`, on frames of DAC-SDC and on a sequence, both spread evenly:
the frames over the val split, those of the sequence over its length. The family nerv, which encodes
all frames of a sequence, has rows for the sequence only.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import _common as common

from rinrcodec.cli._ladder_page import NOTES, line, page, row_as_json
from rinrcodec.cli._ladder_plots import draw_ladder
from rinrcodec.cli._samples import sample_pictures
from rinrcodec.images import Picture
from rinrcodec.ladder import Row, family_rows, low_quality_jpeg
from rinrcodec.model import Box
from rinrcodec.presets import BACKGROUNDS, get_preset
from rinrcodec.sources import open_source
from rinrcodec.spread import evenly_spread, read_pictures


@dataclass(frozen=True)
class Frames:
    """A set of frames: what it is, in words, and which of the pictures are compared.

    sequence: whether the pictures follow each other, so that a network may stand for all of them.
    """

    what: str
    pictures: list[Picture]
    measured: list[int]
    sequence: bool = False


def load_sets(options: argparse.Namespace) -> dict[str, Frames]:
    """Where the real data are absent, the pictures that ship with scikit-image stand in."""
    yaml = common.DATA / "dacsdc" / "dacsdc.yaml"
    if not yaml.is_file():
        pictures = sample_pictures()[: options.frames]
        what = f"{len(pictures)} pictures of scikit-image"
        return {"samples": Frames(what, pictures, list(range(len(pictures))))}
    found = open_source(yaml)
    found = replace(found, series=tuple(one for one in found.series if one.name == "val"))
    total = len(found.series[0])
    pictures = read_pictures(found, evenly_spread(options.frames, total))
    what = f"{len(pictures)} of the {total} val frames of DAC-SDC"
    return {
        "dacsdc": Frames(what, pictures, list(range(len(pictures)))),
        options.sequence: load_sequence(options.sequence, options.frames),
    }


def load_sequence(name: str, count: int) -> Frames:
    """A sequence with the boxes of its boxes.csv."""
    folder = common.DATA / "sequences" / name
    with (folder / "boxes.csv").open(encoding="utf-8", newline="") as file:
        table = {int(row["frame"]): row for row in csv.DictReader(file)}
    # Those of OTB and UAV123 count pixels from 1.
    first = 1 if name.startswith(("otb", "uav123")) else 0
    pictures = []
    for picture in read_pictures(open_source(folder, labels="none")):
        row = table[int(Path(picture.name).stem)]
        x, y, w, h = (float(row[key]) for key in "xywh")
        pictures.append(replace(picture, boxes=(Box(0, x - first, y - first, w, h),)))
    measured = evenly_spread(count, len(pictures))
    size = f"{pictures[0].width}x{pictures[0].height}"
    what = f"{len(measured)} of the {len(pictures)} frames of {name}, {size}"
    return Frames(what, pictures, measured, sequence=True)


def measure(frames: Frames, options: argparse.Namespace) -> list[Row]:
    """All rows on one set, printed as they come."""
    compared = [frames.pictures[i] for i in frames.measured]
    rows = [low_quality_jpeg(compared)]
    settings = {"seed": options.seed, "device": options.device}
    with tempfile.TemporaryDirectory() as folder:
        for background in options.backgrounds:
            whole = background == "nerv"
            if whole and not frames.sequence:
                continue
            for row in family_rows(
                frames.pictures if whole else compared,
                get_preset(options.preset, steps=options.steps, background=background),
                folder=Path(folder),
                measured=frames.measured if whole else None,
                **settings,
            ):
                print(line(row), flush=True)
                rows.append(row)
    return rows


def main() -> None:
    parser = common.parser(__doc__, frames=12)
    parser.add_argument("--sequence", default="otb_crossing", help="a folder of data/sequences")
    parser.add_argument("--backgrounds", nargs="+", default=["siren", "nerv"], choices=BACKGROUNDS)
    parser.add_argument("--preset", default="balanced", help="our preset")
    parser.add_argument("--steps", type=int, help="fit this many steps in place of the preset's")
    options = parser.parse_args()
    common.setup(options)
    sets = load_sets(options)
    parts, data = [], {}
    for name, frames in sets.items():
        print(f"{frames.what}:", flush=True)
        rows = measure(frames, options)
        plots = draw_ladder(options.out, rows, prefix=f"ladder_{name}")
        parts += [f"## {frames.what}", page(rows, plots=plots)]
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
        data={"frames": "; ".join(frames.what for frames in sets.values()), "sets": data},
    )


if __name__ == "__main__":
    main()

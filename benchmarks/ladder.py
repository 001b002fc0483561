"""The ladder: what every step of the method is worth against other codecs, on the same frames.

The rungs of `rinrcodec bench ladder`, on frames of DAC-SDC and on a sequence, both spread evenly:
the frames over the val split, those of the sequence over its length. The family nerv, which encodes
all frames of a sequence, has rows for the sequence only. Every rung is printed as it comes.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from harness.arguments import common_parser, setup
from harness.frames import DATA, load_sequence
from harness.reports import write_report
from rinrcodec.cli.views.ladder_page import NOTES, line, page
from rinrcodec.cli.views.ladder_plots import draw_ladder
from rinrcodec.evaluation.ladder import default_preset, family_rungs
from rinrcodec.evaluation.rungs import Rung, low_quality_jpeg, rung_as_json
from rinrcodec.families import background_families, background_family
from rinrcodec.families.nerv.encode import NervBackgrounds
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset, get_preset
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.samples import sample_pictures
from rinrcodec.sources.spread import evenly_spread, read_pictures


@dataclass(frozen=True)
class Frames:
    """A set of frames: what it is, in words, and which of the pictures are compared.

    sequence: whether the pictures follow each other, so that a network may hold all of them.
    """

    what: str
    pictures: list[Picture]
    measured: list[int]
    sequence: bool = False


def dacsdc_frames(count: int) -> Frames:
    """Load frames of DAC-SDC; where they are absent, the pictures that ship with scikit-image."""
    yaml = DATA / "dacsdc" / "dacsdc.yaml"
    if not yaml.is_file():
        pictures = sample_pictures()[:count]
        what = f"{len(pictures)} pictures of scikit-image"
    else:
        source = open_source(yaml)
        source = replace(source, series=tuple(one for one in source.series if one.name == "val"))
        total = len(source.series[0])
        pictures = read_pictures(source, evenly_spread(count, total))
        what = f"{len(pictures)} of the {total} val frames of DAC-SDC"
    return Frames(what, pictures, list(range(len(pictures))))


def sequence_frames(name: str, count: int) -> Frames:
    """Load a sequence, and choose the `count` frames that are compared."""
    what, pictures = load_sequence(name, 0)
    measured = evenly_spread(count, len(pictures))
    return Frames(
        f"{len(measured)} frames, spread evenly, of {what}", pictures, measured, sequence=True
    )


def chosen_preset(options: argparse.Namespace, background: str) -> Preset:
    """Return the preset of a family; the network of a sequence has epochs of its own."""
    preset = get_preset(options.preset, steps=options.steps, background=background)
    epochs = options.epochs
    if isinstance(preset.background, NervBackgrounds) and options.steps is None and epochs:
        recipe = replace(preset.background.recipe, steps=epochs, warmup=epochs // 10)
        shorter = replace(preset.background, recipe=recipe)
        preset = replace(preset, name=f"{preset.name}, {epochs} epochs", background=shorter)
    return preset


def measure(frames: Frames, options: argparse.Namespace) -> list[Rung]:
    """Measure all rungs on one set, and print them as they come."""
    compared = [frames.pictures[i] for i in frames.measured]
    rungs = [low_quality_jpeg(compared)]
    settings = {"seed": options.seed, "device": options.device}
    with tempfile.TemporaryDirectory() as folder:
        for background in options.backgrounds:
            whole = background_family(background).joins_frames
            if whole and not frames.sequence:
                continue
            for rung in family_rungs(
                frames.pictures if whole else compared,
                chosen_preset(options, background),
                folder=Path(folder),
                other=default_preset(options.preset, steps=options.steps, alone=not whole),
                measured=frames.measured if whole else None,
                **settings,
            ):
                print(line(rung), flush=True)
                rungs.append(rung)
    return rungs


def main() -> None:
    parser = common_parser(__doc__, frames=12)
    parser.add_argument("--sequence", default="otb_crossing", help="a folder of data/sequences")
    parser.add_argument(
        "--backgrounds", nargs="+", default=["siren", "nerv"], choices=list(background_families())
    )
    parser.add_argument("--preset", default="balanced", help="our preset")
    parser.add_argument("--epochs", type=int, default=60, help="of nerv; 0: the preset's")
    parser.add_argument("--steps", type=int, help="fit this many steps and epochs instead")
    options = parser.parse_args()
    setup(options)
    sets = {
        "frames": dacsdc_frames(options.frames),
        options.sequence: sequence_frames(options.sequence, options.frames),
    }
    parts, data = [], {}
    for name, frames in sets.items():
        print(f"{frames.what}:", flush=True)
        rungs = measure(frames, options)
        plots = draw_ladder(options.out, rungs, prefix=f"ladder_{name}")
        parts += [f"## {frames.what}", page(rungs, plots=plots)]
        data[name] = [rung_as_json(rung) for rung in rungs]
    presets = [chosen_preset(options, background).name for background in options.backgrounds]
    intro = (
        "The rows of the paper's comparison, and other codecs at equal bytes. Presets: "
        f"{'; '.join(presets)}. On your own pictures: `rinrcodec bench ladder SRC`."
    )
    notes = "\n".join(f"* {note}" for note in NOTES)
    write_report(
        "ladder",
        options,
        title="The ladder",
        body="\n\n".join([intro, notes, *parts]),
        data={
            "frames": sets["frames"].what,
            "sequence": sets[options.sequence].what,
            "rows": data,
        },
    )


if __name__ == "__main__":
    main()

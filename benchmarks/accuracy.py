"""Accuracy over bytes: what does a detector still find in what each codec gives back?

    python benchmarks/accuracy.py --jobs 2

A YOLOv5n of the COCO data set looks at decoded photos of COCO (mAP50-95 against their labels), at
frames of DAC-SDC and at sequences (share of the labelled objects that it finds, of any class). The
boxes to encode with are those that it finds in the originals with a confidence of 0.25, never the
labels. What is coded and seen is kept in the folder of `--work`, so a cut run can be repeated.
A second page, fog.md, has what the fog of the paper sends with each codec at equal accuracy.
With `--networks`, it writes accuracy_networks.md only: the families that fit networks.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import features

from accuracy_parts.arms import (
    ANCHOR,
    COMPOSITE,
    DEFAULT_TUNE,
    LEAKS,
    NETWORKS,
    OBJECTS,
    PICTURES,
    SEQUENCE_ARMS,
    SEQUENCE_NETWORKS,
    SEQUENCES,
    Arms,
)
from accuracy_parts.codings import Network, Still
from accuracy_parts.curves import Figure, Interval, Table, point
from accuracy_parts.fog import FogSet, fog_body, fog_data, fog_set, levels_of
from accuracy_parts.sets import WEIGHTS
from accuracy_parts.work import Looked, Part, Workplace, commits, compute, is_done, looked
from harness.arguments import common_parser, setup
from harness.reports import made_by, markdown_table, write_report

PHOTOS = ("coco", "dacsdc")
WORK = "accuracy-work"
INTRO = """A YOLOv5n with the weights of its release for COCO looks at what each codec gives back,
at 640 pixels. On COCO its figure is mAP50-95 against the labels. DAC-SDC and the sequences label
one object a frame, of other classes than COCO has. There the figure is the share of these objects
that it finds, as any class. It counts detections with an overlap of 0.5 and a score of 0.25 or
more.

Boxes to encode with are those that it finds in the originals with a score of 0.25 or more, in whole
pixels. Labels are never used for encoding. Bytes are those of whole files, with boxes and headers.
The frames of a pack (up to 24) share the bytes that belong to none of them. AVIF is Pillow's, at
speed 6, 4:4:4. At half size, the receiver enlarges every picture twice. `av1` packs have
`--tune accuracy` and the preset `fast`: libaom's speed is 6 for backgrounds and 5 for objects. With
`--shrink`, only backgrounds are smaller. With `--soften`, there are no objects: frames are blurred
outside of the boxes before they are encoded. Pasted crops are AVIF files of the same boxes, at
speed 6 and in the tune of their frame: Pillow's default, if none is named. {encoder} Where two
qualities are named, they are those of background and objects."""
STAND_IN = """**This shows only that the script runs.** The weights of the detector are missing, so
bright blobs replace what it finds."""
SAME_ENCODER = """With libavif {version}, Pillow's default tune is libaom's `tune=iq`, as is
`--tune accuracy`. The coded frames are equal, byte for byte. Pixels differ by the rounding of RGB.
Without objects, `av1` gains only the bytes of the container over AVIF in that tune. A pack has one
container for all its frames, and every AVIF file has its own."""
OTHER_ENCODER = "With libavif {version}, Pillow's default tune is not that of `--tune accuracy`."
DELTA_WORDS = """Bytes of `av1` relative to the column, at equal accuracy. "-": the column has no
points around it. Brackets: 95 % bootstrap interval, over sets of pictures drawn from these with
replacement. "N % without": in so many of these sets, the column has no points around `av1`. If
these are more than 2.5 % on one side, the interval is open there. "At most" or "at least" then
names the other bound, if there is one: "-34 % (at least -50; 13 % without)" may be any number from
-50 on. The delta rate is that of Bjontegaard, over the accuracies
that both curves reach."""
LEAKS_WORDS = (
    "A sharp rectangle may show the detector where an object is, although its pixels do not. "
    "Decoys are boxes of the same sizes at random places. Larger boxes have a quarter of their "
    "sides more on each side."
)
SEQUENCE_WORDS = "All frames of a sequence are in one pack or video, packs with the preset `fast`."
X265_WORDS = (
    "x265 has its preset medium, and gets no boxes. Its bytes are those of headers and packets, "
    "without a container. All others are those of whole files."
)
NETWORK_WORDS = """[accuracy](accuracy.md) explains the detector, its boxes, the codecs and their
qualities, and compares codecs without networks on more pictures. Networks have the preset
`fast`."""
FIRST_PACK_WORDS = """Only the frames of the first pack, because networks take long to fit. One
object more or less may be chance."""
OURS = "av1"  # how the names of our curves begin
# The codecs that are compared with ours.
RIVALS = ("JPEG", "WebP", ANCHOR, DEFAULT_TUNE, COMPOSITE, OBJECTS)
ORIGINAL = "original"


def intro() -> str:
    """Explain how the page was made, and whether Pillow's default tune is ours."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    same = Still("avif", 20).file(pixels) == Still("avif", 20, "iq").file(pixels)
    words = SAME_ENCODER if same else OTHER_ENCODER
    text = INTRO.format(encoder=words.format(version=features.version("avif")))
    return text if WEIGHTS.is_file() else f"{STAND_IN}\n\n{text}"


def figure_of(any_class: bool) -> tuple[str, Figure]:
    """Return the name of what counts on a set, and how to take it from an accuracy."""
    if any_class:
        return "recall", lambda accuracy: accuracy.recall50
    return "mAP50-95", lambda accuracy: accuracy.map50_95


class Measured:
    """All codings of curves on a set, or on some of its packs."""

    def __init__(
        self, place: Workplace, set_name: str, arms: Arms, chunks: Sequence[int] | None = None
    ) -> None:
        self.shown = place.set(set_name)
        done = {
            arm: [one for one in codings if is_done(place, set_name, one, chunks)]
            for arm, codings in arms.items()
        }
        self.arms: Arms = {arm: codings for arm, codings in done.items() if codings}
        self.missing = [
            f"{arm} {one.label}".strip()
            for arm, codings in arms.items()
            for one in codings
            if one not in done[arm]
        ]
        self.name, self.figure = figure_of(self.shown.any_class)
        codings = dict.fromkeys(chain.from_iterable(self.arms.values()))
        self.commits: dict[Path, str] = {}
        for coding in codings:
            self.commits |= commits(place, set_name, coding, chunks)
        self.seen: dict[str, list[Looked]] = {
            coding.key: looked(place, set_name, coding, chunks) for coding in codings
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return bytes and accuracy of every coding, over all pictures."""
        rows = []
        for arm, codings in self.arms.items():
            for coding in codings:
                size, accuracy = point(self.seen[coding.key])
                row = {"arm": arm, "quality": coding.label, "bytes": size}
                rows.append({**row, **asdict(accuracy)})
        return rows

    def table(self) -> str:
        """Return the rows as Markdown."""
        header = ["codec", "quality", "bytes", self.name]
        header += [] if self.shown.any_class else ["mAP50"]
        body = []
        for row in self.rows():
            key = "recall50" if self.shown.any_class else "map50_95"
            values = [f"{row['bytes']:,.0f}", f"{row[key]:.3f}"]
            values += [] if self.shown.any_class else [f"{row['map50']:.3f}"]
            body.append([row["arm"], row["quality"], *values])
        table = markdown_table(header, body)
        if self.missing:
            table += f"\n\nNot measured yet: {', '.join(self.missing)}."
        return table

    def compared(self) -> dict[str, list[str]]:
        """Return the codings of our curves and of every rival."""
        return {
            arm: [coding.key for coding in codings]
            for arm, codings in self.arms.items()
            if arm in RIVALS or arm.startswith(OURS)
        }

    def points(self, numbers: Sequence[int], samples: int) -> Table:
        """Return these codings, and the originals, on the pictures of these numbers.

        samples: how many resampled sets of them give the intervals.
        """
        originals = [coding.key for coding in self.arms.get(ORIGINAL, ())]
        keys = chain(originals, *self.compared().values())
        return Table({key: self.seen[key] for key in keys}, numbers, self.figure, samples=samples)

    def deltas(self, table: Table) -> dict[str, dict[str, Interval]]:
        """Compare the bytes of our curves, and of each of their points, with every rival."""
        keys = self.compared()
        rivals = [rival for rival in RIVALS if len(keys.get(rival, ())) > 1]
        result = {}
        for arm in (arm for arm in keys if arm.startswith(OURS)):
            others = [rival for rival in rivals if rival != arm]
            for coding in self.arms[arm]:
                name = f"{arm}, {coding.label}"
                result[name] = {r: table.saving(coding.key, keys[r]) for r in others}
            if len(keys[arm]) > 1:
                result[f"{arm}, delta rate"] = {r: table.delta(keys[arm], keys[r]) for r in others}
        return result

    def fog(self, table: Table, words: str) -> FogSet | None:
        """Return what the fog sends with each codec; None without originals."""
        if ORIGINAL not in self.arms:
            return None
        jpegs = {f"JPEG {one.label}": one.key for one in reversed(self.arms.get("JPEG", ()))}
        return fog_set(
            table,
            words=words,
            figure=self.name,
            levels=levels_of(self.arms[ORIGINAL][0].key, jpegs),
            codecs=self.compared(),
        )


def delta_table(deltas: Mapping[str, Mapping[str, Interval]]) -> str:
    """Return the differences as Markdown."""
    rivals = list(dict.fromkeys(chain.from_iterable(deltas.values())))
    rows = [
        [our_point, *(row[rival].text() if rival in row else "" for rival in rivals)]
        for our_point, row in deltas.items()
    ]
    return markdown_table(["bytes at equal accuracy", *rivals], rows)


def draw(path: Path, sets: Mapping[str, Measured]) -> None:
    """Draw accuracy over bytes, one plot a set."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import ScalarFormatter

    figure, axes = plt.subplots(1, len(sets), figsize=(5.5 * len(sets), 4.6), layout="constrained")
    for axis, measured in zip(axes if len(sets) > 1 else [axes], sets.values(), strict=True):
        key = "recall50" if measured.shown.any_class else "map50_95"
        rows = measured.rows()
        for arm in measured.arms:
            its = [(row["bytes"] / 1000, row[key]) for row in rows if row["arm"] == arm]
            if arm == ORIGINAL:
                axis.axhline(its[0][1], color="grey", linestyle=":", label=arm)
                continue
            style = "-" if arm.startswith(OURS) else "--"
            axis.plot(*zip(*its, strict=True), style, marker=".", label=arm)
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.xaxis.set_minor_formatter(ScalarFormatter())
        axis.tick_params(axis="x", which="minor", labelsize=7)
        axis.set_xlabel("kB a picture, whole files")
        axis.set_ylabel(measured.name)
        axis.set_title(measured.shown.words)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def photo_arms(options: argparse.Namespace) -> Arms:
    """Return the curves of photos and frames that are asked for."""
    return {name: PICTURES[name] for name in options.arms or PICTURES}


def parts_of(place: Workplace, options: argparse.Namespace) -> list[Part]:
    """List the parts to compute, the most important first, but of networks the slowest."""
    parts: list[Part] = []

    def add(set_name: str, arms: Arms, chunks: Sequence[int] | None = None) -> None:
        n_chunks = len(place.set(set_name).chunks)
        for coding in dict.fromkeys(chain.from_iterable(arms.values())):
            parts.extend(
                Part(set_name, chunk, coding)
                for chunk in (range(n_chunks) if chunks is None else chunks)
            )

    if options.networks:
        add("dacsdc", NETWORKS, [0])
        for name in options.sequences:
            add(name, SEQUENCE_NETWORKS)
        return sorted(parts, key=lambda part: not isinstance(part.coding, Network))
    for name in PHOTOS:
        add(name, photo_arms(options))
    add("coco", LEAKS)
    for name in options.sequences:
        add(name, SEQUENCE_ARMS)
    return parts


def parts_by(everything: Sequence[Measured]) -> str:
    """Name the commits that computed the parts of the page."""
    made = {path: commit for measured in everything for path, commit in measured.commits.items()}
    return " / ".join(f"{n} by commit {one}" for one, n in Counter(made.values()).most_common())


def section(title: str, *parts: str) -> str:
    """Return a part of the page."""
    return "\n\n".join([f"## {title}", *parts])


def photo_sections(
    photos: Mapping[str, Measured], samples: int
) -> tuple[list[str], dict[str, Any], list[FogSet]]:
    """Return the parts on photos and frames: points, delta rates, and bytes through a fog."""
    parts: list[str] = []
    data: dict[str, Any] = {}
    fogs: list[FogSet] = []
    for name, measured in photos.items():
        shown = measured.shown
        half = max(shown.halves)
        numbers = [number for number, its in enumerate(shown.halves) if its == half]
        table = measured.points(numbers, samples)
        deltas = measured.deltas(table)
        untuned = f"{shown.words}, the {len(numbers)} that were not used for tuning"
        fog = measured.fog(table, untuned if half else shown.words)
        fogs += [fog] if fog else []
        where = f"On the {len(numbers)} pictures that were not used for tuning. " if half else ""
        compared = [f"{where}{DELTA_WORDS}", delta_table(deltas)] if deltas else []
        parts.append(section(shown.words, measured.table(), *compared))
        data[name] = {
            "words": shown.words,
            "points": measured.rows(),
            "deltas": {
                our_point: {rival: asdict(one) for rival, one in row.items()}
                for our_point, row in deltas.items()
            },
        }
    return parts, data, fogs


def more_sections(
    sections: Mapping[str, tuple[str, Measured]],
) -> tuple[list[str], dict[str, Any]]:
    """Return sections of words and a table, and their data by title; skip sets without points."""
    shown = {title: one for title, one in sections.items() if one[1].arms}
    texts = [section(title, words, one.table()) for title, (words, one) in shown.items()]
    return texts, {title: {"points": one.rows()} for title, (_, one) in shown.items()}


def write_pictures(place: Workplace, options: argparse.Namespace) -> None:
    """Write the pages of the codecs without networks: accuracy and fog."""
    measured_sets = {name: Measured(place, name, photo_arms(options)) for name in PHOTOS}
    photos = {name: measured for name, measured in measured_sets.items() if measured.arms}
    draw(options.out / "accuracy.png", photos)
    parts, data, fogs = photo_sections(photos, options.samples)
    sections = {"Do the boxes leak the labels?": (LEAKS_WORDS, Measured(place, "coco", LEAKS))}
    for name in options.sequences:
        measured = Measured(place, name, SEQUENCE_ARMS)
        sections[measured.shown.words] = (f"{SEQUENCE_WORDS} {X265_WORDS}", measured)
    more_parts, more_data = more_sections(sections)
    everything = [*measured_sets.values(), *(measured for _, measured in sections.values())]
    made = {**made_by("accuracy", options), "parts": parts_by(everything)}
    if fogs:
        write_report(
            "fog",
            options,
            made=made,
            title="The fog at equal accuracy",
            body=fog_body(fogs),
            data={"frames": place.set("coco").words, "sets": fog_data(fogs)},
        )
    write_report(
        "accuracy",
        options,
        made=made,
        title="Accuracy over bytes",
        body="\n\n".join([intro(), "![Accuracy over bytes](accuracy.png)", *parts, *more_parts]),
        data={"frames": place.set("coco").words, "sets": data | more_data},
    )


def write_networks(place: Workplace, options: argparse.Namespace) -> None:
    """Write the page of the families that fit networks."""
    frames = Measured(place, "dacsdc", NETWORKS, [0])
    title = f"{len(frames.shown.chunks[0])} of the {frames.shown.words}"
    sections = {title: (FIRST_PACK_WORDS, frames)}
    for name in options.sequences:
        measured = Measured(place, name, SEQUENCE_NETWORKS)
        sections[measured.shown.words] = (SEQUENCE_WORDS, measured)
    parts, data = more_sections(sections)
    write_report(
        "accuracy_networks",
        options,
        made={
            **made_by("accuracy", options),
            "parts": parts_by([measured for _, measured in sections.values()]),
        },
        title="Accuracy over bytes: networks",
        body="\n\n".join([NETWORK_WORDS, *parts]),
        data={"frames": title, "sets": data},
    )


def main() -> None:
    parser = common_parser(__doc__, frames=0)
    parser.add_argument("--arms", nargs="+", metavar="NAME", help="curves; all by default")
    parser.add_argument("--work", type=Path, help="folder of parts; by default in that of --out")
    parser.add_argument(
        "--page-only", action="store_true", help="compute nothing, leave out what is missing"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes of one thread each")
    parser.add_argument(
        "--samples", type=int, help="resampled sets for an interval; 200 by default"
    )
    parser.add_argument("--sequences", nargs="*", default=list(SEQUENCES), help="by their folders")
    parser.add_argument("--networks", action="store_true", help="write only accuracy_networks.md")
    options = parser.parse_args()
    if not options.networks:
        options.samples = 200 if options.samples is None else options.samples
    elif options.arms or options.samples is not None:
        parser.error("--networks has neither --arms nor --samples")
    unknown = [name for name in options.arms or () if name not in PICTURES]
    if unknown:
        parser.error("\n    ".join([f"no curve {', '.join(unknown)}; there are:", *PICTURES]))
    setup(options)
    place = Workplace(
        (options.work or options.out / WORK).resolve(), options.frames, options.device
    )
    place.keep_options()
    options.work = None  # not on the page
    if not options.page_only:
        compute(
            parts_of(place, options),
            place,
            jobs=options.jobs,
            on_part=lambda left: print(f"{left} parts are left", flush=True),
        )
    (write_networks if options.networks else write_pictures)(place, options)


if __name__ == "__main__":
    main()

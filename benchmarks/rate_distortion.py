"""Quality at equal bytes: ours against tuned JPEG, WebP, AVIF, and AVIF with pasted crops.

For every frame and preset, each baseline is asked for the size that the frame has in our pack, all
bytes of all files counted. Its best settings in Pillow are used: JPEG optimised and progressive, in
4:2:0 or 4:4:4, whichever is better; WebP method 6; AVIF speed 6, 4:4:4, tuned for PSNR. The
composite lowers the quality of its frame until the background is no better than ours, and spends
what that saves on the crops.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import load_frames
from harness.reports import db, markdown_table, write_report
from rinrcodec.compute.compose import to_array
from rinrcodec.evaluation.baselines import QualityScan, available_codecs
from rinrcodec.evaluation.comparison import (
    CURVE_OBJECT_SHARE,
    OURS,
    Comparison,
    at_equal_bytes,
    at_size,
    summary,
)
from rinrcodec.metrics import frame_bytes, frame_quality
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset

CURVE_SIZES = (3000, 4500, 6500, 9000, 13000, 18000, 26000)


def our_comparisons(
    pictures: Sequence[Picture], preset: str, options: argparse.Namespace
) -> tuple[list[Comparison], float]:
    """Return our frames, and the seconds that the encoder took."""
    chosen = get_preset(preset, steps=options.steps, background="siren", objects="siren")
    start = time.perf_counter()
    pack = rinrcodec.encode(pictures, preset=chosen, seed=options.seed, device=options.device)
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.rinr"
        rinrcodec.save(pack, path)
        sizes = frame_bytes(pack, path.stat().st_size)
        comparisons = []
        with rinrcodec.open(path) as file:
            for index, picture in enumerate(pictures):
                pixels = to_array(file.decode(index, device=options.device))
                quality = frame_quality(picture.pixels, pixels, picture.boxes)
                comparisons.append(Comparison.of(picture, OURS, preset, sizes[index], quality))
    return comparisons, seconds


def quality_table(comparisons: Iterable[Comparison]) -> str:
    """Return the means of each method, as Markdown."""
    header = ["method", "bytes a frame", "bits/pixel", "frame dB", "background dB", "objects dB"]
    return markdown_table(
        header,
        [
            (method, f"{size:,.0f}", f"{bpp:.3f}", db(q.frame), db(q.background), db(q.objects))
            for method, size, bpp, q in summary(comparisons)
        ],
    )


def frame_table(comparisons: Sequence[Comparison], methods: Sequence[str]) -> str:
    """Return background / object PSNR of each frame and method, as Markdown."""
    names = list(dict.fromkeys(one.frame for one in comparisons))
    cells = {(one.frame, one.method): one for one in comparisons}
    table = []
    for name in names:
        measured = [cells[name, method] for method in methods]
        pairs = [f"{db(one.background_psnr)} / {db(one.object_psnr)}" for one in measured]
        table.append((name, f"{measured[0].n_bytes:,.0f}", *pairs))
    return markdown_table(["frame", "bytes", *methods], table)


def draw(
    path: Path, curves: Sequence[Comparison], points: Sequence[Comparison], title: str
) -> None:
    """Draw background and object PSNR over bytes: lines for baselines, dots for presets."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import ScalarFormatter

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for axis, part in zip(axes, ("background", "objects"), strict=True):
        for method in dict.fromkeys(one.method for one in curves):
            line = [
                (means[0][1], getattr(means[0][3], part))
                for size in CURVE_SIZES
                if (
                    means := summary(
                        r for r in curves if (r.method, r.against) == (method, f"{size}")
                    )
                )
            ]
            style = "--" if method == "composite" else "-"
            axis.plot(*zip(*line, strict=True), style, marker=".", label=method)
        for preset in dict.fromkeys(one.against for one in points):
            ((_, size, _, quality),) = summary(one for one in points if one.against == preset)
            axis.plot(size, getattr(quality, part), "k*", markersize=11)
            axis.annotate(
                f"rinrcodec {preset}",
                (size, getattr(quality, part)),
                textcoords="offset points",
                xytext=(7, -12),
            )
        axis.set_xscale("log")
        axis.set_xticks(CURVE_SIZES, [f"{size / 1000:g}" for size in CURVE_SIZES])
        axis.xaxis.set_minor_formatter(ScalarFormatter())
        axis.minorticks_off()
        axis.set_xlabel("kB a frame, whole files")
        axis.set_ylabel("PSNR, dB (mean over frames)")
        axis.set_title("outside the boxes" if part == "background" else "inside the boxes")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=9)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = common_parser(__doc__, frames=6)
    parser.add_argument("--presets", nargs="+", default=["fast", "balanced"], help="our presets")
    parser.add_argument("--steps", type=int, help="fit this many steps in place of the preset's")
    parser.add_argument("--no-curves", action="store_true", help="no rate curves and no plot")
    options = parser.parse_args()
    setup(options)
    what, pictures = load_frames(options.frames)
    codecs = available_codecs()
    scans = [{codec: QualityScan(codec, item.pixels) for codec in codecs} for item in pictures]

    ours: list[Comparison] = []
    equal: list[Comparison] = []
    parts = []
    for preset in options.presets:
        comparisons, seconds = our_comparisons(pictures, preset, options)
        ours += comparisons
        for picture, scan, mine in zip(pictures, scans, tuple(comparisons), strict=True):
            others = at_equal_bytes(
                picture, scan, mine.n_bytes, background_psnr=mine.background_psnr
            )
            comparisons += [Comparison.of_coded(picture, coded, preset) for coded in others]
        equal += comparisons
        methods = list(dict.fromkeys(one.method for one in comparisons))
        parts += [
            f"## Preset `{preset}`: means over the frames, at equal bytes",
            quality_table(comparisons),
            f"Encoding took us {seconds / len(pictures):.1f} s a frame.",
            "Per frame, background / objects in dB:",
            frame_table(comparisons, methods),
        ]
    curves = []
    if not options.no_curves:
        curves = [
            Comparison.of_coded(picture, coded, f"{size}")
            for picture, scan in zip(pictures, scans, strict=True)
            for size in CURVE_SIZES
            for coded in at_size(picture, scan, size)
        ]
        draw(options.out / "rate_distortion.png", curves, ours, what)
        parts += [
            "## Rate curves",
            "![PSNR over bytes](rate_distortion.png)",
            f"The composite of the curves spends {CURVE_OBJECT_SHARE:.0%} of its bytes on crops. "
            "Below its smallest possible file a codec's point is where that file is.",
        ]
    intro = (
        f"On {what}. PSNR in dB, the mean over frames of each frame's dB; *objects* are the "
        "pixels inside any box, *background* all others. Bytes are those of whole files; a frame "
        "of a pack (*rinrcodec*: `siren`, with objects of the same family) has its own weights and "
        "an equal part of the rest. The composite is AVIF with "
        "crops pasted in, at our size and with at least our background."
    )
    write_report(
        "rate_distortion",
        options,
        title="Quality at equal bytes",
        body="\n\n".join([intro, *parts]),
        data={
            "frames": what,
            "equal_bytes": list(map(asdict, equal)),
            "curves": list(map(asdict, curves)),
        },
    )


if __name__ == "__main__":
    main()

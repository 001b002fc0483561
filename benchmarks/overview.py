"""One page and one plot of all codecs: bytes, what a detector finds, and time.

    python benchmarks/overview.py [--pages docs/results]

Measures nothing. The figures are those of `accuracy.json` and `speed.json` in the folder of
--pages; the page says by which commands they were made.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accuracy_parts.arms import ANCHOR, BARE, COMPOSITE, DEFAULT_TUNE, OBJECTS
from harness.arguments import common_parser, setup
from harness.reports import markdown_table, write_report
from rinrcodec.evaluation.rates import bytes_at

# The curves of `accuracy.py`, and the codec of `speed.py` that is timed for them.
CURVES = {
    "JPEG": "JPEG 40, Pillow",
    "WebP": "WebP 20, Pillow",
    ANCHOR: "AVIF 30, Pillow",
    DEFAULT_TUNE: "AVIF-default 30, Pillow",
    COMPOSITE: None,
    BARE: "av1, fast, no objects",
    OBJECTS: "av1, fast",
    "av1 --soften": None,
    "av1 --shrink 2, no objects": None,
    "av1 --shrink 2 with objects": "av1, fast, shrink 2",
    "av1 --shrink 4 with objects": "av1, fast, shrink 4",
}
OURS = "av1"
# Endings of names of speed.py; the names without them have rows, too.
VARIANTS = (", no objects", ", shrink 2", ", shrink 4")


@dataclass(frozen=True)
class Codec:
    """One codec: None where nothing is measured.

    points: bytes and mAP50-95 of every quality, on photos of COCO.
    bytes_at: bytes of a photo at the compared mAP, between the points around it.
    encode_ms, decode_ms: of a frame of 640x360.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    bytes_at: float | None
    encode_ms: float | None
    decode_ms: float | None


def load(folder: Path, name: str) -> dict[str, Any]:
    """Load the figures of a page; exit where they are missing."""
    path = folder / f"{name}.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        sys.exit(f"{path} is missing: run benchmarks/{name}.py --out {folder} first")
    return found


def common_accuracy(curves: Iterable[Sequence[tuple[float, float]]]) -> float:
    """Return the middle of the mAPs that all curves reach; if there are none, of those around."""
    reached = [[accuracy for _, accuracy in points] for points in curves]
    return (max(map(min, reached)) + min(map(max, reached))) / 2


def codecs_of(accuracy: dict[str, Any], speed: dict[str, Any]) -> tuple[list[Codec], float]:
    """Return all codecs, and the mAP at which their bytes are compared."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in accuracy["sets"]["coco"]["points"]:
        if row["arm"] in CURVES:
            curves.setdefault(row["arm"], []).append((row["bytes"], row["map50_95"]))
    if missing := ", ".join(name for name in CURVES if name not in curves):
        sys.exit(f"accuracy.json has no curve {missing}: make it again by benchmarks/accuracy.py")
    wanted = common_accuracy(curves.values())
    # Of single frames where there are both, else of a sequence.
    ordered = sorted(speed["rows"], key=lambda row: bool(row["data"] == "stills"))
    times = dict(sorted({row["codec"]: row for row in ordered}.items()))
    codecs = [
        Codec(
            arm,
            tuple(points),
            bytes_at(points, wanted),
            *ms_of(times.get(CURVES[arm] or "", {})),
        )
        for arm, points in curves.items()
    ]
    # Those without a curve, such as networks.
    with_curve = set(CURVES.values())
    without = (name for name in times if name not in with_curve and not name.endswith(VARIANTS))
    others = {name: times[name] for name in without}
    codecs += [Codec(name, (), None, *ms_of(row)) for name, row in others.items()]
    return codecs, wanted


def ms_of(row: dict[str, Any]) -> tuple[float | None, float | None]:
    """Return the milliseconds to encode and to decode a frame."""
    rates = (row.get("encoded_per_s"), row.get("decoded_per_s"))
    encode, decode = (1e3 / rate if rate else None for rate in rates)
    return encode, decode


def draw(path: Path, codecs: Sequence[Codec], wanted: float) -> None:
    """Draw three plots: mAP over bytes, and how long encoding and decoding take."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullFormatter, ScalarFormatter

    figure, (curves, *bars) = plt.subplots(
        1, 3, figsize=(15, 5), width_ratios=(2, 1, 1), layout="constrained"
    )
    # Ten colours, then their lighter ones.
    shades = [plt.get_cmap("tab20")(2 * n % 20 + n // 10) for n in range(20)]
    colours = {
        codec.name: shades[n % 20] if codec.points else "grey" for n, codec in enumerate(codecs)
    }
    curves.axhline(wanted, color="grey", linestyle=":", label=f"mAP {wanted:.3f}")
    for codec in codecs:
        if codec.points:
            style = ".-" if codec.name.startswith(OURS) else ".--"
            sizes, accuracies = zip(*codec.points, strict=True)
            kilobytes = [size / 1000 for size in sizes]
            curves.plot(kilobytes, accuracies, style, color=colours[codec.name], label=codec.name)
    curves.set_xscale("log")
    curves.xaxis.set_major_formatter(ScalarFormatter())
    curves.xaxis.set_minor_formatter(ScalarFormatter())
    curves.set(xlabel="kB a photo, whole files", ylabel="mAP50-95", title="What a detector finds")
    curves.grid(alpha=0.3)
    figure.legend(fontsize=8, loc="outside lower center", ncols=6)
    for axis, field, title in zip(
        bars, ("encode_ms", "decode_ms"), ("Encoding", "Decoding"), strict=True
    ):
        timed = [codec for codec in reversed(codecs) if getattr(codec, field) is not None]
        values = [getattr(codec, field) for codec in timed]
        names = [codec.name for codec in timed]
        drawn = axis.barh(names, values, color=[colours[name] for name in names])
        axis.bar_label(drawn, [milliseconds(value) for value in values], fontsize=8, padding=2)
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.margins(x=0.4)
        axis.set(xlabel="ms a frame of 640x360", title=title)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def milliseconds(value: float | None) -> str:
    """Return a time as text, with up to three figures."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def page(codecs: Sequence[Codec], wanted: float, accuracy: Any, speed: Any) -> str:
    """Return the plot, the table, and where the figures come from."""
    table = markdown_table(
        ["codec", f"bytes at mAP {wanted:.3f}", "encode ms", "decode ms"],
        [
            (
                codec.name,
                "-" if codec.bytes_at is None else f"{codec.bytes_at:,.0f}",
                milliseconds(codec.encode_ms),
                milliseconds(codec.decode_ms),
            )
            for codec in codecs
        ],
    )
    return (
        f"Bytes are those of a photo at an mAP50-95 of {wanted:.3f}, between the measured points "
        f"around it: {accuracy['frames']}. That is the middle of the accuracies that all these "
        "codecs reach. [accuracy](accuracy.md) has the points, what each codec is, and intervals "
        "of the differences on the photos that were not used for tuning. Times are those of a "
        "frame of 640x360: [speed](speed.md) has the threads and the qualities. Rows of `av1` with "
        'bytes have the preset `fast`. "-": not measured.\n\n'
        f"![Bytes, accuracy and time](overview.png)\n\n{table}\n\n"
        f"The figures come from `{accuracy['made']['command'].split(' --')[0]}` and "
        f"`{speed['made']['command'].split(' --')[0]}`, of the commits "
        f"{accuracy['made']['commit']} and {speed['made']['commit']}."
    )


def main() -> None:
    parser = common_parser(__doc__, frames=0)
    parser.add_argument(
        "--pages", type=Path, default=Path("docs/results"), help="folder of accuracy and speed"
    )
    options = parser.parse_args()
    setup(options)
    accuracy, speed = load(options.pages, "accuracy"), load(options.pages, "speed")
    options.pages = None  # not on the page
    codecs, wanted = codecs_of(accuracy, speed)
    draw(options.out / "overview.png", codecs, wanted)
    write_report(
        "overview",
        options,
        title="All codecs at a glance",
        body=page(codecs, wanted, accuracy, speed),
        data={
            "frames": accuracy["frames"],
            "map50_95": wanted,
            "codecs": [asdict(codec) for codec in codecs],
        },
    )


if __name__ == "__main__":
    main()

"""Whole data sets through the command line: every frame and every label has to come back.

Runs `rinrcodec compress`, `verify` and `decompress --labels` as a user would, then compares the
pictures' names and sizes and all labels with the source. Few fitting steps: it is about what comes
back, not about how well; rate_distortion and presets are about that.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from harness.arguments import common_parser, setup
from harness.frames import DATA
from harness.reports import markdown_table, write_report
from rinrcodec.errors import RinrInputError
from rinrcodec.families import background_family
from rinrcodec.labels.yolo import format_labels
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.samples import sample_pictures

SETS = {
    "DAC-SDC, train and val": "dacsdc/dacsdc.yaml",
    "COCO128, train and val": "coco128/coco128.yaml",
    "DTB70 mountainbike6, 1280x720": "sequences/dtb70_mountainbike6",
    "vtest.avi, 768x576": "video/vtest.avi",
}


def run(*words: object) -> None:
    """Run one command of ours; its error ends the benchmark."""
    command = [sys.executable, "-m", "rinrcodec", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RinrInputError(f"{' '.join(map(str, words[:2]))} failed: {done.stderr.strip()}")


def compare(source: Path, back: Path) -> dict[str, Any]:
    """Count frames and boxes of a source, and those that did not come back as they were."""
    frames = boxes = missing = changed = 0
    sides: list[float] = []
    decoded = {path.stem: path for path in back.rglob("*.png")}
    labels = {path.stem: path for path in back.rglob("*.txt")}
    for series in open_source(source).series:
        for reading in series.read():
            if reading.picture is None:
                raise RinrInputError(f"{reading.name}: {reading.error}")
            picture = reading.picture
            frames += 1
            boxes += len(picture.boxes)
            sides += [side for box in picture.boxes for side in (box.w, box.h)]
            stem = Path(picture.name).stem
            if stem not in decoded:
                missing += 1
                continue
            with Image.open(decoded[stem]) as image:
                missing += image.size != (picture.width, picture.height)
            wanted = sorted(
                (
                    box.class_id,
                    *(
                        round(value, 6)
                        for value in (
                            (box.x + box.w / 2) / picture.width,
                            (box.y + box.h / 2) / picture.height,
                            box.w / picture.width,
                            box.h / picture.height,
                        )
                    ),
                )
                for box in picture.boxes
            )
            text = labels[stem].read_text(encoding="utf-8") if stem in labels else ""
            rows = sorted(
                (int(words[0]), *(float(word) for word in words[1:]))
                for words in map(str.split, text.splitlines())
            )
            same = len(rows) == len(wanted) and all(
                a[0] == b[0] and max(abs(x - y) for x, y in zip(a[1:], b[1:], strict=True)) < 1.1e-6
                for a, b in zip(rows, wanted, strict=True)
            )
            changed += not same
    smallest = min(sides, default=0.0)
    return {
        "frames": frames,
        "boxes": boxes,
        "frames_missing": missing,
        "labels_changed": changed,
        "smallest_side": smallest,
    }


def sources(options: argparse.Namespace, folder: Path) -> dict[str, Path]:
    """Return the data sets by name; if none is there, pictures of scikit-image in `folder`."""
    chosen = {name: options.data / path for name, path in SETS.items() if path in options.sets}
    found = {name: path for name, path in chosen.items() if path.exists()}
    if found:
        for name in (name for name in chosen if name not in found):
            print(f"left out, it is not here: {chosen[name]}")
        return found
    pictures = sample_pictures()
    for number, picture in enumerate(pictures):
        text = format_labels(picture.boxes, width=picture.width, height=picture.height)
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
        Image.fromarray(picture.pixels).save(folder / f"{number}.png")
    return {f"{len(pictures)} pictures of scikit-image": folder}


def there_and_back(source: Path, background: str, options: argparse.Namespace) -> dict[str, Any]:
    """Compress, verify and decompress a data set, and compare what comes back."""
    with tempfile.TemporaryDirectory() as folder:
        out, back, report = (Path(folder, part) for part in ("packs", "back", "report.json"))
        settings = ["--background", background, "--preset", "fast", "--device", options.device]
        if background_family(background).fits_networks:
            settings += ["--steps", str(options.steps)]
        start = time.perf_counter()
        run("compress", source, "-o", out, *settings, "--json", report, "--quiet")
        encoded = time.perf_counter()
        run("verify", out)
        run("decompress", out, "-o", back, "--labels", "--quiet")
        ended = time.perf_counter()
        total = json.loads(report.read_text(encoding="utf-8"))["total"]
        return {
            **compare(source, back),
            "bytes": total["bytes"],
            "source_bytes": total["source_bytes"],
            "compress_s": encoded - start,
            "verify_decompress_s": ended - encoded,
        }


def table_row(row: Mapping[str, Any]) -> list[str]:
    """Return a line of the table."""
    return [
        row["set"],
        row["background"],
        f"{row['frames']:,}",
        f"{row['frames_missing']}",
        f"{row['boxes']:,}",
        f"{row['smallest_side']:.1f}",
        f"{row['labels_changed']}",
        f"{row['source_bytes'] / row['bytes']:.1f}x",
        f"{row['compress_s']:.0f}",
        f"{row['verify_decompress_s']:.0f}",
    ]


HEADER = [
    *("data", "background", "frames", "missing", "boxes", "smallest side, px"),
    *("label files changed", "smaller by", "compress, s", "verify and decompress, s"),
]


def main() -> None:
    parser = common_parser(__doc__, frames=0)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the data sets")
    parser.add_argument("--sets", nargs="+", default=list(SETS.values()), help="which, by path")
    parser.add_argument("--backgrounds", nargs="+", default=["av1", "siren"], help="families")
    parser.add_argument("--steps", type=int, default=100, help="steps of families with networks")
    options = parser.parse_args()
    setup(options)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, source in sources(options, Path(folder)).items():
            for background in options.backgrounds:
                row = {"set": name, "background": background}
                rows.append(row | there_and_back(source, background, options))
                print(*table_row(rows[-1]), sep=" | ", flush=True)
    body = (
        f"Whole data sets, preset `fast`, networks with {options.steps} steps: compressed, "
        "verified, decompressed with labels, and compared with the source. *Missing* are frames "
        "that did not come back in their size; labels are compared to 6 digits.\n\n"
        + markdown_table(HEADER, [table_row(row) for row in rows])
    )
    title = "Every frame and label comes back"
    write_report("real_data", options, title=title, body=body, data={"sets": rows})


if __name__ == "__main__":
    main()

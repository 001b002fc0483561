"""What `pyramid` takes in time, to fit and to decode, against WebP and AVIF at equal bytes."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import rinrcodec
from harness.frames import load_frames
from harness.ledger import JsonRow, Ledger
from harness.reports import markdown_table
from harness.timing import timed
from pyramid_gates.points import finite_psnr, our_coding, paragraphs, without_boxes
from rinrcodec.evaluation.baselines import QualityScan
from rinrcodec.metrics import frame_bytes
from rinrcodec.pack import Pack, merge_packs
from rinrcodec.picture import Picture

OTHERS = ("webp", "avif")
DECODED = 64


def batch_row(pictures: Sequence[Picture], options: argparse.Namespace) -> JsonRow:
    """Frames that are fitted together: seconds of it, of decoding, and how good each has become."""
    (lmbda,) = options.lambdas
    coding = our_coding(pictures, rinrcodec.Target(lmbda=lmbda), options)
    sizes = frame_bytes(coding.pack, coding.n_bytes)
    frames = []
    for picture, decoded, size in zip(pictures, coding.decoded, sizes, strict=True):
        frame: JsonRow = {"frame": picture.name, "bytes": size}
        frame["psnr"] = finite_psnr(picture.pixels, decoded)
        for codec in OTHERS:
            other = QualityScan(codec, picture.pixels).nearest(round(size))
            quality = finite_psnr(picture.pixels, other.pixels)
            frame[codec] = {"bytes": other.n_bytes, "psnr": quality}
        frames.append(frame)
    return {
        "seconds_a_frame": coding.seconds / len(pictures),
        "one_ms": 1e3 * decode_seconds(coding.pack, 1, options),
        "many_ms": 1e3 * decode_seconds(coding.pack, DECODED, options) / DECODED,
        "frames": frames,
    }


def decode_seconds(pack: Pack, count: int, options: argparse.Namespace) -> float:
    """Seconds to read and decode `count` frames in one call, the best of some.

    A pack of fewer frames is repeated in the file, so that no frame is decoded for two.
    """
    copies = merge_packs([pack] * -(-count // len(pack.frames)))
    numbered = (replace(frame, name=f"{i:06d}") for i, frame in enumerate(copies.frames))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.rinr"
        rinrcodec.save(replace(copies, frames=tuple(numbered)), path)

        def decode() -> object:
            with rinrcodec.open(path) as file:
                return file.decode(range(count), device=options.device)

        return timed(decode, device=options.device, repeats=options.repeats)


def times(options: argparse.Namespace, ledger: Ledger) -> None:
    """Gate 4: seconds, and whether what they buy is as good as other codecs."""
    what, pictures = load_frames(options.frames, evenly=True)
    pictures = without_boxes(pictures)
    step = options.batch
    rows = []
    for first in range(0, len(pictures), step):
        batch = pictures[first : first + step]
        rows.append(ledger.row(f"from {first}", partial(batch_row, batch, options)))
        print(f"from {first}: {rows[-1]['seconds_a_frame']:.1f} s a frame", flush=True)
    frames = [frame for row in rows for frame in row["frames"]]
    n_frames = [len(row["frames"]) for row in rows]
    fit = sum(n * row["seconds_a_frame"] for n, row in zip(n_frames, rows, strict=True))
    summary = {
        "fit_s_a_frame": fit / len(frames),
        "decode_one_ms": statistics.mean(row["one_ms"] for row in rows),
        "decode_many_ms_a_frame": statistics.mean(row["many_ms"] for row in rows),
    }
    many = summary["decode_many_ms_a_frame"]
    timing = markdown_table(
        ["", "time"],
        [
            (f"fit, s a frame, {step} at a time", f"{summary['fit_s_a_frame']:,.2f}"),
            ("decode one frame, ms", f"{summary['decode_one_ms']:,.1f}"),
            (f"decode {DECODED} frames at once, ms a frame", f"{many:,.2f}"),
            (f"decode {DECODED} frames at once, frames a second", f"{1e3 / many:,.0f}"),
        ],
    )
    means = {
        key: statistics.mean(frame["psnr"] - frame[key]["psnr"] for frame in frames)
        for key in OTHERS
    }
    header = ["frame", "bytes", "dB"]
    for codec in OTHERS:
        header += [f"{codec} bytes", f"{codec} dB", f"we above {codec}, dB"]
    body = paragraphs(
        f"On {what}, preset `{options.preset}`, lambda {options.lambdas[0]:g}, fitted in packs of "
        f"{step} on `{options.device}`. A decode reads the file, too; its time is the best of "
        f"{options.repeats}, the mean over the packs. A pack of fewer than {DECODED} frames is "
        "repeated in a file for the last two rows. The other codecs are at our size.",
        "## Time",
        timing,
        "## Quality at equal bytes",
        markdown_table(
            header,
            [
                *map(_line, frames),
                ("mean", "", "", *(cell for d in means.values() for cell in ("", "", f"{d:+.2f}"))),
            ],
        ),
    )
    data = {"frames": what, "summary": summary, "above_db": means, "rows": rows}
    ledger.finish(title="`pyramid` in time", body=body, data=data)


def _line(frame: JsonRow) -> list[str]:
    cells = [frame["frame"], f"{frame['bytes']:,.0f}", f"{frame['psnr']:.2f}"]
    for codec in OTHERS:
        other = frame[codec]
        cells += [f"{other['bytes']:,}", f"{other['psnr']:.2f}"]
        cells.append(f"{frame['psnr'] - other['psnr']:+.2f}")
    return cells

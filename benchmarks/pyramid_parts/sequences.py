"""`pyramid` on sequences: chunks against frames coded alone, and x265 with a key frame in 8."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import rinrcodec
from harness.frames import load_sequence
from harness.ledger import JsonRow, Ledger
from harness.reports import markdown_table
from harness.video import encode_video
from pyramid_parts.points import (
    compared,
    mean_psnr,
    number,
    our_coding,
    paragraphs,
    percent,
    points_of,
    reasons,
    without_boxes,
)
from rinrcodec.evaluation.rates import bytes_at
from rinrcodec.picture import Picture

WAYS = ("chunks", "frames alone")
KEY_FRAME = 8
RATE_FACTORS = range(12, 49, 3)


def as_frames_alone(pictures: Sequence[Picture]) -> list[Picture]:
    """Give each picture a folder in its name: frames of one folder are a sequence."""
    return [replace(item, name=f"{i:06d}/{item.name}") for i, item in enumerate(pictures)]


def our_row(
    name: str, way: str, pictures: Sequence[Picture], lmbda: float, options: argparse.Namespace
) -> JsonRow:
    """Return a point of ours: bytes a frame of the file, and the mean of the dB."""
    named = as_frames_alone(pictures) if way == "frames alone" else pictures
    coding = our_coding(named, rinrcodec.Target(lmbda=lmbda), options)
    return {
        "sequence": name,
        "method": way,
        "setting": f"lambda {lmbda:g}",
        "bytes": coding.n_bytes / len(pictures),
        "psnr": mean_psnr(pictures, coding.decoded),
    }


def video_row(name: str, pictures: Sequence[Picture], crf: int) -> JsonRow:
    """Return a point of x265."""
    video = encode_video(pictures, crf=crf, key_frame=KEY_FRAME)
    return {
        "sequence": name,
        "method": "x265",
        "setting": f"crf {crf}",
        "bytes": video.n_bytes / len(pictures),
        "psnr": mean_psnr(pictures, list(video.decode())),
    }


def sequence_rows(
    name: str, pictures: Sequence[Picture], options: argparse.Namespace, ledger: Ledger
) -> dict[str, list[JsonRow]]:
    """Return the points of every method."""
    rows: dict[str, list[JsonRow]] = {}
    for way in WAYS:
        rows[way] = [
            ledger.row(
                f"{name} {way} {lmbda:g}", partial(our_row, name, way, pictures, lmbda, options)
            )
            for lmbda in options.lambdas
        ]
        print(name, way, *(f"{row['bytes']:,.0f} {row['psnr']:.2f}" for row in rows[way]))
    rows["x265"] = [
        ledger.row(f"{name} x265 {crf}", partial(video_row, name, pictures, crf))
        for crf in RATE_FACTORS
    ]
    return rows


def sequences(options: argparse.Namespace, ledger: Ledger) -> None:
    """Write the report pyramid_sequences: what is gained by coding a frame after another."""
    what: list[str] = []
    rows: list[JsonRow] = []
    rates: dict[str, dict[str, float | str]] = {}
    lines = []
    for name in options.sequences:
        words, pictures = load_sequence(name, options.frames)
        what.append(words)
        by_method = sequence_rows(name, without_boxes(pictures), options, ledger)
        rows += [row for group in by_method.values() for row in group]
        chunks, alone, video = (points_of(by_method[method]) for method in (*WAYS, "x265"))
        rates[name] = {
            "chunks against frames alone": compared(chunks, alone),
            "chunks against x265": compared(chunks, video),
            "frames alone against x265": compared(alone, video),
        }
        lines += [
            (
                name,
                row["method"],
                row["setting"],
                number(row["bytes"]),
                f"{row['psnr']:.2f}",
                number(bytes_at(video, row["psnr"])),
            )
            for way in WAYS
            for row in by_method[way]
        ]
    header = ["sequence", *next(iter(rates.values()))]
    missing = {f"{n}, {key}": v for n, by_pair in rates.items() for key, v in by_pair.items()}
    body = paragraphs(
        f"On {'; '.join(what)}. Boxes are left out. *Chunks* are pictures of one folder, *frames "
        "alone* the same pictures with a folder each, so that none is predicted from another or "
        "shares its networks. x265 is tuned for PSNR, in YUV 4:2:0, with a key frame "
        f"every {KEY_FRAME} frames and without a container. PSNR in dB, the mean over the frames. "
        "BD-rate is how many more bytes the first takes than the second at equal PSNR, over the "
        "range that both have.",
        "## BD-rate",
        markdown_table(
            header, [(name, *map(percent, by_pair.values())) for name, by_pair in rates.items()]
        ),
        reasons(missing),
        "## Every point of ours",
        markdown_table(
            [
                "sequence",
                "method",
                "setting",
                "bytes a frame",
                "dB",
                "x265's bytes",
            ],
            lines,
        ),
    )
    data = {"frames": "; ".join(what), "rows": rows, "bd_rate": rates}
    ledger.finish(title="`pyramid` on sequences", body=body, data=data)

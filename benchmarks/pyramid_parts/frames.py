"""`pyramid` over a range of rates: a pack of frames against AVIF, WebP and JPEG."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import rinrcodec
from harness.frames import load_frames
from harness.ledger import JsonRow, Ledger
from harness.reports import markdown_table
from pyramid_parts.points import (
    ANCHOR,
    Points,
    change,
    coded_points,
    compared,
    mean_points,
    mean_psnr,
    number,
    our_coding,
    paragraphs,
    percent,
    points_of,
    reasons,
    without_boxes,
)
from rinrcodec.evaluation.baselines import available_codecs
from rinrcodec.evaluation.rates import bytes_at, rate_curve
from rinrcodec.picture import Picture

HOW = (
    "PSNR in dB; bytes are those of whole files. BD-rate is how many more bytes we take at equal "
    "PSNR, over the range that both curves have; below 0 we take fewer. JPEG is optimised and "
    "progressive, in 4:2:0 or 4:4:4, whichever is better; WebP has method 6; AVIF speed 6, 4:4:4, "
    "tuned for PSNR. Every codec is asked for every second of its 100 qualities. Ours are the "
    "lambdas of the table: the loss is the mean squared error of values in 0 to 1, plus lambda "
    "times bits per pixel."
)


def our_point(pictures: Sequence[Picture], lmbda: float, options: argparse.Namespace) -> JsonRow:
    """Return bytes a frame of one file with the pictures, and the mean of their dB."""
    coding = our_coding(pictures, rinrcodec.Target(lmbda=lmbda), options)
    size = coding.n_bytes / len(pictures)
    pixels = statistics.mean(picture.width * picture.height for picture in pictures)
    return {
        "lambda": lmbda,
        "bytes": size,
        "bpp": 8 * size / pixels,
        "psnr": mean_psnr(pictures, coding.decoded),
    }


def codec_curves(
    pictures: Sequence[Picture], ledger: Ledger
) -> dict[str, list[list[tuple[float, float]]]]:
    """Return the points of every picture in every codec."""

    def points(codec: str, picture: Picture) -> list[tuple[float, float]]:
        row = ledger.row(f"{codec} {picture.name}", lambda: coded_row(codec, picture))
        return [(size, quality) for size, quality in row["points"]]

    codecs = available_codecs()
    return {codec: [points(codec, picture) for picture in pictures] for codec in codecs}


def coded_row(codec: str, picture: Picture) -> JsonRow:
    """Return the points of a picture in a codec."""
    return {"points": coded_points(codec, picture)}


def against(ours: Points, curves: Mapping[str, Points]) -> dict[str, float | str]:
    """Return our BD-rate against every codec, AVIF first."""
    order = sorted(curves, key=lambda codec: codec != ANCHOR)
    return {codec: compared(ours, curves[codec]) for codec in order}


def points_table(rows: Sequence[Mapping[str, Any]], curve: Points) -> str:
    """Compare every point of ours with AVIF at equal PSNR."""
    lines = []
    for row in rows:
        theirs = bytes_at(curve, row["psnr"])
        lines.append(
            (
                f"{row['lambda']:g}",
                number(row["bytes"]),
                f"{row['bpp']:.3f}",
                f"{row['psnr']:.2f}",
                number(theirs),
                percent(change(row["bytes"], theirs)),
            )
        )
    header = ["lambda", "bytes", "bits/pixel", "dB", "AVIF's bytes", "more"]
    return markdown_table(header, lines)


def frames(options: argparse.Namespace, ledger: Ledger) -> None:
    """Write the report pyramid_frames: all frames in one file."""
    what, pictures = load_frames(options.frames, evenly=True)
    pictures = without_boxes(pictures)
    points_of_codecs = codec_curves(pictures, ledger)
    curves = {codec: rate_curve(mean_points(points)) for codec, points in points_of_codecs.items()}
    rows = []
    for lmbda in options.lambdas:
        row = ledger.row(f"{lmbda:g}", partial(our_point, pictures, lmbda, options))
        rows.append(row)
        print(f"{lmbda:g}: {row['bytes']:,.0f} bytes a frame, {row['psnr']:.2f} dB", flush=True)
    rates = against(points_of(rows), curves)
    body = paragraphs(
        f"On {what}, all in one pack without their boxes. A point is the mean of the bytes and the "
        "mean of the dB over the frames, of ours at one lambda, of another codec at one quality "
        f"for all frames. {HOW}",
        "## BD-rate",
        markdown_table(
            ["frames", *(f"against {codec}" for codec in rates)],
            [(len(pictures), *map(percent, rates.values()))],
        ),
        reasons(rates),
        "## Every point of ours",
        points_table(rows, curves[ANCHOR]),
    )
    data = {"frames": what, "rows": rows, "bd_rate": rates, "curves": curves}
    ledger.finish(title="`pyramid` on frames", body=body, data=data)

"""Shared by the comparisons of `pyramid`: our packs as points, and the curves of other codecs."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rinrcodec
from rinrcodec.compute.compose import to_array
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.baselines import CODECS, QUALITIES, QualityScan
from rinrcodec.evaluation.rates import bd_rate, rate_curve
from rinrcodec.metrics import mean_db, psnr
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture

Points = Sequence[tuple[float, float]]  # bytes and PSNR in dB

ANCHOR = "avif"
# Every second one: AVIF has 64 steps for its 100 qualities.
CURVE_QUALITIES = QUALITIES[::2]


@dataclass(frozen=True)
class Coding:
    """Pictures through our codec, all in one file."""

    pack: Pack
    n_bytes: int
    decoded: Sequence[NDArray[np.uint8]]


def our_coding(
    pictures: Sequence[Picture], target: rinrcodec.Target, options: argparse.Namespace
) -> Coding:
    """Encode with the family `pyramid`, save, and decode from the file."""
    pack = rinrcodec.encode(
        pictures,
        preset=options.preset,
        background="pyramid",
        steps=options.steps,
        seed=options.seed,
        device=options.device,
        target=target,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.rinr"
        rinrcodec.save(pack, path)
        with rinrcodec.open(path) as file:
            decoded = [
                to_array(file.decode(i, device=options.device), picture.mode)
                for i, picture in enumerate(pictures)
            ]
        return Coding(pack, path.stat().st_size, decoded)


def without_boxes(pictures: Iterable[Picture]) -> list[Picture]:
    """Return the pictures alone: neither their boxes nor their objects are to cost bytes."""
    return [replace(picture, boxes=()) for picture in pictures]


def finite_psnr(reference: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    """Return the PSNR in dB, 100 for pictures that are equal."""
    value = mean_db([psnr(reference, decoded)])
    assert value is not None
    return value


def mean_psnr(pictures: Sequence[Picture], decoded: Sequence[NDArray[np.uint8]]) -> float:
    """Return the mean over frames of their dB."""
    pairs = zip(pictures, decoded, strict=True)
    return statistics.mean(finite_psnr(picture.pixels, pixels) for picture, pixels in pairs)


def coded_points(codec: str, picture: Picture) -> list[tuple[float, float]]:
    """Code a picture at every quality of the curve with every setting, in this order."""
    scan = QualityScan(codec, picture.pixels)
    coded = (
        scan.at_quality(quality, setting=setting)
        for setting in range(len(CODECS[codec]))
        for quality in CURVE_QUALITIES
    )
    return [(item.n_bytes, finite_psnr(picture.pixels, item.pixels)) for item in coded]


def mean_points(pictures: Iterable[Points]) -> list[tuple[float, float]]:
    """Return mean bytes and mean dB over the pictures, point by point."""
    means = []
    for points in zip(*pictures, strict=True):
        sizes, qualities = zip(*points, strict=True)
        means.append((statistics.mean(sizes), statistics.mean(qualities)))
    return means


def points_of(rows: Iterable[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return the points of our rows."""
    return [(row["bytes"], row["psnr"]) for row in rows]


def compared(ours: Points, anchor: Points) -> float | str:
    """Return the BD-rate in percent to anchor points that none beats, or why there is none."""
    try:
        return bd_rate(ours, rate_curve(anchor))
    except RinrInputError as error:
        return str(error)


def percent(value: float | str | None) -> str:
    """Return a change in percent, as a cell of a table."""
    return f"{value:+.1f} %" if isinstance(value, float) else "-"


def change(ours: float, other: float | None) -> float | None:
    """Return how many percent more ours is than another."""
    return None if other is None else 100 * (ours / other - 1)


def number(value: float | None) -> str:
    """Return a whole number, as a cell of a table."""
    return "-" if value is None else f"{value:,.0f}"


def reasons(named: Mapping[str, float | str]) -> str:
    """Explain in a paragraph why some BD-rates are missing; empty if none is."""
    missing = [f"{name}: {value}." for name, value in named.items() if isinstance(value, str)]
    return "No BD-rate for " + " ".join(missing) if missing else ""


def paragraphs(*parts: str) -> str:
    """Join the parts that say something, with an empty line between them."""
    return "\n\n".join(filter(None, parts))

"""The ladder in words and tables: for the terminal, a Markdown page, and JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rinrcodec.evaluation.ladder import BASELINE_SIZE, INR_ROWS, LOW_QUALITY, Row
from rinrcodec.metrics import Quality, mean_db

__all__ = ["HEADER", "NOTES", "cells", "label", "line", "page", "row_as_json", "shown", "verdicts"]

# A line break where a narrow table breaks its heading.
HEADER = (
    "row",
    "bytes\na frame",
    "objects'\nbytes",
    "objects\ndB",
    "background\ndB",
    "frame\ndB",
    "SSIM",
    "fit s\na frame",
)
NOTES = (
    "**BS**, baseline size: a larger background INR alone, 16 bit. The sizes of the paper's cannot "
    "be recovered; its talk shows 45 KB beside 24 + 6 KB, so the networks of ours are as wide as "
    f"brings the file closest to {BASELINE_SIZE:g} times the bytes of RE.",
    "**BE**: the background INR alone, 16 bit. **DE**: BE and object INRs of the raw RGB. **RE**: "
    "BE and object INRs of the residual. **QRE**: RE with the background INR in 8 bit. Object INRs "
    "have 16 bit everywhere.",
    "A **nerv** background is one network for a sequence: all of its frames are encoded, with "
    "their objects, and those that were taken are compared. Bytes and seconds are means over all.",
    "DE and RE have the same backgrounds, specs, recipe and seed, and keep every object INR, also "
    "one that gains nothing (a preset's `min_gain` would drop it): they differ in the mode alone. "
    "The recipe was tuned on residuals.",
    f'**jpeg q{LOW_QUALITY}** is the paper\'s low-quality JPEG, whose "quality = 0.5" we read as '
    f"{LOW_QUALITY} of 100.",
    "Codecs **at ... QRE** were given the bytes of that row, frame by frame, and their best "
    "settings in Pillow. The *composite* is AVIF with crops of the boxes pasted in: the sharpest "
    "objects at these bytes among those whose background is at least as good as QRE's, where "
    "there is one; else the one with the best background, which leaves little for its objects.",
    "Bytes are those of whole files, which in ours also hold the boxes; *objects' bytes* are the "
    "weights of the object INRs before compression. PSNR is the mean over frames of each frame's "
    "dB, inside any box and outside all; SSIM is that of the frame (Wang et al. 2004).",
)


def shown(rows: Sequence[Row]) -> list[Row]:
    """Rows in the order of the page: those of no family, then by family the INRs and the codecs."""
    families = list(dict.fromkeys(row.family for row in rows if row.family))

    def place(row: Row) -> tuple[int, int]:
        family = families.index(row.family) + 1 if row.family else 0
        return family, INR_ROWS.index(row.name) if row.name in INR_ROWS else len(INR_ROWS)

    return sorted(rows, key=place)


def label(row: Row) -> str:
    """What a row is called where rows of several families stand together."""
    if row.name in INR_ROWS:
        return f"{row.family} {row.name}"
    return f"{row.name} at {row.family} QRE" if row.family else row.name


def line(row: Row) -> str:
    """A row in one line, for the time while others are still being fitted."""
    quality = row.quality
    fitted = "" if row.seconds is None else f", fitted in {row.seconds:.1f} s a frame"
    return (
        f"{label(row)}: {row.n_bytes:,.0f} bytes a frame, objects {_number(quality.objects)} dB, "
        f"background {_number(quality.background)} dB{fitted}"
    )


def cells(row: Row) -> tuple[str, ...]:
    """The row's cells below `HEADER`."""
    quality = row.quality
    return (
        label(row),
        f"{row.n_bytes:,.0f}",
        f"{row.object_bytes:,.0f}" if row.name in INR_ROWS else "-",
        _number(quality.objects),
        _number(quality.background),
        _number(quality.frame),
        _number(row.ssim, 3),
        _number(row.seconds, 1),
    )


def verdicts(rows: Sequence[Row]) -> list[str]:
    """By family: RE against DE, QRE against RE, RE against BS, in sentences."""
    sentences = []
    for family in dict.fromkeys(row.family for row in rows if row.family):
        own = {row.name: row for row in rows if row.family == family}
        direct, residual, quantised, larger = (own[name] for name in ("DE", "RE", "QRE", "BS"))
        sentences += [
            f"{family}, inside the boxes: {_against(residual, direct)}, with "
            f"{residual.object_bytes:,.0f} and {direct.object_bytes:,.0f} bytes of object INRs "
            "a frame.",
            f"{family}, inside the boxes: {_against(residual, larger)}, with "
            f"{_times(residual, larger)}.",
            f"{family}, inside the boxes: {_against(quantised, residual)}, with "
            f"{_times(quantised, residual)}.",
        ]
    return sentences


def page(rows: Sequence[Row], *, plots: Sequence[str]) -> str:
    """The table, the verdicts and the plots (file names beside the page) as Markdown."""
    table = [
        "| " + " | ".join(HEADER).replace("\n", " ") + " |",
        "|---" + "|--:" * (len(HEADER) - 1) + "|",
    ]
    table += ["| " + " | ".join(cells(row)) + " |" for row in shown(rows)]
    parts = [
        "\n".join(table),
        "\n".join(f"* {sentence}" for sentence in verdicts(rows)),
        *(f"![{_title(plot)}]({plot})" for plot in plots),
    ]
    return "\n\n".join(parts)


def row_as_json(row: Row) -> dict[str, Any]:
    """A row and its frames; an exact reproduction counts as 100 dB."""
    return {
        "row": label(row),
        "family": row.family,
        "name": row.name,
        "bytes_a_frame": row.n_bytes,
        "object_bytes_a_frame": row.object_bytes,
        **_quality(row.quality),
        "ssim": row.ssim,
        "seconds_a_frame": row.seconds,
        "file": None if row.file is None else row.file.name,
        "frames": [
            {"frame": one.frame, "bytes": one.n_bytes, **_quality(one.quality), "ssim": one.ssim}
            for one in row.frames
        ],
    }


def _quality(quality: Quality) -> dict[str, float | None]:
    return {
        "psnr_objects": mean_db([quality.objects]),
        "psnr_background": mean_db([quality.background]),
        "psnr_frame": mean_db([quality.frame]),
    }


def _against(row: Row, other: Row) -> str:
    """The difference inside the boxes, over the frames that have any."""
    pairs = [
        [mean_db([frame.quality.objects]) for frame in frames]
        for frames in zip(row.frames, other.frames, strict=True)
    ]
    differences = [one - two for one, two in pairs if one is not None and two is not None]
    mean = math.fsum(differences) / len(differences)
    above = sum(difference > 0 for difference in differences)
    return (
        f"{row.name} is {abs(mean):.2f} dB {'above' if mean >= 0 else 'below'} {other.name} "
        f"on the mean (above it on {above} of {len(differences)} frames)"
    )


def _times(row: Row, other: Row) -> str:
    return f"{row.n_bytes / other.n_bytes:.2f} times the bytes"


def _title(plot: str) -> str:
    return Path(plot).stem.replace("_", " ")


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"

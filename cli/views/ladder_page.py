"""The ladder in words and tables: for the terminal and a Markdown page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rinrcodec.evaluation.ladder import BASELINE_SIZE
from rinrcodec.evaluation.rungs import INR_RUNGS, LOW_QUALITY, Rung
from rinrcodec.metrics import mean_db

__all__ = ["HEADER", "NOTES", "cells", "line", "page", "shown", "verdicts"]

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
    "be recovered. Its talk shows 45 KB next to 24 + 6 KB. So our networks have the width that "
    f"brings the file closest to {BASELINE_SIZE:g} times the bytes of RE.",
    "**BE**: the background INR alone, 16 bit. **DE**: BE and object INRs of the raw RGB. **RE**: "
    "BE and object INRs of the residual. **QRE**: RE with the background INR in 8 bit. Object INRs "
    "have 16 bit everywhere.",
    "A background that joins frames is one network for a sequence. All of its frames are encoded, "
    "with their objects, and the chosen ones are compared. Bytes and seconds are means over all.",
    "DE and RE have the same backgrounds, specs, recipe and seed. They keep every object INR, also "
    "one that gains nothing (a preset's `min_gain` would drop it). They differ in the mode only. "
    "The recipe was tuned on residuals.",
    f'**jpeg q{LOW_QUALITY}** is the paper\'s low-quality JPEG, whose "quality = 0.5" we read as '
    f"{LOW_QUALITY} of 100.",
    "Codecs **at ... QRE** were given the bytes of that row, frame by frame, and their best "
    "settings in Pillow. The *composite* is AVIF with crops of the boxes pasted in. It has the "
    "sharpest objects at these bytes among those whose background is at least as good as QRE's. If "
    "there is none, it has the best background, which leaves little for its objects.",
    "The default background is there **at ... QRE**, too, with the default objects: the highest "
    "quality whose file takes no more bytes than QRE's.",
    "Bytes are those of whole files, which in ours also hold the boxes; *objects' bytes* are the "
    "weights or coded bytes of the objects before compression. PSNR is the mean over frames of "
    "each frame's dB, inside any box and outside all. SSIM is that of the frame "
    "(Wang et al. 2004).",
)


def shown(rungs: Sequence[Rung]) -> list[Rung]:
    """Sort rungs for the page: those of no family, then by family the INRs and the codecs."""
    families = list(dict.fromkeys(rung.family for rung in rungs if rung.family))

    def position(rung: Rung) -> tuple[int, int]:
        family = families.index(rung.family) + 1 if rung.family else 0
        return family, INR_RUNGS.index(rung.name) if rung.name in INR_RUNGS else len(INR_RUNGS)

    return sorted(rungs, key=position)


def line(rung: Rung) -> str:
    """Describe a rung in one line, to print while others are still being fitted."""
    quality = rung.quality
    fitted = "" if rung.seconds is None else f", fitted in {rung.seconds:.1f} s a frame"
    return (
        f"{rung.label}: {rung.n_bytes:,.0f} bytes a frame, objects {_number(quality.objects)} dB, "
        f"background {_number(quality.background)} dB{fitted}"
    )


def cells(rung: Rung) -> tuple[str, ...]:
    """Return the cells of a rung below `HEADER`."""
    quality = rung.quality
    return (
        rung.label,
        f"{rung.n_bytes:,.0f}",
        f"{rung.object_bytes:,.0f}" if rung.name in INR_RUNGS else "-",
        _number(quality.objects),
        _number(quality.background),
        _number(quality.frame),
        _number(rung.ssim, 3),
        _number(rung.seconds, 1),
    )


def verdicts(rungs: Sequence[Rung]) -> list[str]:
    """Compare RE with DE, RE with BS and QRE with RE by family, in sentences."""
    sentences = []
    for family in dict.fromkeys(rung.family for rung in rungs if rung.family):
        named = {rung.name: rung for rung in rungs if rung.family == family}
        direct, residual, quantised, larger = (named[name] for name in ("DE", "RE", "QRE", "BS"))
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


def page(rungs: Sequence[Rung], *, plots: Sequence[str]) -> str:
    """Return the table, the verdicts and the plots (files next to the page) as Markdown."""
    table = [
        "| " + " | ".join(HEADER).replace("\n", " ") + " |",
        "|---" + "|--:" * (len(HEADER) - 1) + "|",
    ]
    table += ["| " + " | ".join(cells(rung)) + " |" for rung in shown(rungs)]
    parts = [
        "\n".join(table),
        "\n".join(f"* {sentence}" for sentence in verdicts(rungs)),
        *(f"![{_title(plot)}]({plot})" for plot in plots),
    ]
    return "\n\n".join(parts)


def _against(rung: Rung, other: Rung) -> str:
    """Format the difference inside the boxes, over the frames that have any."""
    pairs = [
        [mean_db([frame.quality.objects]) for frame in frames]
        for frames in zip(rung.frames, other.frames, strict=True)
    ]
    differences = [one - two for one, two in pairs if one is not None and two is not None]
    mean = math.fsum(differences) / len(differences)
    above = sum(difference > 0 for difference in differences)
    return (
        f"{rung.name} is {abs(mean):.2f} dB {'above' if mean >= 0 else 'below'} {other.name} "
        f"on average (above it on {above} of {len(differences)} frames)"
    )


def _times(rung: Rung, other: Rung) -> str:
    return f"{rung.n_bytes / other.n_bytes:.2f} times the bytes"


def _title(plot: str) -> str:
    return Path(plot).stem.replace("_", " ")


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"

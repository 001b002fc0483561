"""The rungs of the ladder: what each has measured, those of other codecs, and their JSON.

`rinrcodec.evaluation.ladder` fits the rungs of a family and uses the codecs of this module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rinrcodec.evaluation.baselines import QualityScan, available_codecs
from rinrcodec.evaluation.comparison import at_equal_bytes
from rinrcodec.metrics import Quality, frame_quality, mean_db, mean_quality, ssim
from rinrcodec.picture import Picture

__all__ = [
    "INR_RUNGS",
    "LOW_QUALITY",
    "Measured",
    "Rung",
    "codec_rungs",
    "low_quality_jpeg",
    "measure_frame",
    "rung_as_json",
]

INR_RUNGS = ("BS", "BE", "DE", "RE", "QRE")
# The talk's low-quality JPEG has "quality = 0.5", which we read as 50 of 100.
LOW_QUALITY = 50
OnProgress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One frame on one rung: its share of the bytes, its PSNR in dB and its SSIM."""

    frame: str
    n_bytes: float
    quality: Quality
    ssim: float | None


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of the ladder: the same frames in one step of the method, or in one codec.

    family: of the background INRs, or the one whose QRE's bytes a codec was given; "" for neither.
    n_bytes: of whole files, a frame on the mean; `object_bytes` is the part of the objects,
        before compression.
    seconds: of fitting, a frame on the mean; None for other codecs.
    file: the pack that was measured; None for other codecs.
    """

    family: str
    name: str
    frames: tuple[Measured, ...]
    n_bytes: float
    object_bytes: float = 0.0
    seconds: float | None = None
    file: Path | None = None

    @property
    def label(self) -> str:
        """The name of the rung where several families are shown together: `FAMILY QRE`."""
        if self.name in INR_RUNGS:
            return f"{self.family} {self.name}"
        return f"{self.name} at {self.family} QRE" if self.family else self.name

    @property
    def quality(self) -> Quality:
        """The mean of the frames' dB."""
        return mean_quality([frame.quality for frame in self.frames])

    @property
    def ssim(self) -> float | None:
        """The mean over frames; None where all are too small."""
        known = [frame.ssim for frame in self.frames if frame.ssim is not None]
        return math.fsum(known) / len(known) if known else None


def low_quality_jpeg(pictures: Sequence[Picture]) -> Rung:
    """Return the rung of JPEG at `LOW_QUALITY`: 4:2:0, optimised and progressive."""
    frames = []
    for picture in pictures:
        coded = QualityScan("jpeg", picture.pixels).at_quality(LOW_QUALITY)
        frames.append(measure_frame(picture, coded.pixels, coded.n_bytes))
    return _codec_rung("", f"jpeg q{LOW_QUALITY}", frames)


def codec_rungs(
    pictures: Sequence[Picture], equal: Rung, on_progress: OnProgress | None = None
) -> Iterator[Rung]:
    """Yield the codecs and the composite at the bytes of `equal`, frame by frame.

    Args:
        pictures: Those of the frames of `equal`.
        equal: The rung whose bytes every codec is given.
        on_progress: Called with "codecs" and the share of the work that is done.
    """
    by_codec: dict[str, list[Measured]] = {}
    for number, (picture, frame) in enumerate(zip(pictures, equal.frames, strict=True)):
        if on_progress is not None:
            on_progress("codecs", number / len(pictures))
        scans = {codec: QualityScan(codec, picture.pixels) for codec in available_codecs()}
        least = frame.quality.background
        for coded in at_equal_bytes(picture, scans, frame.n_bytes, background_psnr=least):
            measured = measure_frame(picture, coded.pixels, coded.n_bytes)
            by_codec.setdefault(coded.codec, []).append(measured)
    for name, frames in by_codec.items():
        yield _codec_rung(equal.family, name, frames)


def measure_frame(picture: Picture, decoded: NDArray[np.uint8], n_bytes: float) -> Measured:
    """Return the quality of a decoded picture, which takes `n_bytes`."""
    quality = frame_quality(picture.pixels, decoded, picture.boxes)
    return Measured(picture.name, n_bytes, quality, ssim(picture.pixels, decoded))


def rung_as_json(rung: Rung) -> dict[str, Any]:
    """Return a rung and its frames, ready for JSON; an exact reproduction counts as 100 dB."""
    return {
        "row": rung.label,
        "family": rung.family,
        "name": rung.name,
        "bytes_a_frame": rung.n_bytes,
        "object_bytes_a_frame": rung.object_bytes,
        **_psnr(rung.quality),
        "ssim": rung.ssim,
        "seconds_a_frame": rung.seconds,
        "file": None if rung.file is None else rung.file.name,
        "frames": [
            {"frame": one.frame, "bytes": one.n_bytes, **_psnr(one.quality), "ssim": one.ssim}
            for one in rung.frames
        ],
    }


def _psnr(quality: Quality) -> dict[str, float | None]:
    return {
        "psnr_objects": mean_db([quality.objects]),
        "psnr_background": mean_db([quality.background]),
        "psnr_frame": mean_db([quality.frame]),
    }


def _codec_rung(family: str, name: str, frames: Sequence[Measured]) -> Rung:
    return Rung(family, name, tuple(frames), sum(one.n_bytes for one in frames) / len(frames))

"""The ladder: what every step of the method is worth, on the same frames and beside other codecs.

The rows are those of Residual-INR (ICCAD 2024), for one family of background INRs:

    BS   baseline size: a larger background INR alone, 16 bit
    BE   the background INR alone, 16 bit
    DE   BE, and object INRs of the raw RGB (mode `direct`), 16 bit
    RE   BE, and object INRs of the residual, 16 bit
    QRE  RE with the background INR in 8 bit

and those of JPEG, WebP, AVIF and AVIF with pasted crops (`composite`) at the bytes of QRE, frame by
frame. DE and RE have the very same backgrounds, specs and recipe, and keep every object INR, also
one that gains nothing, so that they differ in the mode alone. Bytes are those of whole files.

The sizes of the paper's BS cannot be recovered. Its talk shows one INR of 45 KB beside a background
and an object INR of 24 + 6 KB; so our BS is as much larger than RE: the background's networks
are made wider until the file has about 1.5 times the bytes of RE's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rinrcodec.compute.compose import to_array
from rinrcodec.encoder import encode
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.baselines import Ladder, available_codecs
from rinrcodec.evaluation.comparison import at_equal_bytes
from rinrcodec.families import background_families, background_family
from rinrcodec.families.interface import BackgroundEncoder
from rinrcodec.files import open as open_file
from rinrcodec.files import save
from rinrcodec.metrics import (
    Quality,
    frame_bytes,
    frame_quality,
    mean_quality,
    row_bytes,
    ssim,
)
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset

__all__ = [
    "BASELINE_SIZE",
    "INR_ROWS",
    "LOW_QUALITY",
    "Measured",
    "Row",
    "enlarged",
    "family_rows",
    "low_quality_jpeg",
    "row_presets",
]

INR_ROWS = ("BS", "BE", "DE", "RE", "QRE")
# BS over RE in bytes: 45 KB over 24 + 6 KB.
BASELINE_SIZE = 1.5
# The talk's low-quality JPEG has "quality = 0.5", which we read as 50 of 100.
LOW_QUALITY = 50
OnProgress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """One frame through one row: its share of the bytes, its PSNR in dB and its SSIM."""

    frame: str
    n_bytes: float
    quality: Quality
    ssim: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the ladder.

    family: of the background INRs, or the one whose QRE's bytes a codec was given; "" for neither.
    n_bytes: of whole files, a frame on the mean; `object_bytes` is what object INRs have of it,
        before compression.
    seconds: of fitting, a frame on the mean; None for codecs.
    file: the pack that was measured; None for codecs.
    """

    family: str
    name: str
    frames: tuple[Measured, ...]
    n_bytes: float
    object_bytes: float = 0.0
    seconds: float | None = None
    file: Path | None = None

    @property
    def quality(self) -> Quality:
        """The mean of the frames' dB."""
        return mean_quality([frame.quality for frame in self.frames])

    @property
    def ssim(self) -> float | None:
        """The mean over frames; None where all are too small."""
        known = [frame.ssim for frame in self.frames if frame.ssim is not None]
        return math.fsum(known) / len(known) if known else None


def row_presets(preset: Preset) -> dict[str, Preset]:
    """The presets of BE, DE, RE and QRE; they differ in bits and `object_mode` alone.

    min_gain is minus infinity: an object INR that gains nothing is kept too. Raises
    `RinrInputError` for a family whose backgrounds have no bits or widths to choose.
    """
    family = preset.background.family
    if not background_family(family).resizable:
        able = [name for name, one in background_families().items() if one.resizable]
        raise RinrInputError(
            f"the preset {preset.name!r}: the ladder compares the paper's families, want a "
            f"background of {' or '.join(able)}"
        )
    residual = replace(preset.for_ladder(16), object_mode="residual")
    presets = {
        "BE": residual,
        "DE": replace(residual, object_mode="direct"),
        "RE": residual,
        "QRE": preset.for_ladder(8),
    }
    return {name: replace(own, name=f"{preset.name}, {name}") for name, own in presets.items()}


def family_rows(
    pictures: Sequence[Picture],
    preset: Preset,
    *,
    folder: Path,
    measured: Sequence[int] | None = None,
    seed: int = 0,
    device: str = "auto",
    on_progress: OnProgress | None = None,
) -> Iterator[Row]:
    """The rows of the family of `preset`, each as soon as it is there.

    They are BE, DE, RE, QRE and BS, then the plain codecs and the composite at the bytes of QRE.
    Every row of INRs encodes all pictures into one pack, which is saved as FAMILY-NAME.rinr in
    `folder` (it must exist) and measured from that file.

    measured: which pictures are decoded and compared; None for all. The bytes and seconds of a
        frame are the means over all that were encoded.
    on_progress: called with the name of a row of INRs and the share of its work that is done, and
        with "codecs" and the share of theirs.
    """
    measured = range(len(pictures)) if measured is None else measured
    for row in _inr_rows(pictures, preset, folder, measured, seed, device, on_progress):
        yield row
        if row.name == "QRE":
            equal = row
    yield from _codec_rows([pictures[i] for i in measured], equal, on_progress)


def low_quality_jpeg(pictures: Sequence[Picture]) -> Row:
    """JPEG at `LOW_QUALITY`, 4:2:0, optimised and progressive."""
    frames = []
    for picture in pictures:
        coded = Ladder("jpeg", picture.pixels).at_quality(LOW_QUALITY)
        frames.append(_compare(picture, coded.pixels, coded.n_bytes))
    return _codec_row("", f"jpeg q{LOW_QUALITY}", frames)


def enlarged(
    encoder: BackgroundEncoder, factor: float, pictures: Sequence[Picture]
) -> BackgroundEncoder:
    """The settings with wider networks, of `factor` times the weights for pictures like the first.

    All size classes are widened by the same share, as near as whole widths allow.
    """
    wanted = factor * encoder.n_weights(pictures)
    shares = (1 + step / 100 for step in range(math.ceil(100 * factor)))
    wider = (encoder.widened(share) for share in shares)
    return min(wider, key=lambda one: abs(one.n_weights(pictures) - wanted))


def _inr_rows(
    pictures: Sequence[Picture],
    preset: Preset,
    folder: Path,
    measured: Sequence[int],
    seed: int,
    device: str,
    on_progress: OnProgress | None,
) -> Iterator[Row]:
    presets = row_presets(preset)
    bare = [replace(picture, boxes=()) for picture in pictures]

    def fit(name: str, preset: Preset, backgrounds: Pack | None = None) -> tuple[Pack, float]:
        alone = name in ("BS", "BE")
        start = time.perf_counter()
        pack = encode(
            bare if alone else pictures,
            preset=preset,
            seed=seed,
            device=device,
            reuse=backgrounds,
            on_progress=None if on_progress is None else lambda share: on_progress(name, share),
        )
        seconds = time.perf_counter() - start
        return _with_boxes(pack, pictures) if alone else pack, seconds

    def row(name: str, pack: Pack, seconds: float) -> Row:
        return _measure(name, pack, pictures, measured, seconds, folder, device)

    backgrounds, background_seconds = fit("BE", presets["BE"])
    alone = row("BE", backgrounds, background_seconds)
    yield alone
    for name in ("DE", "RE"):
        pack, seconds = fit(name, presets[name], backgrounds)
        with_objects = row(name, pack, background_seconds + seconds)
        yield with_objects
    yield row("QRE", *fit("QRE", presets["QRE"]))
    # The loop left RE. What is not weights stays as it is in a larger file.
    weights = sum(group.n_rows * row_bytes(group) for group in backgrounds.groups) / len(pictures)
    factor = 1 + (BASELINE_SIZE * with_objects.n_bytes - alone.n_bytes) / weights
    background = enlarged(presets["BE"].background, factor, pictures)
    larger = replace(presets["BE"], name=f"{preset.name}, BS", background=background)
    yield row("BS", *fit("BS", larger))


def _codec_rows(
    pictures: Sequence[Picture], equal: Row, on_progress: OnProgress | None
) -> Iterator[Row]:
    """The codecs at the bytes of `equal`, frame by frame; `pictures` are those of its frames."""
    found: dict[str, list[Measured]] = {}
    for number, (picture, frame) in enumerate(zip(pictures, equal.frames, strict=True)):
        if on_progress is not None:
            on_progress("codecs", number / len(pictures))
        ladders = {codec: Ladder(codec, picture.pixels) for codec in available_codecs()}
        least = frame.quality.background
        for coded in at_equal_bytes(picture, ladders, frame.n_bytes, background_psnr=least):
            measured = _compare(picture, coded.pixels, coded.n_bytes)
            found.setdefault(coded.codec, []).append(measured)
    for name, frames in found.items():
        yield _codec_row(equal.family, name, frames)


def _with_boxes(pack: Pack, pictures: Sequence[Picture]) -> Pack:
    """A pack of backgrounds that carries the boxes, as those of the other rows do."""
    frames = tuple(
        replace(frame, boxes=picture.boxes, objects=(None,) * len(picture.boxes))
        for frame, picture in zip(pack.frames, pictures, strict=True)
    )
    return replace(pack, frames=frames)


def _measure(
    name: str,
    pack: Pack,
    pictures: Sequence[Picture],
    measured: Sequence[int],
    seconds: float,
    folder: Path,
    device: str,
) -> Row:
    """Save a pack, decode the file, and compare."""
    groups = pack.groups
    family = groups[pack.frames[0].background.group].spec.family
    path = folder / f"{family}-{name}.rinr"
    n_bytes = save(pack, path)
    shares = frame_bytes(pack, n_bytes)
    frames = []
    with open_file(path) as file:
        for index in measured:
            picture = pictures[index]
            mode = picture.mode
            decoded = to_array(file.decode(index, device=device), mode)
            frames.append(_compare(picture, decoded, shares[index]))
    objects = [item.inr.group for frame in pack.frames for item in frame.objects if item]
    return Row(
        family,
        name,
        tuple(frames),
        n_bytes / len(pictures),
        sum(row_bytes(groups[group]) for group in objects) / len(pictures),
        seconds / len(pictures),
        path,
    )


def _codec_row(family: str, name: str, frames: Sequence[Measured]) -> Row:
    return Row(family, name, tuple(frames), sum(one.n_bytes for one in frames) / len(frames))


def _compare(picture: Picture, decoded: NDArray[np.uint8], n_bytes: float) -> Measured:
    quality = frame_quality(picture.pixels, decoded, picture.boxes)
    return Measured(picture.name, n_bytes, quality, ssim(picture.pixels, decoded))

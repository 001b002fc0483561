"""Other codecs to compare with: JPEG, WebP, AVIF, and AVIF with crops, each with one recipe.

A recipe has one quality for all frames, so that a command can repeat it on other frames:
`rinrcodec bench rival` encodes them with the same functions. `rinrcodec report` shows the rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Region
from rinrcodec.compute.parallel import cores
from rinrcodec.evaluation.baselines import (
    CODECS,
    CROP_HEADER_BYTES,
    QUALITIES,
    SIZE_TOLERANCE,
    QualityScan,
    available_codecs,
    decode_picture,
    encode_picture,
    nearest_quality,
)
from rinrcodec.evaluation.comparison import method_label
from rinrcodec.evaluation.rows import SOURCE, CodedFrame, Point, Recipe, Row, output
from rinrcodec.evaluation.speed import Speed, mean_speed, time_codec
from rinrcodec.picture import Picture

__all__ = ["Rival", "RivalFrame", "box_regions", "encode_rival", "measure_rivals"]

_T = TypeVar("_T")
# Of rate curves: how far their qualities are from that of the row.
_LINE_STEPS = (-24, -12, 12, 24)
_CROP_QUALITIES = (30, 45, 60, 70, 80, 87, 94)


@dataclass(frozen=True, slots=True)
class Rival:
    """A codec with its settings.

    Attributes:
        codec: a key of `CODECS`.
        quality: from 1 to 100.
        setting: one of `CODECS[codec]`.
        crops: the codec and quality of crops of the boxes that are pasted onto the frame; None for
            no crops.
    """

    codec: str
    quality: int
    setting: int = 0
    crops: tuple[str, int] | None = None

    @property
    def name(self) -> str:
        """The name of its row, such as "AVIF + crops"."""
        return method_label("composite" if self.crops else self.codec)

    def recipe(self, options: Sequence[str] = ()) -> Recipe:
        """Return the recipe, with more options of the command."""
        settings = f"quality {self.quality}"
        words = ["--codec", self.codec, "--quality", str(self.quality)]
        if self.setting:
            chroma = str(CODECS[self.codec][self.setting]["subsampling"])
            settings += f", {chroma}"
            words += ["--subsampling", chroma]
        if self.crops:
            codec, quality = self.crops
            settings += f", crops {method_label(codec)} {quality}"
            words += ["--crops", codec, "--crops-quality", str(quality)]
        out = output(f"-{self.codec}-crops" if self.crops else f"-{self.codec}")
        start = ("rinrcodec", "bench", "rival", SOURCE, "-o", out)
        return Recipe(self.name, settings, (*start, *words, *options))


@dataclass(frozen=True, slots=True, eq=False)
class RivalFrame:
    """A picture in another codec: the bytes of its file, and of every crop with its region."""

    data: bytes
    crops: tuple[tuple[Region, bytes], ...] = ()

    def decode(self, mode: str) -> NDArray[np.uint8]:
        """Return the pixels, uint8 [H, W] for mode "L" or [H, W, 3] for "RGB"."""
        pixels = decode_picture(self.data, mode)
        if self.crops:
            pixels = pixels.copy()
            for region, data in self.crops:
                pixels[region.slices] = decode_picture(data, mode)
        return pixels


def box_regions(picture: Picture) -> list[Region]:
    """Return the regions of the boxes that have pixels."""
    regions = (box.region(picture.width, picture.height) for box in picture.boxes)
    return [region for region in regions if region.area]


def encode_rival(picture: Picture, rival: Rival, *, icc: bool = False) -> RivalFrame:
    """Encode a picture as a rival does.

    Args:
        picture: The picture with its boxes.
        rival: The codec and its settings.
        icc: Store the ICC profile of the picture in the frame. Crops have none.

    Returns:
        The bytes of the frame and of its crops.

    Example:
        >>> from rinrcodec.sources.images import picture_from_array
        >>> black = picture_from_array(np.zeros((24, 32, 3), np.uint8), name="black.png")
        >>> encode_rival(black, Rival("jpeg", 50)).decode("RGB").max()
        np.uint8(0)
    """
    data = encode_picture(
        rival.codec,
        picture.pixels,
        rival.quality,
        setting=rival.setting,
        icc=picture.metadata.icc if icc else b"",
    )
    if rival.crops is None:
        return RivalFrame(data)
    codec, quality = rival.crops
    crops = [
        (region, encode_picture(codec, _part(picture, region), quality))
        for region in box_regions(picture)
    ]
    return RivalFrame(data, tuple(crops))


def measure_rivals(
    pictures: Sequence[Picture],
    n_bytes: float,
    *,
    background_psnr: float | None = None,
    options: Sequence[str] = (),
    on_measured: Callable[[float, str], None] = lambda *_: None,
    finish: Callable[[Row], Row] = lambda row: row,
) -> list[Row]:
    """Give pictures to the other codecs at about the same bytes, and time each of them.

    Args:
        pictures: The pictures with their boxes.
        n_bytes: The mean bytes of a picture.
        background_psnr: The backgrounds under crops should have at least this PSNR, in dB; None
            for any.
        options: More words for the commands of the rows.
        on_measured: Called with the share of the codecs that are done, and with what is done: the
            name of the codec, and how often pictures were tried in it so far.
        finish: Called with each row as soon as it is measured, and returns it, such as without the
            pixels that nobody needs.

    Returns:
        A row for each codec that Pillow has, and one for AVIF with crops where there are boxes.

    Example:
        >>> from rinrcodec.sources.images import picture_from_array
        >>> black = picture_from_array(np.zeros((24, 32, 3), np.uint8), name="black.png")
        >>> [row.name for row in measure_rivals([black], 400)][:2]
        ['JPEG', 'WebP']
    """
    pool = ThreadPoolExecutor(cores())
    try:
        trial = _Trial(pictures, pool, lambda what: on_measured(len(rows) / len(jobs), what))
        codecs = available_codecs()
        jobs: list[Callable[[], Row]] = [
            partial(_plain_row, trial, codec, n_bytes, options) for codec in codecs
        ]
        if any(map(box_regions, pictures)):
            jobs.append(partial(_composite_row, trial, n_bytes, background_psnr, options))
        rows: list[Row] = []
        for job in jobs:
            rows.append(finish(job()))
            on_measured(len(rows) / len(jobs), rows[-1].name)
    finally:
        pool.shutdown(cancel_futures=True)
    return rows


class _Trial:
    """The pictures in every codec and quality that was tried; each file is encoded once."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        pool: ThreadPoolExecutor,
        on_picture: Callable[[str], None],
    ) -> None:
        self.pictures = pictures
        self._pool = pool
        self._on_picture = on_picture
        self._counts: Counter[str] = Counter()
        self._scans = [
            {codec: QualityScan(codec, picture.pixels) for codec in available_codecs()}
            for picture in pictures
        ]
        self._regions = [box_regions(picture) for picture in pictures]

    def __len__(self) -> int:
        return len(self.pictures)

    def frames_size(self, rival: Rival) -> int:
        """Sum the bytes of all pictures, without crops."""

        def size(number: int) -> int:
            return self._scans[number][rival.codec].size(rival.quality, setting=rival.setting)

        return sum(self._each(rival, size))

    def crops_size(self, rival: Rival) -> int:
        """Sum the bytes of all crops and their positions."""
        if rival.crops is None:
            return 0
        return sum(self._each(rival, partial(self._crops_size, rival)))

    def coded(self, rival: Rival) -> tuple[CodedFrame, ...]:
        """Return all pictures, decoded and compared."""
        return tuple(self._each(rival, partial(self._coded, rival)))

    def point(self, rival: Rival) -> Point:
        """Return the means of `coded`, without its pixels."""
        coded = self._each(rival, lambda number: self._coded(rival, number).without_pixels())
        return Point.of(tuple(coded))

    def speed(self, rival: Rival) -> Speed:
        """Return the mean seconds of a picture, each timed alone."""
        return mean_speed(self._counted(rival, (_time(one, rival) for one in self.pictures)))

    def fitted(self, rival: Rival, n_bytes: float) -> Rival:
        """Find the quality of the rival that gives about `n_bytes` for all pictures."""
        left = n_bytes - self.crops_size(rival)
        quality = nearest_quality(lambda q: self.frames_size(replace(rival, quality=q)), left)
        return replace(rival, quality=quality)

    def _each(self, rival: Rival, work: Callable[[int], _T]) -> Iterator[_T]:
        """Yield the results of all pictures, in order; several are computed at a time."""
        return self._counted(rival, self._pool.map(work, range(len(self))))

    def _counted(self, rival: Rival, results: Iterable[_T]) -> Iterator[_T]:
        name = rival.name
        for result in results:
            self._counts[name] += 1
            self._on_picture(f"{name}, {self._counts[name]:,} tries")
            yield result

    def _crops_size(self, rival: Rival, number: int) -> int:
        if rival.crops is None:
            return 0
        codec, quality = rival.crops
        scan = self._scans[number][rival.codec]
        return sum(
            CROP_HEADER_BYTES + scan.part(codec, region).size(quality)
            for region in self._regions[number]
        )

    def _coded(self, rival: Rival, number: int) -> CodedFrame:
        scan = self._scans[number][rival.codec]
        base = scan.at_quality(rival.quality, setting=rival.setting)
        pixels = base.pixels
        if rival.crops:
            codec, quality = rival.crops
            pixels = pixels.copy()
            for region in self._regions[number]:
                pixels[region.slices] = scan.part(codec, region).at_quality(quality).pixels
        n_bytes = base.n_bytes + self._crops_size(rival, number)
        return CodedFrame.of(self.pictures[number], n_bytes, pixels)


def _plain_row(trial: _Trial, codec: str, n_bytes: float, options: Sequence[str]) -> Row:
    """Find the setting of a codec with the best frames at about these bytes."""
    wanted = n_bytes * len(trial)
    fitted = [trial.fitted(Rival(codec, 1, number), wanted) for number in range(len(CODECS[codec]))]
    distances = [abs(trial.frames_size(rival) - wanted) for rival in fitted]
    slack = max(min(distances), SIZE_TOLERANCE * wanted)
    close = [one for one, far in zip(fitted, distances, strict=True) if far <= slack]
    best = max(close, key=lambda rival: trial.point(rival).quality.frame)
    return replace(_row(trial, best, options), line=_line(trial, best))


def _composite_row(
    trial: _Trial, n_bytes: float, background_psnr: float | None, options: Sequence[str]
) -> Row:
    """Find the sharpest crops on good enough backgrounds, at about these bytes.

    Where no background is, the best background counts. Where all take more bytes than wanted, as
    no frame is as small as what the crops leave, the smallest counts.
    """
    codecs = [codec for codec in available_codecs() if codec != "jpeg"] or ["jpeg"]
    tried: list[tuple[Rival, Point]] = []
    for crops in product(codecs, _CROP_QUALITIES):
        rival = trial.fitted(Rival(codecs[-1], 1, crops=crops), n_bytes * len(trial))
        tried.append((rival, trial.point(rival)))
    least = -math.inf if background_psnr is None else background_psnr

    def rank(one: tuple[Rival, Point]) -> tuple[bool, float]:
        fits = one[1].outside >= least
        return fits, one[1].inside if fits else one[1].outside

    small = [one for one in tried if one[1].n_bytes <= n_bytes * (1 + SIZE_TOLERANCE)]
    best, _ = max(small or [min(tried, key=lambda one: one[1].n_bytes)], key=rank)
    return _row(trial, best, options)


def _row(trial: _Trial, rival: Rival, options: Sequence[str]) -> Row:
    return Row(rival.recipe(options), trial.coded(rival), trial.speed(rival))


def _line(trial: _Trial, rival: Rival) -> tuple[Point, ...]:
    """Measure the same codec at other qualities."""
    qualities = sorted({rival.quality + step for step in _LINE_STEPS} & {*QUALITIES})
    return tuple(trial.point(replace(rival, quality=quality)) for quality in qualities)


def _time(picture: Picture, rival: Rival) -> Speed:
    """Time the frame and its crops, one after the other."""
    parts = [time_codec(rival.codec, picture.pixels, rival.quality, setting=rival.setting)]
    if rival.crops:
        codec, quality = rival.crops
        parts += [
            time_codec(codec, _part(picture, region), quality) for region in box_regions(picture)
        ]
    return Speed(sum(part.encode for part in parts), sum(part.decode for part in parts))


def _part(picture: Picture, region: Region) -> NDArray[np.uint8]:
    return np.ascontiguousarray(picture.pixels[region.slices])

"""The codecs to compare with: tuned JPEG, WebP, AVIF, and AVIF with pasted crops.

Each baseline is given its best settings that Pillow offers at reasonable speed, and is asked for
the size that ours has, so that a comparison is at equal bytes of whole files. The *composite* is
the one to beat where objects matter: a frame at low quality, plus a crop of every box at high
quality pasted onto it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from rinrcodec.boxes import Box, Region
from rinrcodec.errors import RinrInputError
from rinrcodec.metrics import frame_quality, psnr

__all__ = [
    "CODECS",
    "CROP_HEADER_BYTES",
    "JPEG_SUFFIXES",
    "QUALITIES",
    "Coded",
    "QualityScan",
    "available_codecs",
    "best_composite",
    "composite",
    "decode_picture",
    "encode_picture",
    "nearest_quality",
]

# Of several settings of one codec the better one at the wanted size counts.
CODECS: Mapping[str, tuple[Mapping[str, object], ...]] = {
    "jpeg": (
        {"format": "JPEG", "optimize": True, "progressive": True, "subsampling": "4:2:0"},
        {"format": "JPEG", "optimize": True, "progressive": True, "subsampling": "4:4:4"},
    ),
    "webp": ({"format": "WEBP", "method": 6},),
    "avif": (
        {
            "format": "AVIF",
            "speed": 6,
            "subsampling": "4:4:4",
            # Named, as the default changes: that of libavif 1.4.2 (Pillow 13.0) is tune=iq, for the
            # quality that people see, as a test of benchmarks/accuracy.py shows.
            "advanced": {"tune": "psnr"},
            "max_threads": 1,
        },
    ),
}
_FORMATS = ("JPEG", "WEBP", "AVIF")
QUALITIES = range(1, 101)
JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe"})
# Left, top, width and height as uint16 and the crop's length as uint32.
CROP_HEADER_BYTES = 12
# Settings whose sizes differ by less than this share of the wanted size compete by PSNR, and a
# composite may be larger than wanted by as much.
SIZE_TOLERANCE = 0.05
# What the crops of the best composite may have of its bytes.
OBJECT_SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A picture through a codec: its bytes on the wire and the pixels that come back."""

    codec: str
    quality: int
    n_bytes: int
    pixels: NDArray[np.uint8]


def available_codecs() -> list[str]:
    """Return the baselines that the installed Pillow can write."""
    return [name for name in CODECS if name == "jpeg" or features.check(name)]


def encode_picture(
    codec: str,
    pixels: NDArray[np.uint8],
    quality: int,
    *,
    setting: int = 0,
    icc: bytes = b"",
    avif_tune: str | None = "psnr",
) -> bytes:
    """Encode a picture, uint8 [H, W] or [H, W, 3].

    Args:
        codec: A key of `CODECS`.
        pixels: The picture.
        quality: From 1 to 100.
        setting: One of `CODECS[codec]`.
        icc: An ICC profile to store; empty for none.
        avif_tune: What AVIF is tuned for; None for Pillow's default. Other codecs ignore it.
    """
    buffer = io.BytesIO()
    options = {**CODECS[codec][setting], **({"icc_profile": icc} if icc else {})}
    if codec == "avif":
        options["advanced"] = {"tune": avif_tune} if avif_tune else {}
        options["subsampling"] = "4:0:0" if pixels.ndim == 2 else options["subsampling"]
    Image.fromarray(pixels).save(buffer, quality=quality, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def decode_picture(data: bytes, mode: str) -> NDArray[np.uint8]:
    """Decode a picture: uint8 [H, W] for mode "L" or [H, W, 3] for "RGB"."""
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        return np.asarray(image.convert(mode))


class QualityScan:
    """One picture in one codec at any quality; every file is encoded once and kept.

    `pixels` are uint8, [H, W] or [H, W, 3]; `codec` is a key of `CODECS`. `avif_tune` is that of
    `encode_picture`, also for crops.
    """

    def __init__(
        self, codec: str, pixels: NDArray[np.uint8], *, avif_tune: str | None = "psnr"
    ) -> None:
        if codec not in available_codecs():
            raise RinrInputError(f"no codec {codec!r}: choose one of {available_codecs()}")
        self.codec = codec
        self.pixels = pixels
        self.avif_tune = avif_tune
        self._mode = "L" if pixels.ndim == 2 else "RGB"
        self._files: dict[tuple[int, int], bytes] = {}
        self._parts: dict[tuple[str, Region], QualityScan] = {}

    def nearest(self, n_bytes: int) -> Coded:
        """Return the encoding whose size is nearest to `n_bytes`, above or below."""
        settings = range(len(CODECS[self.codec]))
        nearest = [self._nearest_of(setting, n_bytes) for setting in settings]
        distance = min(abs(coded.n_bytes - n_bytes) for coded in nearest)
        slack = max(distance, SIZE_TOLERANCE * n_bytes)
        close = [coded for coded in nearest if abs(coded.n_bytes - n_bytes) <= slack]
        return max(close, key=lambda coded: psnr(self.pixels, coded.pixels))

    def part(self, codec: str, region: Region) -> QualityScan:
        """Return the scan of a crop in any codec; it is kept, as crops are tried at many sizes."""
        if (codec, region) not in self._parts:
            view = np.ascontiguousarray(self.pixels[region.slices])
            self._parts[codec, region] = QualityScan(codec, view, avif_tune=self.avif_tune)
        return self._parts[codec, region]

    def size(self, quality: int, *, setting: int = 0) -> int:
        """Return the bytes of the encoding of a quality, as of `at_quality`."""
        return len(self._file(setting, quality))

    def at_quality(self, quality: int, *, setting: int = 0) -> Coded:
        """Return the encoding of a quality from 1 to 100; `setting` is one of `CODECS[codec]`."""
        if quality not in QUALITIES:
            raise RinrInputError(f"quality={quality}: expected {QUALITIES[0]} to {QUALITIES[-1]}")
        return self._coded(setting, quality)

    def smallest(self, good: Callable[[Coded], bool]) -> Coded:
        """Return the smallest encoding that is `good`, over all settings.

        A bisection assumes that all qualities above a good one are good. If no encoding is good,
        the result is that of the highest quality with the first setting.
        """
        lowest = [self._lowest(setting, good) for setting in range(len(CODECS[self.codec]))]
        fine = [coded for coded in lowest if good(coded)]
        return min(fine, key=lambda coded: coded.n_bytes) if fine else lowest[0]

    def _lowest(self, setting: int, good: Callable[[Coded], bool]) -> Coded:
        low, high = QUALITIES[0], QUALITIES[-1]
        while low < high:
            middle = (low + high) // 2
            if good(self._coded(setting, middle)):
                high = middle
            else:
                low = middle + 1
        return self._coded(setting, low)

    def _nearest_of(self, setting: int, n_bytes: int) -> Coded:
        quality = nearest_quality(lambda q: self.size(q, setting=setting), n_bytes)
        return self._coded(setting, quality)

    def _coded(self, setting: int, quality: int) -> Coded:
        data = self._file(setting, quality)
        pixels = decode_picture(data, self._mode)
        return Coded(self.codec, quality, len(data), pixels)

    def _file(self, setting: int, quality: int) -> bytes:
        key = (setting, quality)
        if key not in self._files:
            self._files[key] = encode_picture(
                self.codec, self.pixels, quality, setting=setting, avif_tune=self.avif_tune
            )
        return self._files[key]


def nearest_quality(size: Callable[[int], float], n_bytes: float) -> int:
    """Return the quality of 1 to 100 whose size is nearest to `n_bytes`, above or below.

    Args:
        size: The bytes at a quality, which rise with it.
        n_bytes: The bytes wanted.

    Example:
        >>> nearest_quality(lambda quality: 100 * quality, 4260)
        43
    """
    low, high = QUALITIES[0], QUALITIES[-1]
    while high - low > 1:
        middle = (low + high) // 2
        if size(middle) <= n_bytes:
            low = middle
        else:
            high = middle
    return min((low, high), key=lambda quality: abs(size(quality) - n_bytes))


def composite(
    frame: QualityScan, boxes: Sequence[Box], n_bytes: int, *, object_share: float
) -> Coded:
    """Paste crops of the boxes onto a frame, in about `n_bytes` altogether.

    The crops get `object_share` (0 to 1) of the bytes, shared by their number of pixels, in WebP or
    AVIF, whichever has the higher PSNR inside the boxes; the frame gets what is left, in the codec
    of `frame`. Every crop also costs `CROP_HEADER_BYTES`.
    """
    if not 0 <= object_share <= 1:
        raise RinrInputError(f"object_share is {object_share}: expected 0 to 1")
    height, width = frame.pixels.shape[:2]
    regions = [region for box in boxes if (region := box.region(width, height)).area]
    crops_bytes = round(n_bytes * object_share)
    codecs = [codec for codec in available_codecs() if codec != "jpeg"] or ["jpeg"]
    candidates = [
        _pasted(frame, regions, _crops(codec, frame, regions, crops_bytes), n_bytes)
        for codec in (codecs if regions else codecs[:1])
    ]

    def object_psnr(coded: Coded) -> float:
        return frame_quality(frame.pixels, coded.pixels, boxes).objects or 0.0

    return max(candidates, key=object_psnr)


def best_composite(
    frame: QualityScan, boxes: Sequence[Box], n_bytes: int, *, background_psnr: float | None
) -> Coded:
    """Return the composite of about `n_bytes` with the sharpest objects.

    Only those count whose background is at least as good as `background_psnr` (in dB; None for
    any); where there is none, the one with the best background is taken. Where all would be larger
    than `n_bytes`, because no frame is as small as what the crops leave, the smallest is taken.
    """
    least = -math.inf if background_psnr is None else background_psnr

    def rank(coded: Coded) -> tuple[bool, float]:
        quality = frame_quality(frame.pixels, coded.pixels, boxes)
        background = math.inf if quality.background is None else quality.background
        fits = background >= least
        return fits, (quality.objects or 0.0) if fits else background

    shares = OBJECT_SHARES if boxes else (0.0,)
    tried = [composite(frame, boxes, n_bytes, object_share=share) for share in shares]
    small = [coded for coded in tried if coded.n_bytes <= n_bytes * (1 + SIZE_TOLERANCE)]
    return max(small or [min(tried, key=lambda coded: coded.n_bytes)], key=rank)


def _pasted(
    frame: QualityScan, regions: Sequence[Region], crops: list[Coded], n_bytes: int
) -> Coded:
    spent = sum(CROP_HEADER_BYTES + crop.n_bytes for crop in crops)
    base = frame.nearest(n_bytes - spent)
    pixels = base.pixels.copy()
    for region, crop in zip(regions, crops, strict=True):
        pixels[region.slices] = crop.pixels
    return Coded("composite", base.quality, base.n_bytes + spent, pixels)


def _crops(codec: str, frame: QualityScan, regions: Sequence[Region], n_bytes: int) -> list[Coded]:
    total = sum(region.area for region in regions)
    return [
        frame.part(codec, region).nearest(round(n_bytes * region.area / total) - CROP_HEADER_BYTES)
        for region in regions
    ]

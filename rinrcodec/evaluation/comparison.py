"""Our frames against those of other codecs: at equal bytes, and over a range of sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rinrcodec.evaluation.baselines import (
    Coded,
    QualityScan,
    available_codecs,
    best_composite,
    composite,
)
from rinrcodec.metrics import Quality, frame_quality, mean_quality
from rinrcodec.picture import Picture

__all__ = [
    "CURVE_OBJECT_SHARE",
    "OURS",
    "Comparison",
    "at_equal_bytes",
    "at_size",
    "method_label",
    "summary",
]

# The method that is this codec; all others are names of codecs, or "composite".
OURS = "rinrcodec"
# What the crops of a composite have of its bytes in rate curves.
CURVE_OBJECT_SHARE = 0.15
_LABELS = {OURS: OURS, "jpeg": "JPEG", "webp": "WebP", "avif": "AVIF"}


def method_label(method: str) -> str:
    """Return the name of a method that readers know: `AVIF` for "avif".

    Example:
        >>> method_label("webp")
        'WebP'
    """
    if method == "composite":
        return f"{_LABELS[available_codecs()[-1]]} + crops"
    return _LABELS[method]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One picture through one codec; `against` says what decided its size. PSNR is in dB."""

    frame: str
    method: str
    against: str
    n_bytes: float
    bpp: float
    psnr: float
    background_psnr: float | None
    object_psnr: float | None

    @classmethod
    def of(
        cls, picture: Picture, method: str, against: str, n_bytes: float, quality: Quality
    ) -> Comparison:
        """Make one from the bytes and the quality of a picture."""
        bpp = 8 * n_bytes / (picture.width * picture.height)
        parts = (quality.frame, quality.background, quality.objects)
        return cls(picture.name, method, against, n_bytes, bpp, *parts)

    @classmethod
    def of_coded(cls, picture: Picture, coded: Coded, against: str) -> Comparison:
        """Measure the result of a codec against its picture."""
        quality = frame_quality(picture.pixels, coded.pixels, picture.boxes)
        return cls.of(picture, coded.codec, against, coded.n_bytes, quality)


def at_equal_bytes(
    picture: Picture,
    scans: Mapping[str, QualityScan],
    n_bytes: float,
    *,
    background_psnr: float | None,
) -> list[Coded]:
    """Return the picture in every codec at about `n_bytes`, and the best composite.

    Args:
        picture: The picture with its boxes.
        scans: One scan of this picture a codec; the composite is based on the last one.
        n_bytes: The size wanted of each.
        background_psnr: The background of the composite should have at least this PSNR, in dB;
            None for any.
    """
    size = round(n_bytes)
    plain = [scan.nearest(size) for scan in scans.values()]
    base = list(scans.values())[-1]
    pasted = best_composite(base, picture.boxes, size, background_psnr=background_psnr)
    return [*plain, pasted]


def at_size(picture: Picture, scans: Mapping[str, QualityScan], n_bytes: int) -> list[Coded]:
    """Return a point of every rate curve: as `at_equal_bytes`, with a fixed share for crops."""
    plain = [scan.nearest(n_bytes) for scan in scans.values()]
    base = list(scans.values())[-1]
    pasted = composite(base, picture.boxes, n_bytes, object_share=CURVE_OBJECT_SHARE)
    return [*plain, pasted]


def summary(comparisons: Iterable[Comparison]) -> list[tuple[str, float, float, Quality]]:
    """Return the means of every method: its name, bytes, bits per pixel, and dB.

    Methods are in their order of appearance.
    """
    by_method: dict[str, list[Comparison]] = {}
    for one in comparisons:
        by_method.setdefault(one.method, []).append(one)
    return [
        (
            method,
            sum(one.n_bytes for one in members) / len(members),
            sum(one.bpp for one in members) / len(members),
            mean_quality(
                [Quality(one.psnr, one.background_psnr, one.object_psnr) for one in members]
            ),
        )
        for method, members in by_method.items()
    ]

"""Our frames beside those of other codecs: at equal bytes, and over a range of sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rinrcodec.evaluation.baselines import Coded, Ladder, best_composite, composite
from rinrcodec.metrics import Quality, frame_quality, mean_quality
from rinrcodec.picture import Picture

__all__ = ["CURVE_OBJECT_SHARE", "Row", "at_equal_bytes", "at_size", "summary"]

# What the crops of a composite have of its bytes in rate curves.
CURVE_OBJECT_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Row:
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
    ) -> Row:
        bpp = 8 * n_bytes / (picture.width * picture.height)
        parts = (quality.frame, quality.background, quality.objects)
        return cls(picture.name, method, against, n_bytes, bpp, *parts)

    @classmethod
    def of_coded(cls, picture: Picture, coded: Coded, against: str) -> Row:
        """The row of what a codec made of a picture."""
        quality = frame_quality(picture.pixels, coded.pixels, picture.boxes)
        return cls.of(picture, coded.codec, against, coded.n_bytes, quality)


def at_equal_bytes(
    picture: Picture,
    ladders: Mapping[str, Ladder],
    n_bytes: float,
    *,
    background_psnr: float | None,
) -> list[Coded]:
    """Every codec of `ladders` at about `n_bytes`, and the best composite on the last of them.

    ladders: those of this picture. background_psnr: what the composite's background has to have at
    least, in dB, if it can; None for any.
    """
    size = round(n_bytes)
    plain = [ladder.nearest(size) for ladder in ladders.values()]
    base = list(ladders.values())[-1]
    pasted = best_composite(base, picture.boxes, size, background_psnr=background_psnr)
    return [*plain, pasted]


def at_size(picture: Picture, ladders: Mapping[str, Ladder], n_bytes: int) -> list[Coded]:
    """A point of every codec's rate curve: as `at_equal_bytes`, with a fixed share for crops."""
    plain = [ladder.nearest(n_bytes) for ladder in ladders.values()]
    base = list(ladders.values())[-1]
    pasted = composite(base, picture.boxes, n_bytes, object_share=CURVE_OBJECT_SHARE)
    return [*plain, pasted]


def summary(rows: Iterable[Row]) -> list[tuple[str, float, float, Quality]]:
    """Per method, in order of appearance: mean bytes, mean bits per pixel, mean of the dB."""
    by_method: dict[str, list[Row]] = {}
    for row in rows:
        by_method.setdefault(row.method, []).append(row)
    return [
        (
            method,
            sum(row.n_bytes for row in group) / len(group),
            sum(row.bpp for row in group) / len(group),
            mean_quality(
                [Quality(row.psnr, row.background_psnr, row.object_psnr) for row in group]
            ),
        )
        for method, group in by_method.items()
    ]

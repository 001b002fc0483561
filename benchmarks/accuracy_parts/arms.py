"""Which codings make a curve, and which sets they are measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accuracy_parts.codings import Coding, Composite, Movie, Network, Original, Ours, Still

__all__ = ["ANCHOR", "FAMILIES", "LEAKS", "OURS", "PICTURES", "SEQUENCES", "sequence_arms"]

Arms = Mapping[str, Sequence[Coding]]
AVIF_QUALITIES = (35, 45, 55)
BACKGROUNDS = (10, 20, 30)


def ours(quality: int, objects: int | None = None, boxes: str = "found", gop: int = 1) -> Ours:
    """A pack of the default family and preset."""
    return Ours("av1", "fast", quality, objects, boxes, gop=gop)


ANCHOR = "AVIF"
OURS = "ours, objects"
# The curves of photos and frames alone.
PICTURES: Arms = {
    "original": (Original(),),
    "JPEG": tuple(Still("jpeg", q) for q in (10, 20, 35, 55)),
    "WebP": tuple(Still("webp", q) for q in (5, 20, 40, 60)),
    ANCHOR: tuple(Still("avif", q, "psnr") for q in AVIF_QUALITIES),
    "AVIF, default tune": tuple(Still("avif", q) for q in AVIF_QUALITIES),
    "AVIF, 4:2:0": tuple(Still("avif", q, "psnr", "4:2:0") for q in AVIF_QUALITIES),
    "composite": tuple(Composite(*pair) for pair in ((20, 45), (30, 55), (40, 60), (50, 65))),
    "ours, no objects": tuple(ours(q) for q in BACKGROUNDS),
    OURS: tuple(ours(q, q + 20) for q in BACKGROUNDS),
}
# One pair of qualities, with other boxes than those that the detector found.
LEAKS: Arms = {
    "boxes of the detector": (ours(20, 40),),
    "larger boxes": (ours(20, 40, "dilated"),),
    "decoys instead": (ours(20, 40, "decoys"),),
    "decoys as well": (ours(20, 40, "both"),),
    "no objects": (ours(20),),
}
# On the frames of one pack, because of what they take to fit.
FAMILIES: Arms = {
    "siren, siren objects": (Network("siren", "fast", "siren"),),
    "siren, AV1 objects": (Network("siren", "fast", "av1"),),
    "pyramid": (Network("pyramid", "fast"),),
}
SEQUENCES = ("otb_crossing", "otb_jogging1")


def sequence_arms(preset: str = "fast") -> Arms:
    """The curves of sequences."""
    return {
        "original": (Original(),),
        "AVIF": tuple(Still("avif", q, "psnr") for q in (30, 45, 60)),
        "x265, a key frame every 8": tuple(Movie(crf, 8) for crf in (42, 37, 32)),
        "x265, a key frame every 250": tuple(Movie(crf, 250) for crf in (42, 37, 32)),
        "ours, groups of 16": tuple(Ours("av1", preset, q, gop=16) for q in (10, 25, 40)),
        "ours, groups of 16, objects": tuple(
            Ours("av1", preset, q, q + 20, gop=16) for q in (10, 25, 40)
        ),
    }

"""The codings of every curve, and the sets they are measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accuracy_parts.codings import (
    Coding,
    Composite,
    HalfSize,
    Movie,
    Network,
    Original,
    Ours,
    Still,
)

__all__ = [
    "ANCHOR",
    "LEAKS",
    "NETWORKS",
    "PICTURES",
    "SEQUENCES",
    "SEQUENCE_ARMS",
    "SEQUENCE_NETWORKS",
]

Arms = Mapping[str, Sequence[Coding]]
QUALITIES = (10, 20, 30, 45)
# Of background and objects.
PAIRS = ((3, 25), (10, 30), (20, 40))
# The same of backgrounds that are 2 and 4 times smaller.
SHRUNK_PAIRS = {2: ((10, 25), (25, 30), (40, 40)), 4: ((35, 25), (50, 30), (65, 40))}

# Pixels: of 1, 1.5, 2 and 3 the best on one half of the photos of COCO.
SOFTEN = 1.5


def ours(
    quality: int, objects: int | None = None, boxes: str = "found", shrink: int | None = None
) -> Ours:
    """Return a pack of the default family; its backgrounds have the speed of the AVIF files."""
    return Ours("av1", "fast", quality, objects, boxes, shrink=shrink)


def softened(quality: int, boxes: str = "found") -> Ours:
    """Return the same without objects, blurred outside of the boxes."""
    return Ours("av1", "fast", quality, boxes=boxes, soften=SOFTEN)


ANCHOR = "AVIF"
# The curves of photos and frames alone.
PICTURES: Arms = {
    "original": (Original(),),
    "JPEG": tuple(Still("jpeg", q) for q in (10, 20, 40)),
    "WebP": tuple(Still("webp", q) for q in (1, 5, 20, 40)),
    ANCHOR: tuple(Still("avif", q, "psnr") for q in QUALITIES),
    "AVIF-default": tuple(Still("avif", q) for q in QUALITIES),
    "AVIF-default, half size": tuple(HalfSize("avif", q) for q in (20, 30, 45, 60)),
    "composite": tuple(Composite(q, crops + 5) for q, crops in PAIRS),
    "composite-psnr": tuple(Composite(q, crops + 5, "psnr") for q, crops in PAIRS),
    "ours": tuple(ours(q) for q in QUALITIES),
    # The last one was the default before this page.
    "ours-objects": tuple(ours(*pair) for pair in (*PAIRS, (20, 50))),
    "ours-softened": tuple(softened(q) for q in QUALITIES),
    "ours, half size": tuple(ours(q, shrink=2) for q in (30, 45, 60, 75)),
    "ours-objects, half size": tuple(ours(*pair, shrink=2) for pair in SHRUNK_PAIRS[2]),
    "ours-objects, quarter size": tuple(ours(*pair, shrink=4) for pair in SHRUNK_PAIRS[4]),
}
# One choice of qualities, with other boxes than those that the detector found.
LEAKS: Arms = {
    "boxes of the detector": (ours(20, 40),),
    "larger boxes": (ours(20, 40, "dilated"),),
    "decoys instead": (ours(20, 40, "decoys"),),
    "decoys as well": (ours(20, 40, "both"),),
    "no objects": (ours(20),),
    "softened outside of the boxes of the detector": (softened(20),),
    "softened, larger boxes": (softened(20, "dilated"),),
    "softened, decoys instead": (softened(20, "decoys"),),
    "softened, decoys as well": (softened(20, "both"),),
    "half size, boxes of the detector": (ours(40, 40, shrink=2),),
    "half size, decoys instead": (ours(40, 40, "decoys", shrink=2),),
    "half size, decoys as well": (ours(40, 40, "both", shrink=2),),
    "quarter size, boxes of the detector": (ours(65, 40, shrink=4),),
    "quarter size, decoys as well": (ours(65, 40, "both", shrink=4),),
}
# On the frames of one pack, because networks take seconds to minutes a frame.
NETWORKS: Arms = {
    **{name: PICTURES[name] for name in ("original", ANCHOR, "ours-objects")},
    "pyramid": (Network("pyramid", "fast"),),
    "siren, siren objects": (Network("siren", "fast", "siren"),),
    "siren, AV1 objects": (Network("siren", "fast", "av1"),),
}
SEQUENCES = ("otb_crossing", "otb_jogging1")
SEQUENCE_ARMS: Arms = {
    "original": (Original(),),
    "AVIF": tuple(Still("avif", q, "psnr") for q in (30, 45, 60)),
    "x265, a key frame every 8": tuple(Movie(crf, 8) for crf in (42, 37, 32)),
    "x265, a key frame every 250": tuple(Movie(crf, 250) for crf in (42, 37, 32)),
    "ours, groups of 16": tuple(Ours("av1", "fast", q, gop=16) for q in (10, 25, 40)),
    "ours, groups of 16, objects": tuple(
        Ours("av1", "fast", q, q + 20, gop=16) for q in (10, 25, 40)
    ),
    "ours, groups of 16, objects, half size": tuple(
        Ours("av1", "fast", q, q + 5, gop=16, shrink=2) for q in (25, 40, 55)
    ),
}
SEQUENCE_NETWORKS: Arms = {
    **{
        name: SEQUENCE_ARMS[name]
        for name in (
            "original",
            "AVIF",
            "ours, groups of 16, objects",
            "ours, groups of 16, objects, half size",
        )
    },
    "nerv": (Network("nerv", "fast"),),
}

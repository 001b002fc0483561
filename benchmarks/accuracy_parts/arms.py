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
    "BARE",
    "COMPOSITE",
    "DEFAULT_TUNE",
    "LEAKS",
    "NETWORKS",
    "OBJECTS",
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


def softened(quality: int, boxes: str = "found") -> Ours:
    """Return a pack without objects, blurred outside of the boxes."""
    return Ours(quality, boxes=boxes, soften=SOFTEN)


ANCHOR = "AVIF, tune=psnr"
DEFAULT_TUNE = "AVIF, Pillow's default tune"
COMPOSITE = "AVIF with pasted crops"
BARE, OBJECTS = "av1, no objects", "av1 with objects"
# The curves of photos and frames alone.
PICTURES: Arms = {
    "original": (Original(),),
    "JPEG": tuple(Still("jpeg", q) for q in (10, 20, 40)),
    "WebP": tuple(Still("webp", q) for q in (1, 5, 20, 40)),
    ANCHOR: tuple(Still("avif", q, "psnr") for q in QUALITIES),
    DEFAULT_TUNE: tuple(Still("avif", q) for q in QUALITIES),
    f"{DEFAULT_TUNE}, half size": tuple(HalfSize("avif", q) for q in (20, 30, 45, 60)),
    COMPOSITE: tuple(Composite(q, crops + 5) for q, crops in PAIRS),
    f"{COMPOSITE}, tune=psnr": tuple(Composite(q, crops + 5, "psnr") for q, crops in PAIRS),
    BARE: tuple(Ours(q) for q in QUALITIES),
    # The last one was the default before this page.
    OBJECTS: tuple(Ours(*pair) for pair in (*PAIRS, (20, 50))),
    "av1 --soften": tuple(softened(q) for q in QUALITIES),
    "av1 --shrink 2, no objects": tuple(Ours(q, shrink=2) for q in (30, 45, 60, 75)),
    "av1 --shrink 2 with objects": tuple(Ours(*pair, shrink=2) for pair in SHRUNK_PAIRS[2]),
    "av1 --shrink 4 with objects": tuple(Ours(*pair, shrink=4) for pair in SHRUNK_PAIRS[4]),
}
# One choice of qualities, with other boxes than those that the detector found.
LEAKS: Arms = {
    "boxes of the detector": (Ours(20, 40),),
    "larger boxes": (Ours(20, 40, "dilated"),),
    "decoys instead": (Ours(20, 40, "decoys"),),
    "decoys as well": (Ours(20, 40, "both"),),
    "no objects": (Ours(20),),
    "--soften, boxes of the detector": (softened(20),),
    "--soften, larger boxes": (softened(20, "dilated"),),
    "--soften, decoys instead": (softened(20, "decoys"),),
    "--soften, decoys as well": (softened(20, "both"),),
    "--shrink 2, boxes of the detector": (Ours(40, 40, shrink=2),),
    "--shrink 2, decoys instead": (Ours(40, 40, "decoys", shrink=2),),
    "--shrink 2, decoys as well": (Ours(40, 40, "both", shrink=2),),
    "--shrink 4, boxes of the detector": (Ours(65, 40, shrink=4),),
    "--shrink 4, decoys as well": (Ours(65, 40, "both", shrink=4),),
}
# On the frames of one pack, because networks take seconds to minutes a frame.
NETWORKS: Arms = {
    **{name: PICTURES[name] for name in ("original", ANCHOR, OBJECTS)},
    "pyramid": (Network("pyramid", "fast"),),
    "siren, siren objects": (Network("siren", "fast", "siren"),),
    "siren, AV1 objects": (Network("siren", "fast", "av1"),),
}
SEQUENCES = ("otb_crossing", "otb_jogging1")
SEQUENCE_ARMS: Arms = {
    "original": (Original(),),
    ANCHOR: tuple(Still("avif", q, "psnr") for q in (30, 45, 60)),
    "x265, a key frame every 8": tuple(Movie(crf, 8) for crf in (42, 37, 32)),
    "x265, a key frame every 250": tuple(Movie(crf, 250) for crf in (42, 37, 32)),
    "av1, groups of 16, no objects": tuple(Ours(q, gop=16) for q in (10, 25, 40)),
    "av1, groups of 16, with objects": tuple(Ours(q, q + 20, gop=16) for q in (10, 25, 40)),
    "av1 --shrink 2, groups of 16, with objects": tuple(
        Ours(q, q + 5, gop=16, shrink=2) for q in (25, 40, 55)
    ),
}
SEQUENCE_NETWORKS: Arms = {
    **{
        name: SEQUENCE_ARMS[name]
        for name in (
            "original",
            ANCHOR,
            "av1, groups of 16, with objects",
            "av1 --shrink 2, groups of 16, with objects",
        )
    },
    "nerv": (Network("nerv", "fast"),),
}

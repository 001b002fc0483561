"""Make the golden vectors of smaller backgrounds: a pack, and what it decodes to as one picture.

    python tests/rinrcodec/families/av1/make_shrunk_vectors.py

Never make the files in `vectors` again: they show that readers give these pixels for ever.
"""

from __future__ import annotations

from pathlib import Path

from av1_frames import encode, scene, sequence
from make_av1_vectors import HEIGHT, WIDTH, picture_of

import rinrcodec
from rinrcodec import Box, Target
from rinrcodec.pack import Pack, merge_packs

VECTORS = Path(__file__).parent / "vectors"


def vectors() -> Pack:
    """Stills of both factors, one of them grey, one with an object; and a clip of 4:2:0."""
    quality = Target(quality=60, objects_quality=60)
    colour, grey = scene(WIDTH, HEIGHT), scene(WIDTH, HEIGHT, grey=True)
    box = Box(0, 20, 5.5, 14, 20)
    packs = [
        encode([rinrcodec.Picture("half", colour, boxes=(box,))], shrink=2, target=quality),
        encode([rinrcodec.Picture("grey", grey)], shrink=2, target=quality),
        encode([rinrcodec.Picture("quarter", colour)], shrink=4, target=quality),
        encode(sequence(3, WIDTH, HEIGHT), shrink=2, target=quality),
    ]
    return merge_packs(packs)


if __name__ == "__main__":
    pack = vectors()
    rinrcodec.save(pack, VECTORS / "shrunk.rinr", overwrite=False)
    picture_of(pack).save(VECTORS / "shrunk.png")

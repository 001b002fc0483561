"""Make the golden vectors of `av1` objects: a pack, and what it decodes to as one picture.

    python tests/rinrcodec/families/av1/make_object_vectors.py

Never make the files in `vectors` again: they show that readers give these pixels for ever.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from av1_frames import encode
from av1_objects import COARSE, pictures_of, walking
from make_av1_vectors import picture_of

import rinrcodec
from rinrcodec import Box
from rinrcodec.pack import Pack, merge_packs, select_frames

VECTORS = Path(__file__).parent / "vectors"
BOXES = (Box(0, 3, 5.5, 20, 11), Box(1, 10, 8, 33.25, 21), Box(2, 40, -3, 20, 20))


def vectors() -> Pack:
    """An atlas of two stills, one of grey, and a row of atlases along the track of an object."""
    stills = pictures_of([BOXES, BOXES[1:]], 49, 35)
    (grey,) = pictures_of([BOXES], 49, 35, grey=True)
    packs = [[*stills, replace(grey, name="grey")], walking(4, size=20)]
    return merge_packs([encode(pictures, target=COARSE) for pictures in packs])


if __name__ == "__main__":
    pack = vectors()
    rinrcodec.save(pack, VECTORS / "objects.rinr", overwrite=False)
    for name, part in (("stills", range(3)), ("track", range(3, 7))):
        frames = select_frames(pack, part)
        picture_of(frames).save(VECTORS / f"objects-{name}.png")

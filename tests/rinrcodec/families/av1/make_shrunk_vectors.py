"""Make the golden vectors of smaller backgrounds: a pack, and what it decodes to as one picture.

    python tests/rinrcodec/families/av1/make_shrunk_vectors.py

Do not make the files in `vectors` again: they pin the decoded pixels.
"""

from __future__ import annotations

from pathlib import Path

from av1_frames import encode, scene, sequence
from make_av1_vectors import HEIGHT, WIDTH, picture_of

import rinrcodec
from rinrcodec import Box, Target
from rinrcodec.families.av1.colour import to_planes
from rinrcodec.families.av1.layout import row_spec
from rinrcodec.families.av1.resize import shrunk
from rinrcodec.families.av1.stream import encode_video
from rinrcodec.pack import Frame, Group, InrRef, Pack, merge_packs

VECTORS = Path(__file__).parent / "vectors"


def vectors() -> Pack:
    """Stills of both factors, one of them grey, one with an object; and clips of 4:2:0."""
    quality = Target(quality=60, objects_quality=60)
    colour, grey = scene(WIDTH, HEIGHT), scene(WIDTH, HEIGHT, grey=True)
    box = Box(0, 20, 5.5, 14, 20)
    packs = [
        encode([rinrcodec.Picture("half", colour, boxes=(box,))], shrink=2, target=quality),
        encode([rinrcodec.Picture("grey", grey)], shrink=2, target=quality),
        encode([rinrcodec.Picture("quarter", colour)], shrink=4, target=quality),
    ]
    return merge_packs([*packs, clip(2), clip(4)])


def clip(factor: int) -> Pack:
    """A row of three frames, which the encoder would not choose for so small ones."""
    planes = [to_planes(shrunk(one.pixels, factor)) for one in sequence(3, WIDTH, HEIGHT)]
    row = encode_video(planes, crf=30, preset=8)
    frames = tuple(
        Frame(f"clip {factor}/{k}", WIDTH, HEIGHT, InrRef(0, 0), time=float(k)) for k in range(3)
    )
    return Pack(frames, (Group.of_bytes(row_spec(3, "420", 10, factor), [row]),))


if __name__ == "__main__":
    pack = vectors()
    rinrcodec.save(pack, VECTORS / "shrunk.rinr", overwrite=False)
    picture_of(pack).save(VECTORS / "shrunk.png")

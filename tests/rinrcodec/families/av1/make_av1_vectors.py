"""Make the golden vectors of `av1`: a pack, and what it decodes to as one picture.

    python tests/rinrcodec/families/av1/make_av1_vectors.py

Never make the files in `vectors` again: they show that readers give these pixels for ever.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from av1_frames import decoded, encode, scene, sequence
from PIL import Image

import rinrcodec
from rinrcodec import Target
from rinrcodec.pack import Pack, merge_packs

VECTORS = Path(__file__).parent / "vectors"
WIDTH, HEIGHT = 47, 33


def vectors() -> Pack:
    """Two stills, and a clip of 4:2:0: RGB and grey, of odd sizes."""
    colour, grey = scene(WIDTH, HEIGHT), scene(WIDTH, HEIGHT, grey=True)
    still = rinrcodec.Picture("still", colour), rinrcodec.Picture("grey", grey)
    quality = Target(quality=40)
    packs = [encode([picture], target=quality) for picture in still]
    packs.append(encode(sequence(5, WIDTH, HEIGHT), target=quality))
    return merge_packs(packs)


def picture_of(pack: Pack) -> Image.Image:
    """All frames, one below the other."""
    frames = [decoded(pack, i) for i in range(pack.n_frames)]
    rgb = [np.repeat(f[..., None], 3, -1) if f.ndim == 2 else f for f in frames]
    return Image.fromarray(np.concatenate(rgb))


if __name__ == "__main__":
    rinrcodec.save(vectors(), VECTORS / "frames.rinr", overwrite=False)
    picture_of(vectors()).save(VECTORS / "frames.png")

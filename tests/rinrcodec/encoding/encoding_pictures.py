"""Pictures with boxes, names and metadata, to encode for a size or a quality."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rinrcodec import Box
from rinrcodec.pack import Metadata
from rinrcodec.picture import Picture

BOXES = (Box(0, 5, 7, 21, 13), Box(1, 41.5, 20.25, 30.5, 25))


def textured(width: int = 96, height: int = 64, *, seed: int = 0) -> NDArray[np.uint8]:
    """Waves with fine texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 60 * np.sin(x / 9 + k) + 40 * np.cos(y / 7 * (k + 1)) for k in range(3)]
    noise = rng.integers(-20, 21, (height, width, 1))
    return np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)


def pictures(n: int, *, boxes: tuple[Box, ...] = BOXES, metadata: int = 0) -> list[Picture]:
    """Unrelated pictures with long names."""
    return [
        Picture(
            f"folder-{k}/a picture with a long name {k:06d}.png",
            textured(seed=k),
            boxes,
            metadata=Metadata(exif=np.random.default_rng(k).bytes(metadata)),
        )
        for k in range(n)
    ]

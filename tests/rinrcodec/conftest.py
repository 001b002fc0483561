"""Small synthetic pictures that a SIREN can fit in a few steps, and a pack of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.encoder import encode
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset

MakePicture = Callable[..., NDArray[np.uint8]]

QUICK = get_preset("balanced", steps=200, background="siren", objects="siren")
BOXES = (
    Box(0, 10.5, 7.25, 12.5, 9.0),
    Box(1, 14, 8, 20, 20),
    Box(2, 20, 20, 1, 3),
    Box(3, 0, 0, 48, 32),
)


def smooth_picture(
    width: int, height: int, seed: int = 0, *, grey: bool = False
) -> NDArray[np.uint8]:
    """A few low frequencies plus a bright square: uint8 [H, W, 3] or [H, W]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    phases = rng.uniform(0, 6, (3, 2))
    channels = [np.sin(5 * x + a) + np.cos(4 * y + b) for a, b in phases]
    picture = np.stack(channels, -1) * 45 + 120
    picture[height // 4 : height // 2, width // 4 : width // 2] += 60
    picture = picture.clip(0, 255).astype(np.uint8)
    return picture[:, :, 0] if grey else picture


@pytest.fixture(scope="session")
def make_picture() -> Callable[..., NDArray[np.uint8]]:
    return smooth_picture


@pytest.fixture(scope="session")
def picture() -> NDArray[np.uint8]:
    return smooth_picture(48, 32)


@pytest.fixture(scope="session")
def mixed(make_picture: MakePicture) -> tuple[list[Picture], Pack]:
    """Three sizes, grey and colour, with overlapping, tiny, whole-frame and unusable boxes."""
    odd = (Box(4, -5, -5, 9, 9), Box(5, 100, 3, 4, 4), Box(6, 3, 3, 0, 5))
    pictures = [
        Picture("a.png", make_picture(48, 32, 0), BOXES),
        Picture("b.png", make_picture(40, 56, 1, grey=True), odd),
        Picture("c.png", make_picture(48, 32, 2)),
        Picture("d.png", make_picture(1, 1, 3), (Box(0, 0, 0, 1, 1),)),
        Picture("e.png", make_picture(30, 70, 4), BOXES[:1]),
    ]
    return pictures, encode(pictures, preset=QUICK, device="cpu")

"""Small synthetic pictures that a SIREN can fit in a few steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray


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

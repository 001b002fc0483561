"""Large frames in Pillow: its own limit decides, `Image.MAX_IMAGE_PIXELS`."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import rinrcodec
from rinrcodec.limits import DEFAULT_LIMITS

OPTIONS = {"preset": "fast", "steps": 1, "background": "siren", "device": "cpu"}


@pytest.fixture(autouse=True)
def low_limit(monkeypatch: pytest.MonkeyPatch) -> object:
    """A default limit that small pictures exceed."""
    rinrcodec.register_pillow()
    before = DEFAULT_LIMITS.max_pixels
    object.__setattr__(DEFAULT_LIMITS, "max_pixels", 1000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    yield
    object.__setattr__(DEFAULT_LIMITS, "max_pixels", before)


def saved(*sizes: tuple[int, int]) -> io.BytesIO:
    file = io.BytesIO()
    first, *rest = [Image.new("L", size, 90) for size in sizes]
    first.save(file, "RINR", save_all=True, append_images=rest, **OPTIONS)
    file.seek(0)
    return file


def test_frames_that_pillow_allows_open_and_load() -> None:
    with pytest.warns(Image.DecompressionBombWarning), Image.open(saved((40, 30))) as image:
        assert np.asarray(image).shape == (30, 40)


def test_frames_over_pillows_limit_are_refused() -> None:
    file = saved((50, 40))
    with pytest.raises(OSError, match="max_pixels = 1,200"):
        Image.open(file)


def test_later_frames_are_refused_too() -> None:
    with Image.open(saved((20, 10), (50, 40))) as image, pytest.raises(OSError, match="max_pixels"):
        image.seek(1)


def test_without_a_limit_all_sizes_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with Image.open(saved((20, 10), (50, 40))) as image:
        image.seek(1)
        assert np.asarray(image).shape == (40, 50)

"""`PIL.ImageFile.Parser` reads packs, whole or piece by piece; damaged ones raise OSError."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

import rinrcodec
from rinrcodec.formats import pack_bytes

RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 255, (18, 24, 3), np.uint8), RNG.integers(0, 255, (9, 7), np.uint8)]


def made(count: int) -> bytes:
    return pack_bytes(
        rinrcodec.encode(PICTURES[:count], preset="fast", steps=2, background="siren")
    )


DATA = {1: made(1), 2: made(2)}
rinrcodec.register_pillow()


def parsed(data: bytes, step: int) -> Image.Image:
    parser = ImageFile.Parser()
    for start in range(0, len(data), step):
        parser.feed(data[start : start + step])
    return parser.close()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("step", [1, 7, 511, 512, 513, 10**6])
def test_pieces_of_any_size(count: int, step: int) -> None:
    image = parsed(DATA[count], step)
    with Image.open(io.BytesIO(DATA[count])) as wanted:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(wanted))
    assert (image.size, image.mode, image.format) == ((24, 18), "RGB", "RINR")
    assert image.info["name"] == "000000"


def test_the_size_is_known_before_the_end() -> None:
    parser = ImageFile.Parser()
    parser.feed(DATA[1][:511])
    assert parser.image is None
    parser.feed(DATA[1][511:600])
    assert parser.image is not None
    assert parser.image.size == (24, 18)
    parser.feed(DATA[1][600:])
    assert parser.close().size == (24, 18)


@given(st.integers(0, len(DATA[1]) - 1))
@settings(max_examples=40, deadline=None)
def test_cut_packs_raise_oserror(length: int) -> None:
    with pytest.raises(OSError):  # noqa: PT011 (Pillow's message or ours)
        parsed(DATA[1][:length], 300)


@given(st.integers(0, len(DATA[1]) - 1), st.integers(1, 255))
@settings(max_examples=40, deadline=None)
def test_damaged_packs_raise_oserror_or_give_the_same_pixels(place: int, change: int) -> None:
    data = bytearray(DATA[1])
    data[place] ^= change
    try:
        image = parsed(bytes(data), 4096)
    except OSError:
        return
    np.testing.assert_array_equal(np.asarray(image), np.asarray(parsed(DATA[1], 4096)))

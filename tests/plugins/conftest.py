"""Small packs that every host of `.rinr` files has to show the same way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.pack import Metadata, Pack
from rinrcodec.presets import Preset, get_preset

EXIF = Image.Exif()
EXIF[0x010E] = "a picture"
# Width, height, grey: three sizes, grey and colour.
SHAPES = [(48, 32, False), (40, 56, True), (64, 24, False), (48, 32, True), (48, 32, False)]
BOXES = [
    [Box(0, 3, 4, 10, 9), Box(1, 20.5, 5.25, 17.5, 20), Box(7, 30, 20, 40, 40)],
    [Box(2, 1, 1, 30, 40)],
    [],
    [Box(1, 2, 2, 9, 9), Box(1, 30, 10, 1, 3)],
    [Box(3, 0, 0, 48, 32), Box(0, 10, 10, 6, 6)],
]


def coarse_picture(width: int, height: int, seed: int, *, grey: bool = False) -> Image.Image:
    """Random colours, smoothly joined."""
    rng = np.random.default_rng(seed)
    shape = (height // 8 + 2, width // 8 + 2, *([] if grey else [3]))
    coarse = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def pixels_of(pack: Pack, index: int) -> NDArray[np.uint8]:
    """What the decoder gives, in the layout of Pillow."""
    decoded = rinrcodec.decode(pack, index).numpy()
    grey = pack.frames[index].mode == "L"
    return decoded[0] if grey else decoded.transpose(1, 2, 0)


@pytest.fixture(scope="session")
def quick() -> Preset:
    """A few steps, and every object INR kept, so that there is something to paste."""
    return replace(get_preset("fast", steps=8), min_gain=-math.inf)


@pytest.fixture(scope="session")
def pack(quick: Preset) -> Pack:
    return mixed_pack(quick)


@pytest.fixture(scope="session")
def siren_pack(quick: Preset) -> Pack:
    """The same frames, each with a network of its own."""
    preset = get_preset("fast", steps=8, background="siren")
    return mixed_pack(replace(quick, background=preset.background))


@pytest.fixture(scope="session")
def sequence_pack(quick: Preset) -> Pack:
    """The same frames; those of equal size and mode share a network."""
    preset = get_preset("fast", steps=8, background="nerv")
    return mixed_pack(replace(quick, background=preset.background))


@pytest.fixture(scope="session")
def pyramid_pack() -> Pack:
    """The same frames as coded latents."""
    return mixed_pack(get_preset("fast", steps=8, background="pyramid"))


def mixed_pack(preset: Preset) -> Pack:
    images = [coarse_picture(w, h, i, grey=grey) for i, (w, h, grey) in enumerate(SHAPES)]
    made = rinrcodec.encode(images, boxes=BOXES, preset=preset, device="cpu")
    metadata = Metadata(exif=EXIF.tobytes(), icc=b"profile", xmp=b"<x:xmpmeta/>")
    frames = [replace(frame, name=f"{frame.name}.jpg") for frame in made.frames]
    frames[1] = replace(frames[1], metadata=metadata)
    return replace(made, frames=tuple(frames))


@pytest.fixture
def pack_file(pack: Pack, tmp_path: Path) -> Path:
    path = tmp_path / "mixed.rinr"
    rinrcodec.save(pack, path)
    return path


@pytest.fixture
def one_frame(quick: Preset, tmp_path: Path) -> Path:
    path = tmp_path / "one.rinr"
    picture = coarse_picture(48, 32, 9)
    boxes: Sequence[Sequence[Box]] = [BOXES[0]]
    rinrcodec.save(rinrcodec.encode([picture], boxes=boxes, preset=quick, device="cpu"), path)
    return path

"""Small packs that every host of `.rinr` files has to show the same way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from quick_pyramids import round_few

import rinrcodec
from rinrcodec.boxes import Box
from rinrcodec.families.av1.stream import RowDecoder
from rinrcodec.pack import Metadata, Pack
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset, get_preset

EXIF = Image.Exif()
EXIF[0x010E] = "a picture"
# Width, height, grey: three sizes, grey and colour.
SHAPES = [(48, 32, False), (40, 56, True), (64, 24, False), (48, 32, True), (48, 32, False)]
BOXES = [
    [Box(0, 3, 4, 10, 9), Box(1, 20.5, 5.25, 17.5, 20), Box(7, 30, 20, 40, 24)],
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
    with pytest.MonkeyPatch.context() as patch:
        round_few(patch)
        return mixed_pack(get_preset("fast", steps=8, background="pyramid"))


def mixed_pack(preset: Preset) -> Pack:
    images = [coarse_picture(w, h, i, grey=grey) for i, (w, h, grey) in enumerate(SHAPES)]
    made = rinrcodec.encode(images, boxes=BOXES, preset=preset, device="cpu")
    metadata = Metadata(exif=EXIF.tobytes(), icc=b"profile", xmp=b"<x:xmpmeta/>")
    frames = [replace(frame, name=f"{frame.name}.jpg") for frame in made.frames]
    frames[1] = replace(frames[1], metadata=metadata)
    return replace(made, frames=tuple(frames))


# Frames of a row of the clips, and rows of all clips.
ROW, ROWS = 6, 10


def clip_pack(first: int, n: int, *, gop: int = ROW) -> Pack:
    """A pack of a pattern that moves, in rows of `gop` frames."""
    y, x = np.mgrid[0:32, 0:48]
    pictures = []
    for k in range(first, first + n):
        waves = [127 + 90 * np.sin((x - 2 * k) / 5 + c) * np.cos(y / 6) for c in range(3)]
        pictures.append(Picture(f"clip/{k:03d}", np.stack(waves, -1).astype(np.uint8)))
    return rinrcodec.encode(pictures, preset="fast", background="av1", gop=gop)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packs of 30 frames each, in rows of six."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("a", "b"):
        pack = clip_pack(30 * (name == "b"), 30)
        assert [frame.time for frame in pack.frames] == [*range(ROW)] * (ROWS // 2)
        rinrcodec.save(pack, folder / f"{name}.rinr")
    return folder


@pytest.fixture(scope="session")
def clip_frames(clips: Path) -> list[torch.Tensor]:
    return [image for file in sorted(clips.iterdir()) for image in rinrcodec.open(file)]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers in their rows of the frames that this process decodes from now on."""
    numbers: list[int] = []
    read = RowDecoder.read

    def counted(self: RowDecoder) -> Any:
        numbers.append(self.position)
        return read(self)

    monkeypatch.setattr(RowDecoder, "read", counted)
    return numbers


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

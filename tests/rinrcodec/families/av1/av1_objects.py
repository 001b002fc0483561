"""Pictures with objects, and what packs of them should decode to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from av1_frames import decoded, scene
from numpy.typing import NDArray

from rinrcodec import Box, Region, Target
from rinrcodec.compute.compose import paste_order
from rinrcodec.families.av1.decode import row_pixels
from rinrcodec.families.av1.stream import RowDecoder
from rinrcodec.metrics import frame_quality
from rinrcodec.pack import Frame, ObjectInr, Pack
from rinrcodec.picture import Picture

COARSE = Target(quality=5, objects_quality=70)
BOXES = (Box(0, 5, 7, 21, 13), Box(1, 41.5, 20.25, 30.5, 25), Box(2, 75, 1, 20, 62))


def textured(width: int, height: int, *, seed: int = 0, grey: bool = False) -> NDArray[np.uint8]:
    """A scene with fine texture, which coarse backgrounds lose."""
    rng = np.random.default_rng(seed)
    pixels = scene(width, height, grey=grey).astype(int)
    noise = rng.integers(-30, 31, (-(-height // 2), -(-width // 2)))
    noise = noise.repeat(2, 0).repeat(2, 1)[:height, :width]
    return np.clip(pixels + (noise if grey else noise[..., None]), 0, 255).astype(np.uint8)


def pictures_of(
    boxes: Sequence[Sequence[Box]], width: int = 96, height: int = 64, *, grey: bool = False
) -> list[Picture]:
    """Unrelated pictures: each has a folder of its own."""
    return [
        Picture(f"p{k}/{k}", textured(width, height, seed=k, grey=grey), tuple(its))
        for k, its in enumerate(boxes)
    ]


def walking(n: int, *, size: int = 24, step: int = 3) -> list[Picture]:
    """A textured square that moves over a background that does not."""
    ground = scene(96, 64)
    square = textured(size, size, seed=9)
    pictures = []
    for k in range(n):
        pixels = ground.copy()
        x, y = 4 + step * k, 10 + k
        pixels[y : y + size, x : x + size] = square
        pictures.append(Picture(f"walk/{k:03d}", pixels, (Box(0, x, y, size, size),)))
    return pictures


def objects_of(frame: Frame) -> list[ObjectInr]:
    return [one for one in frame.objects if one]


def atlases(pack: Pack, inr: ObjectInr) -> list[NDArray[np.uint8]]:
    """The pictures of a row of objects, decoded without the code of objects."""
    group = pack.stacks[inr.inr.group]
    coded = group.rows.coded[inr.inr.row]
    planes = RowDecoder(group.spec, coded, None, most_pixels=2**20).read()
    height, width = planes[0].shape
    return row_pixels(group.spec, coded, (width, height))


def composed(pack: Pack, i: int) -> NDArray[np.uint8]:
    """A frame as integers: the background, with its residuals added inside the boxes."""
    frame = pack.frames[i]
    background = decoded(pack, i, objects=False).astype(int)
    background = background.reshape(*background.shape[:2], -1)
    result = background.copy()
    for region, inr in paste_order(frame):
        atlas = atlases(pack, inr)[inr.cell.time].astype(int)
        part = Region(inr.cell.x, inr.cell.y, region.width, region.height)
        result[region.slices] = background[region.slices] + atlas[part.slices] - 128
    pixels = np.clip(result, 0, 255).astype(np.uint8)
    return pixels[..., 0] if frame.mode == "L" else pixels


def check(pack: Pack, pictures: Sequence[Picture]) -> None:
    """Frames are what their rows say, and objects raise the PSNR inside boxes."""
    for i, picture in enumerate(pictures):
        got = decoded(pack, i)
        assert np.array_equal(got, composed(pack, i))
        assert pack.frames[i].boxes == picture.boxes
        if objects_of(pack.frames[i]):
            alone = decoded(pack, i, objects=False)
            before = frame_quality(picture.pixels, alone, picture.boxes)
            after = frame_quality(picture.pixels, got, picture.boxes)
            assert before.objects is not None
            assert after.objects is not None
            assert after.objects > before.objects + 0.2
            assert after.background == before.background

"""The pictures of a report: frames made small, and the same crop of a frame in every codec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Region
from rinrcodec.cli.views.report.words import db, size
from rinrcodec.display.thumbnails import encode_picture, reduced
from rinrcodec.evaluation.measure import Measured
from rinrcodec.metrics import psnr
from rinrcodec.picture import Picture

__all__ = ["Crop", "Mark", "ShownFrame", "Thumbnail", "show_frame"]

# Crops are lossless, so their number of pixels decides the size of the page.
_LEAST_SIDE, _MOST_SIDE = 48, 96
# Of a crop on the page, in CSS pixels. It has a whole multiple of its pixels, at least twice.
_SHOWN_SIDE = 2 * _MOST_SIDE
_THUMBNAIL = 480
# Room around an object, as a share of its longer side.
_MARGIN = 0.4


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a frame in one codec, with its size on the page in CSS pixels.

    `below` has its bytes and the PSNR inside the box, "" for the source.
    """

    name: str
    below: str
    src: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Mark:
    """An outline over a thumbnail: its CSS class and its position, in shares of the size."""

    kind: str
    style: str


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A frame made small, with outlines of its boxes and of the part that is enlarged."""

    src: str
    width: int
    height: int
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """One frame: made small, and the same crop of it in every codec, `scale` times as large."""

    name: str
    thumbnail: Thumbnail
    scale: int
    crops: Sequence[Crop]


def show_frame(measured: Measured, number: int) -> ShownFrame:
    """Make the pictures of a frame: the source, and every recipe in the order of the table."""
    picture = measured.pictures[number]
    box = _main_box(picture)
    region = _around(box, picture.width, picture.height)
    scale = _SHOWN_SIDE // max(region.width, region.height)
    crops = [_crop("source", picture.pixels, region, scale, "")]
    for row in measured.rows:
        frame = row.frames[number]
        inside = _psnr_inside(picture, frame.pixels, box)
        below = f"{size(frame.n_bytes)}, {db(inside)} dB"
        crops.append(_crop(row.name, frame.pixels, region, scale, below))
    return ShownFrame(picture.name, _thumbnail(picture, region), scale, crops)


def _psnr_inside(picture: Picture, decoded: NDArray[np.uint8], box: Region | None) -> float:
    if box is None:
        return psnr(picture.pixels, decoded)
    return psnr(picture.pixels[box.slices], decoded[box.slices])


def _main_box(picture: Picture) -> Region | None:
    """Return the part of its largest box that is inside the frame."""
    regions = [box.region(picture.width, picture.height) for box in picture.boxes]
    return max((r for r in regions if r.area), key=lambda region: region.area, default=None)


def _around(box: Region | None, width: int, height: int) -> Region:
    """Return a square around a box, or in the middle of the frame; as large as the frame allows."""
    middle = box or Region(width // 2, height // 2, 1, 1)
    wanted = max(box.width, box.height) * (1 + 2 * _MARGIN) if box else _MOST_SIDE
    side = round(min(max(wanted, _LEAST_SIDE), _MOST_SIDE))
    w, h = min(side, width), min(side, height)
    x = min(max(0, (middle.x + middle.right - w) // 2), width - w)
    y = min(max(0, (middle.y + middle.bottom - h) // 2), height - h)
    return Region(x, y, w, h)


def _crop(name: str, pixels: NDArray[np.uint8], region: Region, scale: int, below: str) -> Crop:
    view = np.ascontiguousarray(pixels[region.slices])
    return Crop(
        name,
        below,
        encode_picture(view, lossless=True, compact=True).uri,
        scale * region.width,
        scale * region.height,
    )


def _thumbnail(picture: Picture, region: Region) -> Thumbnail:
    shape = (picture.width, picture.height)
    image = reduced(picture.pixels, _THUMBNAIL)
    marks = [_mark(box.region(*shape), *shape, "box") for box in picture.boxes]
    marks.append(_mark(region, *shape, "view"))
    return Thumbnail(encode_picture(image).uri, image.width, image.height, marks)


def _mark(region: Region, width: int, height: int, kind: str) -> Mark:
    return Mark(
        kind,
        f"left:{100 * region.x / width:.2f}%;top:{100 * region.y / height:.2f}%;"
        f"width:{100 * region.width / width:.2f}%;height:{100 * region.height / height:.2f}%",
    )

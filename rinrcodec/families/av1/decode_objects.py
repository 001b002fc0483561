"""Decoding av1 objects: parts of atlases, the pictures of a row that hold residuals side by side.

A sample of 128 is a residual of 0. The atlas that was decoded last stays in memory, since the
objects of the next frame are mostly in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rinrcodec.boxes import Region
from rinrcodec.compute.arrays import Array, as_float
from rinrcodec.compute.grids import resample_part
from rinrcodec.errors import RinrFormatError
from rinrcodec.families.av1.colour import Planes, to_rgb
from rinrcodec.families.av1.decode import LARGE_FRAME, OpenRow
from rinrcodec.families.av1.layout import check_whole, most_atlas_pixels
from rinrcodec.families.av1.stream import RowDecoder
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import ObjectView
from rinrcodec.formats.checks import naming
from rinrcodec.pack import Spec

if TYPE_CHECKING:
    import torch

__all__ = ["NEUTRAL", "check_inside", "object_signals"]

NEUTRAL = 128  # the sample of a residual of 0
_LAST = "the atlas decoded last"


def object_signals(group: GroupReader, views: Sequence[ObjectView]) -> list[Array]:
    """Decode objects of one group: float32 [h, w, channels] each."""
    check_whole(group.info.spec)
    # Taken out while it is used: another thread begins again.
    last: OpenRow | None = group.memory.pop(_LAST, None)
    members: dict[int, list[int]] = defaultdict(list)
    for i, view in enumerate(views):
        members[view.inr.inr.row].append(i)
    signals: list[Array] = [None] * len(views)
    spec, most = group.info.spec, 0
    # The row of the last call comes first, while it is there.
    for row in sorted(members, key=lambda row: last is None or last.key != (row,)):
        numbers = sorted(members[row], key=lambda i: views[i].inr.cell.time)
        first = views[numbers[0]]
        coded = b""
        if last is None or last.key != (row,) or not last.has(first.inr.cell.time):
            last, coded = None, group.coded([row])[row]  # errors name the file, not a frame
        with naming(first.frame.name):
            most = most_atlas_pixels(views[i].region for i in numbers)
            if last is None:
                last = OpenRow((row,), RowDecoder(spec, coded, None, most_pixels=most))
            for i in numbers:
                pixels = _pixels(last.frame(views[i].inr.cell.time), views[i], spec, group.gpu)
                signal = (as_float(pixels) - NEUTRAL) / 127.5
                view = views[i]
                signals[i] = resample_part(signal, view.region, view.grid, view.part)
    if last is not None and most <= LARGE_FRAME:
        group.memory[_LAST] = last
    return signals


def check_inside(view: ObjectView, width: int, height: int) -> None:
    """Raise `RinrFormatError` unless an object is inside its atlas."""
    cell, region = view.inr.cell, view.region
    if cell.x + region.width > width or cell.y + region.height > height:
        raise RinrFormatError(
            f"an object of {region.width}x{region.height} pixels at ({cell.x}, {cell.y}) leaves "
            f"its atlas of {width}x{height}"
        )


def _pixels(planes: Planes, view: ObjectView, spec: Spec, gpu: torch.device | None) -> Array:
    """Return the samples of an object: uint8 [h, w, channels]."""
    height, width = planes[0].shape
    check_inside(view, width, height)
    cell, region = view.inr.cell, view.region
    part = Region(cell.x, cell.y, region.width, region.height)
    channels, bits = int(spec["out"]), int(spec["bits"])
    return to_rgb(planes, channels=channels, bits=bits, gpu=gpu, part=part)

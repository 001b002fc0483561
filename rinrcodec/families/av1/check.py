"""Whether the frames and objects of a row decode, for `verify`: streams are read, and not shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from rinrcodec.families.av1.decode import number_in_row
from rinrcodec.families.av1.decode_objects import check_inside
from rinrcodec.families.av1.layout import check_whole, coded_size, most_atlas_pixels
from rinrcodec.families.av1.stream import RowDecoder, check_number
from rinrcodec.families.interface import ObjectView
from rinrcodec.formats.checks import naming
from rinrcodec.pack import Frame, Spec

__all__ = ["check_frames", "check_objects"]

Spend = Callable[[int], object]  # takes pixels, before they are decoded


def check_frames(spec: Spec, coded: bytes, frames: Sequence[Frame], spend: Spend) -> None:
    """Decode the frames of a row, to planes that are dropped.

    Args:
        spec: The spec of the row, which was checked.
        coded: Its coded bytes.
        frames: Frames of that row; a damaged file may give them several sizes.
        spend: Called with the pixels of every frame of the row before it is decoded.

    Raises:
        RinrFormatError: A frame cannot be decoded.
    """
    by_size: dict[tuple[int, int], list[Frame]] = defaultdict(list)
    for frame in frames:
        by_size[frame.width, frame.height].append(frame)
    for size, members in by_size.items():
        last = max(members, key=number_in_row)
        with naming(last.name):
            width, height = coded_size(spec, size)
            decoder = RowDecoder(spec, coded, (width, height))
            check_number(number_in_row(last), decoder.n_frames)
            while decoder.position <= last.time:
                spend(width * height)
                decoder.read()


def check_objects(spec: Spec, coded: bytes, views: Sequence[ObjectView], spend: Spend) -> None:
    """Decode the atlases of a row, and check that its objects are inside of them.

    A frame alone may have a smaller limit on its atlases than frames together, so every limit is
    tried.

    Args:
        spec: The spec of the row, which was checked.
        coded: Its coded bytes.
        views: Objects of that row, of any frames.
        spend: Called with the pixels of an atlas, at most, before it is decoded.

    Raises:
        RinrFormatError: An object cannot be decoded.
    """
    check_whole(spec)
    of_frame: dict[str, list[ObjectView]] = defaultdict(list)
    for view in views:
        of_frame[view.frame.name].append(view)
    by_limit: dict[int, list[ObjectView]] = defaultdict(list)
    for members in of_frame.values():
        by_limit[most_atlas_pixels(view.region for view in members)] += members
    for most, members in by_limit.items():
        members.sort(key=lambda view: view.inr.cell.time)
        with naming(members[-1].frame.name):
            decoder = RowDecoder(spec, coded, None, most_pixels=most)
            for view in members:
                check_number(view.inr.cell.time, decoder.n_frames)
                while decoder.position <= view.inr.cell.time:
                    spend(most)
                    height, width = decoder.read()[0].shape
                check_inside(view, width, height)

"""Decoding av1 backgrounds: one row to a core, and the last row of every group kept open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rinrcodec.compute.arrays import Array, copied, is_array
from rinrcodec.compute.compose import to_signal
from rinrcodec.compute.grids import Grid, resample_region
from rinrcodec.compute.parallel import parallel_map
from rinrcodec.errors import RinrFormatError
from rinrcodec.families.av1.colour import Planes, to_rgb
from rinrcodec.families.av1.layout import coded_size, shrink_of
from rinrcodec.families.av1.resize import enlarged
from rinrcodec.families.av1.stream import RowDecoder, check_number
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import View
from rinrcodec.formats.checks import naming
from rinrcodec.pack import Frame, Spec

if TYPE_CHECKING:
    import torch

__all__ = ["LARGE_FRAME", "OpenRow", "background_signals", "number_in_row", "row_pixels"]

_LAST = "the row decoded last"
_MOST_KEPT = 2**22  # pixels of the frames that an open row keeps
LARGE_FRAME = 2**23  # pixels of frames whose rows are not kept open: each may take a gigabyte


class _Key(NamedTuple):
    """A row, and the size of its frames: a damaged file may give one row several sizes."""

    row: int
    width: int
    height: int


@dataclass(slots=True)
class OpenRow:
    """A row of which some frames were decoded: the decoder and the last of its frames.

    key: what tells the row from others of its group.
    """

    key: tuple[int, ...]
    decoder: RowDecoder
    frames: dict[int, Planes] = field(default_factory=dict)

    def frame(self, number: int) -> Planes:
        """Return the planes of a frame; decode those before it if they have not been."""
        check_number(number, self.decoder.n_frames)
        while self.decoder.position <= number:
            position = self.decoder.position
            self.frames[position] = self.decoder.read()
            if len(self.frames) > max(1, _MOST_KEPT // self.frames[position][0].size):
                del self.frames[min(self.frames)]
        return self.frames[number]

    def has(self, number: int) -> bool:
        """Return whether `frame` gives the frame without starting over."""
        return number in self.frames or number >= self.decoder.position


def background_signals(group: GroupReader, views: Sequence[View]) -> list[Array]:
    """Decode frames of one group: pixels [h, w, channels], or a signal where they are scaled.

    One row goes to a core. The group remembers the row of the last view, so that the frames of a
    row in order, one by one, are decoded once.
    """
    # Taken out while it is used: another thread begins again.
    last = group.memory.pop(_LAST, None)
    spec = group.info.spec
    members: dict[_Key, list[int]] = defaultdict(list)
    for i, view in enumerate(views):
        frame = view.frame
        members[_Key(frame.background.row, frame.width, frame.height)].append(i)
    numbers = [number_in_row(view.frame) for view in views]
    open_rows = {
        key: last
        for key, its in members.items()
        if last is not None and last.key == key and last.has(min(numbers[i] for i in its))
    }
    coded = group.coded([key.row for key in members if key not in open_rows])
    signals: list[Array] = [None] * len(views)
    *_, last_key = members

    def decode(key: _Key) -> OpenRow | None:
        size = key.width, key.height
        with naming(views[members[key][0]].frame.name):
            row = open_rows.get(key)
            if row is None:
                row = OpenRow(key, RowDecoder(spec, coded[key.row], coded_size(spec, size)))
            for i in sorted(members[key], key=numbers.__getitem__):
                pixels = _pixels(row.frame(numbers[i]), spec, size, group.gpu)
                signals[i] = _on_grid(pixels, views[i].grid)
        kept = (
            key == last_key and row.decoder.n_frames > 1 and key.width * key.height <= LARGE_FRAME
        )
        return row if kept else None

    kept = parallel_map(decode, list(members), group.gpu)[-1]
    if kept is not None:
        group.memory[_LAST] = kept
    return signals


def _on_grid(pixels: Array, grid: Grid) -> Array:
    """Return the pixels of a region unchanged, or the signal on a finer or coarser grid."""
    part = pixels[grid.region.slices]
    if part.shape[:2] != (len(grid.y), len(grid.x)):
        return _resampled(part, grid) if is_array(part) else resample_region(to_signal(part), grid)
    # A copy of a small region: it would keep the whole frame.
    return part if part.shape == pixels.shape else copied(part)


def _resampled(part: NDArray[np.uint8], grid: Grid) -> NDArray[np.float32]:
    """Resample as `resample_region` does, by Pillow instead of torch."""
    from PIL import Image

    height, width = len(grid.y), len(grid.x)
    signal = np.empty((height, width, part.shape[2]), np.float32)
    for channel in range(part.shape[2]):
        samples = Image.fromarray(to_signal(part[..., channel]))
        resized = samples.resize((width, height), Image.Resampling.BILINEAR)
        signal[..., channel] = np.asarray(resized)
    return signal


def row_pixels(spec: Spec, row: bytes, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Decode all frames of a row: uint8 [h, w, channels] each.

    Args:
        spec: The spec of the row.
        row: Its coded bytes.
        size: Width and height of the frames.
    """
    decoder = RowDecoder(spec, row, coded_size(spec, size))
    return [_pixels(decoder.read(), spec, size, None) for _ in range(decoder.n_frames)]


def _pixels(planes: Planes, spec: Spec, size: tuple[int, int], gpu: torch.device | None) -> Array:
    pixels = to_rgb(planes, channels=int(spec["out"]), bits=int(spec["bits"]), gpu=gpu)
    return enlarged(pixels, size, shrink_of(spec))


def number_in_row(frame: Frame) -> int:
    """Return the number of a frame within its row."""
    if not float(frame.time).is_integer() or frame.time < 0:
        raise RinrFormatError(
            f"{frame.name}: the time {frame.time} in a row of AV1: expected a whole number, which "
            "says which of the row's frames it is"
        )
    return int(frame.time)

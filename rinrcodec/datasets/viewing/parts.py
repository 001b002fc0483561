"""Where the bytes of a pack and of one of its frames go: background, objects, boxes, metadata.

What several frames share, such as a row of a sequence, counts for each of them in equal parts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rinrcodec.errors import RinrFormatError
from rinrcodec.formats import PackReader
from rinrcodec.pack import Frame, InrRef

__all__ = ["FrameParts", "PackParts"]

# A row, as the number that `_key` gives it.
_Keys = NDArray[np.int64]
_ROWS = 2**32  # more than a group has
_AT_ONCE = 256  # rows that are read together


@dataclass(frozen=True, slots=True)
class FrameParts:
    """The bytes of a frame, parts of shared rows included.

    Args:
        background: Of its background.
        objects: Of its objects.
        boxes: Of its labels, where every box of the pack counts the same.
        metadata: Of EXIF, ICC and XMP, before they are compressed.
        background_frames: How many frames share the row of the background.
    """

    background: float
    objects: float
    boxes: float
    metadata: int
    background_frames: int


class PackParts:
    """The bytes of a pack by part; the sum of all but `file` is the size of the file.

    Args:
        reader: An open pack, of which the tables of frames and of objects are read.

    Raises:
        RinrFormatError: One of the tables is damaged.
        RinrLimitError: Reading the tables takes too much.
    """

    def __init__(self, reader: PackReader) -> None:
        sizes = reader.sizes()
        self._backgrounds = np.unique(_key(*reader.background_rows()), return_counts=True)
        self._objects = np.unique(_key(*reader.object_rows()), return_counts=True)
        self.file = sizes.file
        self.background = _background_bytes(reader, self._backgrounds[0], self._objects[0])
        self.objects = sizes.payload - self.background
        self.boxes = sizes.boxes
        self.metadata = sizes.metadata
        self.other = sizes.overhead
        self._n_boxes = reader.n_boxes

    def of_frame(self, reader: PackReader, frame: Frame) -> FrameParts:
        """Return the bytes of a frame of the same pack; reads the rows that it uses.

        Raises:
            RinrFormatError: A row is damaged.
            RinrLimitError: The rows are larger than the limits allow.
        """
        ref = frame.background
        n_frames = _count(self._backgrounds, ref)
        (background,) = _stored(reader, ref.group, [ref.row])
        mine = Counter(one.inr for one in frame.objects if one is not None)
        objects = sum(
            _stored(reader, ref.group, [ref.row])[0] * count / _count(self._objects, ref)
            for ref, count in mine.items()
        )
        n_boxes = max(1, self._n_boxes)
        metadata = frame.metadata
        return FrameParts(
            background=background / n_frames,
            objects=objects,
            boxes=self.boxes * len(frame.boxes) / n_boxes,
            metadata=len(metadata.exif) + len(metadata.icc) + len(metadata.xmp),
            background_frames=n_frames,
        )


def _key(group: NDArray[np.int64], row: NDArray[np.int64]) -> _Keys:
    return group * _ROWS + row


def _background_bytes(reader: PackReader, backgrounds: _Keys, objects: _Keys) -> float:
    """Compute the bytes in the file of all background rows; those of a group may serve both."""
    total = 0.0
    for group in np.unique(backgrounds // _ROWS).tolist():
        if not 0 <= group < len(reader.groups):
            raise RinrFormatError(f"{reader.name}: a frame refers to group {group}: there is none")
        total += reader.stored_bytes(group)
        first, end = np.searchsorted(objects, [group * _ROWS, (group + 1) * _ROWS]).tolist()
        if first < end and (row := int(objects[end - 1] % _ROWS)) >= reader.groups[group].n_rows:
            raise RinrFormatError(f"{reader.name}: a box refers to row {row}: there is none")
        # There are fewer of these than of backgrounds, and they are smaller.
        for start in range(first, end, _AT_ONCE):
            rows = (objects[start : min(start + _AT_ONCE, end)] % _ROWS).tolist()
            total -= sum(_stored(reader, group, rows))
    return max(0.0, total)


def _count(uses: tuple[_Keys, NDArray[np.int64]], ref: InrRef) -> int:
    """Count the frames or boxes that use a row."""
    keys, counts = uses
    at = int(np.searchsorted(keys, ref.group * _ROWS + ref.row))
    return int(counts[at])


def _stored(reader: PackReader, group: int, rows: Sequence[int]) -> list[float]:
    """Return the bytes of rows in the file; rows of weights share theirs evenly."""
    info = reader.groups[group]
    if info.coded:
        return [float(len(one)) for one in reader.read_rows(group, rows).coded]
    return [reader.stored_bytes(group) / info.n_rows] * len(rows)

"""Where the bytes of a pack and of one of its frames go: background, objects, boxes, metadata.

What several frames share, such as a row of a sequence, counts for each of them in equal parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rinrcodec.formats import PackReader
from rinrcodec.pack import Frame, InrRef

__all__ = ["FrameParts", "PackParts"]

# A row, as the number that `_key` gives it.
_Keys = NDArray[np.int64]
_ROWS = 2**32  # more than a group has


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
    """The bytes of a pack by part; the sum of all is the size of the file.

    Args:
        reader: An open pack, of which the tables of frames and of objects are read.

    Raises:
        RinrFormatError: One of the tables is damaged.
        RinrLimitError: Reading the tables takes too much.
    """

    def __init__(self, reader: PackReader) -> None:
        sizes = reader.sizes()
        backgrounds, objects = reader.background_rows(), reader.object_rows()
        self._backgrounds = np.unique(_key(*backgrounds), return_counts=True)
        self._objects = np.unique(_key(*objects), return_counts=True)
        used = set(backgrounds[0].tolist())
        self.background = sum(
            reader.stored_bytes(group) for group in used if group < reader.header.n_groups
        )
        self.file = sizes.file
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
        n_frames = _count(self._backgrounds, frame.background)
        mine: dict[InrRef, int] = {}
        for one in frame.objects:
            if one is not None:
                mine[one.inr] = mine.get(one.inr, 0) + 1
        objects = sum(
            _stored(reader, ref) * count / _count(self._objects, ref) for ref, count in mine.items()
        )
        n_boxes = max(1, self._n_boxes)
        metadata = frame.metadata
        return FrameParts(
            background=_stored(reader, frame.background) / n_frames,
            objects=objects,
            boxes=self.boxes * len(frame.boxes) / n_boxes,
            metadata=len(metadata.exif) + len(metadata.icc) + len(metadata.xmp),
            background_frames=n_frames,
        )


def _key(group: NDArray[np.int64], row: NDArray[np.int64]) -> _Keys:
    return group * _ROWS + row


def _count(uses: tuple[_Keys, NDArray[np.int64]], ref: InrRef) -> int:
    """How many frames or boxes use a row."""
    keys, counts = uses
    at = int(np.searchsorted(keys, ref.group * _ROWS + ref.row))
    return int(counts[at])


def _stored(reader: PackReader, ref: InrRef) -> float:
    """The bytes of a row in the file; rows of weights, which are packed together, are alike."""
    info = reader.groups[ref.group]
    if info.coded:
        return len(reader.read_rows(ref.group, [ref.row]).coded[0])
    return reader.stored_bytes(ref.group) / info.n_rows

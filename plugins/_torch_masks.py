"""Masks of labelled objects: from polygons, from the run lengths of COCO, or from rectangles.

A pixel belongs to a shape if its centre is inside, so shapes that share an edge share no pixel:

    polygon (1, 1) (4, 1) (4, 3) (1, 3)      . . . . .
    in a picture of 5 x 4 pixels             . # # # .
                                             . # # # .
                                             . . . . .

`_torch_targets` calls this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrFormatError, RinrLimitError
from rinrcodec.pack import Frame

__all__ = ["decode_rle", "has_outline", "masks_of", "polygon_mask", "run_lengths"]

# No picture is as large; beyond, products of coordinates would overflow.
_FAR = 1e9
_MOST_MASK_BYTES = 2**31  # of one frame
_BLOCK = 2**18  # crossings of edges and rows that are looked at together


def run_lengths(box: Box) -> dict[str, Any] | None:
    """Return the outline of a box in COCO's run lengths, if it has one."""
    segmentation = box.attributes.get("segmentation")
    return segmentation if isinstance(segmentation, dict) else None


def has_outline(box: Box) -> bool:
    """Return whether more is known of the shape of an object than its rectangle."""
    return bool(box.polygons) or run_lengths(box) is not None


def masks_of(frame: Frame) -> NDArray[np.uint8]:
    """Draw every box of a frame: uint8 [n, H, W], 1 inside.

    The polygons of a box are joined. A box without an outline is drawn as its rectangle.

    Raises:
        RinrFormatError: Run lengths that are not those of a picture of the frame's size.
        RinrLimitError: The masks would take more than 2 GiB.
    """
    n_bytes = len(frame.boxes) * frame.height * frame.width
    if n_bytes > _MOST_MASK_BYTES:
        raise RinrLimitError(
            f"frame {frame.name!r}: masks of {len(frame.boxes):,} boxes in {frame.width} x "
            f"{frame.height} take {n_bytes:,} bytes, at most {_MOST_MASK_BYTES:,}; masks=False "
            "leaves masks out"
        )
    masks = np.zeros((len(frame.boxes), frame.height, frame.width), np.uint8)
    for mask, box in zip(masks, frame.boxes, strict=True):
        rle = run_lengths(box)
        if rle is not None:
            try:
                mask[:] = decode_rle(rle, frame.width, frame.height)
            except ValueError as error:
                raise RinrFormatError(
                    f"frame {frame.name!r}: a label has run lengths that cannot be drawn: {error}; "
                    "masks=False leaves masks out"
                ) from error
            continue
        right, bottom = box.x + box.w, box.y + box.h
        rectangle = (box.x, box.y, right, box.y, right, bottom, box.x, bottom)
        for polygon in box.polygons or (rectangle,):
            mask |= polygon_mask(polygon, frame.width, frame.height)
    return masks


def polygon_mask(polygon: Sequence[float], width: int, height: int) -> NDArray[np.uint8]:
    """Fill a polygon (x1, y1, x2, y2, ...): uint8 [height, width], 1 where it covers the centre.

    Where it overlaps itself, the even-odd rule decides.

    Example:
        >>> polygon_mask((0, 0, 2, 0, 2, 1, 0, 1), 3, 2).tolist()
        [[1, 1, 0], [0, 0, 0]]
    """
    start = np.clip(np.asarray(polygon, np.float64).reshape(-1, 2), -_FAR, _FAR)
    step = np.roll(start, -1, 0) - start
    # The rows whose centres an edge crosses; half open, so a corner counts for one of its edges.
    ends = np.sort(np.stack([start[:, 1], start[:, 1] + step[:, 1]]), 0)
    first, last = np.clip(np.ceil(ends - 0.5), 0, height).astype(np.int64)
    # Each crossing switches the pixels to its right. Bytes may overflow: odd stays odd.
    switches = np.zeros((height, width + 1), np.uint8)
    for block in _blocks(last - first):
        counts = (last - first)[block]
        edge = np.repeat(np.arange(block.start, block.stop), counts)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts - first[block], counts)
        share = (row + 0.5 - start[edge, 1]) / step[edge, 1]
        x = start[edge, 0] + share * step[edge, 0]
        column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        np.add.at(switches, (row, column), np.uint8(1))
    inside: NDArray[np.uint8] = np.cumsum(switches[:, :width], 1, np.uint8) & np.uint8(1)
    return inside


def _blocks(counts: NDArray[np.int64]) -> Iterator[slice]:
    """Divide edges into blocks of few crossings in all, or of one edge."""
    totals = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = totals[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(totals, done + _BLOCK, "right")))
        yield slice(start, stop)
        start = stop


def decode_rle(rle: dict[str, Any], width: int, height: int) -> NDArray[np.uint8]:
    """Expand run lengths of COCO, plain or compressed: uint8 [height, width].

    Args:
        rle: `size` as [height, width], and `counts`: lengths of runs of 0 and 1 in turn, down the
            columns, as a list or as COCO's text.
        width: Width of the picture.
        height: Height of the picture.

    Raises:
        ValueError: They are those of another picture, or none.

    Example:
        >>> decode_rle({"size": [2, 3], "counts": [1, 2, 3]}, 3, 2).tolist()
        [[0, 1, 0], [1, 0, 0]]
    """
    size, counts = rle.get("size"), rle.get("counts")
    if size != [height, width]:
        raise ValueError(f"their size is {str(size)[:40]}, the frame is {height} x {width}")
    if isinstance(counts, str):
        counts = _uncompressed(counts)
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts):
        raise ValueError(f"their counts are {str(counts)[:40]}, expected a list or text")
    if sum(counts) != width * height:
        raise ValueError(f"they cover {sum(counts)} pixels of {width * height}")
    values = np.arange(len(counts), dtype=np.int64) & 1
    mask: NDArray[np.uint8] = np.repeat(values.astype(np.uint8), counts).reshape(width, height).T
    return mask


def _uncompressed(text: str) -> list[int]:
    """Parse the counts that COCO wrote as text.

    A count is given in groups of five bits, the lowest first, one character each; 32 says that more
    follow. The last group has a sign. From the fourth count on, the count two before is added.
    """
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"their counts are {text[:40]!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError(f"their counts end early: {text[-40:]!r}")
    return counts

"""Checking all of a file: whole columns at once, where reading a frame checks that frame alone.

Masks say which rows are wrong; the sentence about the first of them comes from reading its frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrFormatError
from rinrcodec.formats._chunks import ChunkStore
from rinrcodec.formats._directory import Directory
from rinrcodec.formats._labels import decode_extras, frame_labels
from rinrcodec.formats.checks import check_scales, check_values
from rinrcodec.formats.header import CELLS, MODES, SHARED_ROWS, Header
from rinrcodec.formats.schema import Columns, Kind
from rinrcodec.limits import Limits
from rinrcodec.pack import Cell

__all__ = ["Observer", "verify_frames", "verify_labels", "verify_metadata", "verify_weights"]

_BATCH_ROWS = 65_536  # of boxes; bounds the memory that masks take
_Mask = NDArray[np.bool_]


class Observer(Protocol):
    """Receives what `PackReader.verify` finds in a file, in this order, for further checks.

    Columns are those of `rinrcodec.formats.schema`, and were checked.
    """

    def frames(self, columns: Columns) -> None:
        """Look at the next rows of the frames table."""

    def boxes(self, frame: NDArray[np.int64], columns: Columns) -> None:
        """Look at the next rows of the boxes, objects and cells tables, and at their frames."""

    def tables_end(self) -> None:
        """Note that all frames and boxes were shown."""

    def rows(self, group: int, first: int, coded: Sequence[bytes]) -> None:
        """Look at the coded bytes of the rows of a group from row `first` on."""


def verify_frames(
    store: ChunkStore,
    directory: Directory,
    header: Header,
    limits: Limits,
    *,
    read_name: Callable[[bytes], str],
    read_frame: Callable[[int], object],
    observer: Observer | None,
) -> NDArray[np.int64]:
    """Check the frames, boxes and objects tables; decodes each chunk once.

    `read_name` and `read_frame` raise the error of a name or frame that is wrong. Returns, for each
    frame, the row after its last box.
    """
    n_rows = np.array([group.n_rows for group in directory.groups], np.int64)
    total = directory.run(Kind.BOXES).n_rows
    names: set[bytes] = set()
    kept = []
    first, n_boxes = 0, 0
    read_frame(0)  # it must be the one that the user block describes
    for columns in store.chunks(Kind.FRAMES):
        wrong = _wrong_frames(columns, directory, header, limits)
        wrong |= _wrong_refs(columns["background_group"], columns["background_row"], n_rows)
        if wrong.any():
            read_frame(first + int(wrong.argmax()))
        for name in columns["name"]:
            text = read_name(name)
            if name in names:
                raise RinrFormatError(f"two of its frames have the name {text!r}")
            names.add(name)
        ends = n_boxes + np.cumsum(columns["box_count"], dtype=np.int64)
        starts = ends - columns["box_count"]
        if (gaps := starts != columns["box_start"]).any():
            i = int(gaps.argmax())
            raise RinrFormatError(
                f"the boxes of frame {first + i} begin at row {columns['box_start'][i]}, "
                f"expected {starts[i]}"
            )
        backgrounds = columns["background_group"].astype(np.int64) << 32
        backgrounds |= columns["background_row"]
        kept.append((columns["width"], columns["height"], ends, backgrounds))
        if observer is not None:
            observer.frames(columns)
        first, n_boxes = first + len(ends), int(ends[-1])
    if n_boxes != total:
        raise RinrFormatError(f"its frames have {n_boxes} boxes, its table {total}")
    width, height, ends, backgrounds = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    backgrounds.sort()
    if (backgrounds[1:] == backgrounds[:-1]).any() and not header.required & SHARED_ROWS:
        raise RinrFormatError("frames share a background row, the feature bit is not set")
    for start, columns in _boxes(store, header):
        frame = np.searchsorted(ends, np.arange(start, start + len(columns["x"])), "right")
        wrong = _wrong_boxes(columns, width[frame], height[frame], n_rows)
        if wrong.any():
            read_frame(int(frame[wrong.argmax()]))
        if observer is not None:
            observer.boxes(frame, columns)
    if observer is not None:
        observer.tables_end()
    return ends


def verify_labels(store: ChunkStore, ends: NDArray[np.int64], limits: Limits) -> None:
    """Check what labels have besides class and rectangle; `ends` are those of `verify_frames`."""
    for columns in store.chunks(Kind.FRAME_LABELS):
        for labelled, attributes in zip(columns["labelled"], columns["attributes"], strict=True):
            frame_labels(int(labelled), attributes, limits)
    row, frame, total = 0, 0, 0
    for columns in store.chunks(Kind.BOX_LABELS):
        for extras, shapes in zip(columns["extras"], columns["shapes"], strict=True):
            while row == ends[frame]:
                frame, total = frame + 1, 0
            row += 1
            if not (extras or shapes):
                continue
            total += len(extras) + len(shapes)
            limits.check(
                "max_label_bytes", total, f"bytes of the extras of all boxes of frame {frame}"
            )
            Box(0, 0, 0, 0, 0, **decode_extras(extras, shapes))


def verify_metadata(store: ChunkStore, limits: Limits) -> None:
    """Check the metadata table."""
    for columns in store.chunks(Kind.METADATA):
        longest = max(map(len, columns["data"]))
        limits.check("max_metadata_bytes", longest, "bytes of a block of metadata")


def verify_weights(store: ChunkStore, directory: Directory, observer: Observer | None) -> None:
    """Check the weights of all groups."""
    for number, group in enumerate(directory.groups):
        store.shared(number)
        first = 0
        for columns in store.chunks(Kind.ROWS, number):
            check_values(columns["codes"], group)
            check_scales(columns["scales"])
            if observer is not None and group.coded:
                observer.rows(number, first, columns["coded"])
            first += len(columns["codes"])


def _wrong_frames(columns: Columns, directory: Directory, header: Header, limits: Limits) -> _Mask:
    pixels = columns["width"].astype(np.uint64) * columns["height"]
    wrong: _Mask = (pixels == 0) | (pixels > limits.max_pixels)
    wrong |= columns["mode"] >= len(MODES)
    wrong |= ~np.isfinite(columns["time"])
    if not header.required & SHARED_ROWS:
        wrong |= columns["time"] != 0
    wrong |= columns["source_bytes"] >= 2**63
    wrong |= columns["box_count"] > limits.max_boxes
    stops = columns["box_start"].astype(np.int64) + columns["box_count"]
    wrong |= stops > directory.run(Kind.BOXES).n_rows
    for key in ("exif", "icc", "xmp"):
        wrong |= columns[key] > directory.run(Kind.METADATA).n_rows
    return wrong


def _wrong_boxes(
    columns: Columns, width: NDArray[Any], height: NDArray[Any], n_rows: NDArray[np.int64]
) -> _Mask:
    x, y, w, h, gain = (columns[key] for key in ("x", "y", "w", "h", "gain"))
    group = columns["group"].astype(np.int64) - 1
    wrong: _Mask = ~np.isfinite([x, y, w, h]).all(0) | (w < 0) | (h < 0)
    wrong_object = ~np.isfinite(gain) | (columns["mode"] > 1)
    wrong_object |= _wrong_refs(group, columns["row"], n_rows)
    # As `Box.region`, for many boxes.
    with np.errstate(all="ignore"):
        across = np.ceil(np.minimum(width, x + w)) > np.floor(np.maximum(0, x))
        down = np.ceil(np.minimum(height, y + h)) > np.floor(np.maximum(0, y))
    wrong_object |= ~((w > 0) & (h > 0) & across & down)
    stray = (columns["row"] != 0) | (columns["mode"] != 0) | (gain != 0)
    for name in Cell._fields:
        stray |= columns.get(f"cell {name}", 0) != 0
    wrong |= np.where(group < 0, stray, wrong_object)
    return wrong


def _wrong_refs(group: NDArray[Any], row: NDArray[Any], n_rows: NDArray[np.int64]) -> _Mask:
    rows_there = np.append(n_rows, 0)  # none in a group that does not exist
    wrong: _Mask = row >= rows_there[np.minimum(group, len(n_rows))]
    return wrong


def _boxes(store: ChunkStore, header: Header) -> Iterator[tuple[int, Columns]]:
    """Yield the boxes, objects and cells tables side by side, in batches, each with its first row.

    They may be cut differently, so a batch ends where a chunk of any does. Columns of cells have
    the names "cell time", "cell x" and "cell y".
    """
    tables = [store.chunks(Kind.BOXES), store.chunks(Kind.OBJECTS)]
    if header.required & CELLS:
        cells = store.chunks(Kind.CELLS)
        tables.append({f"cell {name}": part[name] for name in part} for part in cells)
    parts = [next(table, {}) for table in tables]
    first = 0
    while all(parts):
        n = min(_BATCH_ROWS, *(len(next(iter(part.values()))) for part in parts))
        yield first, {name: values[:n] for part in parts for name, values in part.items()}
        first += n
        rest = [{name: values[n:] for name, values in part.items()} for part in parts]
        parts = [
            part if len(next(iter(part.values()))) else next(table, {})
            for part, table in zip(rest, tables, strict=True)
        ]

"""Read packs: open cheaply, then any frame and any weight row by its number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrFormatError, RinrLimitError
from rinrcodec.formats._chunks import ChunkStore, read_block, read_directory
from rinrcodec.formats._labels import decode_extras, frame_labels
from rinrcodec.formats._verify import (
    Observer,
    verify_frames,
    verify_labels,
    verify_metadata,
    verify_weights,
)
from rinrcodec.formats.checks import check_frame, check_name, naming
from rinrcodec.formats.header import CELLS, LABELS, MODES, SHARED_ROWS, BytesLike, open_bytes
from rinrcodec.formats.schema import LENGTH_BYTES, Kind
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import (
    WHOLE,
    Cell,
    Frame,
    Group,
    GroupInfo,
    InrRef,
    Metadata,
    ObjectInr,
    Pack,
    Rows,
    Spec,
    frame_number,
)
from rinrcodec.storage import MemorySource, storage_of, to_path_or_none

__all__ = ["PackReader", "Sizes", "read_pack"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Where the bytes of a file go.

    `payload`: compressed weights, scales and cells. `boxes`: labels and gains.
    `metadata`: EXIF, ICC and XMP. `overhead`: all else, names and references included.
    """

    file: int
    payload: int
    boxes: int
    metadata: int

    @property
    def overhead(self) -> int:
        return self.file - self.payload - self.boxes - self.metadata


class PackReader:
    """An open `.rinr` file: a `PackSource` whose frames and weights are read when asked for.

    source: a path, a URL that fsspec knows, bytes (also a bytearray, memoryview, memory map or
    uint8 array, none of them copied), or a seekable binary file (left open; its position is not
    kept). Opening reads the user block, the HDF5 structure and the directory. Threads may share a
    reader; one of a path, URL or bytes may also cross a fork, and pickles as that.

    Every method raises `RinrFormatError` where the file is damaged, not valid or changed since it
    was opened, and `RinrLimitError` where it declares more than `limits` allow. Opening may raise
    `OSError`, as may every method where the file is behind a URL.
    """

    def __init__(self, source: BytesLike, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self._source = open_bytes(source)
        self.limits = limits
        # Kept for pickling; made absolute since the reader may wake up in another folder.
        self._reopen = _lasting(source)
        self.name = self._source.name
        try:
            with naming(self.name):
                self.header = read_block(self._source, limits)
                self._directory = read_directory(self._source, self.header, limits)
        except BaseException:
            self._source.close()
            raise
        self._store = ChunkStore(self._source, self._directory)
        self._groups: tuple[GroupInfo, ...] | None = None

    def __enter__(self) -> PackReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; reading afterwards raises `ValueError`."""
        self._source.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self._source, MemorySource):
            return _open_again, (self._source.whole(), self.limits)
        if self._reopen is None:
            raise TypeError(f"{self.name}: a reader of an open file cannot be pickled; use a path")
        return _open_again, (self._reopen, self.limits)

    def __repr__(self) -> str:
        return f"<PackReader {self.name!r}: {self.n_frames} frames, {self.header.n_groups} groups>"

    @property
    def n_frames(self) -> int:
        return self.header.n_frames

    @property
    def info(self) -> Mapping[str, str]:
        """Free text about the making of the pack; see `Pack.info`."""
        return MappingProxyType(self._directory.info)

    @property
    def groups(self) -> tuple[GroupInfo, ...]:
        """All groups with their shared bytes, which the first use reads."""
        # No cached_property: until Python 3.12 it takes a lock, which a fork may copy as taken.
        if self._groups is None:
            with naming(self.name):
                self._groups = tuple(
                    replace(group, shared=self._store.shared(number))
                    for number, group in enumerate(self._directory.groups)
                )
        return self._groups

    def frame(self, index: int) -> Frame:
        """Read the frame of that number; negative numbers count from the end."""
        index = frame_number(index)
        if not -self.n_frames <= index < self.n_frames:
            raise IndexError(
                f"{self.name}: there is no frame {index}, frames are 0 to {self.n_frames - 1}"
            )
        with naming(self.name):
            return self._frame(index % self.n_frames)

    def names(self) -> tuple[str, ...]:
        """Return the names of all frames, in order."""
        with naming(self.name):
            return tuple(
                _name(name, self.limits)
                for columns in self._store.chunks(Kind.FRAMES)
                for name in columns["name"]
            )

    @property
    def specs(self) -> tuple[Spec, ...]:
        """Return the spec of every group, from the directory alone."""
        return tuple(group.spec for group in self._directory.groups)

    def background_rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read the frame table alone: the group and the row of every frame's background.

        Returns:
            Two arrays, int64 [n_frames]. They are not checked: a damaged file may name a group or a
            row that does not exist.
        """
        with naming(self.name):
            names = ("background_group", "background_row")
            chunks = [[chunk[n] for n in names] for chunk in self._store.chunks(Kind.FRAMES)]
        group, row = (np.concatenate(parts).astype(np.int64) for parts in zip(*chunks, strict=True))
        return group, row

    def object_rows(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Read the object table alone: the group and the row of every box that has an object.

        Returns:
            Two arrays, int64 [n_objects]. As those of `background_rows`, they are not checked.

        Raises:
            RinrLimitError: To read the table takes more than `Limits.verify_bytes`.
        """
        most, start = self.limits.verify_bytes(self._source.size), self._store.unpacked
        parts = [np.zeros((2, 0), np.int64)]
        with naming(self.name):
            for chunk in self._store.chunks(Kind.OBJECTS):
                there = chunk["group"] > 0
                columns = (chunk["group"][there].astype(np.int64) - 1, chunk["row"][there])
                parts.append(np.stack(columns).astype(np.int64))
                self._check_unpacked(self._store.unpacked - start, most)
        group, row = np.concatenate(parts, axis=1)
        return group, row

    def labelled(self) -> NDArray[np.bool_]:
        """Return whether the labels of each frame could be understood in full, bool [n_frames].

        Only files with the feature bit `LABELS` have frames of which they could not; of others,
        nothing is read.

        Raises:
            RinrFormatError: The table is damaged.
        """
        if not self.header.required & LABELS or not self._directory.run(Kind.FRAME_LABELS).n_rows:
            return np.ones(self.n_frames, bool)
        with naming(self.name):
            chunks = [chunk["labelled"] for chunk in self._store.chunks(Kind.FRAME_LABELS)]
            values: NDArray[np.uint8] = np.concatenate(chunks)
            if values.max() > 1:
                raise RinrFormatError(f"a frame has {values.max()} as `labelled`, expected 0 or 1")
        return values.astype(bool)

    def read_rows(self, group: int, rows: Sequence[int]) -> Rows:
        """Read the weights of some INRs of a group, in the order of `rows`.

        See `rinrcodec.pack.Rows`.

        Reads only the chunks that hold them. Raises `IndexError` for a group or row that is not
        there, `RinrLimitError` where they are more than `Limits.max_result_bytes`.
        """
        if not 0 <= group < len(self._directory.groups):
            there = len(self._directory.groups)
            raise IndexError(f"{self.name}: there is no group {group}, groups are 0 to {there - 1}")
        info = self._directory.groups[group]
        wanted = np.asarray(list(rows), np.int64)
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < info.n_rows:
            raise IndexError(
                f"{self.name}: rows {wanted.min()} to {wanted.max()} of group {group}, "
                f"which has {info.n_rows}"
            )
        with naming(self.name):
            size = len(wanted) * (info.n_params * (1 + (info.bits > 8)) + 4 * info.n_scales)
            self.limits.check("max_result_bytes", size, "bytes of rows; read fewer at a time")
            return self._store.weights(group, wanted)

    def row_bytes(self, group: int) -> int:
        """Compute the bytes of all rows of a group before compression, from the directory alone.

        Entropy-coded bytes count as they are: they have no larger uncompressed form.
        """
        info = self._directory.groups[group]
        run = self._directory.run(Kind.ROWS, group)
        sizes = self._directory.chunks["size"][run.first : run.first + len(run.starts)]
        return int(sizes.sum()) - LENGTH_BYTES * info.n_rows * info.coded

    @property
    def n_boxes(self) -> int:
        """How many boxes all frames have, from the directory alone."""
        return self._directory.run(Kind.BOXES).n_rows

    def stored_bytes(self, group: int) -> int:
        """Return the file bytes of the rows and shared bytes of a group, from the directory."""
        return self._directory.stored_of(group)

    def sizes(self) -> Sizes:
        """Return where the bytes of the file go, from the directory alone."""
        stored = self._directory.stored
        return Sizes(
            file=self._source.size,
            payload=stored(Kind.SHARED, Kind.ROWS, Kind.CELLS),
            boxes=stored(Kind.BOXES, Kind.FRAME_LABELS, Kind.BOX_LABELS),
            metadata=stored(Kind.METADATA),
        )

    def verify(self, observer: Observer | None = None) -> None:
        """Read and check everything; returns if the file is sound in all its bytes.

        observer: is shown the tables and the coded bytes, and may check more.

        Whether rows fit their families is not looked at; `rinrcodec.decodable` observes that.
        Raises `RinrLimitError` where the chunks together unpack to more than
        `Limits.verify_bytes`, before any of them is read.
        """
        with naming(self.name):
            self._check_total()
            ends = verify_frames(
                self._store,
                self._directory,
                self.header,
                self.limits,
                read_name=lambda name: _name(name, self.limits),
                read_frame=self._frame,
                observer=observer,
            )
            verify_labels(self._store, ends, self.limits)
            verify_metadata(self._store, self.limits)
            verify_weights(self._store, self._directory, observer)

    def all_frames(self) -> Iterator[Frame]:
        """Give all frames in order, within the bound of a whole file.

        Raises:
            RinrLimitError: Chunks of together more than `Limits.verify_bytes` had to be unpacked.
        """
        with naming(self.name):
            most, start = self.limits.verify_bytes(self._source.size), self._store.unpacked
            for index in range(self.n_frames):
                yield self._frame(index)
                self._check_unpacked(self._store.unpacked - start, most)

    @property
    def largest_chunk(self) -> int:
        """Return the uncompressed bytes of the largest chunk, from the directory alone."""
        return int(self._directory.chunks["size"].max())

    def _check_total(self) -> None:
        """Raise `RinrLimitError` where reading the whole file takes too much."""
        most = self.limits.verify_bytes(self._source.size)
        self._check_unpacked(self._directory.cost(), most)

    def _check_unpacked(self, total: int, most: int) -> None:
        if total > most:
            raise RinrLimitError(
                f"to read all of its {self._source.size:,} bytes takes {total:,} uncompressed "
                f"ones, over the limit of {most:,}: it is damaged or malicious, so do not use it; "
                "pass limits=Limits(max_verify_bytes=...) with a higher value if you trust the file"
            )

    def _frame(self, index: int) -> Frame:
        row = {k: v[0] for k, v in self._store.rows(Kind.FRAMES, index, index + 1).items()}
        if row["mode"] >= len(MODES):
            raise RinrFormatError(f"frame {index} has the unknown colour mode {row['mode']}")
        start, count = int(row["box_start"]), int(row["box_count"])
        self.limits.check("max_boxes", count, f"boxes of frame {index}")
        boxes = self._store.rows(Kind.BOXES, start, start + count)
        objects = self._store.rows(Kind.OBJECTS, start, start + count)
        cells = [WHOLE] * count
        if self.header.required & CELLS:
            columns = self._store.rows(Kind.CELLS, start, start + count)
            cells = [
                Cell(*map(int, values))
                for values in zip(*(columns[name] for name in Cell._fields), strict=True)
            ]
        labels, extras = self._labels(index, start, count)
        frame = Frame(
            name=_name(row["name"], self.limits),
            width=int(row["width"]),
            height=int(row["height"]),
            background=InrRef(int(row["background_group"]), int(row["background_row"])),
            mode=MODES[row["mode"]],
            boxes=tuple(
                Box(int(class_id), float(x), float(y), float(w), float(h), **extra)
                for class_id, x, y, w, h, extra in zip(
                    *(boxes[name] for name in ("class_id", "x", "y", "w", "h")), extras, strict=True
                )
            ),
            objects=tuple(
                _object(int(group), int(inr), int(mode), float(gain), cell)
                for group, inr, mode, gain, cell in zip(
                    *(objects["group"], objects["row"], objects["mode"], boxes["gain"], cells),
                    strict=True,
                )
            ),
            time=float(row["time"]),
            source_size=(int(row["source_width"]), int(row["source_height"])),
            source_bytes=int(row["source_bytes"]),
            metadata=Metadata(*(self._block(int(row[k])) for k in ("exif", "icc", "xmp"))),
            **labels,
        )
        check_frame(frame, self._directory.groups, self.limits)
        if frame.time and not self.header.required & SHARED_ROWS:
            raise RinrFormatError(f"frame {index} has a time, its feature bit is not set")
        header = self.header
        first = (header.width, header.height, header.mode)
        if index == 0 and (frame.width, frame.height, frame.mode) != first:
            raise RinrFormatError(f"its first frame is not {first}, as its user block says")
        return frame

    def _labels(
        self, index: int, start: int, count: int
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the labels of a frame and of its boxes, as keywords, from the labels tables."""
        labels: dict[str, Any] = {}
        extras: list[dict[str, Any]] = [{}] * count
        if self.header.required & LABELS:
            if self._directory.run(Kind.FRAME_LABELS).n_rows:
                row = self._store.rows(Kind.FRAME_LABELS, index, index + 1)
                labels = frame_labels(int(row["labelled"][0]), row["attributes"][0], self.limits)
            if self._directory.run(Kind.BOX_LABELS).n_rows:
                extras, total = [], 0
                # Chunk by chunk, as a small file can hold labels of any size.
                for part in self._store.parts(Kind.BOX_LABELS, start, start + count):
                    items = list(zip(part["extras"], part["shapes"], strict=True))
                    total += sum(len(extra) + len(shapes) for extra, shapes in items)
                    self.limits.check(
                        "max_label_bytes",
                        total,
                        f"bytes of the extras of all boxes of frame {index}",
                    )
                    extras += [decode_extras(*item) for item in items]
        return labels, extras

    def _block(self, reference: int) -> bytes:
        if reference == 0:
            return b""
        block: bytes = self._store.rows(Kind.METADATA, reference - 1, reference)["data"][0]
        return block


def read_pack(source: BytesLike, *, limits: Limits = DEFAULT_LIMITS) -> Pack:
    """Read a whole file into memory. Takes and raises what `PackReader` does.

    For files you trust: rows that compress well may take a thousand times the size of the file.
    """
    with PackReader(source, limits=limits) as reader:
        frames = tuple(map(reader.frame, range(reader.n_frames)))
        stacks = tuple(
            Group(info.spec, info.bits, reader.read_rows(number, range(info.n_rows)), info.shared)
            for number, info in enumerate(reader.groups)
        )
        return Pack(frames, stacks, dict(reader.info))


def _name(encoded: bytes, limits: Limits) -> str:
    try:
        name = encoded.decode()
    except UnicodeDecodeError as error:
        raise RinrFormatError(f"the frame name {encoded[:80]!r} is not UTF-8") from error
    check_name(name, limits)
    return name


def _object(group: int, row: int, mode: int, gain: float, cell: Cell) -> ObjectInr | None:
    if mode > 1:
        raise RinrFormatError(f"a box has an object INR of the unknown mode {mode}")
    if group == 0:
        if row or mode or gain or cell != WHOLE:
            raise RinrFormatError("a box without an object INR has a row, mode, gain or cell")
        return None
    return ObjectInr(InrRef(group - 1, row), "direct" if mode else "residual", gain, cell)


def _lasting(source: BytesLike) -> BytesLike | None:
    """Return a source that another process can open again; None if there is none."""
    if path := to_path_or_none(source):
        return path.absolute() if storage_of(path).has_native_paths else source
    return None


def _open_again(source: BytesLike, limits: Limits) -> PackReader:
    return PackReader(source, limits=limits)

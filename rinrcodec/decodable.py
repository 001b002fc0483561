"""Whether the frames of a file decode, found without computing their pixels: for `verify`.

`check_file` reads a file once. While the container checks its tables and rows, the families check
what frames ask of them: their sizes, times, channels and work, and the coded bytes of every row,
which are decoded and dropped. Networks are not computed, since no weights make them fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrFormatError, RinrInputError, RinrLimitError
from rinrcodec.families import as_background, as_objects, family_of
from rinrcodec.families.interface import BackgroundFamily, Family, ObjectFamily, ObjectView
from rinrcodec.formats import PackReader
from rinrcodec.formats.checks import naming
from rinrcodec.formats.header import MODES
from rinrcodec.formats.schema import Columns
from rinrcodec.pack import Cell, Frame, GroupInfo, InrRef, ObjectInr

__all__ = ["check_file"]

_OF_FRAMES = ("background_group", "background_row", "width", "height", "mode", "time")
_OF_BOXES = ("group", "row", "x", "y", "w", "h")
_OBJECT_WORK = 2**21  # about as long as to look at an object
_OF_CELLS = ("cell time", "cell x", "cell y")


def check_file(reader: PackReader) -> dict[str, str]:
    """Check all of a file, and that every frame decodes here.

    Args:
        reader: An open file. Its limits hold for every frame, and for the whole file.

    Returns:
        The families that frames need and that are not here, each with the reason: it is not
        installed, or cannot be loaded. These frames were not checked.

    Raises:
        RinrFormatError: The file is damaged, or a frame does not decode.
        RinrLimitError: A frame or the whole file takes more than the limits allow.
    """
    check = _Check(reader)
    reader.verify(check)
    return dict(sorted(check.unknown.items()))


class _Uses(NamedTuple):
    """Rows that frames or boxes use, sorted by group and row: columns of the same length."""

    group: NDArray[np.int64]
    row: NDArray[np.int64]
    number: NDArray[np.int64]  # of the frame, or of the box among those with an object

    @classmethod
    def of(cls, group: NDArray[Any], row: NDArray[Any]) -> _Uses:
        order = np.lexsort((row, group))
        return cls(group[order].astype(np.int64), row[order].astype(np.int64), order)

    def of_rows(self, group: int, first: int, stop: int) -> Iterator[tuple[int, list[int]]]:
        """Give every row of [first, stop) that is used, and who uses it."""
        start, end = np.searchsorted(self.group, [group, group + 1]).tolist()
        rows = self.row[start:end]
        low, high = (start + np.searchsorted(rows, [first, stop])).tolist()
        while low < high:
            row = int(self.row[low])
            after = start + int(np.searchsorted(rows, row, "right"))
            yield row, self.number[low:after].tolist()
            low = after


class _Check:
    """Checks what `PackReader.verify` shows with the families; see `formats._verify.Observer`."""

    def __init__(self, reader: PackReader) -> None:
        self._reader = reader
        self._parts: tuple[list[Columns], list[Columns]] = ([], [])
        self._families: list[Family | None] = []
        self._work = 0
        self.unknown: dict[str, str] = {}

    def frames(self, columns: Columns) -> None:
        self._parts[0].append({name: columns[name] for name in _OF_FRAMES})

    def boxes(self, frame: NDArray[np.int64], columns: Columns) -> None:
        there = np.flatnonzero(columns["group"])
        part = {name: columns[name][there] for name in _OF_BOXES}
        nothing = np.zeros(len(there), np.uint16)
        for name in _OF_CELLS:
            part[name] = columns[name][there] if name in columns else nothing
        self._parts[1].append({**part, "frame": frame[there], "group": part["group"] - 1})

    def tables_end(self) -> None:
        self._frames = _joined(self._parts[0], _OF_FRAMES)
        self._objects = _joined(self._parts[1], (*_OF_BOXES, *_OF_CELLS, "frame"))
        self._parts = ([], [])
        self._backgrounds_used = _Uses.of(
            self._frames["background_group"], self._frames["background_row"]
        )
        self._objects_used = _Uses.of(self._objects["group"], self._objects["row"])
        self._find_families()
        self._check_channels()
        self._check_work()
        for number, info in enumerate(self._reader.groups):
            if not info.coded:
                self._check_rows(number, 0, info.n_rows, None)

    def rows(self, group: int, first: int, coded: Sequence[bytes]) -> None:
        self._check_rows(group, first, first + len(coded), coded)

    def _find_families(self) -> None:
        used = {*self._backgrounds_used.group.tolist(), *self._objects_used.group.tolist()}
        for number, info in enumerate(self._reader.groups):
            name = info.spec.family
            family: Family | None = None
            try:
                family = family_of(name)
            except (RinrFormatError, RinrInputError) as error:  # not installed, or broken
                if number in used:
                    self.unknown[name] = str(error)
            if family is not None:
                family.check(info)
            self._families.append(family)
        for number in set(self._backgrounds_used.group.tolist()):
            family = self._families[number]
            if family is not None and as_background(family) is None:
                raise RinrFormatError(f"the family {family.name!r} codes objects only")
        for number in set(self._objects_used.group.tolist()):
            family = self._families[number]
            if family is not None and as_objects(family) is None:
                raise RinrFormatError(f"the family {family.name!r} codes backgrounds only")

    def _check_channels(self) -> None:
        modes = self._frames["mode"]
        self._check_channels_of(self._frames["background_group"], modes, None)
        numbers = self._objects["frame"]
        self._check_channels_of(self._objects["group"], modes[numbers], numbers)

    def _check_channels_of(
        self, group: NDArray[Any], modes: NDArray[Any], numbers: NDArray[Any] | None
    ) -> None:
        for number in set(group.tolist()):
            family = self._families[number]
            if family is None:
                continue
            channels = family.channels(self._reader.groups[number].spec)
            wrong = (group == number) & (np.where(modes == MODES.index("L"), 1, 3) != channels)
            if wrong.any():
                at = int(wrong.argmax())
                raise RinrFormatError(
                    f"frame {at if numbers is None else numbers[at]}: an INR of {channels} "
                    f"channels for a picture of mode {MODES[modes[at]]}"
                )

    def _check_work(self) -> None:
        """Let the decoder compare what frames take with the limits; alike ones count once."""
        from rinrcodec.decoder import Decoder

        self._spend(_OBJECT_WORK * len(self._objects["frame"]))
        decoder = Decoder(self._reader, limits=self._reader.limits)
        coded = np.array([info.coded for info in self._reader.groups])
        groups = self._frames["background_group"]
        times = np.where(coded[groups], self._frames["time"], 0)  # which frame of its row it is
        keys = (groups, self._frames["width"], self._frames["height"], times)
        _, alike = np.unique(np.column_stack(keys), axis=0, return_index=True)
        for number in alike.tolist():
            if self._families[groups[number]] is not None:
                decoder.check(self._frame(number))
        ends = np.flatnonzero(np.diff(self._objects["frame"], append=-1)) + 1
        start = 0
        for end in ends.tolist():
            frame = self._frame(int(self._objects["frame"][start]))
            used = {frame.background.group, *self._objects["group"][start:end].tolist()}
            if all(self._families[group] is not None for group in used):
                boxes, objects = zip(*map(self._object, range(start, end)), strict=True)
                decoder.check(replace(frame, boxes=boxes, objects=objects))
            start = end

    def _check_rows(self, group: int, first: int, stop: int, coded: Sequence[bytes] | None) -> None:
        """Let the family of a group check the rows [first, stop) for all that use them."""
        family, info = self._families[group], self._reader.groups[group]
        background, objects = as_background(family), as_objects(family)
        if background is not None and _overrides(background.check_frames):
            for row, numbers in self._backgrounds_used.of_rows(group, first, stop):
                data = b"" if coded is None else coded[row - first]
                frames = {(f.width, f.height, f.time): f for f in map(self._frame, numbers)}
                with _naming_row(info, group, row):
                    background.check_frames(info, data, list(frames.values()), self._spend)
        if objects is not None and _overrides(objects.check_objects):
            for row, numbers in self._objects_used.of_rows(group, first, stop):
                data = b"" if coded is None else coded[row - first]
                views = [self._view(k) for k in numbers]
                with _naming_row(info, group, row):
                    objects.check_objects(info, data, views, self._spend)

    def _spend(self, work: int) -> None:
        """Count what a family is about to take."""
        self._work += work
        size = self._reader.sizes().file
        most = self._reader.limits.verify_work(size)
        if self._work > most:
            raise RinrLimitError(
                f"to check the rows and objects of its {size:,} bytes takes over {most:,} "
                "multiplications: it is damaged or malicious, so do not use it; pass "
                "limits=Limits(max_verify_work=...) with a higher value if you trust the file"
            )

    def _frame(self, number: int) -> Frame:
        group, row, width, height, mode, time = (self._frames[n][number] for n in _OF_FRAMES)
        ref = InrRef(int(group), int(row))
        name = f"frame {number}"
        return Frame(name, int(width), int(height), ref, MODES[mode], time=float(time))

    def _object(self, number: int) -> tuple[Box, ObjectInr]:
        group, row, x, y, w, h = (self._objects[name][number] for name in _OF_BOXES)
        cell = Cell(*(int(self._objects[name][number]) for name in _OF_CELLS))
        box = Box(0, float(x), float(y), float(w), float(h))
        return box, ObjectInr(InrRef(int(group), int(row)), cell=cell)

    def _view(self, number: int) -> ObjectView:
        frame = self._frame(int(self._objects["frame"][number]))
        box, inr = self._object(number)
        region = box.region(frame.width, frame.height)
        part = (slice(0, region.height), slice(0, region.width))
        return ObjectView(frame, inr, region, cast(Any, None), part)  # no grid, as nothing is drawn


def _joined(parts: Sequence[Columns], names: Sequence[str]) -> Columns:
    if not parts:
        return {name: np.zeros(0, np.int64) for name in names}
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _overrides(method: Callable[..., object]) -> bool:
    """Return whether a family has its own method; that of the interface checks nothing."""
    return method.__func__ not in (BackgroundFamily.check_frames, ObjectFamily.check_objects)  # type: ignore[attr-defined]


def _naming_row(info: GroupInfo, group: int, row: int) -> Any:
    return naming(f"row {row} of group {group} ({info.spec.family})")

"""Frames of packs, for hosts that think in files: a frame has a path, as in a folder.

Frame `s/000005.jpg` of `train/train-00000.rinr` is `train/train-00000.rinr/s/000005.jpg`. No such
file exists; the path is a name that sorts, logs and labels well.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from glob import glob
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from rinrcodec.datasets.names import safe_name
from rinrcodec.decoder import Decoder
from rinrcodec.errors import RinrError, RinrFormatError, RinrInputError, RinrMemoryError
from rinrcodec.families import background_family, check_group
from rinrcodec.files import RinrFile, packs_below
from rinrcodec.pack import Frame, InrRef
from rinrcodec.plugins._rows import may_share_rows
from rinrcodec.storage import read_file
from rinrcodec.text_limits import MOST_LIST_BYTES

__all__ = ["FrameRef", "StrPath", "decode_rgb", "find_packs", "is_pack", "scan", "scan_file"]

StrPath = str | os.PathLike[str]
# Suffixes that hosts can write a picture for.
_WRITABLE = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo"}
    | {".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
# Readers kept open; a folder of single files may hold more than a process may open.
_OPEN_PACKS = 64
# Rows of several frames whose decoders are kept, each with what it remembers: about 12 MB.
_OPEN_ROWS = 8


@dataclass(frozen=True, slots=True)
class FrameRef:
    """One frame of a file on disk, and the path under which a host knows it."""

    pack: str
    index: int
    path: str


def is_pack(path: object) -> bool:
    """Return whether this is a path with the suffix of a pack."""
    return isinstance(path, (str, os.PathLike)) and str(path).lower().endswith(".rinr")


def find_packs(paths: StrPath | Iterable[StrPath]) -> Iterator[Path]:
    """Yield the packs of each path, sorted; nothing for a path without any.

    A path is a pack, a folder with packs in it or below it, a glob pattern, or a text file that
    lists packs, one a line (`./` means next to the list). Hidden folders are passed over.
    """
    if not isinstance(paths, (str, os.PathLike)):
        for one in paths:
            yield from find_packs(one)
        return
    path = Path(paths)
    if path.is_dir():
        yield from packs_below(path)
    elif is_pack(path) and path.is_file():
        yield path
    elif path.suffix.lower() == ".txt" and path.is_file():
        lines = read_file(path, most=MOST_LIST_BYTES).decode("utf-8-sig", "replace").splitlines()
        listed = (line.strip() for line in lines if is_pack(line.strip()))
        yield from (path.parent / line if line.startswith("./") else Path(line) for line in listed)
    elif "*" in str(path):
        matches = sorted(glob(str(path), recursive=True))  # noqa: PTH207 (the pattern may be absolute)
        yield from (Path(match) for match in matches if is_pack(match))


def scan(pack: Path) -> Iterator[tuple[FrameRef, Frame | RinrError]]:
    """Yield every frame of a pack, or the error that makes it unusable; see `scan_file`.

    Raises `RinrError` or `OSError` for a file of which nothing can be read.
    """
    with RinrFile(pack) as file:
        yield from scan_file(file, pack)


def scan_file(file: RinrFile, pack: Path) -> Iterator[tuple[FrameRef, Frame | RinrError]]:
    """Yield every frame of an open pack, or the error that makes it unusable.

    All weights are read and checked against their checksums. Where that finds damage, frames that
    it does not concern are still given.
    """
    sound = _is_sound(file)
    paths: set[str] = set()
    for index in range(len(file)):
        ref = FrameRef(str(pack), index, str(pack / f"{index:06d}.png"))
        try:
            frame = file.frame(index)
            ref = FrameRef(str(pack), index, _frame_path(pack, frame.name))
            if ref.path in paths:
                raise RinrFormatError(f"{pack}: two of its frames have the name {frame.name!r}")
            paths.add(ref.path)
            if not sound:
                _check_weights(file, frame)
        except RinrMemoryError:  # which says nothing of the file
            raise
        except RinrError as error:
            yield ref, error
        else:
            yield ref, frame


def decode_rgb(ref: FrameRef) -> NDArray[np.uint8]:
    """Decode a frame on the CPU: uint8 [H, W, 3] RGB, also for grey ones.

    The rows used last stay open, and threads that share a row take turns: in about the order of
    the pack, each frame is decoded once. Raises `RinrFormatError` for damage and `RinrInputError`
    for a frame that is no longer there.
    """
    try:
        status = Path(ref.pack).stat()
        pack = _open_pack(ref.pack, status.st_mtime_ns, status.st_size)
    except FileNotFoundError as error:
        raise RinrInputError(f"{ref.pack}: the file was removed after it was listed") from error
    background = pack.resumable_row(ref.index)
    if background is None:
        return pack.decoder.pixels(ref.index)
    return _open_rows.get(pack, background).decode(ref.index)


@dataclass(frozen=True, slots=True)
class _OpenPack:
    """A file as it was at some time, and the decoder of its frames that are decoded alone."""

    path: str
    modified: int
    size: int
    file: RinrFile = field(compare=False)
    decoder: Decoder = field(compare=False)

    def resumable_row(self, index: int) -> InrRef | None:
        """Return the row of a frame if its decoder can continue where another frame ended."""
        if not may_share_rows(self.file.reader.header):
            return None
        row = self.file.frame(index).background
        family = background_family(self.file.reader.specs[row.group].family)
        return row if family.resumes else None


@lru_cache(maxsize=_OPEN_PACKS)
def _open_pack(path: str, modified: int, size: int) -> _OpenPack:
    # A file that was written anew is another key. Evicted readers close when nobody uses them.
    file = RinrFile(path)
    return _OpenPack(path, modified, size, file, Decoder(file))


class _OpenRow:
    """A row, whose decoder remembers how far it has come. Threads take turns, in order."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._change = threading.Condition()
        self._waiting: list[int] = []
        self._busy = False

    def decode(self, index: int) -> NDArray[np.uint8]:
        """Decode a frame of the row, when no thread waits for one before it."""
        with self._change:
            self._waiting.append(index)
            self._change.wait_for(lambda: not self._busy and index == min(self._waiting))
            self._waiting.remove(index)
            self._busy = True
        try:
            return self._decoder.pixels(index)
        finally:
            with self._change:
                self._busy = False
                self._change.notify_all()


class _OpenRows:
    """The rows used last. Threads may share it; a forked process has to begin anew."""

    def __init__(self) -> None:
        self._rows: OrderedDict[tuple[_OpenPack, InrRef], _OpenRow] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, pack: _OpenPack, row: InrRef) -> _OpenRow:
        key = pack, row
        with self._lock:
            if key not in self._rows:
                self._rows[key] = _OpenRow(Decoder(pack.file))
                # Dropped, not closed: another thread may be waiting for it.
                if len(self._rows) > _OPEN_ROWS:
                    self._rows.popitem(last=False)
            self._rows.move_to_end(key)
            return self._rows[key]


_open_rows = _OpenRows()


def _start_anew() -> None:
    """Start anew in a forked process, where no thread is left to release a lock."""
    global _open_rows
    _open_rows = _OpenRows()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def _frame_path(pack: Path, name: str) -> str:
    # Hosts choose a writer by the suffix, so there has to be one.
    known = PurePosixPath(name).suffix.lower() in _WRITABLE
    return str(pack / safe_name(name if known else f"{name}.png"))


def _is_sound(file: RinrFile) -> bool:
    try:
        file.check_damage()
    except RinrMemoryError:
        raise
    except RinrError:
        return False
    return True


def _check_weights(file: RinrFile, frame: Frame) -> None:
    refs = [frame.background, *(item.inr for item in frame.objects if item is not None)]
    for ref in refs:
        check_group(file.groups[ref.group])
        file.read_rows(ref.group, [ref.row])

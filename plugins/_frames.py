"""Frames of packs, for hosts that think in files: a frame has a path, as in a folder.

Frame `s/000005.jpg` of `train/train-00000.rinr` is `train/train-00000.rinr/s/000005.jpg`. No such
file exists; the path is a name that sorts, logs and labels well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from glob import glob
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from rinrcodec.compute.compose import to_array
from rinrcodec.decoder import Decoder
from rinrcodec.errors import RinrError, RinrFormatError, RinrInputError
from rinrcodec.families import check_group
from rinrcodec.files import RinrFile, packs_below
from rinrcodec.pack import Frame
from rinrcodec.sources.picture_names import IMAGE_SUFFIXES

__all__ = ["FrameRef", "StrPath", "decode_rgb", "find_packs", "is_pack", "scan"]

StrPath = str | os.PathLike[str]
# Readers kept open; a folder of single files may hold more than a process may open.
_OPEN_PACKS = 64


@dataclass(frozen=True, slots=True)
class FrameRef:
    """One frame of a file on disk, and the path under which a host knows it."""

    pack: str
    index: int
    path: str


def is_pack(path: object) -> bool:
    """Whether this is a path with the suffix of a pack."""
    return isinstance(path, (str, os.PathLike)) and str(path).lower().endswith(".rinr")


def find_packs(paths: StrPath | Iterable[StrPath]) -> Iterator[Path]:
    """Yield the packs of each path, sorted; nothing for a path without any.

    A path is a pack, a folder with packs in it or below it, a glob pattern, or a text file that
    lists packs, one a line (`./` means beside the list). Hidden folders are passed over.
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
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        listed = (line.strip() for line in lines if is_pack(line.strip()))
        yield from (path.parent / line if line.startswith("./") else Path(line) for line in listed)
    elif "*" in str(path):
        matches = sorted(glob(str(path), recursive=True))  # noqa: PTH207 (the pattern may be absolute)
        yield from (Path(match) for match in matches if is_pack(match))


def scan(pack: Path) -> Iterator[tuple[FrameRef, Frame | RinrError]]:
    """Every frame of a pack, or the error that keeps it from being used.

    All weights are read and checked against their checksums. Where that finds damage, frames that
    it does not concern are still given. Raises `RinrError` or `OSError` for a file of which
    nothing can be read.
    """
    with RinrFile(pack) as file:
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
            except RinrError as error:
                yield ref, error
            else:
                yield ref, frame


def decode_rgb(ref: FrameRef) -> NDArray[np.uint8]:
    """The pixels of a frame, computed on the CPU: uint8 [H, W, 3] RGB, also where it is grey.

    Raises `RinrFormatError` for damage and `RinrInputError` for a frame that is no longer there.
    """
    try:
        status = Path(ref.pack).stat()
        decoder = _decoder(ref.pack, status.st_mtime_ns, status.st_size)
    except FileNotFoundError as error:
        raise RinrInputError(f"{ref.pack}: the file has gone since it was listed") from error
    return to_array(decoder.decode([ref.index])[0])


@lru_cache(maxsize=_OPEN_PACKS)
def _decoder(pack: str, modified: int, size: int) -> Decoder:  # noqa: ARG001
    # A file that was written anew is another key. Evicted readers close when nobody uses them.
    return Decoder(RinrFile(pack))


def _frame_path(pack: Path, name: str) -> str:
    # Hosts choose a writer by the suffix, so there has to be one.
    known = PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
    return str(pack / (name if known else f"{name}.png"))


def _is_sound(file: RinrFile) -> bool:
    try:
        file.verify()
    except RinrError:
        return False
    return True


def _check_weights(file: RinrFile, frame: Frame) -> None:
    refs = [frame.background, *(item.inr for item in frame.objects if item is not None)]
    for ref in refs:
        check_group(file.groups[ref.group])
        file.read_rows(ref.group, [ref.row])

"""The bytes of whole data sets: pictures in folders, and the packs of the same frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rinrcodec.datasets.packs import find_packs
from rinrcodec.errors import RinrInputError
from rinrcodec.formats import PackReader
from rinrcodec.sources.source import open_source

__all__ = ["Sizes", "jpeg_sizes", "pack_sizes", "picture_sizes"]

_JPEG_SUFFIXES = {".jpg", ".jpeg", ".jpe"}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many frames there are, and how many bytes their files have together."""

    frames: int
    n_bytes: float

    @property
    def per_frame(self) -> float:
        """The mean bytes of a frame."""
        return self.n_bytes / self.frames


def jpeg_sizes(folder: Path) -> Sizes:
    """Size up the JPEG files of a folder or data yaml, or one file."""
    sizes, files = _sizes(folder)
    foreign = [file for file in files if file.suffix.lower() not in _JPEG_SUFFIXES]
    if foreign:
        raise RinrInputError(
            f"{folder}: {len(foreign)} of {len(files)} pictures are no JPEG files, such as "
            f"{foreign[0].name}; the comparison is with JPEG: save them as such first"
        )
    return sizes


def pack_sizes(folder: Path, frames: int) -> Sizes:
    """Size up the packs of a folder or data yaml, or one file; they must hold `frames` frames."""
    packs = find_packs(folder)
    if packs.failures:
        raise RinrInputError(packs.failures[0])
    held = n_bytes = 0
    for file in packs.all():
        with PackReader(file) as reader:
            held += reader.n_frames
        n_bytes += file.stat().st_size
    return _same_frames(folder, Sizes(held, n_bytes), frames)


def picture_sizes(folder: Path, frames: int) -> Sizes:
    """Size up the picture files of a folder, of any format; there must be `frames` of them."""
    return _same_frames(folder, _sizes(folder)[0], frames)


def _sizes(folder: Path) -> tuple[Sizes, list[Path]]:
    source = open_source(folder, labels="none")
    files = [ref.path for series in source.series for ref in series.refs]
    if source.kind == "video":
        raise RinrInputError(f"{folder} is a video: want the frames as picture files")
    if source.failures:
        raise RinrInputError(source.failures[0])
    sizes = Sizes(len(files), sum(file.stat().st_size for file in files))
    if not sizes.n_bytes:
        raise RinrInputError(f"{folder}: the pictures are empty (0 bytes)")
    return sizes, files


def _same_frames(folder: Path, sizes: Sizes, frames: int) -> Sizes:
    if sizes.frames != frames:
        raise RinrInputError(
            f"{folder} holds {sizes.frames:,} frames and the JPEG folder {frames:,}: want the same "
            "frames in both"
        )
    return sizes

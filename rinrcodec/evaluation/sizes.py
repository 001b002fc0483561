"""How many frames and bytes some files have: JPEG files and the packs of the same frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rinrcodec.datasets.packs import find_packs
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.baselines import JPEG_SUFFIXES
from rinrcodec.families import family_of
from rinrcodec.formats import PackReader
from rinrcodec.sources.discover import open_source
from rinrcodec.storage.regular import check_regular

__all__ = ["Sizes", "file_sizes", "jpeg_sizes", "pack_sizes"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many frames, and the bytes of their files, whole.

    at_fog: devices leave the encoding to a fog node, because networks have to be fitted.
    """

    frames: int
    n_bytes: float
    at_fog: bool = False

    @property
    def per_frame(self) -> float:
        """The mean bytes of a frame."""
        return self.n_bytes / self.frames


def jpeg_sizes(path: Path) -> Sizes:
    """Measure JPEG files: those of a folder or a data yaml, or one file.

    Raises:
        RinrInputError: Some pictures are not JPEG files, or there are none.
    """
    sizes, files = _sizes_of_pictures(path)
    foreign = [file for file in files if file.suffix.lower() not in JPEG_SUFFIXES]
    if foreign:
        raise RinrInputError(
            f"{path}: {len(foreign)} of {len(files)} pictures are no JPEG files, such as "
            f"{foreign[0].name}; the comparison is with JPEG: save them as such first"
        )
    return sizes


def file_sizes(path: Path, frames: int) -> Sizes:
    """Measure the packs of a folder, or picture files of any kind; they must hold `frames`."""
    if next(path.rglob("*.rinr"), None) is not None:
        return pack_sizes(path, frames)
    sizes, _ = _sizes_of_pictures(path)
    return _same_frames(path, sizes, frames)


def pack_sizes(path: Path, frames: int) -> Sizes:
    """Measure the packs of a folder or a data yaml, or one pack; they must hold `frames` frames."""
    packs = find_packs(path)
    if packs.failures:
        raise RinrInputError(packs.failures[0])
    held = n_bytes = 0
    at_fog = False
    for file in packs.all():
        with PackReader(file) as reader:
            held += reader.n_frames
            families = {family_of(group.spec.family) for group in reader.groups}
            at_fog |= any(family.fits_networks for family in families)
        n_bytes += file.stat().st_size
    return _same_frames(path, Sizes(held, n_bytes, at_fog), frames)


def _sizes_of_pictures(path: Path) -> tuple[Sizes, list[Path]]:
    source = open_source(path, labels="none")
    files = [ref.path for series in source.series for ref in series.refs]
    if source.kind == "video":
        raise RinrInputError(f"{path} is a video: give the frames as picture files")
    if source.failures:
        raise RinrInputError(source.failures[0])
    sizes = Sizes(len(files), sum(map(_size, files)))
    if not sizes.n_bytes:
        raise RinrInputError(f"{path}: the pictures are empty (0 bytes)")
    return sizes, files


def _size(file: Path) -> int:
    status = file.stat()
    check_regular(file, status)
    return status.st_size


def _same_frames(path: Path, sizes: Sizes, frames: int) -> Sizes:
    if sizes.frames != frames:
        raise RinrInputError(
            f"{path} holds {sizes.frames:,} frames and the JPEG folder {frames:,}: expected the "
            "same "
            "frames in both"
        )
    return sizes

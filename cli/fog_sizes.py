"""What `rinrcodec fog` is told of sizes: folders of files, or numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import click

from rinrcodec.datasets.packs import find_packs
from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.fog import Codec
from rinrcodec.formats import PackReader
from rinrcodec.sources.source import open_source

__all__ = ["Sizes", "jpeg_sizes", "other_codec", "pack_sizes"]

_JPEG_SUFFIXES = {".jpg", ".jpeg", ".jpe"}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many frames, and the bytes of their files, whole."""

    frames: int
    n_bytes: float

    @property
    def per_frame(self) -> float:
        return self.n_bytes / self.frames


def jpeg_sizes(folder: Path) -> Sizes:
    """The JPEG files that a folder, a data yaml or one file stands for."""
    sizes, files = _picture_sizes(folder)
    foreign = [file for file in files if file.suffix.lower() not in _JPEG_SUFFIXES]
    if foreign:
        raise RinrInputError(
            f"{folder}: {len(foreign)} of {len(files)} pictures are no JPEG files, such as "
            f"{foreign[0].name}; the comparison is with JPEG: save them as such first"
        )
    return sizes


def pack_sizes(folder: Path, frames: int) -> Sizes:
    """The packs of a folder, a data yaml or one file; they must hold `frames` frames."""
    found = find_packs(folder)
    if found.failures:
        raise RinrInputError(found.failures[0])
    held = n_bytes = 0
    for file in found.all():
        with PackReader(file) as reader:
            held += reader.n_frames
        n_bytes += file.stat().st_size
    return _same_frames(folder, Sizes(held, n_bytes), frames)


def other_codec(text: str, jpeg: Sizes) -> Codec:
    """The codec of `NAME=BYTES` (a frame), `NAME=SHARE%` (of the JPEG bytes) or `NAME=FOLDER`.

    `,SECONDS` behind it is what a frame takes to encode. Raises `click.UsageError` for another
    text, `RinrInputError` for a folder of other frames.
    """
    name, equals, value = text.partition("=")
    if not (name and equals and value.partition(",")[0]):
        raise click.UsageError(
            f"--codec {text!r}: want NAME=BYTES a frame, NAME=SHARE% or NAME=FOLDER"
        )
    seconds = 0.0
    if "," in value and not Path(value).is_dir():
        value, _, last = value.rpartition(",")
        try:
            seconds = float(last)
        except ValueError:
            raise click.UsageError(
                f"--codec {text!r}: {last!r} is no number of seconds a frame"
            ) from None
    return Codec(name, _alpha(text, value, jpeg), encode_seconds=seconds)


def _alpha(text: str, value: str, jpeg: Sizes) -> float:
    if Path(value).is_dir():
        sizes, _ = _picture_sizes(Path(value))
        return _same_frames(Path(value), sizes, jpeg.frames).n_bytes / jpeg.n_bytes
    try:
        number = float(value.removesuffix("%"))
    except ValueError:
        raise click.UsageError(
            f"--codec {text!r}: {value} is neither a number nor a folder"
        ) from None
    if not (math.isfinite(number) and number > 0):
        raise click.UsageError(f"--codec {text!r}: want a number above 0")
    return number / 100 if value.endswith("%") else number / jpeg.per_frame


def _picture_sizes(path: Path) -> tuple[Sizes, list[Path]]:
    source = open_source(path, labels="none")
    files = [ref.path for series in source.series for ref in series.refs]
    if source.kind == "video":
        raise RinrInputError(f"{path} is a video: want the frames as picture files")
    if source.failures:
        raise RinrInputError(source.failures[0])
    sizes = Sizes(len(files), sum(file.stat().st_size for file in files))
    if not sizes.n_bytes:
        raise RinrInputError(f"{path}: the pictures are empty (0 bytes)")
    return sizes, files


def _same_frames(path: Path, sizes: Sizes, frames: int) -> Sizes:
    if sizes.frames != frames:
        raise RinrInputError(
            f"{path} holds {sizes.frames:,} frames and the JPEG folder {frames:,}: want the same "
            "frames in both"
        )
    return sizes

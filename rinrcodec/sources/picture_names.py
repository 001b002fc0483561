"""How picture files and frames are named: suffixes, stems and the order of names.

Used where sources are opened and where frames become files again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rinrcodec.storage import storage_of, text_of

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "frame_stem", "name_order", "pictures_among"]

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo"}
    | {".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".ogv", ".ts", ".webm", ".wmv"}
)


def frame_stem(name: str) -> str:
    """The name of a frame without the suffix of a picture; what follows another dot stays."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else name


def pictures_among(files: Sequence[tuple[Path, str]], folder: Path) -> list[tuple[Path, str]]:
    """The picture files among those below a folder, in the order of their names."""
    pictures = [item for item in files if item[0].suffix.lower() in IMAGE_SUFFIXES]
    relative_name, base = storage_of(folder).relative_name, text_of(folder)
    return sorted(pictures, key=lambda item: name_order(relative_name(item[0], base)))


def name_order(name: str) -> list[tuple[list[str | int], str]]:
    """Sorts names folder by folder, and numbers in them by value: `f2` comes before `f10`."""
    return [
        ([int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", step))], step)
        for step in re.findall("[^/]+/?", name)
    ]

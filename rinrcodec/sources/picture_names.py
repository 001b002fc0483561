"""How picture files and frames are named: suffixes, stems and the order of names.

Used where sources are opened and where frames become files again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rinrcodec.storage import storage_of, text_of

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "frame_stem",
    "is_left_out",
    "is_picture",
    "left_out",
    "name_order",
    "pictures_among",
    "unreadable_kind",
]

IMAGE_SUFFIXES = frozenset(
    {".apng", ".avif", ".bmp", ".dib", ".gif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe"}
    | {".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)
# Pictures that are not read unless a plugin of Pillow does: by what to do about them.
_RAW = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq"}
    | {".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl"}
    | {".sr2", ".srf", ".srw", ".x3f"}
)
_OTHER = frozenset(
    {".bpg", ".dcm", ".dds", ".exr", ".fit", ".fits", ".hdr", ".ico", ".jxr", ".pcx", ".psb"}
    | {".psd", ".qoi", ".ras", ".sgi", ".tga", ".wdp", ".xcf"}
)
_ADVICE = {
    **dict.fromkeys((".heic", ".heif", ".hif"), "run pip install pillow-heif"),
    ".jxl": "run pip install pillow-jxl-plugin",
    **dict.fromkeys(_RAW, "develop the camera's raw files to TIFF or JPEG first"),
    **dict.fromkeys(_OTHER, "convert them to PNG or TIFF first"),
}
_VIDEO_ADVICE = "give each video to compress by itself"
_NAMED = 3
VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
_NEVER = VIDEO_SUFFIXES | {".rinr", ".txt", ".yaml", ".yml", ".json", ".xml", ""}


def frame_stem(name: str) -> str:
    """Return a frame name without the suffix of a picture; text after another dot stays."""
    path = PurePosixPath(name)
    known = path.suffix.lower() in IMAGE_SUFFIXES or path.suffix.lower() in _ADVICE
    # `with_suffix` refuses to make "." of "..jpg".
    return str(path).removesuffix(path.suffix) if known else name


def is_picture(suffix: str) -> bool:
    """Return whether files of this suffix are read as pictures: by Pillow or its plugins."""
    suffix = suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return True
    return suffix not in _NEVER and _has_plugin(suffix)


def unreadable_kind(suffix: str) -> str:
    """Explain why a picture of this suffix is not read, and the remedy; "" for other suffixes."""
    suffix = suffix.lower()
    if suffix not in _ADVICE or _has_plugin(suffix):
        return ""
    return f"pictures of kind {suffix} are not read: {_ADVICE[suffix]}"


def is_left_out(suffix: str) -> bool:
    """Return whether files of this suffix hold pictures that are not read from folders."""
    return suffix.lower() in VIDEO_SUFFIXES or bool(unreadable_kind(suffix))


def pictures_among(files: Sequence[tuple[Path, str]], folder: Path) -> list[tuple[Path, str]]:
    """Return the picture files among those below a folder, in the order of their names."""
    readable = {suffix for suffix in _suffixes(files) if is_picture(suffix)}
    pictures = [item for item in files if item[0].suffix.lower() in readable]
    relative_name, base = storage_of(folder).relative_name, text_of(folder)
    return sorted(pictures, key=lambda item: name_order(relative_name(item[0], base)))


def left_out(files: Sequence[tuple[Path, str]], where: object) -> tuple[str, ...]:
    """Return a warning that counts and names pictures and videos that are not read."""
    lost = [path for path, _ in files if is_left_out(path.suffix)]
    if not lost:
        return ()
    kinds: dict[str, list[str]] = {}
    for suffix in sorted(path.suffix.lower() for path in lost):
        kinds.setdefault(_ADVICE.get(suffix, _VIDEO_ADVICE), []).append(suffix)
    advice = "; ".join(
        f"{', '.join(f'{found.count(kind)} {kind}' for kind in dict.fromkeys(found))}: {todo}"
        for todo, found in kinds.items()
    )
    names = ", ".join(path.name for path in lost[:_NAMED])
    more = f" and {len(lost) - _NAMED:,} more" if len(lost) > _NAMED else ""
    videos = sum(path.suffix.lower() in VIDEO_SUFFIXES for path in lost)
    what = "picture" if not videos else "video" if videos == len(lost) else "file"
    what += " is" if len(lost) == 1 else "s are"
    return (f"{where}: {len(lost):,} {what} left out ({names}{more}). {advice}",)


def _has_plugin(suffix: str) -> bool:
    from rinrcodec.sources.pictures.opening import find_plugin  # which imports Pillow

    return find_plugin(suffix)


def _suffixes(files: Sequence[tuple[Path, str]]) -> set[str]:
    return {path.suffix.lower() for path, _ in files}


def name_order(name: str) -> list[tuple[list[str | int], str]]:
    """Return a key that sorts names by folder, with numbers by value: `f2` before `f10`."""
    return [
        ([int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", step))], step)
        for step in re.findall("[^/]+/?", name)
    ]

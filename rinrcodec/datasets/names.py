"""Names of output files that every file system takes, never two alike; numbers in messages.

Names of frames come from strangers. `formats.checks` has refused those that leave their folder.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from rinrcodec.sources.picture_names import IMAGE_SUFFIXES, VIDEO_SUFFIXES, frame_stem
from rinrcodec.storage import file_or_folder

__all__ = ["WORK", "clip_names", "file_suffix", "fit_name", "output_names", "safe_name"]

WORK = ".rinr-work"  # the folder of an unfinished run, in its output
_MOST_NAME_BYTES = 255
_MOST_SUFFIX_BYTES = 20
_MOST_PATH_BYTES = 1024  # of a whole name; systems take 4,096, with the output folder
# Of the files that are written for one frame, which all have the same stem.
_SUFFIXES = (".png", ".jpg", ".webp", ".npy", ".txt", ".xml", ".rinr")
_LONGEST_SUFFIX = max(map(len, _SUFFIXES))
# Windows drops the first two; with the others, a folder could have the name of a file.
_NOT_OF_FOLDERS = (".", " ", *_SUFFIXES)
# Windows takes these for devices, with any suffix.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"}
)
_OURS = ".rinr-"  # names of work folders and of files that are being written
_NOT_ON_WINDOWS = '<>:"|?*'
# Kinds of files besides pictures and videos: an output of such a name was meant as a file.
_OTHERS = (
    {".7z", ".bz2", ".csv", ".exr", ".gz", ".h5", ".hdf5", ".heic", ".heif", ".html", ".json"}
    | {".jxl", ".npy", ".npz", ".pdf", ".psd", ".pt", ".rar", ".svg", ".tar", ".tga", ".tgz"}
    | {".txt", ".xml", ".xz", ".yaml", ".yml", ".zip", ".zst"}
)
_FILES = IMAGE_SUFFIXES | VIDEO_SUFFIXES | _OTHERS


def output_names(names: Sequence[str], suffix: str) -> list[str]:
    """Return a relative posix path for each name: `a/b.jpg` -> `a/b.png`.

    The paths of one frame differ in their suffixes alone. No two are alike, also where case and
    the forms of Unicode are not told apart, and none is the folder of another.

    Where that would give two files one name (`b.jpg` and `b.webp`), both keep their whole name:
    `b.jpg.png`, `b.webp.png`. Names that are equal to begin with are numbered: `b~2.png`.

    Args:
        names: Names of frames.
        suffix: One of those that are written for frames, with its dot.

    Returns:
        The paths, in the order of the names.

    Example:
        >>> output_names(["a/b.jpg", "c.jpg", "C.webp", "aux.jpg"], ".png")
        ['a/b.png', 'c.jpg.png', 'C.webp.png', 'aux_.png']
    """
    stems = {name: _fitting(safe_name(frame_stem(name)), name) for name in names}
    counts = Counter(map(_key, stems.values()))
    wanted = [
        _fitting(safe_name(name), name) if counts[_key(stems[name])] > 1 else stems[name]
        for name in names
    ]
    return [stem + suffix for stem in _numbered(names, wanted)]


def clip_names(folders: Sequence[str], suffix: str) -> list[str]:
    """Return a relative posix path of a video for each folder, all different.

    Args:
        folders: Folders in the names of frames, all different.
        suffix: That of the videos, with its dot.

    Returns:
        The paths, in the order of the folders.

    Example:
        >>> clip_names(["A", "a", "b/c.png"], ".gif")
        ['A.gif', 'a~2.gif', 'b/c.png.gif']
    """
    stems = [_fitting(safe_name(folder), folder) for folder in folders]
    return [stem + suffix for stem in _numbered(folders, stems)]


def _numbered(names: Sequence[str], stems: Sequence[str]) -> Iterator[str]:
    """Yield the stems of all names, with a number where an earlier one is alike."""
    taken: set[str] = set()
    numbers: defaultdict[str, int] = defaultdict(lambda: 2)
    for name, stem in zip(names, stems, strict=True):
        unique = stem
        while (key := _key(unique)) in taken:
            number = numbers[_key(stem)]
            unique = _fitting(f"{stem}~{number}", f"{name}~{number}")
            numbers[_key(stem)] = number + 1
        taken.add(key)
        yield unique


def file_suffix(out: Path) -> str:
    """Return the suffix of an output whose name looks like a file, in lower case, else "".

    A folder that is there may have any name.

    Example:
        >>> file_suffix(Path("a/x.PNG")), file_suffix(Path("run.2")), file_suffix(Path("packs"))
        ('.png', '', '')
    """
    suffix = out.suffix.lower()
    return suffix if suffix in _FILES and file_or_folder(out) != "folder" else ""


def safe_name(name: str) -> str:
    r"""Return the name of a frame as a relative posix path that every file system takes.

    Control characters become "_". Names of devices get one, as do folders that end in a dot, a
    space, or the suffix of a file that is written.

    Example:
        >>> safe_name("./a\n//nul.txt"), safe_name("b. /.."), safe_name("con.png/-x")
        ('a_/nul_.txt', 'b. _/_', 'con_.png_/-x')
    """
    if os.sep != "/":
        name = name.replace(os.sep, "/")
    steps = [step for step in name.split("/") if step not in ("", ".")]
    return "/".join(_safe_steps(steps)) or "_"


def fit_name(name: str) -> str:
    """Return a file name that file systems take: longer than 255 bytes is cut and gets a hash."""
    if len(os.fsencode(name)) <= _MOST_NAME_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    if len(os.fsencode(suffix)) > _MOST_SUFFIX_BYTES:
        stem, dot, suffix = name, "", ""
    return _cut(stem, f"{dot}{suffix}", name)


def _safe_steps(steps: Sequence[str]) -> Iterator[str]:
    for number, step in enumerate(steps, start=1):
        whole = "".join("_" if _is_refused(one) else one for one in step)
        base, dot, rest = whole.partition(".")
        if base.rstrip(" ").lower() in _DEVICES:
            whole = f"{base}_{dot}{rest}"
        elif whole.startswith(_OURS):
            whole = f"_{whole}"
        is_folder = number < len(steps)
        if set(whole) <= {"."}:
            whole = "_"
        elif is_folder and whole.lower().endswith(_NOT_OF_FOLDERS):
            whole += "_"
        yield fit_name(whole) if is_folder else whole


def _is_refused(character: str) -> bool:
    if os.sep != "/" and character in _NOT_ON_WINDOWS:
        return True
    return unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs")


def _fitting(stem: str, name: str) -> str:
    """Return a stem to which every suffix can be added.

    A long one is cut and gets a hash of `name`.
    """
    folder, slash, last = stem.rpartition("/")
    if len(os.fsencode(stem)) > _MOST_PATH_BYTES:
        folder = slash = ""
    elif len(os.fsencode(last)) <= _MOST_NAME_BYTES - _LONGEST_SUFFIX:
        return stem
    return folder + slash + _cut(last, "", name, room=_LONGEST_SUFFIX)


def _cut(stem: str, suffix: str, name: str, *, room: int = 0) -> str:
    tail = f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}{suffix}"
    kept = os.fsencode(stem)[: _MOST_NAME_BYTES - room - len(os.fsencode(tail))]
    return kept.decode(errors="ignore") + tail


def _key(path: str) -> str:
    """Return a key that is equal for paths that some file systems do not tell apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())

"""Find the label files of the frames of a video: one file a frame, known by the number in its name.

YOLO and FFmpeg count frames from 1, CVAT from 0. A folder says which, but only as a whole:

    000000.txt 000001.txt 000002.txt     from 0: 000000.txt belongs to the first frame
    clip_1.txt clip_3.txt                from 1: frames without objects have no file

`discover.py` calls `find_video_labels` once for a video.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.picture_names import IMAGE_SUFFIXES
from rinrcodec.storage import stamp_of

__all__ = ["VideoLabels", "find_video_labels"]

_MOST_NAMED = 10
_NO_LABELS = {"classes.txt", "train.txt", "val.txt", "test.txt", "README.txt", "notes.txt"}
_NUMBERED = re.compile(r"(.*?)([0-9]+)", re.DOTALL)
# What may be between the name of a video and the number of a frame: "clip_1", "clip-frame-000001".
_OF_VIDEO = re.compile(r"[\W_]*(?:(?:frame|image|img)[\W_]*)?[0-9]+", re.IGNORECASE)
_ANY_VIDEO = {"", "frame", "frames", "im", "image", "img"}


@dataclass(frozen=True, slots=True)
class VideoLabels:
    """The label files of a video.

    first: the number that the file of the first frame has, 0 or 1. files: the name and stamp of
    each file, by its number. n_frames: how many frames were expected. stamp: a hash of the files.
    lost: messages about label files that belong to no frame, or share one with another.
    """

    folder: Path
    first: int
    files: Mapping[int, tuple[str, str]] = field(repr=False)
    n_frames: int
    stamp: str
    lost: tuple[str, ...] = ()

    def of_frame(self, number: int) -> tuple[Path | None, str]:
        """Return the label file of a frame, counted from 0, and its stamp; None where it has none.

        Example:
            >>> labels = VideoLabels(Path("labels"), 1, {1: ("clip_1.txt", "")}, 2, "")
            >>> labels.of_frame(0)[0].as_posix(), labels.of_frame(1)[0]
            ('labels/clip_1.txt', None)
        """
        name, stamp = self.files.get(number + self.first, ("", ""))
        return (self.folder / name, stamp) if name else (None, "")

    def of_frames(self) -> Iterator[Path]:
        """Yield the label files of all frames, in order."""
        for number in range(self.n_frames):
            path, _ = self.of_frame(number)
            if path is not None:
                yield path

    def lost_after(self, n_frames: int) -> tuple[str, ...]:
        """Name the files whose frames were expected, where the video has only `n_frames`."""
        numbers = range(n_frames + self.first, self.n_frames + self.first)
        return _beyond(self, [number for number in numbers if number in self.files], n_frames)


def find_video_labels(
    video: Path, folder: Path | None, *, n_frames: int
) -> tuple[VideoLabels | None, tuple[str, ...]]:
    """Find the label files of the `n_frames` frames of a video, and warn of oddities.

    Args:
        video: its file. Its name without the suffix is the name of its folder of labels, or what
            the names of its labels begin with.
        folder: where the user says that labels are: in a folder of the video's name, or right
            here. None looks in the folder `labels` next to the video; files right there count
            only if their names begin with that of the video.
        n_frames: how many frames the video has.

    Returns:
        The labels, or None where there are none, and the warnings. Messages about files that
        belong to no frame are `VideoLabels.lost`.

    Raises:
        RinrInputError: labels that cannot be assigned to frames for sure.
    """
    root = folder or video.parent / "labels"
    unused: list[Path] = []
    for place in (root / video.stem, root):
        names = _text_files(place)
        numbered, of_video = _numbered(names, video)
        if numbered and (folder or of_video or place != root):
            break
        unused += [place / name for name in names if name not in _NO_LABELS]
    else:
        nowhere = f"{video}: no labels were found" if folder is None else f"{root}: no labels"
        of = "" if folder is None else f" of {video.name}"
        none = f"{nowhere}{of}, so there are no boxes and no objects"
        if not unused:
            return None, (none,)
        n = len(unused)
        others = "1 file has" if n == 1 else f"{n:,} files have"
        return None, (
            f"{none}. {others} another name, such as {unused[0]}; name labels by video and "
            f"frame: {root / video.stem / '000001.txt'}",
        )
    warnings: list[str] = []
    lost: list[str] = []
    if not of_video:
        _check_prefixes(numbered, place, video)
        if place == root and (prefix := numbered[0][0]).strip("_-. ").lower() not in _ANY_VIDEO:
            warnings.append(
                f"{place}: no label file begins with {video.stem!r}; those that begin with "
                f"{prefix!r} are used for {video.name}"
            )
        unnumbered = set(names) - {name for _, _, name in numbered} - _NO_LABELS
        if unnumbered:
            lost.append(
                f"{place}: label files without a frame number: {_some(sorted(unnumbered))}; "
                "they are not used"
            )
    files: dict[int, str] = {}
    for _, number, name in numbered:
        used = files.setdefault(number, name)
        if used != name:
            lost.append(f"{place}: {name} and {used} have the same number; only {used} is used")
    first = 0 if 0 in files else 1
    if first == 0:
        warnings.append(_from_zero(files, place, video, n_frames))
    labels = _labels(place, first, files, n_frames)
    lost += _beyond(labels, sorted(n for n in files if n >= n_frames + first), n_frames)
    missing = sum(number not in files for number in range(first, n_frames + first))
    if missing:
        frames = "1 frame has" if missing == 1 else f"{missing:,} frames have"
        warnings.append(
            f"{place}: {frames} no label file, of {n_frames:,} frames of {video.name} "
            f"(numbered from {first}); they have no boxes"
        )
    return replace(labels, lost=tuple(lost)), tuple(warnings)


def _text_files(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.suffix.lower() == ".txt")
    except (FileNotFoundError, NotADirectoryError):
        return []


def _numbered(names: Iterable[str], video: Path) -> tuple[list[tuple[str, int, str]], bool]:
    """Return (prefix, number, name) of each file, and whether they begin with the video's name.

    Where any does, only those count.
    """
    found, of_video = [], []
    for name in names:
        stem = Path(name).stem
        if Path(stem).suffix.lower() in IMAGE_SUFFIXES:  # frame_000001.PNG.txt
            stem = Path(stem).stem
        match = _NUMBERED.fullmatch(stem)
        if match is None:
            continue
        item = (match[1], int(match[2]), name)
        found.append(item)
        rest = stem.removeprefix(video.stem).removeprefix(video.suffix)
        # clip12 is no frame 2 of a video called clip1.
        apart = not (video.stem[-1:].isdigit() and rest[:1].isdigit())
        if stem.startswith(video.stem) and apart and _OF_VIDEO.fullmatch(rest):
            of_video.append(item)
    return (of_video, True) if of_video else (found, False)


def _check_prefixes(numbered: list[tuple[str, int, str]], folder: Path, video: Path) -> None:
    """Raise `RinrInputError` for the labels of several videos, none of which has this name."""
    by_number: dict[int, tuple[str, str]] = {}
    for prefix, number, name in numbered:
        other, used = by_number.setdefault(number, (prefix, name))
        if other != prefix:
            raise RinrInputError(
                f"{folder}: {used} and {name} both have the number of frame {number}. Which of "
                f"them belongs to {video.name}? Put its labels into a folder {video.stem!r} there, "
                f"or let their names begin with {video.stem!r}"
            )


def _from_zero(files: Mapping[int, str], folder: Path, video: Path, n_frames: int) -> str:
    if max(files) == n_frames:
        raise RinrInputError(
            f"{folder}: the labels are numbered from {files[0]} to {files[n_frames]}, but "
            f"{video.name} has {n_frames:,} frames, so it is not known which label belongs to "
            f"which frame. Remove {files[n_frames]} if they count from 0, or {files[0]} if they "
            "count from 1"
        )
    return (
        f"{folder}: the labels are numbered from 0: {files[0]} belongs to the first frame, "
        f"{video.stem}/000001.png"
    )


def _labels(folder: Path, first: int, files: Mapping[int, str], n_frames: int) -> VideoLabels:
    stamped = {n: (name, stamp_of(folder / name)) for n, name in sorted(files.items())}
    digest = hashlib.sha256(repr((first, stamped)).encode(errors="surrogateescape"))
    return VideoLabels(folder, first, stamped, n_frames, digest.hexdigest())


def _beyond(labels: VideoLabels, numbers: list[int], n_frames: int) -> tuple[str, ...]:
    if not numbers:
        return ()
    names = _some([labels.files[number][0] for number in numbers])
    return (
        f"{labels.folder}: labels beyond the last frame ({n_frames:,} frames): {names}; "
        "they are not used",
    )


def _some(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")

"""Where pictures come from: an image, a folder tree, a YOLO data yaml, or a video file.

`open_source` looks at names only. Pictures are read one at a time, when they are asked for, so a
source of any size needs the memory of a few pictures.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml

from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.formats.checks import check_name
from rinrcodec.images import Picture, load_picture
from rinrcodec.label_finder import LabelFinder, absolute
from rinrcodec.labels import read_labels
from rinrcodec.limits import DEFAULT_LIMITS, Limits

__all__ = [
    "IMAGE_SUFFIXES",
    "SPLITS",
    "VIDEO_SUFFIXES",
    "ImageRef",
    "Reading",
    "Series",
    "Source",
    "frame_stem",
    "load_data_yaml",
    "open_source",
    "read_image",
]

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo"}
    | {".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"}
    | {".mts", ".ogv", ".ts", ".webm", ".wmv"}
)
_MOST_CLASSES = 65_536
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A picture file: its name in the pack (a relative posix path), and its label file if any.

    `label` may name a file that does not exist, which is reported when the picture is read.
    """

    name: str
    path: Path
    label: Path | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading one picture: the picture, or the error that prevented it."""

    name: str
    picture: Picture | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """Pictures that go into one series of packs: a folder, a split of a data yaml, or a video.

    A video has no `refs`; its frames are counted, not listed, and the count is what the file
    declares.
    """

    name: str
    refs: tuple[ImageRef, ...] = ()
    video: Path | None = None
    labels: Path | None = None
    n_frames: int = 0

    def __len__(self) -> int:
        return self.n_frames if self.video else len(self.refs)

    def read(
        self, start: int = 0, *, jobs: int = 1, limits: Limits = DEFAULT_LIMITS
    ) -> Iterator[Reading]:
        """Read the pictures from number `start` on, in order, `jobs` at a time.

        A picture that cannot be read is an item with an `error`, and the next one follows.
        """
        if self.video is not None:
            from rinrcodec.video import read_video

            for name, picture, error in read_video(self.video, start, len(self), limits=limits):
                yield _labelled(name, picture, error, _video_label(self.labels, name), limits)
            return
        with ThreadPoolExecutor(jobs) as pool:
            ahead: deque[Future[Reading]] = deque()
            for ref in self.refs[start:]:
                ahead.append(pool.submit(read_image, ref, limits=limits))
                if len(ahead) > jobs:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()


@dataclass(frozen=True, slots=True)
class Source:
    """All that one SRC argument stands for.

    names: class names by class id, from a data yaml. warnings: oddities that concern no single
    picture. failures: parts of the source that are not there.
    """

    kind: Literal["image", "folder", "yaml", "video"]
    path: Path
    series: tuple[Series, ...]
    names: Mapping[int, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


def frame_stem(name: str) -> str:
    """The name of a frame without the suffix of a picture; what follows another dot stays."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else name


def open_source(path: str | PathLike[str], *, labels: str | PathLike[str] = "auto") -> Source:
    """Find the pictures of an image, folder, YOLO data yaml or video, and their label files.

    labels: "auto" looks where YOLO does (`images` -> `labels` in the path), then in a folder
    `labels` beside or inside the source, then beside the picture; "none" skips labels; anything
    else is a folder that mirrors the pictures' names.

    Raises `RinrInputError` where there is nothing to read, `MissingExtraError` for a video
    without PyAV.
    """
    source = Path(path)
    suffix = source.suffix.lower()
    folder = None if str(labels) in {"auto", "none"} else Path(labels)
    if folder is not None and not folder.is_dir():
        raise RinrInputError(f"{folder}: no such folder of labels; want auto, none or a folder")
    find = None if str(labels) == "none" else LabelFinder(source, folder)
    if source.is_dir():
        refs = _list_folder(source, find)
        if not refs:
            raise RinrInputError(f"{source}: no picture in this folder or below it")
        warnings = find.orphans() if find else ()
        series = (Series(absolute(source).name or "frames", refs),)
        return _without_absent_labels(Source("folder", source, series, warnings=warnings), find)
    if not source.exists():
        raise RinrInputError(f"{source}: there is no such file or folder")
    if suffix in {".yaml", ".yml"}:
        return _without_absent_labels(_open_yaml(source, find), find)
    if suffix in VIDEO_SUFFIXES:
        from rinrcodec.video import count_frames

        if folder is None and find and (source.parent / "labels" / source.stem).is_dir():
            folder = source.parent / "labels"
        one = Series(source.stem, (), source, folder, count_frames(source))
        return Source("video", source, (one,))
    ref = ImageRef(source.name, source, find(source, source.name) if find else None)
    if find and find.folder is None and ref.label and not ref.label.exists():
        ref = replace(ref, label=None)
    return Source("image", source, (Series(source.stem, (ref,)),))


def read_image(ref: ImageRef, *, limits: Limits = DEFAULT_LIMITS) -> Reading:
    """Read one picture and its labels; an error becomes the reading's `error`."""
    try:
        check_name(ref.name, limits)
        picture: Picture | None = load_picture(ref.path, name=ref.name, limits=limits)
        error = None
    except RinrError as problem:
        picture, error = None, str(problem)
    reading = _labelled(ref.name, picture, error, ref.label, limits)
    if picture is not None and picture.notes:
        notes = tuple(f"{ref.path}: {note}" for note in picture.notes)
        reading = replace(reading, warnings=notes + reading.warnings)
    return reading


def _labelled(
    name: str, picture: Picture | None, error: str | None, label: Path | None, limits: Limits
) -> Reading:
    if picture is None or label is None:
        return Reading(name, picture, error)
    boxes, warnings = read_labels(label, width=picture.width, height=picture.height)
    if len(boxes) > limits.max_boxes:
        return Reading(name, None, f"{label}: {len(boxes):,} boxes, at most {limits.max_boxes:,}")
    return Reading(name, replace(picture, boxes=boxes), error, warnings)


def _without_absent_labels(source: Source, find: LabelFinder | None) -> Source:
    """Where `auto` finds no label at all, one warning rather than one for every picture."""
    refs = [ref for series in source.series for ref in series.refs]
    if find is None or find.folder is not None or any(r.label and r.label.exists() for r in refs):
        return source
    series = tuple(
        replace(one, refs=tuple(replace(ref, label=None) for ref in one.refs))
        for one in source.series
    )
    warning = f"{source.path}: no labels were found, so there are no boxes and no object INRs"
    return replace(source, series=series, warnings=(*source.warnings, warning))


def _video_label(folder: Path | None, name: str) -> Path | None:
    if folder is None:
        return None
    mirrored = (folder / name).with_suffix(".txt")
    flat = folder / mirrored.name
    return flat if flat.exists() and not mirrored.exists() else mirrored


def _list_folder(folder: Path, find: LabelFinder | None) -> tuple[ImageRef, ...]:
    refs = []
    for file in _walk(folder):
        name = file.relative_to(folder).as_posix()
        refs.append(ImageRef(name, file, find(file, name) if find else None))
    return tuple(refs)


def _walk(folder: Path) -> list[Path]:
    """The picture files below a folder, in the order of their names; hidden ones are left out."""
    files = []
    visited = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        place = Path(root).stat()
        if (place.st_dev, place.st_ino) in visited:
            folders.clear()  # a link that leads back up
            continue
        visited.add((place.st_dev, place.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                files.append(Path(root) / name)
    return sorted(files, key=lambda file: _order(file.relative_to(folder).as_posix()))


def _order(name: str) -> list[tuple[list[str | int], str]]:
    """Sorts names folder by folder, and numbers in them by value: `f2` comes before `f10`."""
    return [
        ([int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", step))], step)
        for step in re.findall("[^/]+/?", name)
    ]


def _open_yaml(path: Path, find: LabelFinder | None) -> Source:
    data = load_data_yaml(path)
    if data.get("kpt_shape") and find:
        raise RinrInputError(
            f"{path}: keypoint labels (kpt_shape) cannot be kept; use --labels none to go without"
        )
    root = path.parent / str(data.get("path") or "")
    series, failures, warnings = [], [], []
    for split in SPLITS:
        if not data.get(split):
            continue
        entries = data[split] if isinstance(data[split], list) else [data[split]]
        files: list[Path] = []
        folders: list[Path] = []
        for entry in entries:
            found, folder, missing = _resolve_entry(root, str(entry))
            files += found
            folders.append(folder)
            failures += [f"{path}: {split}: {item}" for item in missing]
        unique = list(dict.fromkeys(files))
        if len(unique) < len(files):
            extra = len(files) - len(unique)
            warnings.append(f"{path}: {split}: {extra} pictures are listed twice; one is kept")
        if unique:
            base = folders[0] if len(entries) == 1 and folders[0].is_dir() else _common(unique)
            series.append(Series(split, _name_refs(unique, base, split, find)))
    if not series:
        reason = "; ".join(failures) or "none of the keys train, val and test names pictures"
        raise RinrInputError(f"{path}: no pictures: {reason}")
    warnings += find.orphans() if find else ()
    names = _class_names(path, data)
    return Source("yaml", path, tuple(series), names, tuple(warnings), tuple(failures))


def load_data_yaml(path: Path) -> dict[str, Any]:
    """The keys of a YOLO data yaml; raises `RinrInputError` for a file that is none."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RinrInputError(f"{path}: not a yaml file: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise RinrInputError(f"{path}: want the keys train, val, names of a YOLO data yaml")
    return data


def _resolve_entry(root: Path, entry: str) -> tuple[list[Path], Path, list[str]]:
    """The pictures an entry of a split stands for, its place, and what is missing."""
    place = root / entry
    if not place.exists() and entry.startswith("../"):
        # Exports of some labelling tools are off by one folder; YOLO mends it, and so do we.
        place = root / entry[3:]
    if place.is_dir():
        files = _walk(place)
        return files, place, [] if files else [f"no picture in the folder {place}"]
    if place.suffix.lower() == ".txt" and place.is_file():
        files, missing = [], []
        for line in place.read_text(encoding="utf-8-sig").split("\n"):
            text = line.strip()
            if not text:
                continue
            options = (place.parent / text, root / text)
            file = next((option for option in options if option.is_file()), None)
            if file is None:
                missing.append(f"{text}: no such picture (in {place})")
            else:
                files.append(Path(os.path.normpath(file)))
        return files, place, missing
    if place.is_file() and place.suffix.lower() in IMAGE_SUFFIXES:
        return [place], place, []
    return [], place, [f"no such folder or list: {place}"]


def _common(files: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([absolute(file.parent) for file in files]))


def _name_refs(
    files: Sequence[Path], base: Path, split: str, find: LabelFinder | None
) -> tuple[ImageRef, ...]:
    refs = []
    for file in files:
        name = Path(os.path.relpath(file, base)).as_posix()
        label = find(file, f"{split}/{name}", name) if find else None
        refs.append(ImageRef(name, file, label))
    return tuple(sorted(refs, key=lambda ref: _order(ref.name)))


def _class_names(path: Path, data: Mapping[str, Any]) -> dict[int, str]:
    names = data.get("names")
    if names is None:
        count = data.get("nc") or 0
        known = isinstance(count, int) and count <= _MOST_CLASSES
        names = [f"class_{i}" for i in range(count)] if known else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(
        isinstance(key, int) and 0 <= key < _MOST_CLASSES for key in names
    ):
        raise RinrInputError(
            f"{path}: names: want a list of class names, or a map from class id (0 to "
            f"{_MOST_CLASSES - 1}) to name"
        )
    return {key: str(value) for key, value in sorted(names.items())}

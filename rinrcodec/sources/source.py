"""Where pictures come from: an image, a folder tree, a YOLO data yaml, or a video file.

`open_source` looks at names only. Pictures are read one at a time, when they are asked for, so a
source of any size needs the memory of a few pictures. Everything but a video may be behind a URL.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError, RinrInputError, RinrSourceError
from rinrcodec.formats.checks import check_name
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.picture import Picture
from rinrcodec.sources.images import decode_picture, read_picture_file
from rinrcodec.sources.label_finder import LabelFinder
from rinrcodec.sources.labels import parse_label_bytes, unreadable
from rinrcodec.storage import (
    Listing,
    file_or_folder,
    join,
    may_pass,
    read_file,
    stamp_of,
    storage_of,
    text_of,
    to_path,
)

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
_MOST_LABEL_BYTES = 2**26
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A picture file: its name in the pack (a relative posix path), and its label file if any.

    `label` may name a file that does not exist, which is reported when the picture is read. The
    stamps (`rinrcodec.storage`) are those of the two files when they were found; "" is unknown, or
    the label file not there.
    """

    name: str
    path: Path
    label: Path | None = None
    stamp: str = ""
    label_stamp: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading one picture: the picture, or the error that prevented it.

    digest: SHA-256 in hexadecimal of what was read: the bytes of the picture file (of a frame of a
    video, its pixels) and those of the label file; "" where there is no picture.
    """

    name: str
    picture: Picture | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Pictures that go into one series of packs: a folder, a split of a data yaml, or a video.

    A video has no `refs`; its frames are counted, not listed, and the count is what the file
    declares. `stamp` is that of its file when it was found, "" where there is no video.
    """

    name: str
    refs: tuple[ImageRef, ...] = ()
    video: Path | None = None
    labels: Path | None = None
    n_frames: int = 0
    stamp: str = ""

    def __len__(self) -> int:
        return self.n_frames if self.video else len(self.refs)

    def read(
        self, start: int = 0, *, jobs: int = 1, limits: Limits = DEFAULT_LIMITS
    ) -> Iterator[Reading]:
        """Read the pictures from number `start` on, in order, `jobs` at a time.

        A picture that cannot be read is an item with an `error`, and the next one follows. So is
        one that has changed since the source was opened. Raises `RinrInputError` for a video that
        is gone or changes while it is read, `OSError` for one that the disk does not give.
        """
        if self.video is not None:
            yield from self._read_video(self.video, start, limits)
            return
        with ThreadPoolExecutor(jobs) as pool:
            ahead: deque[Future[Reading]] = deque()
            for ref in self.refs[start:]:
                ahead.append(pool.submit(read_image, ref, limits=limits))
                if len(ahead) > jobs:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _read_video(self, video: Path, start: int, limits: Limits) -> Iterator[Reading]:
        from rinrcodec.sources.video import frame_name, read_video

        before = _video_stamp(video)
        if self.stamp and self.stamp != before:
            error = f"{video}: changed after this run began; wait until nothing writes to it"
            yield Reading(frame_name(video, start), error=f"{error} and run this again")
            return
        for name, picture, problem in read_video(video, start, len(self), limits=limits):
            if _video_stamp(video) != before:
                raise RinrInputError(
                    f"{video}: changed while it was read; wait until nothing writes to it and run "
                    "this again"
                )
            label = _video_label(self.labels, name)
            shown = b"" if picture is None else _pixel_bytes(picture)
            yield _labelled(name, picture, problem, shown, label, "", limits)


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

    path: also a URL that fsspec knows; its folder is listed, not walked. labels: "auto" looks where
    YOLO does (`images` -> `labels` in the path), then in a folder `labels` beside or inside the
    source, then beside the picture; "none" skips labels; anything else is a folder, or its URL,
    that mirrors the pictures' names.

    Raises `RinrInputError` where there is nothing to read, `MissingExtraError` for a video
    without PyAV or a URL without the extra `remote`, `OSError` where a store cannot be read.
    """
    source = to_path(path)
    suffix = source.suffix.lower()
    folder = None if str(labels) in {"auto", "none"} else to_path(labels)
    if folder is not None and file_or_folder(folder) != "folder":
        raise RinrInputError(f"{folder}: no such folder of labels; want auto, none or a folder")
    kind = file_or_folder(source)
    listing = Listing()

    def finder(around: Path | None, *, one: bool = False) -> LabelFinder | None:
        return None if str(labels) == "none" else LabelFinder(listing, around, folder, one=one)

    if kind == "folder":
        files = listing.add(source)
        refs = _list_folder(source, files, find := finder(source))
        if not refs:
            raise RinrInputError(f"{source}: no picture in this folder or below it")
        warnings = find.orphans() if find else ()
        series = (Series(storage_of(source).absolute(source).name or "frames", refs),)
        return _without_absent_labels(Source("folder", source, series, warnings=warnings), find)
    if kind is None:
        raise RinrInputError(f"{source}: there is no such file or folder")
    if suffix in {".yaml", ".yml"}:
        find = finder(None)
        return _without_absent_labels(_open_yaml(source, listing, find), find)
    if suffix in VIDEO_SUFFIXES:
        return _open_video(source, folder, auto=str(labels) == "auto")
    find = finder(source.parent, one=True)
    label, label_stamp = find(source, source.name) if find else (None, "")
    if folder is None and not label_stamp:
        label = None
    ref = ImageRef(source.name, source, label, stamp_of(source), label_stamp)
    return Source("image", source, (Series(source.stem, (ref,)),))


def _open_video(source: Path, folder: Path | None, *, auto: bool) -> Source:
    from rinrcodec.sources.video import count_frames

    for path in (source, folder):
        if path is not None and not storage_of(path).has_native_paths:
            raise RinrInputError(
                f"{path}: of a video, both it and its labels must be local files; "
                "download them first"
            )
    if auto and (source.parent / "labels" / source.stem).is_dir():
        folder = source.parent / "labels"
    stamp = stamp_of(source)
    one = Series(source.stem, (), source, folder, count_frames(source), stamp)
    return Source("video", source, (one,))


def read_image(ref: ImageRef, *, limits: Limits = DEFAULT_LIMITS) -> Reading:
    """Read one picture and its labels; an error becomes the reading's `error`.

    Every file is read once, and one that is not as its stamp says is an error. Raises
    `RinrSourceError` where a disk or store fails: that says nothing of the picture.
    """
    data, picture, error = b"", None, None
    try:
        check_name(ref.name, limits)
        data = read_picture_file(ref.path, stamp=ref.stamp, limits=limits)
        picture = decode_picture(data, ref.path, name=ref.name, limits=limits)
    except RinrSourceError:
        raise
    except RinrError as problem:
        error = str(problem)
    reading = _labelled(ref.name, picture, error, data, ref.label, ref.label_stamp, limits)
    if picture is not None and picture.notes:
        notes = tuple(f"{ref.path}: {note}" for note in picture.notes)
        reading = replace(reading, warnings=notes + reading.warnings)
    return reading


def _labelled(
    name: str,
    picture: Picture | None,
    error: str | None,
    data: bytes,
    label: Path | None,
    label_stamp: str,
    limits: Limits,
) -> Reading:
    if picture is None:
        return Reading(name, error=error)
    text = b""
    boxes: tuple[Box, ...] = ()
    warnings: tuple[str, ...] = ()
    if label is not None:
        try:
            text = read_file(label, stamp=label_stamp, most=_MOST_LABEL_BYTES)
        except RinrInputError as problem:  # it has changed
            return Reading(name, error=str(problem))
        except (RinrError, OSError) as problem:
            if isinstance(problem, OSError) and label_stamp and may_pass(label, problem):
                raise RinrSourceError(f"{label}: cannot be read: {_reason(problem)}") from problem
            warnings = (unreadable(label, problem),)
        else:
            boxes, warnings = parse_label_bytes(
                text, width=picture.width, height=picture.height, where=str(label)
            )
        if len(boxes) > limits.max_boxes:
            error = f"{label}: {len(boxes):,} boxes, at most {limits.max_boxes:,}"
            return Reading(name, error=error)
    # With its length in front, no byte of the one can pass for one of the other.
    digest = hashlib.sha256(len(data).to_bytes(8, "little"))
    digest.update(data)
    digest.update(text)
    return Reading(name, replace(picture, boxes=boxes), None, warnings, digest.hexdigest())


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _pixel_bytes(picture: Picture) -> bytes:
    return f"{picture.pixels.shape}".encode() + picture.pixels.tobytes()


def _without_absent_labels(source: Source, find: LabelFinder | None) -> Source:
    """Where `auto` finds no label at all, one warning rather than one for every picture."""
    refs = [ref for series in source.series for ref in series.refs]
    if find is None or find.folder is not None or any(ref.label_stamp for ref in refs):
        return source
    series = tuple(
        replace(one, refs=tuple(replace(ref, label=None) for ref in one.refs))
        for one in source.series
    )
    warning = f"{source.path}: no labels were found, so there are no boxes and no object INRs"
    return replace(source, series=series, warnings=(*source.warnings, warning))


def _video_stamp(video: Path) -> str:
    try:
        return stamp_of(video)
    except (FileNotFoundError, NotADirectoryError):
        raise RinrInputError(f"{video}: it is gone; was it moved or unmounted?") from None


def _video_label(folder: Path | None, name: str) -> Path | None:
    if folder is None:
        return None
    mirrored = (folder / name).with_suffix(".txt")
    flat = folder / mirrored.name
    return flat if flat.exists() and not mirrored.exists() else mirrored


def _list_folder(
    folder: Path, files: Sequence[tuple[Path, str]], find: LabelFinder | None
) -> tuple[ImageRef, ...]:
    refs = []
    relative_name, base = storage_of(folder).relative_name, text_of(folder)
    for file, stamp in _pictures(files, folder):
        name = relative_name(file, base)
        label, label_stamp = find(file, name) if find else (None, "")
        refs.append(ImageRef(name, file, label, stamp, label_stamp))
    return tuple(refs)


def _pictures(files: Sequence[tuple[Path, str]], folder: Path) -> list[tuple[Path, str]]:
    """The picture files among those below a folder, in the order of their names."""
    pictures = [item for item in files if item[0].suffix.lower() in IMAGE_SUFFIXES]
    relative_name, base = storage_of(folder).relative_name, text_of(folder)
    return sorted(pictures, key=lambda item: _order(relative_name(item[0], base)))


def _order(name: str) -> list[tuple[list[str | int], str]]:
    """Sorts names folder by folder, and numbers in them by value: `f2` comes before `f10`."""
    return [
        ([int(part) if i % 2 else part for i, part in enumerate(re.split("([0-9]+)", step))], step)
        for step in re.findall("[^/]+/?", name)
    ]


def _open_yaml(path: Path, listing: Listing, find: LabelFinder | None) -> Source:
    data = load_data_yaml(path)
    if data.get("kpt_shape") and find:
        raise RinrInputError(
            f"{path}: keypoint labels (kpt_shape) cannot be kept; use --labels none to go without"
        )
    root = join(path.parent, str(data.get("path") or ""))
    series, failures, warnings = [], [], []
    for split in SPLITS:
        if not data.get(split):
            continue
        entries = data[split] if isinstance(data[split], list) else [data[split]]
        files: list[tuple[Path, str]] = []
        folders: list[Path] = []
        for entry in entries:
            pictures, folder, missing = _resolve_entry(listing, root, str(entry))
            files += pictures
            folders.append(folder)
            failures += [f"{path}: {split}: {item}" for item in missing]
        unique = dict(files)
        if len(unique) < len(files):
            extra = len(files) - len(unique)
            warnings.append(f"{path}: {split}: {extra} pictures are listed twice; one is kept")
        if unique:
            alone = len(entries) == 1 and _kind(listing, folders[0]) == "folder"
            base = text_of(folders[0]) if alone else _common(f"{path}: {split}", list(unique))
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
        data = yaml.safe_load(read_file(path).decode("utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RinrInputError(f"{path}: not a yaml file: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise RinrInputError(f"{path}: want the keys train, val, names of a YOLO data yaml")
    return data


def _resolve_entry(
    listing: Listing, root: Path, entry: str
) -> tuple[list[tuple[Path, str]], Path, list[str]]:
    """Return the pictures and stamps of an entry of a split, its path, and what is missing."""
    path = join(root, entry)
    kind = _kind(listing, path)
    if kind is None and entry.startswith("../"):
        # Exports of some labelling tools are off by one folder; YOLO mends it, and so do we.
        path = join(root, entry[3:])
        kind = _kind(listing, path)
    if kind == "folder":
        files = _pictures(listing.add(path), path)
        return files, path, [] if files else [f"no picture in the folder {path}"]
    if kind == "file" and path.suffix.lower() == ".txt":
        files, missing = [], []
        for line in read_file(path).decode("utf-8-sig").split("\n"):
            if not (text := line.strip()):
                continue
            for option in (join(path.parent, text), join(root, text)):
                listing.know(option.parent, deep=False)
                if stamp := listing.stamp(text_of(option), option):
                    files.append((storage_of(option).normal(option), stamp))
                    break
            else:
                missing.append(f"{text}: no such picture (in {path})")
        return files, path, missing
    if kind == "file" and path.suffix.lower() in IMAGE_SUFFIXES:
        return [(path, stamp_of(path))], path, []
    return [], path, [f"no such folder or list: {path}"]


def _kind(listing: Listing, path: Path) -> Literal["file", "folder"] | None:
    return listing.kind(text_of(path), path)


def _common(where: str, files: Sequence[Path]) -> str:
    """The folder that all files are below."""
    storage = storage_of(files[0])
    try:
        return storage.common_folder([storage.absolute(file.parent) for file in files])
    except ValueError:
        message = f"{where}: pictures of several stores; give each a data yaml"
        raise RinrInputError(message) from None


def _name_refs(
    files: Mapping[Path, str], base: str, split: str, find: LabelFinder | None
) -> tuple[ImageRef, ...]:
    refs = []
    for file, stamp in files.items():
        name = storage_of(file).relative_name(file, base)
        label, label_stamp = find(file, f"{split}/{name}", name) if find else (None, "")
        refs.append(ImageRef(name, file, label, stamp, label_stamp))
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

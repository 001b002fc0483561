"""Find the pictures of an image, a folder tree, a YOLO data yaml, a COCO file, or a video file.

`open_source` looks at names only. Everything but a video may be behind a URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.annotations.coco import open_coco
from rinrcodec.sources.annotations.given import other_labels
from rinrcodec.sources.data_yaml import open_data_yaml
from rinrcodec.sources.label_finder import LabelFinder
from rinrcodec.sources.picture_names import VIDEO_SUFFIXES, left_out, pictures_among
from rinrcodec.sources.readings import ImageRef
from rinrcodec.sources.source import Series, Source
from rinrcodec.sources.unused_files import annotation_hint, dangling_links
from rinrcodec.sources.yaml_keys import NO_NAMES
from rinrcodec.storage import (
    Listing,
    file_or_folder,
    stamp_of,
    storage_of,
    text_of,
    to_path,
)

__all__ = ["open_source"]

_TEXTS = frozenset({".txt", ".md", ".csv", ".log"})


def open_source(
    path: str | PathLike[str],
    *,
    labels: str | PathLike[str] = "auto",
    formats: Sequence[str] = (),
) -> Source:
    """Find the pictures of an image, folder, YOLO data yaml, COCO file or video, and their labels.

    path: also a URL that fsspec knows; its folder is listed, not walked. labels: "auto" looks where
    YOLO does (`images` -> `labels` in the path), then in a folder `labels` next to or inside the
    source, then next to the picture; "none" skips labels; anything else is a path or URL: a folder
    of YOLO or Pascal VOC files that mirrors the pictures' names, a COCO file, or the VOC file of
    one picture. formats: kinds of pictures to read besides the usual ones, by Pillow's names.

    Raises `RinrInputError` where there is nothing to read, `RinrUsageError` for an unknown format,
    `MissingExtraError` for a URL without the extra `remote`, `OSError` where a store cannot be
    read.
    """
    if not formats:
        return _open_source(to_path(path), labels)
    from rinrcodec.sources.pictures.opening import adding_formats, check_formats

    added = check_formats(formats)
    with adding_formats(added):
        opened = _open_source(to_path(path), labels)
    return replace(opened, series=tuple(replace(one, formats=added) for one in opened.series))


def _open_source(source: Path, labels: str | PathLike[str]) -> Source:
    suffix = source.suffix.lower()
    folder = None if str(labels) in {"auto", "none"} else to_path(labels)
    listing = Listing()
    if folder is not None and (attach := other_labels(folder, listing)) is not None:
        opened = attach(_open_source(source, "none"))
        if opened.names:  # COCO and Pascal VOC name classes
            kept = tuple(text for text in opened.warnings if not text.endswith(f": {NO_NAMES}"))
            opened = replace(opened, warnings=kept)
        return opened
    kind = file_or_folder(source)

    def finder(around: Path | None, *, one: bool = False) -> LabelFinder | None:
        return None if str(labels) == "none" else LabelFinder(listing, around, folder, one=one)

    if kind == "folder":
        files = listing.add(source)
        refs = _list_folder(source, files, find := finder(source))
        unread = left_out(files, source)
        if not refs:
            reason = "".join(f" that can be read. {text}" for text in unread)
            raise RinrInputError(f"{source}: no picture in this folder or below it{reason}")
        failures = (*listing.unlisted(), *dangling_links(files))
        warnings = tuple(unread)
        lost = find.orphans([source]) if find else ()
        warnings += find.in_capitals() if find else ()
        if find and folder is None:
            warnings += annotation_hint(source, [file for file, _ in files], [source])
        series = (Series(storage_of(source).absolute(source).name or "frames", refs),)
        opened = Source(
            "folder", source, series, warnings=warnings, failures=failures, lost_labels=lost
        )
        return _without_absent_labels(opened, find)
    if kind is None:
        raise RinrInputError(f"{source}: there is no such file or folder")
    if suffix == ".xml":
        raise RinrInputError(
            f"{source}: labels, not a picture; give the folder of the pictures, and the folder of "
            f"the labels: `labels='{source.parent}'`"
        )
    if suffix == ".json":
        if folder is not None:
            raise RinrInputError(f"{source}: a COCO file has labels of its own; leave {folder} out")
        return open_coco(source, listing, labels=str(labels) != "none")
    if suffix in {".yaml", ".yml"}:
        find = finder(None)
        return _without_absent_labels(open_data_yaml(source, listing, find), find)
    if suffix in VIDEO_SUFFIXES:
        return _open_video(source, folder, auto=str(labels) == "auto")
    if suffix in _TEXTS:  # a .txt file would be its own label file
        raise RinrInputError(
            f"{source}: not a picture; give a picture, a folder of pictures, a data yaml, a COCO "
            "file or a video"
        )
    find = finder(source.parent, one=True)
    label, label_stamp = find(source, source.name) if find else (None, "")
    ref = ImageRef(source.name, source, label, stamp_of(source), label_stamp)
    if folder is None and not ref.has_label:
        ref = replace(ref, label=None)
    return Source("image", source, (Series(source.stem, (ref,)),))


def _open_video(source: Path, folder: Path | None, *, auto: bool) -> Source:
    from rinrcodec.sources.video import count_frames, probe_video
    from rinrcodec.sources.video_labels import find_video_labels

    for path in (source, folder):
        if path is not None and not storage_of(path).has_native_paths:
            raise RinrInputError(
                f"{path}: of a video, both it and its labels must be local files; "
                "download them first"
            )
    stamp = stamp_of(source)
    probe = probe_video(source)
    labels, warnings = None, probe.warnings
    if folder or auto:
        labels, oddities = find_video_labels(source, folder, n_frames=probe.n_frames)
        warnings += oddities
    n_frames, label_stamps = count_frames(source), labels.stamp if labels else ""
    one = Series(source.stem, (), source, labels, n_frames, stamp, label_stamps=label_stamps)
    lost = labels.lost if labels else ()
    info = {"frame_rate": probe.frame_rate} if probe.frame_rate else {}
    return Source("video", source, (one,), info=info, warnings=warnings, lost_labels=lost)


def _list_folder(
    folder: Path, files: Sequence[tuple[Path, str]], find: LabelFinder | None
) -> tuple[ImageRef, ...]:
    refs = []
    relative_name, base = storage_of(folder).relative_name, text_of(folder)
    for file, stamp in pictures_among(files, folder):
        name = relative_name(file, base)
        label, label_stamp = find(file, name) if find else (None, "")
        refs.append(ImageRef(name, file, label, stamp, label_stamp))
    return tuple(refs)


def _without_labels(source: Source) -> Iterator[str]:
    """Warn of pictures for which there is not even a folder of labels, where others have labels."""
    for one in source.series:
        bare = [ref for ref in one.refs if ref.label is None]
        if not bare:
            continue
        where = f"{source.path}: {one.name}" if source.kind == "yaml" else str(source.path)
        if len(bare) == len(one.refs):
            yield f"{where}: no labels were found, so there are no boxes and no objects"
        else:
            n, rest = len(bare), len(one.refs)
            some = "1 picture has" if n == 1 else f"{n:,} pictures have"
            yield f"{where}: {some} no labels, of {rest:,}, such as {bare[0].path}; no boxes there"


def _without_absent_labels(source: Source, find: LabelFinder | None) -> Source:
    """Warn once, not once a picture, if `auto` finds no label at all."""
    refs = [ref for series in source.series for ref in series.refs]
    if find is None or find.folder is not None:
        return source
    if any(ref.has_label for ref in refs):
        return replace(source, warnings=(*source.warnings, *_without_labels(source)))
    series = tuple(
        replace(one, refs=tuple(replace(ref, label=None) for ref in one.refs))
        for one in source.series
    )
    warning = (
        f"{source.path}: no labels were found (looked in labels/, where YOLO does, and next to the "
        "pictures), so there are no boxes and no objects. Name their folder with `labels`, or pass "
        "`labels='none'`."
    )
    return replace(source, series=series, warnings=(*source.warnings, warning))

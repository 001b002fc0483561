"""Look at all labels of a source before anything is fitted.

`compress` calls `survey`. It settles how label files are read, the same way for all of them, and
says what a user wants to know before hours of work: labels that cannot be understood, classes
without a name, and data sets without a box.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.labels.info import info_of
from rinrcodec.labels.model import Task
from rinrcodec.labels.yolo import Layout, LayoutFinder, YoloReader, label_text, not_read
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.sources.images import upright_size
from rinrcodec.sources.source import Series, Source
from rinrcodec.storage import map_stored, read_file, storage_of
from rinrcodec.text_limits import MOST_LABEL_BYTES

__all__ = ["Survey", "label_info", "survey"]

_SHOWN = 5
_AT_ONCE = 32  # label files to ask a remote store for
_MOST_KEPT_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class Survey:
    """A survey of the labels of a source.

    Attributes:
        source: The source, whose series have a reader for these labels.
        files: How many labels there are, at most one for each picture.
        boxes: How many boxes they have.
        with_boxes: How many frames have a box and labels that can be understood.
        lost: One message for each label that cannot be understood.
        unlisted: A message about pictures without a record or file in the labels; "" for none.
        refused: Messages about labels that YOLO refuses.
        warnings: Other messages about the labels as a whole.
    """

    source: Source
    files: int = 0
    boxes: int = 0
    with_boxes: int = 0
    lost: tuple[str, ...] = ()
    unlisted: str = ""
    refused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def sharp(self, soften: float | None) -> list[str]:
        """Return a warning about frames that `soften` leaves as they are, or nothing."""
        total = sum(map(len, self.source.series))
        sharp = total - self.with_boxes
        if not soften or sharp <= 0:
            return []
        have, are = ("has", "is") if sharp == 1 else ("have", "are")
        frames = f"{sharp:,} of {total:,} frames"
        return [f"`soften`: {frames} {have} no boxes and {are} not blurred"]

    @property
    def unread(self) -> tuple[str, ...]:
        """All messages about pictures whose labels are not known."""
        return (*filter(None, [self.unlisted]), *self.lost)


@dataclass(frozen=True, slots=True)
class _Text:
    """The label of one picture: its content, or why it cannot be read."""

    series: int
    where: str
    data: bytes = b""
    error: str = ""
    size: tuple[int, int] | None = None


def survey(
    source: Source,
    *,
    task: Task | None = None,
    sizes: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Survey:
    """Read the labels of all pictures, without the pixels.

    Args:
        source: As `open_source` gives it.
        task: What YOLO labels are for; None finds out from their columns.
        sizes: Compare labels in pixels with the size of their picture, which takes reading its
            header. What is wrong is else found when it is read. YOLO labels have no pixels.
        limits: Of the pictures, as of `load_picture`.

    Returns:
        What they look like. Labels that cannot be understood are in `lost`.

    Raises:
        RinrInputError: `task` is "pose", and nothing says how many keypoints there are.
    """
    texts = _Texts(source, limits if sizes else None)
    warnings: list[str] = []
    if all(isinstance(one.reader, YoloReader) for one in source.series):
        finder = _columns(texts, source.kpt_shape, task)
        layout = finder.layout()
        warnings += _guesses(source, layout, task)
        if task is None and layout.task == "segment" and finder.may_be_tracks:
            warnings.append(
                f"{source.path}: lines of 7 columns are read as triangles, as YOLO reads them; "
                "give `task='detect'` if they are boxes with a score and a track"
            )
        series = tuple(replace(one, reader=YoloReader(layout)) for one in source.series)
        source = replace(source, series=series, task=layout.task, kpt_shape=layout.kpt_shape)
    boxes = 0
    lost: list[str] = []
    classes: Counter[int] = Counter()
    first: dict[int, str] = {}
    with_boxes, n_lost = set(), 0
    for key, text in zip(texts.keys(), texts, strict=True):
        if text.error:
            n_lost += 1
            lost.append(text.error)
            continue
        labels = source.series[text.series].reader.parse(
            text.data, size=text.size, where=text.where
        )
        n_lost += bool(labels.lost)
        lost += labels.lost
        boxes += len(labels.boxes)
        if labels.boxes and not labels.lost:
            with_boxes.add(key)
        for box in labels.boxes:
            classes[box.class_id] += 1
            first.setdefault(box.class_id, text.where)
    understood = len(texts) - n_lost
    if understood and not boxes:
        count = "1 label file" if understood == 1 else f"{understood:,} label files"
        warnings.append(f"{source.path}: {count} without a box; a detector cannot learn from them")
    refused = _unnamed(source.names, classes, first)
    frames = sum(
        (str(label), data) in with_boxes
        for series in source.series
        for label, data, _ in _labels_of(series)
    )
    return Survey(
        source,
        files=len(texts),
        boxes=boxes,
        with_boxes=frames,
        lost=tuple(lost),
        unlisted=_unlisted(source),
        refused=tuple(refused),
        warnings=tuple(warnings),
    )


def label_info(source: Source) -> dict[str, str]:
    """Return the entries of `Pack.info` about the labels of a source."""
    return info_of(source.names, source.task, source.kpt_shape) | dict(source.info)


def _unlisted(source: Source) -> str:
    """Return a message about pictures that the given labels do not mention; "" for none."""
    refs = [ref for series in source.series for ref in series.refs if not ref.listed]
    if not refs:
        return ""
    label = refs[0].label
    is_coco = label is not None and label.suffix.lower() == ".json"
    have = "1 picture has" if len(refs) == 1 else f"{len(refs):,} pictures have"
    return f"{label}: {have} no {'record' if is_coco else 'file'} here, such as {refs[0].name}"


class _Texts:
    """The labels of all pictures, in order, to be gone through once or twice.

    A million label files may not fit in memory: those after the first 256 MiB are read again.
    """

    def __init__(self, source: Source, sized: Limits | None) -> None:
        wanted = [
            (number, label, data, None if isinstance(series.reader, YoloReader) else picture)
            for number, series in enumerate(source.series)
            for label, data, picture in _labels_of(series)
        ]
        self._load = partial(_load, sized=sized)
        # Splits may share pictures.
        by_key = {(str(item[1]), item[2]): item for item in wanted}
        self._keys, self._wanted = list(by_key), list(by_key.values())
        self._path = source.path
        self._kept: list[_Text] = []
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self._wanted)

    def keys(self) -> list[tuple[str, bytes | None]]:
        """Return the path of each, and its part of a file of all labels."""
        return self._keys

    def __iter__(self) -> Iterator[_Text]:
        yield from self._kept
        step = 1 if storage_of(self._path).has_native_paths else _AT_ONCE
        for start in range(len(self._kept), len(self), step):
            wanted = self._wanted[start : start + step]
            for number, text in enumerate(map_stored(self._load, wanted, self._path), start):
                self._kept_bytes += len(text.data)
                if number == len(self._kept) and self._kept_bytes <= _MOST_KEPT_BYTES:
                    self._kept.append(text)
                yield text


def _load(item: tuple[int, Path, bytes | None, Path | None], sized: Limits | None) -> _Text:
    """Read a label, and with limits the size of its picture."""
    number, path, data, picture = item
    size = upright_size(picture, limits=sized) if sized and picture else None
    try:
        if data is None:
            data = read_file(path, most=MOST_LABEL_BYTES)
        return _Text(number, str(path), data, size=size)
    except (RinrError, OSError) as error:
        # Also of a file that has vanished since it was found.
        labels = not_read(path, error)
        return _Text(number, str(path), error=(labels.lost + labels.warnings)[0])


def _labels_of(series: Series) -> Iterator[tuple[Path, bytes | None, Path | None]]:
    """Yield the existing label files of a series, or the parts of one, and their pictures."""
    for ref in series.refs:
        if ref.label is not None and ref.has_label:
            yield ref.label, ref.label_data, ref.path
    if series.video is not None and series.labels is not None:
        for path in series.labels.of_frames():
            yield path, None, None


def _columns(
    texts: Iterable[_Text], kpt_shape: tuple[int, int] | None, task: Task | None
) -> LayoutFinder:
    finder = LayoutFinder(kpt_shape, task)
    for text in texts:
        content = label_text(text.data)
        if not isinstance(content, RinrInputError):
            finder.add(content)
    return finder


def _guesses(source: Source, layout: Layout, task: Task | None) -> list[str]:
    """Return warnings about guesses that a user should check; columns do not tell."""
    warnings = []
    if source.kpt_shape is not None:
        if task not in (None, "pose"):
            warnings.append(
                f"{source.path}: kpt_shape declares poses, so the labels are not read as {task}; "
                "a detector can be trained on poses, too"
            )
    elif layout.kpt_shape is not None and task is None:
        count, dims = layout.kpt_shape
        warnings.append(
            f"{source.path}: the labels look like poses of {count} keypoints of {dims} numbers and "
            "are read as such; give a data yaml with kpt_shape, or `task='segment'` if they are "
            "polygons"
        )
    elif layout.task == "obb" and task is None:
        warnings.append(
            f"{source.path}: the labels have four corners each and are read as rotated boxes "
            "(obb); give `task='segment'` if they are polygons"
        )
    if layout.tail:
        kept = " and ".join(layout.tail)
        warnings.append(f"{source.path}: labels have extra columns, kept as {kept}")
    return warnings


def _unnamed(
    names: Mapping[int, str], classes: Mapping[int, int], first: Mapping[int, str]
) -> list[str]:
    """Return a message about classes of the labels beyond those that have a name."""
    unknown = sorted(classes.keys() - names.keys()) if names else []
    if not unknown:
        return []
    listed = ", ".join(f"{i} ({_boxes(classes[i])})" for i in unknown[:_SHOWN])
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    return [
        f"{first[unknown[0]]}: labels use class {listed}{more}, but names has {_classes(names)}; "
        "YOLO will refuse these frames. Correct the labels or the names."
    ]


def _boxes(count: int) -> str:
    return "1 box" if count == 1 else f"{count:,} boxes"


def _classes(names: Mapping[int, str]) -> str:
    if len(names) == 1:
        return f"only class {min(names)}"
    return f"{len(names)} classes, {min(names)} to {max(names)}"

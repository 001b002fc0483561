"""The page of `rinrcodec view` for each frame: texts, boxes and pictures.

The server and the one-file page ask for them. One caller is served at a time, as decoding a frame
may take all the memory that `Limits` allow.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from rinrcodec.boxes import Box
from rinrcodec.cli.spelling import as_options
from rinrcodec.cli.views.report.words import size
from rinrcodec.datasets.viewing.album import Album
from rinrcodec.datasets.viewing.parts import PackParts
from rinrcodec.datasets.viewing.pictures import Mode, decoded, error_of
from rinrcodec.datasets.viewing.sources import SourcePictures
from rinrcodec.display.thumbnails import EncodedPicture, encode_picture
from rinrcodec.errors import (
    RinrError,
    RinrFormatError,
    RinrInputError,
    frame_reason,
    plain,
    reason,
)
from rinrcodec.memory import memory_errors
from rinrcodec.pack import Frame
from rinrcodec.printing import count, printable

__all__ = ["BLOCK", "Gallery"]

BLOCK = 60  # frames of the sheet that the page asks for at once; 2 to 6 columns divide it
_THUMBNAIL = 360
_SIDE = 4096  # of a picture that the server sends
# Of a frame, by the place where they are drawn.
_MOST_BOXES = {"sheet": 100, "frame": 1000}
_MOST_NUMBERS = {"sheet": 2000, "frame": 20_000}  # of outlines and keypoints
_INFO = {"preset": "Preset", "target": "Target"}  # entries of the info of a pack
_MOST_CLASSES = 20  # that are listed
_MOST_TEXT = 200  # characters of a name
_MOST_PACKS = 8  # whose tables stay in memory

Value = TypeVar("Value")


class Gallery:
    """The frames of an album as the page wants them; threads may share it.

    Args:
        album: The frames; this closes it.
        sources: The pictures from which they were made, where they are known.
    """

    def __init__(self, album: Album, sources: SourcePictures | None = None) -> None:
        self._album = album
        self._sources = sources
        self._lock = threading.Lock()
        self._classes: dict[int, Mapping[int, str]] = {}
        self._parts: dict[int, PackParts] = {}
        self.bad = album.bad
        self.modes: tuple[Mode, ...] = ("objects", "background")
        if sources is not None:
            self.modes += ("source", "error")

    def __len__(self) -> int:
        return len(self._album)

    @property
    def title(self) -> str:
        """All packs in a few words."""
        packs = self._album.packs
        n_bytes = sum(pack.n_bytes for pack in packs)
        name = packs[0].path.name if len(packs) == 1 else count(len(packs), "pack")
        return _text(f"{name}: {count(len(self), 'frame')}, {size(n_bytes)}")

    def block(self, number: int) -> list[dict[str, Any]]:
        """Return what the sheet shows of `BLOCK` frames, as JSON."""
        first = number * BLOCK
        return [self._item(n, "sheet") for n in range(first, min(first + BLOCK, len(self)))]

    def frame(self, number: int) -> dict[str, Any]:
        """Return all that the page shows of a frame, as JSON."""
        return self._item(number, "frame")

    def thumbnail(self, number: int) -> EncodedPicture:
        """Decode a frame for the sheet.

        Raises:
            RinrError: The frame cannot be decoded.
        """
        pack, index = self._album.at(number)
        with self._lock, _as_rinr_errors(f"frame {number + 1}"):
            return encode_picture(decoded(self._album.file(pack), index, side=_THUMBNAIL))

    def picture(
        self, number: int, mode: Mode, *, side: int = _SIDE, lossless: bool = True
    ) -> EncodedPicture:
        """Decode a frame for a closer look.

        Args:
            number: The frame.
            mode: What to show.
            side: The most pixels of a side; larger pictures are reduced.
            lossless: Encode without loss.

        Raises:
            RinrError: The frame cannot be decoded, or its source cannot be read.
        """
        if mode not in self.modes:
            raise RinrInputError("there is no source to show; give its folder with --source")
        pack, index = self._album.at(number)
        with self._lock, _as_rinr_errors(f"frame {number + 1}"):
            file = self._album.file(pack)
            if mode in ("background", "objects"):
                pixels = decoded(file, index, objects=mode == "objects")
            else:
                assert self._sources is not None
                name, path = file.frame(index).name, self._album.packs[pack].path
                pixels = self._sources.pixels(name, path, file.info)
                if mode == "error":
                    pixels = error_of(pixels, decoded(file, index))
            return encode_picture(pixels, side=side, lossless=lossless)

    def problem(self, number: int, name: str, error: Exception) -> str:
        """Say what is wrong with a frame of that name: its pack, name and reason, each once."""
        path = self._album.packs[self._album.at(number)[0]].path
        return f"{path}: {name}: {frame_reason(path, name, error)}"

    def close(self) -> None:
        """Wait for the frame that is being decoded, and close all files."""
        with self._lock:
            self._album.close()

    def _item(self, number: int, place: str) -> dict[str, Any]:
        pack, index = self._album.at(number)
        path = self._album.packs[pack].path
        item: dict[str, Any] = {"number": number, "pack": _text(path.name)}
        try:
            with self._lock, _as_rinr_errors(f"frame {number + 1}"):
                frame = self._album.file(pack).frame(index)
                names = _kept(self._classes, pack, self._classes_of)
                sizes = self._sizes(pack, frame) if place == "frame" else {}
                info = self._album.file(pack).info
        except (RinrError, OSError) as error:
            name = f"frame {index + 1} of {path.name}"
            return {**item, "name": _text(name), "problem": _text(reason(path, error), 1000)}
        item |= {
            "name": _text(frame.name),
            "width": frame.width,
            "height": frame.height,
            "classes": _classes(frame.boxes, names),
            **_drawn(frame, names, place),
            **sizes,
        }
        if place == "frame":
            is_more = len({box.class_id for box in frame.boxes}) > _MOST_CLASSES
            item["facts"] = [
                ["Pack", item["pack"]],
                ["Frame", f"{index + 1:,} of {self._album.packs[pack].n_frames:,}"],
                ["Pixels", f"{frame.width:,} x {frame.height:,}, {frame.mode}"],
                *([title, _text(info[key])] for key, title in _INFO.items() if key in info),
                *([["Classes", f"{_MOST_CLASSES} of more are listed"]] if is_more else []),
                *([["Labels", "not understood in full"]] if not frame.labelled else []),
                *item.pop("more", []),
            ]
        return item

    def _sizes(self, pack: int, frame: Frame) -> dict[str, Any]:
        """Return the bytes of a frame and of its pack.

        They are unknown where other frames are damaged.
        """
        try:
            whole = _kept(self._parts, pack, lambda pack: PackParts(self._album.file(pack).reader))
            parts = whole.of_frame(self._album.file(pack).reader, frame)
        except RinrError as error:
            return {"more": [["Bytes", f"not known: {_text(error, 1000)}"]]}
        shared = parts.background_frames
        return {
            "sizes": [
                ["Background", size(parts.background), size(whole.background)],
                ["Objects", size(parts.objects), size(whole.objects)],
                ["Boxes", size(parts.boxes), size(whole.boxes)],
                ["Metadata", size(parts.metadata), size(whole.metadata)],
                ["Names, index", "", size(whole.other)],
                ["File", "", size(whole.file)],
            ],
            "more": [["Background", f"shared by {shared:,} frames"]] if shared > 1 else [],
        }

    def _classes_of(self, pack: int) -> Mapping[int, str]:
        try:
            return self._album.file(pack).classes
        except RinrFormatError:  # which leaves the frames as they are
            return {}


def _kept(cache: dict[int, Value], pack: int, make: Callable[[int], Value]) -> Value:
    """Return the cached value of a pack, or make it; only the last packs are kept."""
    if pack not in cache:
        made = make(pack)
        while len(cache) >= _MOST_PACKS:
            cache.pop(next(iter(cache)))
        cache[pack] = made
    return cache[pack]


@contextmanager
def _as_rinr_errors(tried: str) -> Iterator[None]:
    """Raise `RinrError` also where memory runs out or a package is missing."""
    try:
        with memory_errors(tried):
            yield
    except ModuleNotFoundError as error:
        raise RinrError(f"{error.name} is not installed; run: pip install {error.name}") from error


def _text(text: object, most: int = _MOST_TEXT) -> str:
    """Clean a text of a stranger for a page: one line, not too long."""
    shown = printable(as_options(plain(str(text))))
    return shown if len(shown) <= most else f"{shown[:most]}..."


def _classes(boxes: tuple[Box, ...], names: Mapping[int, str]) -> list[list[Any]]:
    """List class id, name and number of boxes of each class, the most frequent first."""
    counts = Counter(box.class_id for box in boxes)
    return [[k, _class_name(k, names), n] for k, n in counts.most_common(_MOST_CLASSES)]


def _class_name(class_id: int, names: Mapping[int, str]) -> str:
    return _text(names.get(class_id, f"class {class_id}"), 60)


def _drawn(frame: Frame, names: Mapping[int, str], place: str) -> dict[str, Any]:
    """Return the boxes to draw: rectangles, outlines, keypoints, classes and labels; in pixels."""
    width, height = frame.width, frame.height
    boxes: list[dict[str, Any]] = []
    numbers = 0
    for box in frame.boxes[: _MOST_BOXES[place]]:
        left, right = (min(max(x, 0.0), width) for x in (box.x, box.x + box.w))
        top, bottom = (min(max(y, 0.0), height) for y in (box.y, box.y + box.h))
        drawn: dict[str, Any] = {
            "class": box.class_id,
            "box": [round(value, 1) for value in (left, top, right - left, bottom - top)],
        }
        points = _points(box, width, height)
        numbers += sum(map(len, box.polygons)) + 2 * len(points)
        if numbers <= _MOST_NUMBERS[place]:
            if box.polygons:
                drawn["outlines"] = [[round(value, 1) for value in one] for one in box.polygons]
            if points:
                drawn["points"] = points
        if place == "frame":
            score = "" if box.score is None else f" {box.score:.3g}"
            track = "" if box.track_id is None else f" #{box.track_id}"
            drawn["label"] = f"{_class_name(box.class_id, names)}{score}{track}"
        boxes.append(drawn)
    return {"boxes": boxes, "n_boxes": len(frame.boxes)}


def _points(box: Box, width: int, height: int) -> list[list[float]]:
    """Return the keypoints inside the frame, except those that their label calls unknown."""
    return [
        [round(x, 1), round(y, 1)]
        for x, y, *visibility in box.keypoints
        if visibility != [0] and 0 <= x <= width and 0 <= y <= height
    ]

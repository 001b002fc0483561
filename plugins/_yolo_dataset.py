"""A YOLO dataset over packs: frames and boxes are ours, all else is Ultralytics' own."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray
from ultralytics.data import YOLODataset
from ultralytics.data import utils as data_utils
from ultralytics.utils import LOCAL_RANK, LOGGER

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.labels.yolo import format_labels, read_labels
from rinrcodec.pack import Frame
from rinrcodec.plugins._frames import FrameRef, StrPath, decode_rgb, find_packs, scan
from rinrcodec.sources.picture_names import frame_stem

__all__ = ["RinrYoloDataset"]

# What Ultralytics asks of a picture and its labels: a violation leaves the picture out.
_SMALLEST_SIDE = 10
_TOLERANCE = 0.01
# How many pictures Ultralytics looks at to reckon the memory for all.
_LOOK_AT = 30

Scanned = tuple[FrameRef, Frame | RinrError]


class RinrYoloDataset(YOLODataset):
    """`YOLODataset` over packs, with the items that it gives for `rinrcodec decompress --labels`.

    img_path: a folder of packs, a pack, a list file, or several of these. Boxes come from the
    packs; a folder `labels` with a file for any frame wins, and the log says so. Damaged frames
    and files are reported and left out. `cache="disk"` is not offered: a pack is that cache.

    Raises `RinrInputError` for tasks other than "detect" and where no frame can be used.
    """

    def __init__(
        self, *args: Any, data: dict[str, Any], task: str = "detect", **options: Any
    ) -> None:
        if task != "detect":
            raise RinrInputError(f"packs hold boxes, which is not enough for the task {task!r}")
        if str(options.get("cache")).lower() == "disk":
            prefix = options.get("prefix", "")
            LOGGER.warning(f"{prefix}cache='disk' is not offered for packs; use cache='ram'")
            options["cache"] = None
        self._refs: dict[str, FrameRef] = {}
        self._sizes: list[tuple[int, int]] = []
        self._label_folders: dict[str, Path] = {}
        self._scanned: list[Scanned] = []
        self._failures: list[str] = []
        super().__init__(*args, data=data, task=task, **options)

    def get_img_files(self, img_path: StrPath | list[StrPath]) -> list[str]:
        """List the frames of all packs, by their paths."""
        paths = img_path if isinstance(img_path, list) else [img_path]
        by_base: dict[Path, list[Scanned]] = defaultdict(list)
        for path in paths:
            packs = list(find_packs(path))
            if not packs:
                raise RinrInputError(
                    f"{path}: no .rinr file here; the paths of one split must be "
                    "either all packs or all pictures"
                )
            for pack in packs:
                scanned = self._scan(pack)
                self._scanned += scanned
                # Of a list or a pattern, it is the packs that labels belong to.
                by_base[Path(path) if Path(path).is_dir() else pack.parent] += scanned
        for base, scanned in by_base.items():
            self._find_labels(base, scanned)
        if not self._scanned:
            raise RinrInputError(_first(self._failures))
        share = self.fraction
        if isinstance(share, float) or share <= 1:  # other whole numbers are counts
            share = max(1, round(len(self._scanned) * share))
        self._scanned = self._scanned[:share]
        if hasattr(data_utils, "check_file_speeds"):
            # One entry a frame: it draws as many random numbers as for pictures.
            files = [ref.pack for ref, _ in self._scanned]
            data_utils.check_file_speeds(files, prefix=self.prefix)
        return [ref.path for ref, _ in self._scanned]

    def get_labels(self) -> list[dict[str, Any]]:
        """The labels of all frames that can be used; no cache file is written."""
        scanned, self._scanned = self._scanned, []
        failures, self._failures = self._failures, []
        labels = []
        for ref, outcome in scanned:
            try:
                if isinstance(outcome, RinrError):
                    raise outcome
                label = self._label(ref, outcome)
            except RinrError as error:
                failures.append(f"{ref.path}: {error}")
            else:
                labels.append(label)
                self._refs[ref.path] = ref
                self._sizes.append(label["shape"])
        if LOCAL_RANK in {-1, 0}:
            for failure in failures:
                LOGGER.warning(f"{self.prefix}corrupt, left out: {failure}")
            empty = sum(not len(label["cls"]) for label in labels)
            LOGGER.info(
                f"{self.prefix}{self.img_path}: {len(labels)} frames, {empty} without boxes, "
                f"{len(failures)} corrupt"
            )
        if not labels:
            raise RinrInputError(f"{self.img_path}: no frame can be used: {_first(failures)}")
        self.im_files = [label["im_file"] for label in labels]
        return labels

    def load_image(
        self, i: int, rect_mode: bool = True, resize_short: bool = False
    ) -> tuple[NDArray[np.uint8], tuple[int, int], tuple[int, int]]:
        """Decode and resize frame `i`: uint8 [h, w, 3] BGR, its size in the pack, its size now.

        Sizes are (height, width). rect_mode keeps the aspect ratio, with the long side (the short
        one with resize_short) as `imgsz`. Raises `RinrFormatError` for damage since the start.
        """
        if self.ims[i] is not None:
            return self.ims[i], self.im_hw0[i], self.im_hw[i]
        image = self._pixels(self._refs[self.im_files[i]])
        stored = image.shape[0], image.shape[1]
        size = _load_size(stored, self.imgsz, rect_mode, resize_short)
        if size != stored:
            image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
            image = image.reshape(*size, -1)
        if self.augment:
            self._remember(i, image, stored)
        return image, stored, size

    def check_cache_ram(self, safety_margin: float = 1.0) -> bool:
        """Whether all frames fit into memory, reckoned from the sizes of some."""
        # A draw a frame looked at, as for pictures: a seed then means the same for both.
        drawn = [self._sizes[random.randrange(self.ni)] for _ in range(min(self.ni, _LOOK_AT))]
        pixels = [math.prod(_load_size(size, self.imgsz, True, False)) for size in drawn]
        needed = sum(pixels) / len(pixels) * self.ni * 3 * (1 + safety_margin)
        free = psutil.virtual_memory().available
        if needed > free:
            self.cache = None
            LOGGER.warning(
                f"{self.prefix}not caching frames: {needed / 2**30:.1f} GB wanted, "
                f"{free / 2**30:.1f} GB free"
            )
        return bool(needed <= free)

    def _scan(self, pack: Path) -> list[Scanned]:
        try:
            # As YOLO orders pictures: by their names as text, where packs have f2 before f10.
            return sorted(scan(pack), key=lambda item: str(Path(item[0].path).with_suffix(".png")))
        except (RinrError, OSError) as error:
            text = str(error)
            self._failures.append(text if str(pack) in text else f"{pack}: {text}")
            return []

    def _find_labels(self, base: Path, scanned: Sequence[Scanned]) -> None:
        folder = _label_folder(base, scanned)
        if folder is not None:
            LOGGER.info(f"{self.prefix}labels from {folder} in place of the boxes in the packs")
            self._label_folders |= dict.fromkeys((ref.pack for ref, _ in scanned), folder)

    def _label(self, ref: FrameRef, frame: Frame) -> dict[str, Any]:
        boxes: Sequence[Box] = frame.boxes
        width, height = frame.width, frame.height
        if min(width, height) < _SMALLEST_SIDE:
            raise RinrInputError(f"{width}x{height} pixels, YOLO wants {_SMALLEST_SIDE} a side")
        if ref.pack in self._label_folders:
            path = self._label_folders[ref.pack] / f"{frame_stem(frame.name)}.txt"
            boxes = ()
            if path.is_file():
                labels = read_labels(path, width=width, height=height)
                boxes = labels.boxes
                for warning in (*labels.lost, *labels.warnings):
                    LOGGER.warning(f"{self.prefix}{warning}")
        values = self._values(ref, format_labels(boxes, width=width, height=height))
        return {
            "im_file": ref.path,
            "shape": (height, width),
            "cls": values[:, :1],
            "bboxes": values[:, 1:],
            "segments": [],
            "keypoints": None,
            "normalized": True,
            "bbox_format": "xywh",
        }

    def _values(self, ref: FrameRef, text: str) -> NDArray[np.float32]:
        """Label text as float32 [n, 5], judged by the rules for label files."""
        values = np.array([line.split() for line in text.splitlines()], np.float32).reshape(-1, 5)
        if not len(values):
            return values
        low, high = values[:, 1:].min(), values[:, 1:].max()
        if low < -_TOLERANCE or high > 1 + _TOLERANCE:
            worst = low if low < -_TOLERANCE else high
            raise RinrInputError(f"a box with {worst:.3f}, want values between 0 and 1")
        n_classes = len(self.data["names"])
        if not self.single_cls and values[:, 0].max() >= n_classes:
            highest = int(values[:, 0].max())
            raise RinrInputError(
                f"a box of class {highest}, the data yaml names 0 to {n_classes - 1}"
            )
        distinct = np.unique(values, axis=0)
        if len(distinct) < len(values):
            n = len(values) - len(distinct)
            LOGGER.info(f"{self.prefix}{ref.path}: {n} boxes given twice are left out")
            return distinct
        return values

    def _pixels(self, ref: FrameRef) -> NDArray[np.uint8]:
        rgb = decode_rgb(ref)
        # Releases before 8.4 know only colour.
        if getattr(self, "channels", 3) == 1:
            return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], np.uint8)
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)

    def _remember(self, i: int, image: NDArray[np.uint8], stored: tuple[int, int]) -> None:
        """Keep a frame that was used lately, from which mosaics are made."""
        self.ims[i], self.im_hw0[i], self.im_hw[i] = image, stored, image.shape[:2]
        self.buffer.append(i)
        if len(self.buffer) >= max(2, self.max_buffer_length):
            oldest = self.buffer.pop(0)
            if self.cache != "ram":
                self.ims[oldest] = self.im_hw0[oldest] = self.im_hw[oldest] = None


def _first(failures: Sequence[str]) -> str:
    """One of the failures and how many there are, since a pack may have thousands."""
    return failures[0] if len(failures) == 1 else f"{failures[0]} (and {len(failures) - 1} more)"


def _label_folder(base: Path, scanned: Sequence[Scanned]) -> Path | None:
    """The folder of label files that belongs to a folder of packs, if it labels any frame."""
    parts = base.absolute().parts
    folders = [base.parent / "labels" / base.name, base.parent / "labels", base / "labels"]
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        folders.insert(0, Path(*parts[:last], "labels", *parts[last + 1 :]))
    names = [frame_stem(outcome.name) for _, outcome in scanned if isinstance(outcome, Frame)]
    for folder in folders:
        if folder.is_dir() and any((folder / f"{name}.txt").is_file() for name in names):
            return folder
    return None


def _load_size(
    stored: tuple[int, int], imgsz: int | Sequence[int], keep_ratio: bool, short: bool
) -> tuple[int, int]:
    """The (height, width) to which a stored frame is resized for an image size."""
    size = (imgsz, imgsz) if isinstance(imgsz, int) else (imgsz[0], imgsz[1])
    if not keep_ratio:
        return size
    side = max(size)
    ratio = side / (min(stored) if short else max(stored))
    height, width = (math.ceil(value * ratio) for value in stored)
    if short:
        # The short side exactly: the product above may be a hair over it.
        return (height, side) if stored[1] <= stored[0] else (side, width)
    return min(height, side), min(width, side)

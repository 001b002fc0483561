"""A YOLO dataset over packs: frames and labels are ours, all else is Ultralytics' own."""

from __future__ import annotations

import math
import random
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray
from ultralytics.data import YOLODataset
from ultralytics.data import utils as data_utils
from ultralytics.nn.autobackend import check_class_names
from ultralytics.utils import LOCAL_RANK, LOGGER

from rinrcodec.errors import RinrError, RinrInputError, RinrMemoryError
from rinrcodec.files import RinrFile
from rinrcodec.labels.info import classes_of, differing_class
from rinrcodec.labels.yolo import Layout
from rinrcodec.pack import Frame
from rinrcodec.plugins._frames import FrameRef, StrPath, decode_rgb, find_packs, scan_file
from rinrcodec.plugins._yolo_labels import (
    REFUSES_NO_LABELS,
    LabelRules,
    Verdict,
    check_shapes,
    label_text_of,
    layout_of,
)
from rinrcodec.printing import printable
from rinrcodec.sources.picture_names import frame_stem

__all__ = ["RinrYoloDataset"]

_SHOWN = 5  # names in a message
# How many pictures Ultralytics looks at to reckon the memory for all.
_LOOK_AT = 30

Scanned = tuple[FrameRef, Frame | RinrError]


class NoFramesError(RinrInputError, RuntimeError):
    """A data set without a frame that can be used: what Ultralytics raises is a RuntimeError."""


class RinrYoloDataset(YOLODataset):
    """`YOLODataset` over packs, with the items that it gives for `rinrcodec decompress --labels`.

    img_path: a folder of packs, a pack, a list file, or several of these. Labels come from the
    packs; a folder `labels` with a file for any frame wins, and the log says so. Damaged frames
    and files are reported and left out. `cache="disk"` is not offered: a pack is that cache.

    task: "detect", "segment", "pose" or "obb". A model without keypoints takes the boxes of poses.

    Frames whose label file could not be understood when they were compressed are left out, as are
    those that Ultralytics leaves out of pictures. Raises `RinrInputError` where no frame can be
    used, where a pack names a class differently than `data`, and in training where no frame has a
    box.
    """

    def __init__(
        self, *args: Any, data: dict[str, Any], task: str = "detect", **options: Any
    ) -> None:
        if str(options.get("cache")).lower() == "disk":
            prefix = options.get("prefix", "")
            LOGGER.warning(f"{prefix}cache='disk' is not offered for packs; use cache='ram'")
            options["cache"] = None
        self._refs: dict[str, FrameRef] = {}
        self._layouts: dict[str, Layout] = {}
        self._classes: dict[str, dict[int, str]] = {}
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
        self._check_names()
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
        """Return the labels of all usable frames; write no cache file."""
        scanned, self._scanned = self._scanned, []
        failures, self._failures = self._failures, []
        self._check_keypoints()
        labels: list[dict[str, Any]] = []
        unread: list[str] = []
        notes: list[str] = []
        found = 0
        with tempfile.TemporaryDirectory(prefix="rinr-") as folder:
            rules = LabelRules(self, Path(folder))
            for ref, outcome in scanned:
                try:
                    verdict = self._judge(rules, ref, outcome)
                except RinrError as error:
                    failures.append(f"{ref.path}: {error}")
                    continue
                if verdict is None:
                    unread.append(ref.path)
                    continue
                found += verdict.found
                labels.append({"im_file": ref.path, **verdict.label})
                self._refs[ref.path] = ref
                self._sizes.append(verdict.label["shape"])
                if verdict.note:
                    notes.append(f"{ref.path}: {verdict.note}")
        n_corrupt = len(failures) + len(unread)
        if unread:
            failures.append(_unread(unread))
        if LOCAL_RANK in {-1, 0}:
            self._report(labels, notes, failures, n_corrupt)
        if not labels:
            raise NoFramesError(f"{self.img_path}: no frame can be used: {_first(failures)}")
        self.im_files = [label["im_file"] for label in labels]
        if not found:
            self._refuse_no_labels(len(labels))
        check_shapes(self, labels)
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
        """Return whether all frames fit into memory, estimated from the sizes of some."""
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
            with RinrFile(pack) as file:
                self._layouts[str(pack)] = layout_of(file.info, keypoints=self.use_keypoints)
                self._classes[str(pack)] = classes_of(file.info)
                scanned = list(scan_file(file, pack))
        except RinrMemoryError:
            raise
        except (RinrError, OSError) as error:
            text = str(error)
            self._failures.append(text if str(pack) in text else f"{pack}: {text}")
            return []
        # As YOLO orders pictures: by their names as text, where packs have f2 before f10.
        return sorted(scanned, key=lambda item: str(Path(item[0].path).with_suffix(".png")))

    def _find_labels(self, base: Path, scanned: Sequence[Scanned]) -> None:
        folder = _label_folder(base, scanned)
        if folder is not None:
            where = printable(folder)
            LOGGER.info(f"{self.prefix}labels from {where} in place of those in the packs")
            self._label_folders |= dict.fromkeys((ref.pack for ref, _ in scanned), folder)

    def _check_names(self) -> None:
        """Raise for a pack whose classes have other names: its ids would train wrong classes."""
        if self.single_cls:  # for which Ultralytics replaces all names
            return
        known = check_class_names(self.data["names"])
        origin = dict.fromkeys(known, "the data yaml")
        for pack, classes in self._classes.items():
            if not classes or pack in self._label_folders:
                continue
            names = check_class_names(list(classes.values()))
            number = differing_class(known, names)
            if number is not None:
                raise RinrInputError(
                    f"{pack}: class {number} is {names[number]!r}, and {known[number]!r} in "
                    f"{origin[number]}. Write the names of the packs in the data yaml, in their "
                    "order, or compress the pictures again with the names of the yaml."
                )
            for class_id in names:
                if known.get(class_id) == f"class_{class_id}":  # which Ultralytics makes from nc
                    known[class_id], origin[class_id] = names[class_id], pack

    def _judge(
        self, rules: LabelRules, ref: FrameRef, outcome: Frame | RinrError
    ) -> Verdict | None:
        """Return Ultralytics' view of a frame; None if its labels could not be parsed."""
        if isinstance(outcome, RinrError):
            raise outcome
        size = outcome.width, outcome.height
        if ref.pack in self._label_folders:
            return rules.judge(*size, self._label_folders[ref.pack] / _label_name(outcome))
        if not outcome.labelled:
            return None
        text = label_text_of(outcome, self._layouts[ref.pack])
        # A pack does not say whether a frame without boxes had a label file.
        return replace(rules.judge(*size, text), found=bool(text))

    def _check_keypoints(self) -> None:
        """Raise for a pose model without a number of keypoints, as Ultralytics does."""
        count, dims = self.data.get("kpt_shape", (0, 0))
        if self.use_keypoints and (count < 1 or dims not in (2, 3)):
            raise RinrInputError(
                f"kpt_shape of the data yaml is {[count, dims]}, expected the number of keypoints "
                "and 2 or 3, such as [17, 3]"
            )

    def _report(
        self,
        labels: Sequence[dict[str, Any]],
        notes: Sequence[str],
        failures: Sequence[str],
        n_corrupt: int,
    ) -> None:
        for note in notes:
            LOGGER.info(f"{self.prefix}{printable(note)}")
        for failure in failures:
            LOGGER.warning(f"{self.prefix}corrupt, left out: {printable(failure)}")
        empty = sum(not len(label["cls"]) for label in labels)
        LOGGER.info(
            f"{self.prefix}{printable(self.img_path)}: {len(labels)} frames, "
            f"{empty} without boxes, {n_corrupt} corrupt"
        )

    def _refuse_no_labels(self, n_frames: int) -> None:
        """Raise or warn, as Ultralytics does where no picture has a label file."""
        where = printable(self.img_path)
        message = f"{self.prefix}No labels found in {where}: {n_frames} frames, no boxes"
        if self.augment and REFUSES_NO_LABELS:
            raise RinrInputError(
                f"{message}. Training needs labels: add a folder `labels` of YOLO files, or "
                "compress the pictures again with their labels."
            )
        LOGGER.warning(message)

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
    """Return one of the failures and their number, since a pack may have thousands."""
    return failures[0] if len(failures) == 1 else f"{failures[0]} (and {len(failures) - 1} more)"


def _unread(paths: Sequence[str]) -> str:
    """Return the message about frames whose labels could not be understood."""
    listed = ", ".join(paths[:_SHOWN])
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return (
        f"{len(paths)} frames whose labels could not be understood: {listed}{more}; correct their "
        "label files and compress them again"
    )


def _label_name(frame: Frame) -> str:
    return f"{frame_stem(frame.name)}.txt"


def _label_folder(base: Path, scanned: Sequence[Scanned]) -> Path | None:
    """Return the folder of label files for a folder of packs, if it labels any frame."""
    parts = base.absolute().parts
    folders = [base.parent / "labels" / base.name, base.parent / "labels", base / "labels"]
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        folders.insert(0, Path(*parts[:last], "labels", *parts[last + 1 :]))
    names = [_label_name(outcome) for _, outcome in scanned if isinstance(outcome, Frame)]
    for folder in folders:
        if folder.is_dir() and any((folder / name).is_file() for name in names):
            return folder
    return None


def _load_size(
    stored: tuple[int, int], imgsz: int | Sequence[int], keep_ratio: bool, short: bool
) -> tuple[int, int]:
    """Return the (height, width) to which a stored frame is resized for an image size."""
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

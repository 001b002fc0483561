"""Labels of frames, judged by the function with which Ultralytics judges label files.

`RinrYoloDataset` calls this. What makes a label file corrupt differs from release to release, and
the function that knows it reads files. So every frame gets a stub in a temporary folder: a PNG
header of its size, and its labels as text.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ultralytics.data import YOLODataset
from ultralytics.data.utils import verify_image_label
from ultralytics.utils import LOGGER

from rinrcodec.errors import RinrInputError
from rinrcodec.labels.info import kpt_shape_of, task_of
from rinrcodec.labels.yolo import Layout, format_labels
from rinrcodec.pack import Frame
from rinrcodec.printing import printable

__all__ = [
    "REFUSES_NO_LABELS",
    "LabelRules",
    "Verdict",
    "check_shapes",
    "label_text_of",
    "layout_of",
]

# What the messages of Ultralytics say before the reason.
_CORRUPT = "corrupt image/label: "
# Newer releases look at it there, to raise an error where training finds no label file.
REFUSES_NO_LABELS = "augment" in YOLODataset.cache_labels.__code__.co_names


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ultralytics' view of a frame and its labels.

    Attributes:
        label: The entry of `YOLODataset.labels`, without "im_file".
        found: Whether there is a label file.
        note: What was changed, such as duplicates removed; "" where nothing was.
    """

    label: dict[str, Any]
    found: bool
    note: str


class LabelRules:
    """Ultralytics' rules for pictures and label files, for the frames of packs.

    Args:
        dataset: Its task, classes and keypoints count. Its `im_files` and `label_files` become
            those of the stubs.
        folder: An empty folder, for the stubs.
    """

    def __init__(self, dataset: YOLODataset, folder: Path) -> None:
        self._picture, self._labels = folder / "frame.png", folder / "frame.txt"
        self._size = (0, 0)
        self._prefix = dataset.prefix
        if hasattr(dataset, "verify_args"):
            dataset.im_files = [str(self._picture)]
            dataset.label_files = [str(self._labels)]
            self._verify, arguments = dataset.verify_args()
            self._options = next(iter(arguments))[2:]
            return
        # Releases before 8.4 build the arguments inside a longer function.
        self._verify = verify_image_label
        shape = dataset.data.get("kpt_shape", (0, 0))
        options = [dataset.prefix, dataset.use_keypoints, len(dataset.data["names"]), *shape]
        if "single_cls" in verify_image_label.__code__.co_varnames:
            options.append(dataset.single_cls)
        self._options = tuple(options)

    def judge(self, width: int, height: int, labels: str | Path) -> Verdict:
        """Judge a frame of this size.

        Args:
            width: In pixels.
            height: Likewise.
            labels: The content of its label file, or the path of a file, which may be missing.

        Raises:
            RinrInputError: Ultralytics leaves such a picture out; the message is its reason.
        """
        if self._size != (width, height):
            self._picture.write_bytes(_png_header(width, height))
            self._size = (width, height)
        if isinstance(labels, str):
            self._labels.write_text(labels, encoding="utf-8")
            labels = self._labels
        given = (str(self._picture), str(labels), *self._options)
        name, rows, shape, segments, keypoints, _, found, _, _, message = self._verify(given)
        if name is None:
            raise RinrInputError(message.rpartition(_CORRUPT)[2])
        label = {
            "shape": shape,
            "cls": rows[:, :1],
            "bboxes": rows[:, 1:],
            "segments": segments,
            "keypoints": keypoints,
            "normalized": True,
            "bbox_format": "xywh",
        }
        note = message.removeprefix(self._prefix).partition(f"{self._picture}: ")[2]
        return Verdict(label, bool(found), note)


def layout_of(info: Mapping[str, str], *, keypoints: bool) -> Layout:
    """Return the columns of the label files of a pack with this info.

    They are those that `decompress` writes. A pose is a box for models without keypoints: its
    columns could be taken for a polygon.
    """
    task = task_of(info)
    if task == "pose" and not keypoints:
        return Layout("detect")
    return Layout(task, kpt_shape_of(info))


def label_text_of(frame: Frame, layout: Layout) -> str:
    """Format the content of the label file of a frame."""
    return format_labels(frame.boxes, width=frame.width, height=frame.height, layout=layout)


def check_shapes(dataset: YOLODataset, labels: Sequence[dict[str, Any]]) -> None:
    """Compare the numbers of boxes and of polygons as Ultralytics does: warn, drop or raise."""
    if hasattr(dataset, "verify_labels"):
        dataset.verify_labels(labels, dataset.img_path)
        return
    # Releases before 8.4 do it inside a longer function, and raise nothing.
    n_boxes = sum(len(label["bboxes"]) for label in labels)
    n_polygons = sum(len(label["segments"]) for label in labels)
    if n_polygons and n_boxes != n_polygons:
        LOGGER.warning(
            f"{dataset.prefix}{printable(dataset.img_path)}: {n_boxes} boxes and "
            f"{n_polygons} polygons; the polygons of this mixed data set are not used"
        )
        for label in labels:
            label["segments"] = []
    if not n_boxes:
        LOGGER.warning(f"{dataset.prefix}{printable(dataset.img_path)}: no frame has a box")


def _png_header(width: int, height: int) -> bytes:
    """Build a PNG of this size without pixels; nothing decodes it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for chunk in (b"IHDR" + header, b"IDAT", b"IEND"):
        parts += [struct.pack(">I", len(chunk) - 4), chunk, struct.pack(">I", zlib.crc32(chunk))]
    return b"".join(parts)

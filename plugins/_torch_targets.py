"""Targets of frames as plain tensors, as torchvision's detection models and COCO take them.

`RinrDataset` and `RinrLoader` call this; docs/torch.md has the table of all entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from rinrcodec.boxes import Box
from rinrcodec.labels.info import kpt_shape_of, task_of
from rinrcodec.pack import Frame
from rinrcodec.plugins._torch_masks import has_outline, masks_of

__all__ = ["PER_BOX", "Annotations", "TargetOptions", "target_of"]

Annotations: TypeAlias = "dict[str, Any]"

# Entries of a target with one row for each box.
PER_BOX = (
    "boxes",
    "labels",
    "area",
    "iscrowd",
    "track_id",
    "score",
    "difficult",
    "keypoints",
    "visibility",
    "corners",
    "masks",
)
_VISIBLE = 2  # of a keypoint, as in COCO: 0 not labelled, 1 hidden, 2 visible


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """How targets are made; see `RinrDataset` for each."""

    tv: bool = False
    masks: bool | Literal["auto"] = "auto"
    drop_degenerate: bool = False
    first_label: int = 0


def target_of(
    frame: Frame, index: int, info: Mapping[str, str], options: TargetOptions
) -> Annotations:
    """Make the target of a frame, as plain tensors on the CPU.

    Args:
        frame: Whose boxes it has, in order.
        index: The number of the item, which becomes `image_id`.
        info: The info of its pack, for the task and the number of keypoints.
        options: Those of the data set.

    Returns:
        `boxes`, `labels`, `image_id`, `area`, `iscrowd`, `name`, and what its labels have besides.

    Raises:
        RinrFormatError: The info is no task or number of keypoints, or a mask cannot be drawn.
        RinrLimitError: Its masks would take more than 2 GiB.
    """
    boxes, task = frame.boxes, task_of(info)
    corners = [(b.x, b.y, b.x + b.w, b.y + b.h) for b in boxes]
    target: Annotations = {
        "boxes": _floats(corners).reshape(-1, 4),
        "labels": _whole(b.class_id + options.first_label for b in boxes),
        "image_id": index,
        "area": _floats([_area(b) for b in boxes]),
        "iscrowd": _whole(b.crowd for b in boxes),
        "name": frame.name,
    }
    if any(b.track_id is not None for b in boxes):
        target["track_id"] = _whole(-1 if b.track_id is None else b.track_id for b in boxes)
    if any(b.score is not None for b in boxes):
        target["score"] = _floats([np.nan if b.score is None else b.score for b in boxes])
    if any(b.difficult for b in boxes):
        target["difficult"] = _whole(b.difficult for b in boxes)
    count = max((len(b.keypoints) for b in boxes), default=0)
    if task == "pose" or count:
        count = max(count, (kpt_shape_of(info) or (0, 3))[0])
        target["keypoints"] = _floats([_points(b, count) for b in boxes]).reshape(-1, count, 3)
    if task == "obb":
        target["corners"] = _floats([_rotated(b) for b in boxes]).reshape(-1, 8)
    outlined = task == "segment" or (task != "obb" and any(map(has_outline, boxes)))
    if options.masks is True or (options.masks == "auto" and options.tv and outlined):
        target["masks"] = torch.from_numpy(masks_of(frame))
    return target


def _floats(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _whole(values: Any) -> Tensor:
    return torch.tensor([int(value) for value in values], dtype=torch.int64)


def _area(box: Box) -> float:
    """Return COCO's area, that of the outline, or that of the rectangle, in pixels."""
    given = box.attributes.get("area")
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return float(given)
    if not box.polygons:
        return box.w * box.h
    total = 0.0
    for polygon in box.polygons:
        x, y = np.asarray(polygon, np.float64).reshape(-1, 2).T
        total += abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
    return total


def _points(box: Box, count: int) -> list[tuple[float, float, float]]:
    """Return the keypoints of a box; missing ones are 0, with visibility 0."""
    known = [(p[0], p[1], p[2] if len(p) == 3 else _VISIBLE) for p in box.keypoints]
    return known + [(0.0, 0.0, 0.0)] * (count - len(known))


def _rotated(box: Box) -> tuple[float, ...]:
    """Return the four corners of a rotated box, or those of the rectangle of another."""
    if len(box.polygons) == 1 and len(box.polygons[0]) == 8:
        return box.polygons[0]
    right, bottom = box.x + box.w, box.y + box.h
    return (box.x, box.y, right, box.y, right, bottom, box.x, bottom)

"""Accuracy of a detector: average precision and recall against labelled boxes.

PSNR does not rank codecs as a detector does. `rinrcodec report --detector` and
`benchmarks/accuracy.py` show the original pictures and the decoded ones to the same detector, and
compare what it finds with the labels.

Matching a picture (`match`) is the slow part and done once. `average_precision` takes any list of
matched pictures, also one in which some occur several times, as a bootstrap draws them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.compute.devices import resolve_device
from rinrcodec.errors import MissingExtraError, RinrInputError

__all__ = [
    "CONFIDENCE",
    "Accuracy",
    "Detections",
    "Detector",
    "Matches",
    "as_rgb",
    "average_precision",
    "load_detector",
    "match",
]

# Where Ultralytics shows a detection, and where recall counts it.
CONFIDENCE = 0.25
# COCO's thresholds of the intersection over union.
_THRESHOLDS = np.linspace(0.5, 0.95, 10)
# As Ultralytics validates: average precision needs detections that are hardly likely, too.
_VALIDATION = {"conf": 0.001, "iou": 0.7, "max_det": 300}


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The detections in one picture, in any order.

    boxes: float32 [n, 4]: left, top, right and bottom in pixels.
    scores: float32 [n], from 0 to 1.
    classes: int64 [n].
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


class Detector(Protocol):
    """Anything that finds objects in pictures."""

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return the detections of every picture, uint8 RGB [h, w, 3]."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The detections of one picture, compared with its boxes.

    hits: bool [n, 10]: at which thresholds of the overlap a detection finds a box.
    scores: float32 [n].
    classes: int64 [n], of the detections.
    wanted: int64 [m], the classes of the boxes.
    """

    hits: NDArray[np.bool_]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    wanted: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How much of the labels a detector finds, from 0 to 1.

    map50: mean over the classes of the average precision, at an overlap of 0.5 or more.
    map50_95: the mean of that over the overlaps 0.5, 0.55 to 0.95, as COCO ranks detectors.
    recall50: the share of all boxes that are found at an overlap of 0.5 or more by detections with
        a score of `CONFIDENCE` or more.
    """

    map50: float
    map50_95: float
    recall50: float


def as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture as a detector takes it.

    Args:
        pixels: uint8 [H, W] or [H, W, 3].

    Returns:
        uint8 RGB [H, W, 3]; a grey picture has three equal channels.

    Example:
        >>> as_rgb(np.zeros((2, 4), np.uint8)).shape
        (2, 4, 3)
    """
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def match(detections: Detections, boxes: Sequence[Box], *, any_class: bool = False) -> Matches:
    """Match the detections of a picture with its boxes.

    At each of ten thresholds from 0.5 to 0.95, the detections choose one after the other, from the
    highest score on: each takes the free box of its class that it overlaps most, if the
    intersection over the union reaches the threshold. Boxes of crowds are left out.

    Args:
        detections: What the detector found.
        boxes: The labels, in pixels.
        any_class: Let a detection find boxes of all classes, for a detector that was trained on
            other classes than those of the labels.

    Returns:
        The matches. With `any_class`, all classes in them are 0.

    Example:
        >>> import numpy as np
        >>> found = Detections(
        ...     np.float32([[0, 0, 10, 10]]), np.float32([0.9]), np.array([3])
        ... )
        >>> match(found, [Box(3, 0, 0, 10, 8)]).hits.sum()
        np.int64(7)
    """
    boxes = [box for box in boxes if not box.crowd]
    order = np.argsort(-detections.scores, kind="stable")
    found = detections.boxes[order].reshape(-1, 4).astype(np.float64)
    classes = detections.classes[order].astype(np.int64)
    labels = np.array([(b.x, b.y, b.x + b.w, b.y + b.h) for b in boxes], np.float64).reshape(-1, 4)
    wanted = np.array([box.class_id for box in boxes], np.int64)
    if any_class:
        classes, wanted = np.zeros_like(classes), np.zeros_like(wanted)
    overlaps = _overlaps(found, labels) * (classes[:, None] == wanted)
    hits = np.zeros((len(found), len(_THRESHOLDS)), np.bool_)
    free = np.ones((len(wanted), len(_THRESHOLDS)), np.bool_)
    columns = np.arange(len(_THRESHOLDS))
    for i in np.flatnonzero((overlaps >= _THRESHOLDS[0]).any(axis=1)):
        here = overlaps[i][:, None] * free
        best = here.argmax(axis=0)
        hits[i] = here[best, columns] >= _THRESHOLDS
        free[best[hits[i]], columns[hits[i]]] = False
    return Matches(hits, detections.scores[order], classes, wanted)


def average_precision(matches: Sequence[Matches]) -> Accuracy:
    """Compute the accuracy over pictures.

    Average precision is that of Ultralytics: the area below the curve of precision over recall,
    from 101 points. It is computed for each class that the labels have, and averaged over these
    classes.

    Args:
        matches: The matches of each picture, as `match` returns them. A picture that occurs twice
            counts twice.

    Returns:
        The accuracy, each figure from 0 to 1; zeros where the pictures have no boxes.

    Raises:
        MissingExtraError: Ultralytics is not installed, and there are boxes.

    Example:
        >>> average_precision([])
        Accuracy(map50=0.0, map50_95=0.0, recall50=0.0)
    """
    wanted = np.concatenate([np.zeros(0, np.int64), *(one.wanted for one in matches)])
    if not len(wanted):
        return Accuracy(0.0, 0.0, 0.0)
    hits = np.concatenate([one.hits for one in matches])
    scores = np.concatenate([one.scores for one in matches])
    classes = np.concatenate([one.classes for one in matches])
    recall = (hits[:, 0] & (scores >= CONFIDENCE)).sum() / len(wanted)
    _quiet_ultralytics()
    from ultralytics.utils.metrics import ap_per_class

    by_class = ap_per_class(hits, scores, classes, wanted)[5]
    return Accuracy(float(by_class[:, 0].mean()), float(by_class.mean()), float(recall))


def load_detector(path: str | os.PathLike[str], *, device: str = "auto") -> Detector:
    """Load a detector of Ultralytics, such as the `best.pt` of a training.

    The file may run code when it is loaded, as all models of PyTorch: take only your own, or one
    whose source you trust. Nothing is downloaded.

    Args:
        path: The model: a file, or the folder of an exported model.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Returns:
        The detector. It takes pictures one by one, so that the result of each depends on nothing
        else, and gives up to 300 detections with scores from 0.001 on.

    Raises:
        MissingExtraError: Ultralytics is not installed.
        RinrInputError: There is no such file, or it is no detector.

    Example:
        detector = load_detector("best.pt", device="cpu")
        (found,) = detector([np.zeros((480, 640, 3), np.uint8)])
        print(found.boxes, found.scores, found.classes)
    """
    path = Path(path)
    if not path.exists():  # Ultralytics would download some names
        raise RinrInputError(
            f"{path}: no such file; pass a detector of Ultralytics, such as best.pt"
        )
    _quiet_ultralytics()
    from ultralytics import YOLO

    place = str(resolve_device(device))
    logger = logging.getLogger("ultralytics")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)  # its warnings and advice are not about detectors alone
        model = YOLO(path)
        detector = _Ultralytics(model, place)
        # YOLO only guesses the kind of an exported model from its name and loads it when it is
        # first used. A detector fails here rather than after minutes of fitting.
        if model.task == "detect":
            detector([np.zeros((64, 64, 3), np.uint8)])
    except Exception as error:  # unpickling raises errors of any kind
        raise RinrInputError(
            f"{path}: Ultralytics cannot load it ({_cause(error, path)}); pass a detector such as "
            "best.pt"
        ) from error
    finally:
        logger.setLevel(level)
    if model.task != "detect":
        raise RinrInputError(f"{path}: a model for the task {model.task}; expected one for detect")
    return detector


def _cause(error: Exception, path: Path) -> str:
    """Return the reason of an error in one line, without marks and advice of Ultralytics."""
    first = error.__cause__ or error
    sentence = str(first).partition("\n")[0].partition(". ")[0].rstrip(".")
    for known in (f"model='{path}'", str(path), "ERROR"):
        sentence = sentence.replace(known, "")
    plain = sentence.encode("ascii", "ignore").decode()  # without pictures
    return f"{type(first).__name__}: {' '.join(plain.split())}"


class _Ultralytics:
    """A model of Ultralytics as a `Detector`."""

    def __init__(self, model: Any, device: str) -> None:
        self._model = model
        self._options = {**_VALIDATION, "device": device, "verbose": False, "save": False}

    def __call__(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        return [self._detect(picture) for picture in pictures]

    def _detect(self, picture: NDArray[np.uint8]) -> Detections:
        bgr = np.ascontiguousarray(picture[..., ::-1])
        (result,) = self._model.predict(bgr, **self._options)
        found = result.boxes.cpu().numpy()
        return Detections(
            found.xyxy.astype(np.float32),
            found.conf.astype(np.float32),
            found.cls.astype(np.int64),
        )


def _quiet_ultralytics() -> None:
    """Import Ultralytics, which is not to look for its releases and fonts in the network."""
    os.environ.setdefault("YOLO_OFFLINE", "true")
    try:
        import ultralytics  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "ultralytics":
            raise
        raise MissingExtraError("ultralytics", "yolo", "measuring accuracy") from error


def _overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the intersection over union of all pairs: float64 [n, m].

    The boxes are [n, 4] and [m, 4].
    """
    corners = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.clip(corners[1] - corners[0], 0, None), axis=2)
    areas = [np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - both
    overlaps: NDArray[np.float64] = np.zeros_like(union)
    np.divide(both, union, out=overlaps, where=union > 0)
    return overlaps

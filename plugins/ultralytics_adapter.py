"""YOLO over packs: `rinrcodec.enable_ultralytics()`, or trainer classes that need no such call.

    import rinrcodec
    from ultralytics import YOLO

    rinrcodec.enable_ultralytics()
    YOLO("yolov8n.yaml").train(data="packs/data.yaml")

Ultralytics is licensed under the AGPL-3.0: an extra, which of the rest of this package only
`rinrcodec.evaluation.accuracy` imports, when it is called.
Tested with its releases 8.3.0 and 8.4.190.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rinrcodec.errors import MissingExtraError, RinrError

try:
    import ultralytics
except ModuleNotFoundError as error:
    if error.name != "ultralytics":
        raise
    raise MissingExtraError("ultralytics", "yolo") from error

from ultralytics.data import build
from ultralytics.models.yolo import detect, obb, pose, segment

from rinrcodec.plugins._frames import StrPath, find_packs
from rinrcodec.plugins._yolo_dataset import RinrYoloDataset
from rinrcodec.plugins._yolo_source import PackLoader, open_listed
from rinrcodec.sources.data_yaml import load_data_yaml

__all__ = [
    "RinrDetectionPredictor",
    "RinrDetectionTrainer",
    "RinrDetectionValidator",
    "RinrOBBPredictor",
    "RinrOBBTrainer",
    "RinrOBBValidator",
    "RinrPosePredictor",
    "RinrPoseTrainer",
    "RinrPoseValidator",
    "RinrSegmentationPredictor",
    "RinrSegmentationTrainer",
    "RinrSegmentationValidator",
    "RinrYoloDataset",
    "disable_ultralytics",
    "enable_ultralytics",
    "run_yolo",
]

# Bound once: the names in their modules are the ones that get replaced.
_Dataset = build.YOLODataset
_Loader = build.LoadImagesAndVideos
# What the adapter has replaced while it is on: (module, name) -> value.
_replaced: dict[tuple[Any, str], Any] = {}


def enable_ultralytics() -> None:
    """Let `YOLO(...).train`, `.val` and `.predict` read packs as they read pictures.

    The tasks are detect, segment, pose and obb. The call replaces names inside Ultralytics: the
    dataset class, two source loaders, and the trainer of each task. The loaders still read
    everything else. The trainers do the same in the processes of distributed training. A second
    call changes nothing. docs/yolo.md has a whole training.

    Raises:
        MissingExtraError: Ultralytics is not installed.

    Example:
        >>> import rinrcodec
        >>> rinrcodec.enable_ultralytics()
        >>> rinrcodec.disable_ultralytics()
    """
    if _replaced:
        return
    replacements: dict[tuple[Any, str], Any] = {
        (build, "YOLODataset"): _make_dataset,
        (build, "LoadImagesAndVideos"): _make_loader,
        (build, "autocast_list"): open_listed,
        (detect, "DetectionTrainer"): RinrDetectionTrainer,
        (segment, "SegmentationTrainer"): RinrSegmentationTrainer,
        (pose, "PoseTrainer"): RinrPoseTrainer,
        (obb, "OBBTrainer"): RinrOBBTrainer,
    }
    for module, name in replacements:
        if not hasattr(module, name):
            raise RinrError(
                f"ultralytics {ultralytics.__version__} has no {module.__name__}.{name}; "
                "this rinrcodec is tested with 8.3.0 to 8.4.190: pip install 'ultralytics<8.5'"
            )
    for (module, name), value in replacements.items():
        _replaced[module, name] = getattr(module, name)
        setattr(module, name, value)


def disable_ultralytics() -> None:
    """Put back what `enable_ultralytics` replaced. Does nothing if it was not called.

    Example:
        >>> import rinrcodec
        >>> rinrcodec.disable_ultralytics()
    """
    for (module, name), value in _replaced.items():
        setattr(module, name, value)
    _replaced.clear()


def run_yolo(arguments: Sequence[str]) -> None:
    """Run the command `yolo` with these arguments, in this process, with the adapter on.

    Raises `RinrInputError` for a data yaml beyond the bounds of those of `compress`.
    """
    from ultralytics.cfg import entrypoint

    for argument in arguments:
        name, _, value = argument.partition("=")
        path = Path(value)
        if name == "data" and path.suffix.lower() in {".yaml", ".yml"} and path.is_file():
            load_data_yaml(path)  # which refuses one that would take all memory
    before = list(sys.argv)
    # The command looks at this very list, which it took hold of when it was imported.
    sys.argv[:] = ["yolo", *arguments]
    try:
        with _enabled():
            entrypoint()
    finally:
        sys.argv[:] = before


@contextmanager
def _enabled() -> Iterator[None]:
    was_on = bool(_replaced)
    enable_ultralytics()
    try:
        yield
    finally:
        if not was_on:
            disable_ultralytics()


def _make_dataset(*args: Any, **options: Any) -> Any:
    path = options["img_path"] if "img_path" in options else args[0]
    return (RinrYoloDataset if _holds_packs(path) else _Dataset)(*args, **options)


def _make_loader(path: Any, *args: Any, **options: Any) -> Any:
    return (PackLoader if _holds_packs(path) else _Loader)(path, *args, **options)


def _holds_packs(path: StrPath | list[StrPath]) -> bool:
    return next(find_packs(path), None) is not None


class _BuildsFromPacks:
    """A trainer or validator whose datasets may be packs."""

    def build_dataset(self, *args: Any, **options: Any) -> Any:
        with _enabled():
            return super().build_dataset(*args, **options)  # type: ignore[misc]


class _OpensPacks:
    """A predictor whose source may be packs."""

    def setup_source(self, *args: Any, **options: Any) -> None:
        """Open the source, which may be packs."""
        with _enabled():
            super().setup_source(*args, **options)  # type: ignore[misc]


class RinrDetectionTrainer(_BuildsFromPacks, detect.DetectionTrainer):
    """For `YOLO(...).train(trainer=RinrDetectionTrainer, data=...)`."""


class RinrDetectionValidator(_BuildsFromPacks, detect.DetectionValidator):
    """For `YOLO(...).val(validator=RinrDetectionValidator, data=...)`."""


class RinrDetectionPredictor(_OpensPacks, detect.DetectionPredictor):
    """For `YOLO(...).predict(predictor=RinrDetectionPredictor, source="x.rinr")`."""


class RinrSegmentationTrainer(_BuildsFromPacks, segment.SegmentationTrainer):
    """`RinrDetectionTrainer` for the task segment."""


class RinrSegmentationValidator(_BuildsFromPacks, segment.SegmentationValidator):
    """`RinrDetectionValidator` for the task segment."""


class RinrSegmentationPredictor(_OpensPacks, segment.SegmentationPredictor):
    """`RinrDetectionPredictor` for the task segment."""


class RinrPoseTrainer(_BuildsFromPacks, pose.PoseTrainer):
    """`RinrDetectionTrainer` for the task pose."""


class RinrPoseValidator(_BuildsFromPacks, pose.PoseValidator):
    """`RinrDetectionValidator` for the task pose."""


class RinrPosePredictor(_OpensPacks, pose.PosePredictor):
    """`RinrDetectionPredictor` for the task pose."""


class RinrOBBTrainer(_BuildsFromPacks, obb.OBBTrainer):
    """`RinrDetectionTrainer` for the task obb."""


class RinrOBBValidator(_BuildsFromPacks, obb.OBBValidator):
    """`RinrDetectionValidator` for the task obb."""


class RinrOBBPredictor(_OpensPacks, obb.OBBPredictor):
    """`RinrDetectionPredictor` for the task obb."""

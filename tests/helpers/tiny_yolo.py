"""A YOLO of few channels, for tests of its data: the weights do not matter there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import yaml


def write_model(folder: Path, name: str = "yolov8.yaml") -> Path:
    """Write `tiny-NAME` into a folder, and return its path.

    It is a model of Ultralytics with a quarter of the channels of its smallest size. Ultralytics
    itself is not imported: that would change this process.
    """
    spec = find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    models = Path(spec.origin).parent / "cfg/models/v8"
    keys = yaml.safe_load((models / name).read_text(encoding="utf-8"))
    depth, width, _ = keys.pop("scales")["n"]
    keys |= {"depth_multiple": depth, "width_multiple": width / 4}
    path = folder / f"tiny-{name}"
    path.write_text(yaml.safe_dump(keys), encoding="utf-8")
    return path

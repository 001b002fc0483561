"""COCO: the annotations of one picture, to boxes with all their fields.

`coco_file.py` cuts the JSON file of a data set into the parts that this reads. `coco_writer.py`
is the way back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.labels.fields import Gathering, number, storable
from rinrcodec.labels.model import Labels
from rinrcodec.labels.outlines import bounds_of

__all__ = ["CocoReader", "nested_track"]

_BBOX = 4


@dataclass(frozen=True, slots=True)
class CocoReader:
    """Reads what a COCO file says of one picture: `{"name", "image", "annotations", "lost"}`.

    Args:
        classes: (category id, class id, number of keypoints or 0) of every category.

    Example:
        >>> part = b'{"name": "a.jpg", "annotations": [{"category_id": 7, "bbox": [4, 2, 9, 5]}]}'
        >>> CocoReader(((7, 0, 0),)).parse(part, size=(20, 10), where="train.json").boxes
        (Box(class_id=0, x=4.0, y=2.0, w=9.0, h=5.0),)
    """

    format: ClassVar[str] = "coco"
    classes: tuple[tuple[int, int, int], ...]

    def parse(self, data: bytes, *, size: tuple[int, int] | None, where: str) -> Labels:
        """Read the annotations of a picture; see `LabelReader.parse`."""
        part = json.loads(data)
        where = f"{where}: {part['name']}"
        record: dict[str, Any] = part.get("image", {})
        declared, problem = _declared_size(record, size)
        found = Gathering(size or declared, len(data))
        found.lost += [f"{where}: {text}" for text in part.get("lost", ())]
        if problem:
            found.lost.append(f"{where}: {problem}; its labels are left out")
        classes = {category: (class_id, n) for category, class_id, n in self.classes}
        for annotation in () if problem else part.get("annotations", ()):
            at = f"{where}: annotation {annotation.get('id', 'without id')}"
            say = found.warnings.append
            found.add(at, partial(_box, annotation, classes, at, say))
        known = {k: v for k, v in record.items() if k not in ("width", "height")}
        return found.labels(storable(known, where, found.warnings.append), where)


def _declared_size(
    record: Mapping[str, Any], size: tuple[int, int] | None
) -> tuple[tuple[float, float] | None, str]:
    """Return the size in an image record, and why it cannot be that of the picture."""
    if record.get("width") is None or record.get("height") is None:
        return None, ""
    try:
        width, height = number(record["width"]), number(record["height"])
    except RinrInputError as error:
        return None, f"the size of its image record: {error}"
    if width < 1 or height < 1:
        return None, f"its image record has a size of {width:g} x {height:g}"
    if size is None or (width, height) == size:
        return (width, height), ""
    problem = (
        f"its image record has {width:g} x {height:g} pixels, the picture {size[0]} x {size[1]}"
    )
    if (height, width) == size:
        problem += " after its EXIF rotation. Rotate the pictures and label them upright"
    return (width, height), problem


def _box(
    annotation: Mapping[str, Any],
    classes: Mapping[int, tuple[int, int]],
    where: str,
    say: Callable[[str], None],
) -> Box:
    """Parse the box of an annotation; raise `RinrInputError` with the reason."""
    rest = {k: v for k, v in annotation.items() if k not in ("image_id", "category_id")}
    category = annotation.get("category_id")
    if not isinstance(category, int) or category not in classes:
        raise RinrInputError(f"category {category!r} is not among the categories of the file")
    class_id, n_keypoints = classes[category]
    fields: dict[str, Any] = {}
    if polygons := _polygons(rest.get("segmentation"), where, say):
        fields["polygons"] = polygons
        del rest["segmentation"]
    if rest.get("keypoints"):
        fields["keypoints"] = _keypoints(rest.pop("keypoints"), n_keypoints)
    if isinstance(rest.get("iscrowd"), int) and rest["iscrowd"] in (0, 1):
        fields["crowd"] = bool(rest.pop("iscrowd"))
    if isinstance(rest.get("difficult"), int) and rest["difficult"] == 1:
        fields["difficult"] = bool(rest.pop("difficult"))
    if rest.get("score") is not None:
        fields["score"] = number(rest.pop("score"))
    track = _track(rest)
    if track is not None:
        fields["track_id"] = track
        if nested_track(rest) is None:
            del rest["track_id"]
    x, y, w, h = _rectangle(rest.pop("bbox", None), polygons, where, say)
    return Box(class_id, x, y, w, h, attributes=storable(rest, where, say), **fields)


def _rectangle(
    bbox: Any, polygons: tuple[tuple[float, ...], ...], where: str, say: Callable[[str], None]
) -> tuple[float, float, float, float]:
    if bbox is None and polygons:
        say(f"{where}: no bbox; the rectangle around its polygons is taken")
        return bounds_of(polygons)
    if not isinstance(bbox, list) or len(bbox) != _BBOX:
        raise RinrInputError(f"bbox {str(bbox)[:60]}, expected four numbers [x, y, width, height]")
    x, y, w, h = map(number, bbox)
    if w < 0 or h < 0:
        raise RinrInputError(f"bbox {bbox} has a negative size; expected [x, y, width, height]")
    return x, y, w, h


def _polygons(shape: Any, where: str, say: Callable[[str], None]) -> tuple[tuple[float, ...], ...]:
    """Return the polygons of a segmentation; none for other content, which the box keeps."""
    if not shape or isinstance(shape, dict):  # a mask (RLE)
        return ()
    try:
        polygons = tuple(tuple(map(number, polygon)) for polygon in shape)
    except (TypeError, RinrInputError):
        polygons = ((),)
    if all(len(polygon) >= 6 and not len(polygon) % 2 for polygon in polygons):
        return polygons
    say(
        f"{where}: the segmentation is no list of polygons of three points or more; it is kept, "
        "but not used as an outline"
    )
    return ()


def _keypoints(values: Any, expected: int) -> tuple[tuple[float, ...], ...]:
    if not isinstance(values, list) or len(values) % 3:
        raise RinrInputError(f"keypoints {str(values)[:60]}, expected x, y, visibility of each")
    numbers = list(map(number, values))
    points = tuple(tuple(numbers[i : i + 3]) for i in range(0, len(numbers), 3))
    if expected and len(points) != expected:
        raise RinrInputError(f"{len(points)} keypoints, but its category has {expected}")
    return points


def _track(fields: Mapping[str, Any]) -> int | None:
    value = fields.get("track_id", nested_track(fields))
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and -(2**63) <= value < 2**63 else None


def nested_track(fields: Mapping[str, Any]) -> Any:
    """Return the track that CVAT puts among an annotation's attributes, None if there is none."""
    nested = fields.get("attributes")
    return nested.get("track_id") if isinstance(nested, dict) else None

"""Pascal VOC: one XML file for each picture, to boxes with all their fields.

Coordinates are taken as they are: `xmin` is `x`, and `xmax - xmin` is `w`. `voc_writer.py` is the
way back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrInputError
from rinrcodec.labels.fields import Gathering, number
from rinrcodec.labels.model import Labels
from rinrcodec.labels.outlines import bounds_of
from rinrcodec.labels.xml_tree import parse_xml

__all__ = ["VocReader", "far_edge", "names_used", "read_annotation"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class VocReader:
    """Reads Pascal VOC files.

    Args:
        classes: (name, class id) of every class.

    Example:
        >>> text = b"<annotation><object><name>car</name><bndbox><xmin>4</xmin><ymin>2</ymin>"
        >>> text += b"<xmax>13</xmax><ymax>7</ymax></bndbox></object></annotation>"
        >>> VocReader((("car", 0),)).parse(text, size=(20, 10), where="a.xml").boxes
        (Box(class_id=0, x=4.0, y=2.0, w=9.0, h=5.0),)
    """

    format: ClassVar[str] = "voc"
    classes: tuple[tuple[str, int], ...]

    def parse(self, data: bytes, *, size: tuple[int, int] | None, where: str) -> Labels:
        """Read a file; see `LabelReader.parse`."""
        try:
            content = read_annotation(data)
            declared, rest = _declared_size(content.pop("size", None), size)
        except RinrInputError as error:
            return Labels(lost=(f"{where}: {error}; its labels are left out",))
        found = Gathering(size or declared, len(data))
        classes = dict(self.classes)
        for i, item in enumerate(_listed(content.pop("object", None)), start=1):
            at = f"{where}: object {i}"
            found.add(at, partial(_box, item, classes, at, found.warnings.append))
        if rest:
            content["size"] = rest
        return found.labels(content, where)


def read_annotation(data: bytes) -> dict[str, Any]:
    """Return the labels in a VOC file of a picture, in the form of `parse_xml`.

    Raises:
        RinrInputError: It is no such file.
    """
    name, content = parse_xml(data)
    if name == "annotations":
        raise RinrInputError(
            "CVAT's own XML, which lists many pictures; export the task as COCO or Pascal VOC"
        )
    if name != "annotation":
        raise RinrInputError(f"XML of {name[:40]!r}, expected an <annotation> of Pascal VOC")
    return content if isinstance(content, dict) else {}


def names_used(data: bytes) -> set[str]:
    """Read the class names in a VOC file; raise `RinrInputError` for other files."""
    objects = _listed(read_annotation(data).get("object"))
    return {name for one in objects if isinstance(one, dict) and (name := _name(one))}


def far_edge(start: float, length: float) -> float:
    """Return the end of a side, without the rounding error of the sum."""
    return round(start + length, _DECIMALS)


def _declared_size(
    value: Any, size: tuple[int, int] | None
) -> tuple[tuple[float, float] | None, dict[str, Any]]:
    """Return the size that a file has for its picture, and its other keys there."""
    if not isinstance(value, dict):
        return None, {}
    rest = {key: v for key, v in value.items() if key not in ("width", "height")}
    width, height = (_float(value.get(key, 0), "size") for key in ("width", "height"))
    if width < 1 or height < 1:  # labelling tools write 0 where they do not know
        return None, rest
    if size is None or (width, height) == size:
        return (width, height), rest
    problem = f"size is {width:g} x {height:g}, the picture has {size[0]} x {size[1]} pixels"
    if (height, width) == size:
        problem += " after its EXIF rotation. Rotate the pictures and label them upright"
    raise RinrInputError(problem)


def _box(item: Any, classes: Mapping[str, int], where: str, say: Callable[[str], None]) -> Box:
    """Parse the box of an object; raise `RinrInputError` with the reason."""
    if not isinstance(item, dict) or not (name := _name(item)):
        raise RinrInputError("no name")
    if name not in classes:
        raise RinrInputError(f"class {name!r} is not among the names of the data set")
    rest = dict(item)
    if isinstance(rest["name"], str):
        del rest["name"]
    else:
        rest["name"] = {key: v for key, v in rest["name"].items() if key != "#text"}
    polygons = _polygons(rest.get("polygon"), where, say)
    if polygons:
        del rest["polygon"]
    said = rest.get("difficult")
    difficult = isinstance(said, str) and said.strip() == "1"
    if difficult or said == "0":
        del rest["difficult"]
    x, y, w, h = _rectangle(rest, polygons, where, say)
    return Box(classes[name], x, y, w, h, polygons=polygons, difficult=difficult, attributes=rest)


def _name(item: Mapping[str, Any]) -> str:
    name = item.get("name")
    if isinstance(name, dict):
        name = name.get("#text")
    return name.strip() if isinstance(name, str) else ""


def _rectangle(
    rest: dict[str, Any],
    polygons: tuple[tuple[float, ...], ...],
    where: str,
    say: Callable[[str], None],
) -> tuple[float, float, float, float]:
    """Return the rectangle of an object; its other keys stay in `bndbox`."""
    bndbox = rest.pop("bndbox", None)
    if bndbox is None and polygons:
        say(f"{where}: no bndbox; the rectangle around its polygon is taken")
        return bounds_of(polygons)
    if not isinstance(bndbox, dict):
        other = "a rotated robndbox, which is not read" if "robndbox" in rest else "no bndbox"
        raise RinrInputError(f"{'several bndbox' if isinstance(bndbox, list) else other}")
    missing = [key for key in _CORNERS if key not in bndbox]
    if missing:
        raise RinrInputError(f"bndbox has no {' and '.join(missing)}")
    x, y, right, bottom = (_float(bndbox[key], key) for key in _CORNERS)
    if right < x or bottom < y:
        raise RinrInputError(f"bndbox ends at {right:g}, {bottom:g} before it begins, {x:g}, {y:g}")
    more = {key: v for key, v in bndbox.items() if key not in _CORNERS}
    for key, start, end in (("xmax", x, right), ("ymax", y, bottom)):
        if far_edge(start, end - start) != end:
            more[key] = bndbox[key]
    if more:
        rest["bndbox"] = more
    return x, y, right - x, bottom - y


def _polygons(value: Any, where: str, say: Callable[[str], None]) -> tuple[tuple[float, ...], ...]:
    """Return polygons of `x1`, `y1`, `x2`, ...; none for other content."""
    polygons = []
    for one in _listed(value):
        points = one if isinstance(one, dict) else {}
        n = len(points) // 2
        try:
            polygon = [_float(points.get(f"{k}{i + 1}"), k) for i in range(n) for k in "xy"]
        except RinrInputError:
            polygon = []
        if n < 3 or len(polygon) != len(points):
            say(f"{where}: a polygon not of x1, y1, x2, ...; it is kept, but not as an outline")
            return ()
        polygons.append(tuple(polygon))
    return tuple(polygons)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _float(value: Any, what: str) -> float:
    try:
        return number(float(value))
    except (TypeError, ValueError, RinrInputError):
        raise RinrInputError(f"{what} {str(value)[:40]!r} is not a number") from None

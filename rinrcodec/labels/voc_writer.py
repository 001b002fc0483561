"""Pascal VOC: frames of packs back to XML files. `decompress` calls this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rinrcodec.boxes import Box
from rinrcodec.labels.fields import short
from rinrcodec.labels.voc import far_edge
from rinrcodec.labels.xml_tree import holdable, xml_name, xml_text
from rinrcodec.pack import Frame

__all__ = ["split_attributes", "voc_text"]

_OF_FRAME = {"object"}
_OF_BOX = {"name", "bndbox", "difficult"}
# Elements that the format has itself, where only what is more than the usual is an attribute.
_MERGED = {"size", "name", "bndbox"}


def voc_text(frame: Frame, file_name: str, names: Mapping[int, str]) -> str:
    """Format the VOC file of a frame; fields that VOC cannot hold are left out.

    Args:
        frame: A frame with its boxes.
        file_name: Of its picture.
        names: Class names by class id; a class without one is `class_7`.
    """
    kept, _ = split_attributes(frame.attributes, _OF_FRAME)
    more = kept.pop("size", {})
    content: dict[str, Any] = {"filename": file_name}
    if "folder" in kept:
        content = {"folder": kept.pop("folder")} | content
    channels = "1" if frame.mode == "L" else "3"
    size = {"width": str(frame.width), "height": str(frame.height), "depth": channels}
    content |= {**kept, "size": {**size, **more}}
    if frame.boxes:
        content["object"] = [_object(box, names) for box in frame.boxes]
    return xml_text("annotation", content)


def split_attributes(
    attributes: Mapping[str, Any], reserved: set[str] = _OF_BOX
) -> tuple[dict[str, Any], list[str]]:
    """Return the attributes that VOC can hold (texts and elements of texts), and other names."""
    kept: dict[str, Any] = {}
    left = []
    for name, value in attributes.items():
        if name in _MERGED:
            fits = isinstance(value, dict)
        elif name in ("filename", "file_name"):  # that of the picture is written
            continue
        else:
            fits = name not in reserved or (name == "difficult" and isinstance(value, str))
        attribute = name.startswith("@") and isinstance(value, str)
        if fits and holdable(value) and (attribute or xml_name(name)):
            kept[name] = value
        else:
            left.append(name)
    return kept, left


def _object(box: Box, names: Mapping[int, str]) -> dict[str, Any]:
    kept, _ = split_attributes(box.attributes)
    name: Any = names.get(box.class_id, f"class_{box.class_id}")
    if more := kept.pop("name", None):
        name = {**more, "#text": name}
    edges = (box.x, box.y, far_edge(box.x, box.w), far_edge(box.y, box.h))
    bndbox = {
        key: _digits(value)
        for key, value in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
    }
    bndbox |= kept.pop("bndbox", {})
    polygons = [
        {f"{'xy'[i % 2]}{i // 2 + 1}": _digits(value) for i, value in enumerate(polygon)}
        for polygon in box.polygons
    ]
    result = {"name": name, **kept}
    # VOC has no crowds; its evaluation leaves difficult objects out, as that of COCO does crowds.
    result.setdefault("difficult", str(int(box.difficult or box.crowd)))
    result["bndbox"] = bndbox
    if polygons:
        result["polygon"] = polygons
    return result


def _digits(value: float) -> str:
    return str(short(value))

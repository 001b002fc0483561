"""Labels beyond class and rectangle, as JSON: what the tables FRAME_LABELS and BOX_LABELS hold.

The reader and the writer call this. JSON takes fewer bytes than binary floats here: coordinates of
labels have few decimals, and zstd finds the repeated names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.limits import Limits

__all__ = ["decode_extras", "encode_attributes", "encode_extras", "frame_labels"]

# Field of `Box` -> the type of its value in JSON.
_TYPES: dict[str, type | tuple[type, ...]] = {
    "polygons": list,
    "keypoints": list,
    "track_id": int,
    "score": (int, float),
    "crowd": bool,
    "difficult": bool,
    "attributes": dict,
}


def encode_extras(box: Box, limits: Limits, what: str) -> bytes:
    """The fields of a box beside class and rectangle as JSON; nothing where there are none."""
    extras = box.extras
    for name in ("polygons", "keypoints"):
        if name in extras:
            extras[name] = [[_short(value) for value in shape] for shape in extras[name]]
    if "score" in extras:
        extras["score"] = _short(extras["score"])
    if "track_id" in extras:
        extras["track_id"] = int(extras["track_id"])
    return _encode(extras, limits, what)


def decode_extras(data: bytes, limits: Limits) -> dict[str, Any]:
    """The inverse of `encode_extras`, as keywords of `Box`; raises `RinrFormatError`."""
    extras = _decode(data, limits, "the label of a box")
    for name, value in extras.items():
        wanted = _TYPES.get(name)
        if wanted is None or not isinstance(value, wanted):
            raise RinrFormatError(f"the label of a box has {name[:40]!r}: {str(value)[:40]!r}")
        if isinstance(value, bool) and wanted is not bool:
            raise RinrFormatError(f"the label of a box has {name!r}: {value}")
    for name in ("polygons", "keypoints"):
        if name in extras:
            extras[name] = _shapes(extras[name], name)
    try:
        Box(0, 0, 0, 0, 0, **extras)
    except (RinrInputError, OverflowError) as error:
        raise RinrFormatError(f"the label of a box is wrong: {error}") from error
    return extras


def encode_attributes(attributes: Mapping[str, Any], limits: Limits, what: str) -> bytes:
    """The attributes of a frame as JSON; nothing where there are none."""
    return _encode(dict(attributes), limits, what)


def frame_labels(labelled: int, attributes: bytes, limits: Limits) -> dict[str, Any]:
    """A row of FRAME_LABELS as keywords of `Frame`; raises `RinrFormatError`."""
    if labelled > 1:
        raise RinrFormatError(f"a frame has {labelled} as `labelled`, expected 0 or 1")
    known = _decode(attributes, limits, "the label of a frame")
    return {"labelled": bool(labelled), "attributes": known}


def _encode(value: Mapping[str, Any], limits: Limits, what: str) -> bytes:
    if not value:
        return b""
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        data = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RinrFormatError(f"{what} has a label that JSON cannot hold ({error})") from error
    limits.check("max_label_bytes", len(data), f"bytes of a label of {what}")
    return data


def _decode(data: bytes, limits: Limits, what: str) -> dict[str, Any]:
    if not data:
        return {}
    limits.check("max_label_bytes", len(data), f"bytes of {what}")
    try:
        value = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise RinrFormatError(f"{what} is not JSON: {data[:80]!r}") from error
    if not isinstance(value, dict) or not value:
        raise RinrFormatError(f"{what} is no JSON object with fields: {data[:80]!r}")
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _short(value: float) -> float | int:
    """A number that is written with the fewest digits and read back as an equal one."""
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _shapes(shapes: Sequence[Any], name: str) -> tuple[tuple[float, ...], ...]:
    result = []
    for shape in shapes:
        if not isinstance(shape, list) or not all(type(v) in (int, float) for v in shape):
            raise RinrFormatError(f"the label of a box has {name} that are no lists of numbers")
        try:
            result.append(tuple(map(float, shape)))
        except OverflowError as error:
            raise RinrFormatError(f"the label of a box has {name} beyond float64") from error
    return tuple(result)

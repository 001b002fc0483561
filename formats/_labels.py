"""Labels beyond class and rectangle: what a row of FRAME_LABELS or BOX_LABELS means.

The reader and the writer call this. Coordinates of labels are short decimals, so a box stores them
as integers: differences of neighbours, in a unit that its points share. Of outlines, that takes
fewer bytes than JSON after zstd (docs/results/label_bytes.md). All else is JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.errors import RinrFormatError
from rinrcodec.formats.schema import from_planes, to_planes
from rinrcodec.limits import Limits
from rinrcodec.strict_json import check_nesting, unique_keys

__all__ = ["decode_extras", "encode_attributes", "encode_extras", "frame_labels"]

FLOATS = 255  # in place of the number of decimals: the coordinates are float64
MOST_DECIMALS = 9
MOST_DEPTH = 32  # of lists and objects inside each other
MOST_DIGITS = 300  # of an integer; longer ones take Python quadratic time
_WHOLE = 2**53  # float64 holds integers up to this exactly, so every reader gets the same quotients

Shapes = Sequence[Sequence[float]]

# Field of `Box` -> the types of its value in JSON, and what the value is.
_FIELDS: dict[str, tuple[tuple[type, ...], str]] = {
    "polygons": ((list,), "a list with 3 or more for each"),
    "keypoints": ((list,), "a list of how many there are, and 2 or 3"),
    "track_id": ((int,), "an integer"),
    "score": ((int, float), "a number"),
    "crowd": ((bool,), "true"),
    "difficult": ((bool,), "true"),
    "attributes": ((dict,), "an object"),
}


def encode_extras(box: Box, what: str) -> tuple[bytes, bytes]:
    """Encode the columns `extras` and `shapes` of a box; both are empty for a plain one."""
    extras = box.extras
    if not extras:
        return b"", b""
    layout = _Layout.of(box.polygons, box.keypoints)
    if box.polygons:
        extras["polygons"] = list(layout.polygons)
    if box.keypoints:
        extras["keypoints"] = [layout.keypoints, layout.dims]
    numbers = [value for shape in (*box.polygons, *box.keypoints) for value in shape]
    return _encode(extras, what), _encode_shapes(numbers, layout)


def decode_extras(data: bytes, shapes: bytes) -> dict[str, Any]:
    """Decode the columns of `encode_extras` as keywords of `Box`, which checks the values.

    Raises:
        RinrFormatError: The bytes are no label.
    """
    if not data and not shapes:
        return {}
    extras = _decode(data, "the label of a box")
    for name, value in extras.items():
        if name not in _FIELDS:
            raise RinrFormatError(f"the label of a box has the unknown field {name[:40]!r}")
        if type(value) not in _FIELDS[name][0] or value is False:
            raise _wrong(name, value)
    layout = _layout(extras, len(shapes))
    numbers = _decode_shapes(shapes, layout)
    at = 0
    for name, lengths in layout.lengths.items():
        parts = []
        for length in lengths:
            parts.append(tuple(numbers[at : at + length]))
            at += length
        extras[name] = tuple(parts)
    return extras


def encode_attributes(attributes: Mapping[str, Any], what: str) -> bytes:
    """Encode the attributes of a frame as JSON, empty if there are none."""
    return _encode(dict(attributes), what) if attributes else b""


def frame_labels(labelled: int, attributes: bytes, limits: Limits) -> dict[str, Any]:
    """Decode a row of FRAME_LABELS as keywords of `Frame`; raise `RinrFormatError` on faults."""
    if labelled > 1:
        raise RinrFormatError(f"a frame has {labelled} as `labelled`, expected 0 or 1")
    limits.check("max_label_bytes", len(attributes), "bytes of the attributes of a frame")
    known = _decode(attributes, "the label of a frame") if attributes else {}
    return {"labelled": bool(labelled), "attributes": known}


class _Layout(NamedTuple):
    """The points of each polygon, the number of keypoints, and the numbers of each keypoint."""

    polygons: tuple[int, ...]
    keypoints: int
    dims: int

    @classmethod
    def of(cls, polygons: Shapes, keypoints: Shapes) -> _Layout:
        points = tuple(len(polygon) // 2 for polygon in polygons)
        return cls(points, len(keypoints), len(keypoints[0]) if keypoints else 2)

    @property
    def lengths(self) -> dict[str, list[int]]:
        """The numbers of every polygon and keypoint, by the fields of `Box` that there are."""
        lengths = {
            "polygons": [2 * points for points in self.polygons],
            "keypoints": [self.dims] * self.keypoints,
        }
        return {name: listed for name, listed in lengths.items() if listed}

    @property
    def axes(self) -> list[int]:
        """How many x, how many y, and how many visibilities there are."""
        n = sum(self.polygons) + self.keypoints
        return [n, n, self.keypoints][: self.dims]

    def split(self, numbers: NDArray[Any]) -> list[NDArray[Any]]:
        """Split numbers in the order of a label into all x, all y and all visibilities."""
        n = 2 * sum(self.polygons)
        outline, joints = numbers[:n], numbers[n:]
        return [
            np.concatenate(
                [outline[axis::2] if axis < 2 else outline[:0], joints[axis :: self.dims]]
            )
            for axis in range(self.dims)
        ]

    def join(self, axes: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Join what `split` returns."""
        n = sum(self.polygons)
        numbers = np.empty(sum(map(len, axes)), axes[0].dtype)
        for i, axis in enumerate(axes):
            start = n if i < 2 else 0
            numbers[2 * n + i :: self.dims] = axis[start:]
            if i < 2:
                numbers[i : 2 * n : 2] = axis[:n]
        return numbers


def _layout(extras: Mapping[str, Any], n_bytes: int) -> _Layout:
    """Read the layout of the shapes from the JSON of a box; `n_bytes` must be enough for them."""
    polygons, keypoints = extras.get("polygons", [3]), extras.get("keypoints", [1, 2])
    if not polygons or not all(type(n) is int and n >= 3 for n in polygons):
        raise _wrong("polygons", polygons)
    if [type(n) for n in keypoints] != [int, int] or keypoints[0] < 1 or keypoints[1] not in (2, 3):
        raise _wrong("keypoints", keypoints)
    polygons = polygons if "polygons" in extras else []
    count, dims = keypoints if "keypoints" in extras else (0, 2)
    # Before memory is taken for them: each number takes a byte or more.
    if 2 * sum(polygons) + count * dims > n_bytes:
        raise RinrFormatError(
            f"the label of a box has {n_bytes:,} bytes for the coordinates of "
            f"{len(polygons):,} polygons and {count:,} keypoints"
        )
    return _Layout(tuple(polygons), count, dims)


def _encode_shapes(numbers: Sequence[float], layout: _Layout) -> bytes:
    """Encode coordinates as `SPEC.md` defines; nothing if there are none."""
    if not numbers:
        return b""
    floats = np.array(numbers, "<f8")
    found = _as_integers(floats)
    if found is None:
        return bytes([FLOATS]) + to_planes(floats)
    decimals, integers = found
    units, steps = [], []
    for axis in layout.split(integers):
        unit = int(np.gcd.reduce(axis)) or 1
        step = axis // unit
        step[1:] -= step[:-1].copy()
        units.append(unit)
        steps.append(step << 1 ^ step >> 63)  # 0, -1, 1, -2, ... become 0, 1, 2, 3, ...
    stored = np.concatenate([units, *steps]).astype("<u8")
    width = (int(stored.max()).bit_length() + 7) // 8
    return bytes([decimals]) + to_planes(stored)[: width * len(stored)]


def _decode_shapes(data: bytes, layout: _Layout) -> list[float]:
    """Decode the bytes of `_encode_shapes`."""
    n_numbers = sum(layout.axes)
    if not n_numbers and not data:
        return []
    floats = data[:1] == bytes([FLOATS])
    n_units = 0 if floats else layout.dims
    width, rest = divmod(len(data) - 1, max(n_numbers + n_units, 1))
    if not n_numbers or rest or not (width == 8 if floats else 1 <= width <= 8):
        raise RinrFormatError(
            f"the label of a box has {len(data):,} bytes for {n_numbers:,} coordinates"
        )
    numbers: list[float]
    if floats:
        numbers = from_planes(np.dtype("<f8"), n_numbers, data, 1)[0].tolist()
        return numbers
    if data[0] > MOST_DECIMALS:
        raise RinrFormatError(f"the label of a box has coordinates of {data[0]} decimals")
    padded = data[1:].ljust(8 * (n_numbers + n_units), b"\0")
    stored, _ = from_planes(np.dtype("<u8"), n_numbers + n_units, padded, 0)
    steps = (stored >> 1).view("<i8") ^ -(stored & 1).view("<i8")
    axes, at = [], n_units
    for unit, n in zip(stored[:n_units].tolist(), layout.axes, strict=True):
        axis = np.cumsum(steps[at : at + n])
        at += n
        largest = max(-int(axis.min(initial=0)), int(axis.max(initial=0)))
        if not unit:
            raise RinrFormatError("the label of a box has coordinates without a unit")
        if unit * max(largest, 1) > _WHOLE:
            raise RinrFormatError("the label of a box has coordinates of more than 53 bits")
        axes.append(axis * unit)
    numbers = (layout.join(axes) / 10 ** data[0]).tolist()
    return numbers


def _as_integers(numbers: NDArray[np.float64]) -> tuple[int, NDArray[np.int64]] | None:
    """Find the fewest exact decimals; return them, and the numbers without their point."""
    largest = float(np.abs(numbers).max())
    for decimals in range(MOST_DECIMALS + 1):
        scale = 10**decimals
        if largest * scale > _WHOLE:
            return None
        integers = np.rint(numbers * scale)
        if (integers / scale == numbers).all():
            return decimals, integers.astype(np.int64)
    return None


def _wrong(name: str, value: Any) -> RinrFormatError:
    found = str(value)[:40]
    return RinrFormatError(f"the label of a box has {name!r}: {found}, expected {_FIELDS[name][1]}")


def _encode(value: Mapping[str, Any], what: str) -> bytes:
    try:
        _check_json(value)
        return _ENCODER.encode(value).encode()
    except ValueError as error:
        raise RinrFormatError(f"{what} has a label that JSON cannot hold: {error}") from error


def _decode(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = _DECODER.decode(data.decode())
        _check_json(value)
    except RecursionError as error:
        raise RinrFormatError(f"{what} is not JSON: {_TOO_DEEP}") from error
    except ValueError as error:
        reason = f"{error}"[:80]
        raise RinrFormatError(f"{what} is not JSON: {reason}, in {data[:40]!r}") from error
    if not isinstance(value, dict) or not value:
        raise RinrFormatError(f"{what} is no JSON object with fields: {data[:40]!r}")
    return value


def _check_json(value: Any) -> None:
    """Raise `ValueError` for a value that does not come back from JSON as it was."""
    check_nesting(value, most_depth=MOST_DEPTH, most_digits=MOST_DIGITS)
    _check_types(value)


def _check_types(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number of JSON")
    elif isinstance(value, Mapping | list | tuple):
        if isinstance(value, Mapping):
            for name in value:
                if not isinstance(name, str):
                    raise ValueError(f"the name {name!r:.40} is no text")
                _check_text(name)
            value = value.values()
        for item in value:
            _check_types(item)
    elif value is not None and not isinstance(value, int):
        raise ValueError(f"a {type(value).__name__} is no value of JSON")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text[:40]!r} has half of a surrogate pair") from error


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MOST_DIGITS:
        raise ValueError(_TOO_LONG)
    return int(text)


_TOO_DEEP = f"more than {MOST_DEPTH} lists and objects inside each other"
_TOO_LONG = f"an integer of more than {MOST_DIGITS} digits"
_DECODER = json.JSONDecoder(object_pairs_hook=unique_keys, parse_int=_integer)
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)

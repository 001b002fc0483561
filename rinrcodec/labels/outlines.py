"""Outlines of objects: polygons (x1, y1, x2, y2, ...), their bounds and areas, and joined ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["area_of", "bounds_of", "joined"]

_Points: TypeAlias = NDArray[np.float64]  # [n, 2]

# Points of a part at most that are looked at for the nearest two, where parts are few or many.
_COMPARED, _COMPARED_OF_MANY = 1000, 100
_MANY = 200


def bounds_of(polygons: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    """Compute the x, y, w, h of the rectangle around polygons (x1, y1, x2, y2, ...)."""
    xs = [x for polygon in polygons for x in polygon[0::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def area_of(polygon: Sequence[float]) -> float:
    """Compute the area of a polygon (x1, y1, x2, y2, ...), by the shoelace formula."""
    xs, ys = polygon[0::2], polygon[1::2]
    pairs = zip(xs, ys, (*xs[1:], xs[0]), (*ys[1:], ys[0]), strict=True)
    return abs(sum(x * next_y - next_x * y for x, y, next_x, next_y in pairs)) / 2


def joined(polygons: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Join several polygons to one, for formats that hold one.

    The parts are connected there and back by a line between their nearest points, which has no
    area. The largest part comes first; each other one joins what is connected already. Of more than
    200 parts, each one joins a neighbour instead, so that the time grows with their number only.

    Args:
        polygons: At least one.

    Returns:
        x1, y1, x2, y2, ...: all points of all parts, and those of the lines a second time.

    Example:
        >>> joined([(0, 0, 2, 0, 2, 2, 0, 2), (4, 2, 6, 2, 6, 4)])
        (0.0, 0.0, 2.0, 0.0, 2.0, 2.0, 4.0, 2.0, 6.0, 2.0, 6.0, 4.0, 4.0, 2.0, 2.0, 2.0, 0.0, 2.0)
    """
    if len(polygons) > _MANY:
        return _chained([_points(polygon) for polygon in polygons])
    whole, *others = (_points(polygon) for polygon in sorted(polygons, key=area_of, reverse=True))
    for part in others:
        i, j = _nearest(whole, part, _COMPARED)
        # ... whole[i] | part[j], the other points of the part, part[j] | whole[i] ...
        whole = np.concatenate([whole[: i + 1], _from(part, j), whole[i:]])
    return tuple(whole.flatten().tolist())


def _chained(parts: Sequence[_Points]) -> tuple[float, ...]:
    """Join each part to the one before it: all the way to the last part, then back."""
    whole, *others = (parts[i] for i in _path([part[0] for part in parts]))
    there: list[_Points] = []
    back: list[_Points] = []
    for part in others:
        i, j = _nearest(whole, part, _COMPARED_OF_MANY)
        there.append(whole[: i + 1])
        back.append(whole[i:])
        whole = _from(part, j)
    return tuple(np.concatenate([*there, whole, *reversed(back)]).flatten().tolist())


def _path(points: Sequence[NDArray[np.float64]]) -> list[int]:
    """Order points so that the next one is near.

    The path runs in strips, to the right and to the left in turn.

    1 - 2 --- 3
              |
    6 --- 5 - 4
    """
    x, y = np.asarray(points).T
    n_strips = int(len(x) ** 0.5)
    strip = np.argsort(np.argsort(y, kind="stable"), kind="stable") * n_strips // len(x)
    return [int(i) for i in np.lexsort([np.where(strip % 2, -x, x), strip])]


def _points(polygon: Sequence[float]) -> _Points:
    return np.reshape(np.asarray(polygon, np.float64), (-1, 2))


def _nearest(whole: _Points, part: _Points, most: int) -> tuple[int, int]:
    """Find the numbers of the nearest points of two outlines, among about `most` of each."""
    steps = [1 + len(points) // most for points in (whole, part)]
    squares = (whole[:: steps[0], None] - part[:: steps[1]]) ** 2
    distances = squares[..., 0] + squares[..., 1]
    i, j = divmod(int(distances.argmin()), distances.shape[1])
    return i * steps[0], j * steps[1]


def _from(part: _Points, j: int) -> _Points:
    """Return all points of a part from number `j` on, and that one again."""
    return np.concatenate([part[j:], part[: j + 1]])

"""Outlines of objects: polygons (x1, y1, x2, y2, ...), their bounds and areas, and joined ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["area_of", "bounds_of", "joined"]

_COMPARED = 1000  # points of a part at most that are looked at for the nearest two


def bounds_of(polygons: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    """The x, y, w, h of the rectangle around polygons (x1, y1, x2, y2, ...)."""
    xs = [x for polygon in polygons for x in polygon[0::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def area_of(polygon: Sequence[float]) -> float:
    """The area of a polygon (x1, y1, x2, y2, ...), by the shoelace formula."""
    xs, ys = polygon[0::2], polygon[1::2]
    pairs = zip(xs, ys, (*xs[1:], xs[0]), (*ys[1:], ys[0]), strict=True)
    return abs(sum(x * next_y - next_x * y for x, y, next_x, next_y in pairs)) / 2


def joined(polygons: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """One polygon in place of several, for formats that hold one.

    The parts are connected there and back by a line between their nearest points, which has no
    area. The largest part comes first; each other one joins what is connected already.

    Args:
        polygons: At least one.

    Returns:
        x1, y1, x2, y2, ...: all points of all parts, and those of the lines a second time.

    Example:
        >>> joined([(0, 0, 2, 0, 2, 2, 0, 2), (4, 2, 6, 2, 6, 4)])
        (0.0, 0.0, 2.0, 0.0, 2.0, 2.0, 4.0, 2.0, 6.0, 2.0, 6.0, 4.0, 4.0, 2.0, 2.0, 2.0, 0.0, 2.0)
    """
    first, *others = sorted(polygons, key=area_of, reverse=True)
    whole = np.reshape(np.asarray(first, float), (-1, 2))
    for other in others:
        part = np.reshape(np.asarray(other, float), (-1, 2))
        steps = [1 + len(points) // _COMPARED for points in (whole, part)]
        distances = ((whole[:: steps[0], None] - part[None, :: steps[1]]) ** 2).sum(2)
        nearest = np.unravel_index(distances.argmin(), distances.shape)
        i, j = (int(n) * step for n, step in zip(nearest, steps, strict=True))
        # ... whole[i] | part[j], the other points of the part, part[j] | whole[i] ...
        bridge = np.concatenate([part[j:], part[: j + 1]])
        whole = np.concatenate([whole[: i + 1], bridge, whole[i:]])
    return tuple(whole.flatten().tolist())

"""Atlases: pictures in which the residuals of many objects are side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Region

__all__ = ["filled", "overlap", "packed", "tracks"]


def packed(sizes: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Place rectangles side by side in a picture that is about a square.

    They are put on shelves, from the highest to the lowest.

    Args:
        sizes: The width and height of each.

    Returns:
        The width and height of the picture, and the top-left pixel (x, y) of each rectangle.

    Example:
        >>> packed([(4, 2), (3, 5)])
        ((4, 7), [(0, 5), (0, 0)])
    """
    order = sorted(range(len(sizes)), key=lambda i: (-sizes[i][1], -sizes[i][0]))
    side = math.isqrt(sum(width * height for width, height in sizes))
    most = max(side, *(width for width, _ in sizes))
    corners = [(0, 0)] * len(sizes)
    x = y = shelf = right = 0
    for i in order:
        width, height = sizes[i]
        if x + width > most:
            x, y, shelf = 0, y + shelf, 0
        corners[i] = x, y
        x, shelf = x + width, max(shelf, height)
        right = max(right, x)
    return (right, y + shelf), corners


def filled(
    size: tuple[int, int],
    cells: Sequence[tuple[Region, NDArray[np.uint8]]],
    below: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Return a picture with residuals in their cells.

    A residual smaller than its cell is continued by the samples at its edges.

    Args:
        size: Width and height of the picture.
        cells: Cells, and the samples to put into each: uint8 [h, w, channels].
        below: What shows between the cells: uint8, [height, width, channels] or one sample.
    """
    width, height = size
    picture: NDArray[np.uint8] = np.empty((height, width, below.shape[-1]), np.uint8)
    picture[:] = below
    for cell, samples in cells:
        down, across = (
            most - have
            for most, have in zip((cell.height, cell.width), samples.shape[:2], strict=True)
        )
        picture[cell.slices] = np.pad(samples, ((0, down), (0, across), (0, 0)), mode="edge")
    return picture


def tracks(regions: Sequence[Sequence[Region]], *, least: float = 0.3) -> list[list[int]]:
    """Follow objects from frame to frame: each track takes the region that overlaps most.

    Args:
        regions: The regions of every frame of a sequence.
        least: The smallest overlap (intersection over union) of a region with the one before it.

    Returns:
        For every frame, the track of each region; tracks are numbered from 0.
    """
    numbers: list[list[int]] = []
    n_tracks = 0
    before: list[tuple[int, Region]] = []
    for frame in regions:
        pairs = sorted(
            (-overlap(last, region), track, i)
            for track, last in before
            for i, region in enumerate(frame)
        )
        here: dict[int, int] = {}
        for negative, track, i in pairs:
            if -negative >= least and i not in here and track not in here.values():
                here[i] = track
        for i in range(len(frame)):
            if i not in here:
                here[i] = n_tracks
                n_tracks += 1
        numbers.append([here[i] for i in range(len(frame))])
        before = [(here[i], region) for i, region in enumerate(frame)]
    return numbers


def overlap(a: Region, b: Region) -> float:
    """Return the intersection over the union of two regions."""
    width = min(a.right, b.right) - max(a.x, b.x)
    height = min(a.bottom, b.bottom) - max(a.y, b.y)
    both = max(0, width) * max(0, height)
    return both / (a.area + b.area - both)

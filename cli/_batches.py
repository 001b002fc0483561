"""Frames in batches that fit in memory, with their decoded form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

__all__ = ["batches"]

T = TypeVar("T")

BATCH_FRAMES = 16
BATCH_PIXELS = 2**24


def batches(
    items: Iterable[T], n_pixels: Callable[[T], int], *, start: int = 0, shard_size: int = 0
) -> Iterator[list[T]]:
    """Cut into batches whose bounds depend on the items alone; none crosses two packs.

    start: the number of the first item. shard_size: items of one pack, 0 for all in one.
    """
    batch: list[T] = []
    pixels = 0
    for position, item in enumerate(items, start=start + 1):
        batch.append(item)
        pixels += n_pixels(item)
        full = len(batch) == BATCH_FRAMES or pixels >= BATCH_PIXELS
        if full or (shard_size and position % shard_size == 0):
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch

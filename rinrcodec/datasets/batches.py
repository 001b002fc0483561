"""Frames in batches that fit in memory, with their decoded form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

__all__ = ["batches", "sequence_batches"]

T = TypeVar("T")

BATCH_FRAMES = 16
BATCH_PIXELS = 2**24


def batches(items: Iterable[T], n_pixels: Callable[[T], int]) -> Iterator[list[T]]:
    """Cut into batches whose bounds depend on the items alone."""
    batch: list[T] = []
    pixels = 0
    for item in items:
        batch.append(item)
        pixels += n_pixels(item)
        if len(batch) == BATCH_FRAMES or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def sequence_batches(
    items: Iterable[T],
    n_pixels: Callable[[T], int],
    chunk: Callable[[int, int], int],
    *,
    folders: Sequence[str],
    start: int = 0,
) -> Iterator[list[T]]:
    """Yield batches as `batches` does, one for every network of a sequence.

    folders: of each item of the shard, of which `items` are those from `start` on; a change begins
    another sequence. chunk: how many of (items left, pixels of an item) go to the next network, as
    `BackgroundEncoder.chunk`.
    """
    batch: list[T] = []
    left = wanted = 0
    for item in items:
        if not batch:
            left = wanted = _left_in_sequence(folders, start)
        batch.append(item)
        if pixels := n_pixels(item):
            # The largest one decides: a small picture in front must not let in many large ones.
            wanted = min(wanted, chunk(left, pixels))
        if len(batch) >= wanted:
            yield batch
            start += len(batch)
            batch = []
    if batch:
        yield batch


def _left_in_sequence(folders: Sequence[str], start: int) -> int:
    """Count the items from `start` on that are in the same folder."""
    stop = start + 1
    while stop < len(folders) and folders[stop] == folders[start]:
        stop += 1
    return stop - start

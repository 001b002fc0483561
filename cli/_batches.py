"""Frames in batches that fit in memory, with their decoded form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

__all__ = ["batches", "sequence_batches"]

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


def sequence_batches(
    items: Iterable[T],
    n_pixels: Callable[[T], int],
    chunk: Callable[[int, int], int],
    *,
    folders: Sequence[str],
    start: int = 0,
    shard_size: int = 0,
) -> Iterator[list[T]]:
    """As `batches`, one batch for every network of a sequence.

    folders: of each item of the whole series; a change begins another sequence. chunk: how many of
    (items left, pixels of an item) go to the next network, as `SequencePart.chunk`.
    """
    batch: list[T] = []
    left = wanted = 0
    for item in items:
        if not batch:
            left = wanted = _left_in_sequence(folders, start, shard_size)
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


def _left_in_sequence(folders: Sequence[str], start: int, shard_size: int) -> int:
    """How many items from `start` on lie in the same folder and pack."""
    stop = start + 1
    while stop < len(folders) and folders[stop] == folders[start]:
        stop += 1
    if shard_size:
        stop = min(stop, start - start % shard_size + shard_size)
    return stop - start

"""The tasks of a decoder: frames with the objects to paste, and the memory they take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from rinrcodec.compute.arrays import Array
from rinrcodec.compute.compose import paste_order
from rinrcodec.families.interface import Cost, ObjectView, View

__all__ = [
    "BYTES_OF_OBJECTS",
    "NOTHING",
    "Paste",
    "Task",
    "cut_to_memory",
    "memory_at_once",
    "pastes_of",
]

BYTES_OF_OBJECTS = 1 << 28  # at once, however many boxes overlap
NOTHING: Array = np.empty(0)
_FREE = Cost(0, 0)


@dataclass(slots=True)
class Paste:
    """An object on a view's grid, the background that it reads and the signal that it writes."""

    view: ObjectView
    cost: Cost = _FREE
    background: Array = field(default_factory=lambda: NOTHING)
    result: Array = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Task:
    """A frame that the limits allow, its objects, and the bytes that decoding it takes."""

    view: View
    pastes: Sequence[Paste]
    memory: int


def cut_to_memory(tasks: Iterable[Task], most: int) -> Iterator[list[Task]]:
    """Cut tasks, in order, into parts whose memory adds up to `most` bytes: threads share it."""
    part: list[Task] = []
    memory = 0
    for task in tasks:
        if part and memory + task.memory > most:
            yield part
            part, memory = [], 0
        part.append(task)
        memory += task.memory
    if part:
        yield part


def memory_at_once(memories: Sequence[int]) -> int:
    """Compute the bytes that the objects of a frame take when a few are decoded together."""
    return min(sum(memories), max(BYTES_OF_OBJECTS, *memories)) if memories else 0


def pastes_of(view: View) -> Iterator[Paste]:
    """Yield the objects that touch the grid of a view, in the order of pasting."""
    for region, inr in paste_order(view.frame):
        part = view.grid.inside(region)
        if all(axis.start < axis.stop for axis in part):
            yield Paste(ObjectView(view.frame, inr, region, view.grid, part))

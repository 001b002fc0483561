"""Clocks that mean something on a GPU too."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

__all__ = ["synchronize", "timed"]


def synchronize(device: str) -> None:
    """Wait until the device has finished, before a clock is read."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def timed(work: Callable[[], object], *, device: str, repeats: int) -> float:
    """Return the best time of `repeats` runs in seconds, after one run that is not counted."""
    work()
    best = float("inf")
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best

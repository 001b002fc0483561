"""Work on all cores of a CPU: one chunk to a thread, every thread on one core.

Chunks are small on purpose (see `devices.chunks_by_cost`), too small for torch to share one among
cores: its threads would wait for each other at every operation, for ages on a busy machine. Each
chunk on its own core has no such waits, and gives the same bits whatever the number of cores.

Torch's threads are also lost in a fork, and a forked process that waits for them waits forever.
Inside `without_torch_threads` none are used, so that forked workers can decode.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

__all__ = ["cores", "parallel_map", "without_torch_threads"]

# How many threads `parallel_map` may use where torch itself is kept to one.
_threads: ContextVar[int | None] = ContextVar("_threads", default=None)

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def without_torch_threads(device: torch.device) -> Iterator[None]:
    """Have the calling thread do its CPU work alone, `parallel_map` excepted."""
    before = torch.get_num_threads()
    token = _threads.set(before) if device.type == "cpu" else None
    try:
        if token is not None:
            torch.set_num_threads(1)
        yield
    finally:
        if token is not None:
            _threads.reset(token)
            torch.set_num_threads(before)


def cores() -> int:
    """How many threads `parallel_map` may use: torch's number, unless torch is kept to one."""
    return _threads.get() or torch.get_num_threads()


def parallel_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    device: torch.device,
    *,
    threads: int | None = None,
    stop: threading.Event | None = None,
) -> list[Result]:
    """`[function(item) for item in items]`, on `threads` threads on a CPU (None: torch's number).

    On CUDA, where the device does the work, it is a plain loop. `stop` is set as soon as one call
    fails or the user interrupts, so that long calls can end early.
    """
    before = torch.get_num_threads()
    allowed = threads or cores()
    workers = min(allowed, len(items)) if device.type == "cpu" else 1
    try:
        if workers <= 1:
            if device.type == "cpu":
                torch.set_num_threads(1)
            return [function(item) for item in items]
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                if stop is not None:
                    stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(before)

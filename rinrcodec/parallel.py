"""Work on all cores of a CPU: one chunk to a thread, every thread on one core.

Chunks are small on purpose (see `devices.chunks_by_cost`), too small for torch to share one among
cores: its threads would wait for each other at every operation, for ages on a busy machine. Each
chunk on its own core has no such waits, and gives the same bits whatever the number of cores.

Torch's threads are also lost in a fork, and a forked process that waits for them waits forever.
Inside `without_torch_threads` none are used, so that forked workers can decode. Our own threads
wait for more work instead of ending: one that ends gives its buffers back to MKL (torch's library
for products of matrices) under MKL's lock, after Python takes it for ended. A fork in that moment
would copy the lock as taken, for ever.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

__all__ = ["cores", "one_core_threads", "parallel_map", "without_torch_threads"]

# How many threads `parallel_map` may use where torch itself is kept to one.
_threads: ContextVar[int | None] = ContextVar("_threads", default=None)

# Threads without work, by their number. They do not come along in a fork.
_idle: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def without_torch_threads(device: torch.device) -> Iterator[None]:
    """Have the calling thread do its CPU work alone, `parallel_map` excepted."""
    if device.type != "cpu":
        yield
        return
    token = _threads.set(torch.get_num_threads())
    try:
        with _on_one_core():
            yield
    finally:
        _threads.reset(token)


@contextmanager
def _on_one_core() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cores() -> int:
    """How many threads `parallel_map` may use: torch's number, unless torch is kept to one."""
    return _threads.get() or torch.get_num_threads()


@contextmanager
def one_core_threads(n: int) -> Iterator[ThreadPoolExecutor]:
    """At most `n` threads that, as the calling one meanwhile, use one core each in torch.

    Nobody else has them before the end, which comes when their work is done.
    """
    pool = _idle.pop(n, None)
    if pool is None:
        pool = ThreadPoolExecutor(n, "rinrcodec", torch.set_num_threads, (1,))
    try:
        with _on_one_core():
            yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    if _idle.setdefault(n, pool) is not pool:
        pool.shutdown()


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
    if device.type != "cpu":
        return [function(item) for item in items]
    allowed = threads or cores()
    if min(allowed, len(items)) <= 1:
        with _on_one_core():
            return [function(item) for item in items]
    with one_core_threads(allowed) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            if stop is not None:
                stop.set()
            raise

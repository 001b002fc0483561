"""Work on all cores of a CPU: one chunk to a thread, every thread on one core.

Chunks are small on purpose (see `devices.chunks_by_cost`), too small for torch to share one among
cores: its threads would wait for each other at every operation, for ages on a busy machine. Each
chunk on its own core has no such waits, and gives the same bits on any number of cores.

Torch's threads are also lost in a fork, and a forked process that waits for them waits forever.
Inside `without_torch_threads` none are used, so that forked workers can decode. Our own threads
never end: one that ends gives its buffers back to MKL (torch's library for products of matrices)
under MKL's lock, after Python takes it for ended. A fork in that moment would copy the lock as
taken, for ever.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

__all__ = ["cores", "parallel_map", "without_torch_threads"]

# How many threads `parallel_map` may use where torch itself is kept to one.
_threads: ContextVar[int | None] = ContextVar("_threads", default=None)

# So many that no call ever waits for another one's threads: they start when none is idle.
_MOST = 10_000
_pool = ThreadPoolExecutor(_MOST, "rinrcodec")

Item = TypeVar("Item")
Result = TypeVar("Result")


def _start_anew() -> None:
    """In a forked process, where there are no threads."""
    global _pool
    _pool = ThreadPoolExecutor(_MOST, "rinrcodec")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


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
    try:
        torch.set_num_threads(1)
        yield
    finally:
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
    fails or the user interrupts, so that long calls can end early; when this returns or raises the
    first error, all calls have ended.
    """
    if device.type != "cpu":
        return [function(item) for item in items]
    workers = min(threads or cores(), len(items))
    with _on_one_core():
        if workers <= 1:
            return [function(item) for item in items]
        return _spread(function, items, workers, stop or threading.Event())


def _spread(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, stop: threading.Event
) -> list[Result]:
    results: dict[int, Result] = {}
    numbers = itertools.count()
    failures: list[BaseException] = []  # of which the first is the cause of the others
    ended = threading.Event()

    def fail(error: BaseException) -> None:
        failures.append(error)
        ended.set()
        stop.set()

    def work() -> None:
        torch.set_num_threads(1)
        try:
            while not ended.is_set() and (number := next(numbers)) < len(items):
                results[number] = function(items[number])
        except BaseException as error:
            fail(error)

    futures: list[Future[None]] = []
    try:
        try:
            if not _submit(work, workers, futures):
                work()
            wait(futures)
        except BaseException as error:
            fail(error)
            wait(futures)
        if failures:
            raise failures[0]
    finally:
        ended.set()  # also for threads that come late, after a second interruption
        failures.clear()  # the traceback of an error leads to it
    return [results[number] for number in range(len(items))]


def _submit(work: Callable[[], None], workers: int, futures: list[Future[None]]) -> bool:
    """Hand out work to so many threads; returns whether all of them could be started.

    None starts while the interpreter ends, as in functions of `atexit`, or where the system has no
    more.
    """
    for _ in range(workers):
        try:
            futures.append(_pool.submit(work))
        except RuntimeError:
            return False
    return True

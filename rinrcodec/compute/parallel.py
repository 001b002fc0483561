"""Work on all cores of a CPU: one chunk to a thread, every thread on one core.

Chunks are small on purpose (see `devices.chunks_by_cost`), too small for torch to share one among
cores: its threads would wait for each other at every operation, for ages on a busy machine. Each
chunk on its own core has no such waits, and gives the same bits on any number of cores.

Torch's threads are also lost in a fork, and a forked process that waits for them waits forever.
Inside `without_torch_threads` none are used, so that forked workers can decode. Our own threads
never end: one that ends gives its buffers back to MKL (torch's library for products of matrices)
under MKL's lock, after Python takes it for ended. A fork in that moment would copy the lock as
taken, for ever. For that reason `on_lasting_thread` moves the work of a user's thread to one of
ours. It also keeps networks out of daemon threads: torch in a daemon thread aborts the process
when the interpreter ends. `pixels` is safe there. A tensor, which `decode` returns, is not.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from rinrcodec.errors import RinrError

if TYPE_CHECKING:
    import torch

__all__ = ["cores", "limit_cores", "on_lasting_thread", "parallel_map", "without_torch_threads"]

# OpenMP's, and so torch's: how many threads to use.
_NUMBER = "OMP_NUM_THREADS"
# How many threads `parallel_map` may use where torch itself is kept to one.
_threads: ContextVar[int | None] = ContextVar("_threads", default=None)

# So many that no call ever waits for another one's threads: they start when none is idle.
_MOST = 10_000
_NAME = "rinrcodec"
_pool = ThreadPoolExecutor(_MOST, _NAME)

# A fork waits for calls of `on_lasting_thread` that other threads have under way, so long at most.
_FORK_WAITS_S = 60.0
_calls: Counter[int] = Counter()  # of each thread, by its number
_change = threading.Condition()
_forking: int | None = None

Item = TypeVar("Item")
Result = TypeVar("Result")


def _before_fork() -> None:
    """Wait until no other thread decodes: the forked process would have its locks, but not it."""
    global _forking
    me = threading.get_ident()
    with _change:
        _change.wait_for(lambda: _forking is None, _FORK_WAITS_S)
        _forking = me
        _change.wait_for(lambda: not _calls.keys() - {me}, _FORK_WAITS_S)


def _after_fork() -> None:
    global _forking
    with _change:
        _forking = None
        _change.notify_all()


def _start_anew() -> None:
    """Start anew in a forked process, which has no threads."""
    global _pool, _calls, _change, _forking
    _pool = ThreadPoolExecutor(_MOST, _NAME)
    _calls, _change, _forking = Counter(), threading.Condition(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_start_anew
    )


@contextmanager
def _counted() -> Iterator[None]:
    """Count a call, for which forks wait; it begins after a fork that is under way."""
    me, ours = threading.get_ident(), threading.current_thread().name.startswith(_NAME)
    with _change:
        # Work of ours belongs to a call that the fork waits for.
        _change.wait_for(lambda: ours or _forking in (None, me) or me in _calls, _FORK_WAITS_S)
        _calls[me] += 1
    try:
        yield
    finally:
        with _change:
            _calls[me] -= 1
            if not _calls[me]:
                del _calls[me]
            _change.notify_all()


def on_lasting_thread(function: Callable[[], Result], device: torch.device | None) -> Result:
    """Return `function()`, computed by the main thread or by one of ours if it works on a CPU.

    Here and below, the device None is the CPU.

    Raises:
        RinrError: another thread calls this while the interpreter ends.
    """
    thread = threading.current_thread()
    with _counted():
        here = thread is threading.main_thread() or thread.name.startswith(_NAME)
        if here or not _is_cpu(device):
            return function()
        token = _threads.set(cores())
        try:
            future = _pool.submit(copy_context().run, function)
        except RuntimeError as error:
            raise RinrError(
                f"cannot decode in thread {thread.name}: {error}; join your threads before the "
                "program ends"
            ) from error
        finally:
            _threads.reset(token)
        return future.result()


@contextmanager
def without_torch_threads(device: torch.device | None) -> Iterator[None]:
    """Have the calling thread do its CPU work alone, `parallel_map` excepted.

    Import torch before, where anything inside uses it.
    """
    if not _is_cpu(device):
        yield
        return
    token = _threads.set(cores())
    try:
        with _on_one_core():
            yield
    finally:
        _threads.reset(token)


@contextmanager
def _on_one_core() -> Iterator[None]:
    torch = _torch()
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


def cores() -> int:
    """Return how many threads `parallel_map` may use.

    This is torch's number, unless torch is kept to one.

    Where torch is not loaded, that is `OMP_NUM_THREADS`, or the number of cores.
    """
    number = _threads.get()
    if number is None:
        torch = _torch()
        number = _cores_of_machine() if torch is None else torch.get_num_threads()
    return number


def limit_cores(number: int) -> None:
    """Have this process use so many threads, whether torch is loaded or will be."""
    os.environ[_NUMBER] = str(number)
    torch = _torch()
    if torch is not None:
        torch.set_num_threads(number)


def _torch() -> Any:
    """Return torch if it is loaded; otherwise it has no threads."""
    module = sys.modules.get("torch")
    return module if hasattr(module, "set_num_threads") else None


def _cores_of_machine() -> int:
    asked = os.environ.get(_NUMBER, "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_cpu(device: torch.device | None) -> bool:
    return device is None or device.type == "cpu"


def parallel_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    device: torch.device | None,
    *,
    threads: int | None = None,
    stop: threading.Event | None = None,
) -> list[Result]:
    """Return `[function(item) for item in items]`, computed on `threads` threads on a CPU.

    None means torch's number of threads.

    On CUDA, where the device does the work, it is a plain loop. `stop` is set as soon as one call
    fails or the user interrupts, so that long calls can end early; when this returns or raises the
    first error, all calls have ended.
    """
    if not _is_cpu(device):
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
        if (torch := _torch()) is not None:
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

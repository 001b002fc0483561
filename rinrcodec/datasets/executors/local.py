"""Who fits the shards: this process, or processes of this machine, each with a device of its own.

Python's own executors hand out the work. What is known of a shard is in the work folder, so a
worker returns nothing, and one that dies has lost a batch at most. Every shard has a second try,
as a worker may have died of something that passes; what kills a worker twice is set aside, and the
other shards go on.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker

from rinrcodec.compute.parallel import limit_cores
from rinrcodec.datasets.fitter import Fitter
from rinrcodec.datasets.shards import Shard
from rinrcodec.printing import printable

__all__ = ["TRIES", "Watch", "Worker", "fit_here", "fit_in_processes"]

_log = logging.getLogger(__name__)

TRIES = 2


@dataclass(slots=True)
class Watch:
    """The progress of shards being fitted, as the driver receives it in its own thread.

    on_progress: pictures fitted, never fewer than before, and the series of the last. on_done: a
    shard that is done. died: the shards whose workers died, in the end. n_done: pictures of shards
    that are done.
    """

    on_progress: Callable[[float, str], None]
    on_done: Callable[[Shard], None]
    died: list[Shard] = field(default_factory=list)
    n_done: float = 0
    _told: float = 0

    def progress(self, shard: Shard, within: float) -> None:
        """Tell of pictures of shards that are being fitted."""
        # A worker may have left one shard that is not yet counted as done.
        self._told = max(self._told, self.n_done + within)
        self.on_progress(self._told, shard.series.name)

    def done(self, shard: Shard, *, died: bool = False) -> None:
        """Tell that a shard is done, or that it killed its workers."""
        self.n_done += shard.count
        state = "the worker died" if died else f"{shard.count} pictures done"
        _log.info("%s: %s", printable(shard.label), state)
        if died:
            self.died.append(shard)
        else:
            self.on_done(shard)
        self.progress(shard, 0)


def fit_here(fitter: Fitter, shards: Sequence[Shard], watch: Watch) -> None:
    """Fit shards one after another in this process."""
    for shard in shards:

        def report(within: float, shard: Shard = shard) -> None:
            watch.progress(shard, within)

        fitter.fit(shard, report)
        watch.done(shard)


def fit_in_processes(
    fitter: Fitter, shards: Sequence[Shard], watch: Watch, *, devices: Sequence[str], threads: int
) -> None:
    """Fit shards in as many processes as there are `devices`, with so many threads each.

    An error of a worker that is not its death ends the others and is raised here.
    """
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    workers = [Worker(replace(fitter, device=device), threads) for device in devices]
    others = multiprocessing.active_children()
    for worker in workers:
        idle.put(worker)

    def fit(shard: Shard) -> bool:
        worker = idle.get()
        try:
            return worker.fit(shard)
        finally:
            idle.put(worker)

    with ThreadPoolExecutor(len(workers)) as pool:
        futures = {pool.submit(fit, shard): shard for shard in shards}
        left = set(futures)
        look = fitter.work.poll_seconds
        try:
            while left:
                finished, left = wait(left, timeout=look, return_when=FIRST_COMPLETED)
                for future in finished:
                    watch.done(futures[future], died=not future.result())
                busy = [worker.shard for worker in workers if worker.shard is not None]
                if busy:
                    watch.progress(busy[-1], sum(map(fitter.work.count, busy)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.kill()
            for child in multiprocessing.active_children():
                if child not in others:  # a worker that nobody has heard of yet
                    child.kill()
            raise
        for worker in workers:
            worker.close()


class Worker:
    """A process that fits one shard at a time, and is replaced when it dies."""

    def __init__(self, fitter: Fitter, threads: int) -> None:
        self.shard: Shard | None = None
        self._fitter = fitter
        self._threads = threads
        self._pool: ProcessPoolExecutor | None = None
        self._pid: int | None = None
        self._killed = False

    def fit(self, shard: Shard) -> bool:
        """Fit a shard; returns whether it was done, or the process died at every try."""
        self.shard = shard
        try:
            return any(self._try(shard) for _ in range(TRIES))
        finally:
            self.shard = None

    def _try(self, shard: Shard) -> bool:
        if self._killed:
            return False
        # Not forked: torch's threads and CUDA do not survive that.
        self._pool = self._pool or ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(self._threads,),
        )
        try:
            with _signals_wait():
                started = self._pool.submit(os.getpid)
            self._pid = started.result()
            if self._killed:  # while the process was starting
                self.kill()
            self._pool.submit(self._fitter.fit, shard).result()
        except BrokenProcessPool:
            self.close()
            return False
        return True

    def kill(self) -> None:
        """End the process at once; nothing that is in the work folder is lost."""
        self._killed = True
        if self._pid is not None and self._pool is not None:
            with suppress(OSError):  # it has ended by itself
                os.kill(self._pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)

    def close(self) -> None:
        """End the process when it is idle."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = self._pid = None


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Hold signals back from a process that is started here until `_begin` has run in it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Python starts this process of its own with the first one, and would let Ctrl-C through after.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _for_the_driver())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _for_the_driver() -> set[signal.Signals]:
    """Return the signals that only the driver answers.

    Ctrl-C, a closed terminal and some supervisors signal all processes of a group.

    The driver alone answers, and ends its workers.
    """
    numbers = {signal.SIGINT, signal.SIGTERM}
    return numbers if os.name == "nt" else numbers | {signal.SIGHUP}


def _begin(threads: int) -> None:
    """Make a new process a worker."""
    # Before torch may be loaded, which takes seconds: the driver may be gone already.
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    for number in _for_the_driver():
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # what waited is dropped
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _for_the_driver())
    # As in the command line: a picture may have thousands of odd tags.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    limit_cores(threads)


def _end_with_the_driver() -> None:
    """End this worker when its driver is killed: it would fit for nobody."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    driver.join()
    os._exit(1)

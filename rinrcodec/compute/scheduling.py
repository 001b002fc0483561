"""Take back the real-time priority that an encoder gives itself, for backgrounds and videos.

As root, as in most containers, SVT-AV1 runs its own threads and the one that opens it with
SCHED_FIFO at priority 99. Everything else on the machine then waits, and later threads and
processes inherit the priority.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["usual_priority"]


@contextmanager
def usual_priority() -> Iterator[None]:
    """Give all threads of this process the usual scheduling back at the end of the block.

    Threads that had real-time priority before keep it. Does nothing but on Linux.

    Example:
        >>> import av
        >>> from rinrcodec.compute.scheduling import usual_priority
        >>> with usual_priority():
        ...     encoder = av.CodecContext.create("libsvtav1", "w")
    """
    if sys.platform != "linux" or os.sched_getscheduler(0) != os.SCHED_OTHER:
        yield
        return
    before = set(_real_time_threads())
    try:
        yield
    finally:
        for thread in set(_real_time_threads()) - before:
            with suppress(OSError):  # it has ended since
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _real_time_threads() -> Iterator[int]:
    """Yield the threads of this process that have real-time priority."""
    for entry in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended since
            if os.sched_getscheduler(int(entry.name)) == os.SCHED_FIFO:
                yield int(entry.name)

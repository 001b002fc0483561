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

    A process that was started with real-time priority keeps it. Does nothing but on Linux.

    Example:
        >>> with usual_priority():
        ...     encoder.open()
    """
    if sys.platform != "linux" or os.sched_getscheduler(0) != os.SCHED_OTHER:
        yield
        return
    try:
        yield
    finally:
        for thread in map(int, (entry.name for entry in Path("/proc/self/task").iterdir())):
            with suppress(OSError):  # it has ended since
                if os.sched_getscheduler(thread) == os.SCHED_FIFO:
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))

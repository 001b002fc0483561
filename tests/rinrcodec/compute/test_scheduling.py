"""No encoder leaves this process with real-time priority."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rinrcodec.compute.scheduling import usual_priority
from rinrcodec.families.av1.stream import encode_video

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="scheduling of Linux")
needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root may take real-time priority"
)


def become_real_time() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


@needs_root
def test_a_priority_taken_inside_is_reset() -> None:
    with usual_priority():
        become_real_time()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@needs_root
def test_a_process_keeps_the_priority_it_started_with() -> None:
    code = "import os; from rinrcodec.compute.scheduling import usual_priority as block\n"
    code += "with block(): pass\nprint(os.sched_getscheduler(0) == os.SCHED_FIFO)"
    command = [sys.executable, "-c", code]
    shown = subprocess.check_output(command, preexec_fn=become_real_time, text=True)
    assert shown == "True\n"


def test_encoding_a_sequence_takes_no_priority() -> None:
    planes = [np.zeros(size, np.uint16) for size in ((16, 16), (8, 8), (8, 8))]
    assert encode_video([planes] * 2, crf=50, preset=12)
    threads = (int(entry.name) for entry in Path("/proc/self/task").iterdir())
    assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_OTHER}

"""A work folder whose shards kill their workers, in a module that workers can import.

`DEADLY` in the environment is `FOLDER:NUMBER:TIMES`: shard number NUMBER kills its worker TIMES
times, each of which leaves a file in FOLDER.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from rinrcodec.datasets.fitter import Fitter
from rinrcodec.datasets.shards import Shard
from rinrcodec.datasets.work_folder import Work


class DeadlyWork(Work):
    """Dies when a shard begins."""

    def begin_shard(self, shard: Shard) -> None:
        folder, number, times = os.environ["DEADLY"].rsplit(":", 2)
        deaths = len(list(Path(folder).iterdir()))
        if shard.number == int(number) and deaths < int(times):
            (Path(folder) / str(deaths)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().begin_shard(shard)


class StuckWork(Work):
    """Note the process that fits the first shard, and never finish it."""

    def begin_shard(self, shard: Shard) -> None:
        super().begin_shard(shard)
        if shard.number == 0:
            Path(os.environ["STUCK"]).write_text(str(os.getpid()), encoding="utf-8")
            time.sleep(600)


class FailingFitter(Fitter):
    """A worker with an error of its own."""

    def fit(self, shard: Shard, on_progress: object = None) -> None:  # noqa: ARG002
        raise OSError(28, os.strerror(28))

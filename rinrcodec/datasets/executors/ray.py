"""Shards as tasks of Ray, on one machine or a cluster (the extra `cluster`)."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rinrcodec import __version__
from rinrcodec.compute.parallel import limit_cores
from rinrcodec.datasets.executors.local import TRIES, Watch
from rinrcodec.datasets.fitter import Fitter
from rinrcodec.datasets.shards import Shard
from rinrcodec.errors import MissingExtraError, RinrDeviceError, RinrError, RinrInputError
from rinrcodec.memory import is_out_of_memory, memory_error

__all__ = ["fit_on_ray"]

_LOOK_S = 1.0
_CONNECT_S = 10.0
# Ray itself ends the process, without a word, a minute after its head died. So many looks in a row
# that find no head, none of which takes longer than this, end a run within 10 s.
_HEAD_S = 2.0
_MOST_MISSES = 3
_SHUTDOWN_S = 5.0
# Shards that Ray gets at a time, where it takes as many as it has room for: so many that it
# knows what a cluster could use, and not so many that their pictures fill its memory.
_AHEAD = 1000


def fit_on_ray(
    fitter: Fitter, shards: Sequence[Shard], watch: Watch, *, address: str | None, jobs: int | None
) -> None:
    """Fit shards on a running Ray, or on one of this machine that ends with this.

    jobs: most shards at a time, None for as many as Ray has CPUs or, for a CUDA device, GPUs for.
    Raises what a task raises, `RinrInputError` where there is no Ray at `address`, `RinrError`
    where its head cannot be reached any more.
    """
    ray = _import_ray()
    began_here = not ray.is_initialized()
    if began_here:
        _connect(ray, address, jobs)
    try:
        _fit(ray, fitter, shards, watch, jobs)
    except _HeadLostError:
        if began_here:
            # Without its head, Ray waits for minutes, also when Python ends.
            atexit.unregister(ray.shutdown)
            ended = threading.Thread(target=ray.shutdown, daemon=True)
            ended.start()
            ended.join(_SHUTDOWN_S)
        raise
    except BaseException:
        if began_here:
            ray.shutdown()
        raise
    if began_here:
        ray.shutdown()


class _HeadLostError(RinrError):
    """The head of the cluster has died, or its machine is gone."""


class _Head:
    """The process of a cluster that all others, and this one, depend on."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._misses = 0

    def check(self) -> None:
        """Raise `_HeadLostError` where it did not answer a few times in a row."""
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_HEAD_S).close()
        except OSError as error:
            self._misses += 1
            if self._misses >= _MOST_MISSES:
                raise _HeadLostError(
                    f"Ray at {self._address}: its head does not answer any more ({error}); "
                    "start it again"
                ) from error
        else:
            self._misses = 0


def _head_of(ray: Any) -> _Head | None:
    """Return the head that this process is connected to, None if Ray does not say."""
    try:
        address = str(ray.get_runtime_context().gcs_address)
    except Exception:  # a client of ray:// knows none
        return None
    return _Head(address) if address.rpartition(":")[2].isdigit() else None


def _fit(ray: Any, fitter: Fitter, shards: Sequence[Shard], watch: Watch, jobs: int | None) -> None:
    on_gpu = fitter.device.startswith("cuda")
    resource = "GPU" if on_gpu else "CPU"
    if not ray.cluster_resources().get(resource):
        raise RinrDeviceError(
            f"this Ray has no {resource}; start it with one, or take `device='cpu'`"
        )
    task = ray.remote(_task).options(
        num_cpus=1, num_gpus=int(on_gpu), max_retries=TRIES - 1, retry_exceptions=False
    )
    head = _head_of(ray)
    waiting = list(reversed(shards))
    running: dict[Any, Shard] = {}
    try:
        while waiting or running:
            while waiting and len(running) < (jobs or _AHEAD):
                shard = waiting.pop()
                running[task.remote(pickle.dumps((fitter, shard)), __version__)] = shard
            done, _ = ray.wait(list(running), timeout=_LOOK_S)
            for ref in done:
                shard = running.pop(ref)
                watch.done(shard, died=not _succeeded(ray, ref))
            if head is not None:
                head.check()
    except _HeadLostError:
        raise
    except BaseException:
        for ref in running:
            with suppress(Exception):
                ray.cancel(ref, force=True)
        raise


def _succeeded(ray: Any, ref: Any) -> bool:
    """Return whether a task ended, or else its worker at every try; raise the task's error."""
    errors = ray.exceptions
    try:
        ray.get(ref)
    except errors.RayTaskError as error:
        if isinstance(error.cause, (RinrError, OSError)):
            raise error.cause from None
        if is_out_of_memory(error.cause):
            raise memory_error(error.cause, "a worker of Ray") from error
        said = (str(error.cause).strip() or type(error.cause).__name__).splitlines()[-1]
        raise RinrError(f"a worker of Ray: {said}") from error
    except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
        return False
    except errors.RayError as error:
        raise RinrError(f"Ray: {error}") from error
    return True


def _task(task: bytes, version: str) -> None:
    """Run a pickled fitter and shard in a worker, if its version is the driver's."""
    if version != __version__:
        raise RinrInputError(
            f"a worker has rinrcodec {__version__}, the driver {version}: install the same one"
        )
    fitter, shard = pickle.loads(task)
    limit_cores(1)
    fitter.fit(shard)


def _connect(ray: Any, address: str | None, jobs: int | None) -> None:
    # Ray tries a task that ran out of memory for ever unless this limits it.
    os.environ.setdefault("RAY_task_oom_retries", str(TRIES - 1))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS")
    todo = "is Ray installed completely?"
    if address is not None:
        _check_reachable(address)
        todo = (
            "something listens there: is it a Ray of this version, and does it ask for a token "
            "(set RAY_AUTH_MODE=token)?"
        )
    quiet = {"log_to_driver": False, "logging_level": "error"}
    before = signal.getsignal(signal.SIGTERM)
    try:
        if address is None:
            ray.init(address="local", num_cpus=jobs, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(address or "Ray", error, todo) from error
    finally:
        # Ray takes SIGTERM for itself, where it may.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _check_reachable(address: str) -> None:
    """Raise `RinrInputError` where nothing listens; Ray itself would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
        except OSError as error:
            raise _unreachable(address, error, "start one with: ray start --head") from error


def _unreachable(address: str, error: Exception, todo: str) -> RinrInputError:
    said = " ".join(str(error).split())
    return RinrInputError(f"{address}: cannot be reached ({said}); {todo}")


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise MissingExtraError("ray", "cluster") from None
    return ray

"""Shards as tasks of Ray, on one machine or a cluster (the extra `cluster`)."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from rinrcodec import __version__
from rinrcodec.datasets.executors.local import TRIES, Watch
from rinrcodec.datasets.fitter import Fitter
from rinrcodec.datasets.shards import Shard
from rinrcodec.errors import MissingExtraError, RinrDeviceError, RinrError, RinrInputError
from rinrcodec.memory import is_out_of_memory, memory_error

__all__ = ["fit_on_ray"]

_LOOK_S = 1.0
_CONNECT_S = 10.0
# Shards that Ray gets at a time, where it takes as many as it has room for: so many that it
# knows what a cluster could use, and not so many that their pictures fill its memory.
_AHEAD = 1000


def fit_on_ray(
    fitter: Fitter, shards: Sequence[Shard], watch: Watch, *, address: str | None, jobs: int | None
) -> None:
    """Fit shards on a running Ray, or on one of this machine that ends with this.

    jobs: most shards at a time, None for as many as Ray has CPUs or, for a CUDA device, GPUs for.
    Raises what a task raises, `RinrInputError` where there is no Ray at `address`.
    """
    ray = _import_ray()
    began_here = not ray.is_initialized()
    if began_here:
        _connect(ray, address, jobs)
    try:
        _fit(ray, fitter, shards, watch, jobs)
    finally:
        if began_here:
            ray.shutdown()


def _fit(ray: Any, fitter: Fitter, shards: Sequence[Shard], watch: Watch, jobs: int | None) -> None:
    on_gpu = fitter.device.startswith("cuda")
    resource = "GPU" if on_gpu else "CPU"
    if not ray.cluster_resources().get(resource):
        raise RinrDeviceError(
            f"this Ray has no {resource}; start it with one, or take --device cpu"
        )
    task = ray.remote(_task).options(
        num_cpus=1, num_gpus=int(on_gpu), max_retries=TRIES - 1, retry_exceptions=False
    )
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
    except BaseException:
        for ref in running:
            with suppress(Exception):
                ray.cancel(ref, force=True)
        raise


def _succeeded(ray: Any, ref: Any) -> bool:
    """Whether a task ended, rather than its worker at every try; raises what the task raised."""
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
    """What a worker runs: a pickled fitter and shard, if it is of the same version."""
    import torch

    if version != __version__:
        raise RinrInputError(
            f"a worker has rinrcodec {__version__}, the driver {version}: install the same one"
        )
    fitter, shard = pickle.loads(task)
    torch.set_num_threads(1)
    fitter.fit(shard)


def _connect(ray: Any, address: str | None, jobs: int | None) -> None:
    # Ray tries a task that ran out of memory for ever unless this limits it.
    os.environ.setdefault("RAY_task_oom_retries", str(TRIES - 1))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS")
    todo = "is Ray installed whole?"
    if address is not None:
        _check_reachable(address)
        todo = (
            "something listens there: is it a Ray of this version, and does it want a token "
            "(set RAY_AUTH_MODE=token)?"
        )
    quiet = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address is None:
            ray.init(address="local", num_cpus=jobs, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(address or "Ray", error, todo) from error


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

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
import torch

from rinrcodec.compute import parallel
from rinrcodec.compute.parallel import cores, parallel_map, without_torch_threads

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_keep_their_order_and_threads_their_number(threads: int) -> None:
    seen = parallel_map(lambda i: (i, torch.get_num_threads()), range(20), CPU)
    assert seen == [(i, 1) for i in range(20)]
    assert torch.get_num_threads() == threads
    assert parallel_map(str, [], CPU) == []


def test_several_threads_work_at_once() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    both = threading.Barrier(2, timeout=20)
    try:
        assert sorted(parallel_map(lambda _: both.wait(), range(2), CPU)) == [0, 1]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("fails", [False, True])
def test_threads_live_on_after_a_call(fails: bool) -> None:
    """A fork right after their end would copy a lock of MKL that nobody gives back."""
    seen = set()

    def work(item: int) -> None:
        seen.add(threading.current_thread())
        if fails and item == 3:
            raise ValueError("no")

    def work_on_all() -> None:
        with pytest.raises(ValueError, match="no") if fails else nullcontext():
            parallel_map(work, range(8), CPU, threads=2)

    work_on_all()
    threads = threading.active_count()
    for _ in range(20):
        work_on_all()
    # One that is not yet done with the call before may be replaced in the next; if none were used
    # again, there would be 40 more.
    assert threading.active_count() <= threads + 20
    assert all(thread.is_alive() for thread in seen - {threading.current_thread()})


def test_nested_calls_get_their_own_threads() -> None:
    together = threading.Barrier(6, timeout=20)

    def inner(_: int) -> int:
        together.wait()
        return torch.get_num_threads()

    def outer(_: int) -> list[int]:
        return parallel_map(inner, range(3), CPU, threads=3)

    assert parallel_map(outer, range(2), CPU, threads=2) == [[1] * 3] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals a thread")
def test_an_interruption_waits_for_what_is_under_way(threads: int) -> None:
    stop = threading.Event()
    began, ended = [], []

    def work(item: int) -> None:
        began.append(item)
        # Again where it came just before the main thread began to wait.
        while item == 0 and not stop.wait(0.5):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        assert stop.wait(20)
        time.sleep(0.1)
        ended.append(item)

    with pytest.raises(KeyboardInterrupt):
        parallel_map(work, range(100), CPU, stop=stop)
    assert sorted(ended) == (sorted(began) if threads > 1 else [])
    assert 0 < len(began) <= threads
    assert torch.get_num_threads() == threads


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_fork_starts_threads_of_its_own() -> None:
    code = """
import os, torch
from rinrcodec.compute.parallel import parallel_map
torch.set_num_threads(2)
def squared(k):
    return torch.full((1, 300, 30), float(k)).matmul(torch.eye(30)[None])[0, 0, 0] ** 2
def squares():
    return [int(square) for square in parallel_map(squared, range(8), torch.device("cpu"))]
for _ in range(20):
    before = squares()
    child = os.fork()
    if not child:
        os._exit(squares() != before)
    assert os.waitpid(child, 0)[1] == 0
print(before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.stdout.strip() == str([k * k for k in range(8)]), done.stderr


def test_a_failure_stops_the_others_and_is_raised(threads: int) -> None:
    stop = threading.Event()

    def work(item: int) -> None:
        if item == 0:
            raise ValueError("no")
        if threads > 1:
            assert stop.wait(20)

    with pytest.raises(ValueError, match="no"):
        parallel_map(work, range(3), CPU, stop=stop)
    assert torch.get_num_threads() == threads


def test_nothing_begins_after_a_second_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    began, first = [], threading.Event()

    def work(item: int) -> None:
        began.append(item)
        assert first.wait(20)

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(parallel, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        parallel_map(work, range(40), CPU, threads=2)
    first.set()
    monkeypatch.undo()
    parallel_map(began.append, [-1] * 8, CPU, threads=2)
    assert len([item for item in began if item >= 0]) <= 2


def test_cores_are_those_that_torch_was_given(threads: int) -> None:
    assert cores() == threads
    with without_torch_threads(CPU):
        assert (cores(), torch.get_num_threads()) == (threads, 1)
        assert parallel_map(lambda _: torch.get_num_threads(), range(3), CPU) == [1] * 3
    assert (cores(), torch.get_num_threads()) == (threads, threads)


def test_cores_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_torch", lambda: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cores() == 3
    seen = parallel_map(lambda i: (i, threading.get_ident()), range(20), None)
    assert [i for i, _ in seen] == list(range(20))
    assert len({thread for _, thread in seen}) <= 3
    parallel.limit_cores(1)
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert cores() == 1
    for odd in ("", "0", "many", "4,2"):
        monkeypatch.setenv("OMP_NUM_THREADS", odd)
        assert 1 <= cores() <= (os.cpu_count() or 1)

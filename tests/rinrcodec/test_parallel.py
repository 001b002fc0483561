from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from rinrcodec.parallel import cores, one_core_threads, parallel_map, without_torch_threads

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


@pytest.mark.parametrize("n", [2, 20])
def test_threads_are_kept_for_more_work(n: int) -> None:
    """A fork right after their end would copy a lock of MKL that nobody gives back."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, again = (
            set(parallel_map(lambda _: threading.current_thread(), range(n), CPU)) for _ in range(2)
        )
    finally:
        torch.set_num_threads(before)
    assert all(thread.is_alive() for thread in first)
    assert len(first | again) <= 2


def test_two_at_a_time_have_threads_of_their_own() -> None:
    with one_core_threads(2) as pool, one_core_threads(2) as other:
        assert pool is not other
        met = threading.Barrier(2, timeout=20)
        futures = [own.submit(met.wait) for own in (pool, other)]
        assert sorted(future.result() for future in futures) == [0, 1]
        assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_fork_starts_threads_of_its_own() -> None:
    code = """
import os, torch
from rinrcodec.parallel import parallel_map
torch.set_num_threads(2)
def squared(k):
    return torch.full((1, 300, 30), float(k)).matmul(torch.eye(30)[None])[0, 0, 0] ** 2
def squares():
    return [int(found) for found in parallel_map(squared, range(8), torch.device("cpu"))]
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


def test_cores_are_those_that_torch_was_given(threads: int) -> None:
    assert cores() == threads
    with without_torch_threads(CPU):
        assert (cores(), torch.get_num_threads()) == (threads, 1)
        assert parallel_map(lambda _: torch.get_num_threads(), range(3), CPU) == [1] * 3
    assert (cores(), torch.get_num_threads()) == (threads, threads)

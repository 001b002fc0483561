from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from rinrcodec.parallel import cores, parallel_map, without_torch_threads

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

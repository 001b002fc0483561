from __future__ import annotations

import threading
from pathlib import Path

import pytest

from rinrcodec.storage import map_stored, place

STORE = place("memory://bucket/out")


def test_a_store_gets_several_requests_at_a_time_and_answers_in_order() -> None:
    together = threading.Barrier(4, timeout=20)

    def request(item: int) -> int:
        together.wait()
        return -item

    assert map_stored(request, range(8), STORE) == [-item for item in range(8)]


def test_a_disk_gets_one_at_a_time(tmp_path: Path) -> None:
    threads = map_stored(lambda _: threading.current_thread(), range(8), tmp_path)
    assert threads == [threading.current_thread()] * 8


@pytest.mark.parametrize("where", ["store", "disk"])
def test_a_request_that_fails_is_the_last(where: str, tmp_path: Path) -> None:
    asked = []
    under_way = threading.Event()

    def request(item: int) -> None:
        asked.append(item)
        if item == 3:
            raise PermissionError("no")
        # Those of a store hold all threads but one, which takes no more after the failure.
        under_way.wait(1 if where == "store" else 0)

    with pytest.raises(PermissionError, match="no"):
        map_stored(request, range(200), STORE if where == "store" else tmp_path)
    assert 3 in asked
    assert len(asked) < 100

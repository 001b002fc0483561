"""The functions for any path: several requests at a time to a store, one to a disk."""

from __future__ import annotations

import doctest
import threading
from pathlib import Path
from types import ModuleType

import pytest

from rinrcodec.storage import files, locations, map_stored, size_of, stamps, to_path
from rinrcodec.storage.atomic import write_whole
from rinrcodec.storage.interface import Storage

STORE = to_path("memory://bucket/out")


def test_functions_have_the_names_of_methods() -> None:
    assert set(files.__all__) - {"size_of", "storage_of"} <= set(dir(Storage))


@pytest.mark.parametrize("module", [files, locations, stamps])
def test_the_examples_of_docstrings_run(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_sizes_of_files_are_known(remote: str, tmp_path: Path) -> None:
    for folder in (tmp_path, to_path(remote)):
        write_whole(folder / "a", b"123")
        assert (size_of(folder / "a"), size_of(folder / "b"), size_of(folder)) == (3, None, None)


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
def test_no_request_follows_a_failed_one(where: str, tmp_path: Path) -> None:
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

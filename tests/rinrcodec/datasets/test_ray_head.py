"""The head of a Ray that dies while shards are fitted, with a stand-in for Ray."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from rinrcodec.datasets.executors import ray as executor
from rinrcodec.datasets.executors.local import Watch
from rinrcodec.errors import RinrError

ANY: Any = SimpleNamespace(device="cpu", name="s", count=1)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


class ToyRay:
    """A Ray whose tasks never end, and whose head ends after a few looks."""

    def __init__(self, server: socket.socket, looks: int) -> None:
        self.address = f"127.0.0.1:{server.getsockname()[1]}"
        self.server, self.looks, self.ended, self.cancelled = server, looks, 0, 0
        self.exceptions = SimpleNamespace()

    def is_initialized(self) -> bool:
        return False

    def init(self, **_: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)

    def shutdown(self) -> None:
        self.ended += 1

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address=self.address)

    def remote(self, _: Any) -> Any:
        task = SimpleNamespace(remote=lambda *_: "task")
        return SimpleNamespace(options=lambda **_: task)

    def wait(self, refs: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        self.looks -= 1
        if self.looks == 0:
            self.server.close()
        assert self.looks > -10, "the death of the head is not noticed"
        return [], refs

    def cancel(self, *_: Any, **__: Any) -> None:
        self.cancelled += 1


def test_a_head_that_dies_ends_the_run(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy, before = ToyRay(server, 3), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(executor, "_import_ray", lambda: toy)
    watch = Watch(lambda *_: None, lambda _: None)
    with pytest.raises(RinrError, match=f"Ray at {toy.address}: its head does not answer any more"):
        executor.fit_on_ray(ANY, [ANY], watch, address=None, jobs=1)
    # Three looks without an answer, of a second each; nothing is asked of a head that is gone.
    assert toy.looks == -2
    assert (toy.ended, toy.cancelled) == (1, 0)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_head_that_answers_again_is_no_error(server: socket.socket) -> None:
    port = server.getsockname()[1]
    head, gone = executor._Head(f"127.0.0.1:{port}"), executor._Head("127.0.0.1:1")
    head._misses = gone._misses = 2
    head.check()
    assert head._misses == 0
    with pytest.raises(RinrError, match=r"127\.0\.0\.1:1"):
        gone.check()


@pytest.mark.parametrize("address", ["", "head", None])
def test_ray_without_a_head_address_is_not_watched(address: str | None) -> None:
    context = SimpleNamespace() if address is None else SimpleNamespace(gcs_address=address)
    assert executor._head_of(SimpleNamespace(get_runtime_context=lambda: context)) is None

"""Threads that share files and images, closed files, forks, and the end of the interpreter."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import rinrcodec
from rinrcodec.compute import parallel
from rinrcodec.compute.parallel import cores, on_lasting_thread
from rinrcodec.storage.byte_source import FileSource, source_of

rinrcodec.register_pillow()
CPU = torch.device("cpu")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@pytest.fixture(scope="module")
def pack_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("threads") / "a.rinr"
    rows = np.linspace(0, 200, 20, dtype=np.uint8)
    pictures = [np.broadcast_to(rows[:, None, None] + i, (20, 24, 3)).copy() for i in range(3)]
    made = rinrcodec.encode(pictures, preset="fast", background="siren", steps=2, device="cpu")
    rinrcodec.save(made, path)
    return path


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Call `work` in threads that begin together; return results and errors."""
    barrier, results = threading.Barrier(count, timeout=20), []

    def run(number: int) -> None:
        barrier.wait()
        try:
            results.append(work(number))
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


@pytest.fixture
def quick_switches() -> Any:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("kind", ["path", "bytes"])
def test_threads_share_an_image_that_was_opened_lazily(
    pack_path: Path, tmp_path: Path, frames: int, kind: str
) -> None:
    path = pack_path
    with rinrcodec.open(pack_path) as file:
        expected = file[0].permute(1, 2, 0).numpy()
    if frames == 1:
        path = tmp_path / "one.rinr"
        made = rinrcodec.encode(
            [expected.copy()], preset="fast", background="siren", steps=2, device="cpu"
        )
        rinrcodec.save(made, path)
        expected = rinrcodec.decode(made, 0).permute(1, 2, 0).numpy()
    for _ in range(5):
        source = path if kind == "path" else io.BytesIO(path.read_bytes())
        with Image.open(source) as image:

            def look(_: int, image: Image.Image = image) -> tuple[bool, object]:
                boxes = image.info["boxes"]
                return np.array_equal(np.asarray(image), expected), boxes

            assert in_threads(4, look) == [(True, ())] * 4


@pytest.mark.usefixtures("quick_switches")
def test_closing_a_file_under_threads_is_a_clear_error(pack_path: Path) -> None:
    with rinrcodec.open(pack_path) as file:
        expected = [frame.numpy() for frame in file]
    for _ in range(4):
        file = rinrcodec.open(pack_path)

        def decode(number: int, file: rinrcodec.RinrFile = file) -> bool:
            if number == 0:
                file.close()
            return all(np.array_equal(file[i].numpy(), expected[i]) for i in range(3))

        for result in in_threads(4, decode):
            assert result is True or "the reader is closed" in str(result)


@pytest.mark.skipif(not hasattr(os, "pread"), reason="reads at an offset")
def test_a_descriptor_stays_open_while_a_thread_reads(
    pack_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its number could belong to another file when the thread reads."""
    source, pread = FileSource(pack_path), os.pread
    data = pack_path.read_bytes()

    def close_first(number: int, length: int, offset: int) -> bytes:
        source.close()
        with pack_path.with_suffix(".other").open("w+b"):  # takes the number if it is free
            return pread(number, length, offset)

    monkeypatch.setattr(os, "pread", close_first)
    assert source.read(0, 64) == data[:64]
    monkeypatch.undo()
    with pytest.raises(ValueError, match="the reader is closed"):
        source.read(0, 1)
    with pytest.raises(ValueError, match="the reader is closed"):
        source.changed()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors")
def test_readers_of_open_files_give_their_descriptors_back(pack_path: Path) -> None:
    def count() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    counts = []
    for _ in range(5):
        with pack_path.open("rb") as file:
            rinrcodec.open(file).close()
        with Image.open(pack_path) as image:
            image.load()
        counts.append(count())
    assert counts[-1] == counts[0]


@forks
def test_an_open_file_can_be_read_after_a_fork_at_any_position(pack_path: Path) -> None:
    with pack_path.open("rb") as file:
        source = source_of(file)
        assert isinstance(source, FileSource)
        file.seek(7)
        assert source.read(0, 8) == pack_path.read_bytes()[:8]
        assert file.tell() == 7


def test_work_of_a_short_thread_runs_on_a_lasting_one() -> None:
    def where() -> tuple[threading.Thread, int, bool]:
        return threading.current_thread(), cores(), torch.is_grad_enabled()

    main = on_lasting_thread(where, CPU)
    assert main[0] is threading.current_thread()
    ((thread, count, _),) = in_threads(1, lambda _: on_lasting_thread(where, CPU))
    assert (thread.name.startswith("rinrcodec"), thread.is_alive()) == (True, True)
    assert count == main[1]
    nested = in_threads(
        1, lambda _: on_lasting_thread(lambda: on_lasting_thread(where, CPU)[0].name, CPU)
    )
    assert nested[0].startswith("rinrcodec")
    (error,) = in_threads(1, lambda _: on_lasting_thread(lambda: 1 // 0, CPU))
    assert isinstance(error, ZeroDivisionError)


def test_a_thread_that_decodes_while_the_interpreter_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended:
        def submit(self, *_: object) -> None:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(parallel, "_pool", Ended())
    (error,) = in_threads(1, lambda _: on_lasting_thread(int, CPU))
    assert isinstance(error, rinrcodec.RinrError)
    assert "join your threads before the program ends" in str(error)
    # The main thread still can, as functions of `atexit` do.
    assert parallel.parallel_map(str, [1, 2, 3], CPU, threads=2) == ["1", "2", "3"]
    assert on_lasting_thread(int, CPU) == 0


@forks
def test_a_fork_waits_for_calls_under_way_and_calls_wait_for_it() -> None:
    inside, go, forks, done = (threading.Event() for _ in range(4))
    log: list[str] = []

    def work() -> None:
        inside.set()
        assert go.wait(20)
        log.append("decoded")

    def fork() -> None:
        parallel._before_fork()
        log.append("forks")
        forks.set()
        # The thread lives on: another thread would get the number of one that ended.
        assert done.wait(20)
        parallel._after_fork()

    thread = threading.Thread(target=on_lasting_thread, args=(work, CPU))
    thread.start()
    assert inside.wait(20)
    forking = threading.Thread(target=fork)
    forking.start()
    go.set()
    assert forks.wait(20)
    thread.join(20)
    assert log == ["decoded", "forks"]
    late = threading.Thread(target=on_lasting_thread, args=(lambda: log.append("late"), CPU))
    late.start()
    late.join(0.05)
    assert log == ["decoded", "forks"]
    done.set()
    forking.join(20)
    late.join(20)
    assert log[-1] == "late"


@forks
def test_a_lock_is_free_in_a_forked_process() -> None:
    code = (
        "import os, threading\n"
        "from rinrcodec.storage.fork_lock import ForkSafeLock\n"
        "lock, held, done = ForkSafeLock(), threading.Event(), threading.Event()\n"
        "def hold():\n"
        "    with lock:\n"
        "        held.set(); done.wait(20)\n"
        "threading.Thread(target=hold).start(); held.wait()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    with lock: os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])); done.set()\n"
    )
    assert run(code) == (0, "7\n", "")


def run(code: str, *args: object) -> tuple[int, str, str]:
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.02, 0.2])
def test_daemon_threads_that_decode_do_not_abort_the_process(pack_path: Path, wait: float) -> None:
    # NumPy arrays: any use of a tensor in a daemon thread may abort, also without this package.
    code = """
import sys, threading, time, rinrcodec
file = rinrcodec.open(sys.argv[1])
file[0]
def decode():
    while True: file.pixels([0, 1, 2])
for _ in range(3): threading.Thread(target=decode, daemon=True).start()
time.sleep(float(sys.argv[2]))
"""
    code_, _, said = run(code, pack_path, wait)
    assert code_ == 0, said
    assert "terminate called" not in said
    # The process may end while a thread still prints its error.
    assert "Exception in thread" in said or not said


@pytest.mark.slow
def test_functions_at_exit_can_decode(pack_path: Path) -> None:
    code = """
import atexit, sys
atexit.register(lambda: print(tuple(file.decode([0, 1, 2]).shape)))
import rinrcodec
file = rinrcodec.open(sys.argv[1])
file[0]
"""
    assert run(code, pack_path)[:2] == (0, "(3, 3, 20, 24)\n")


@forks
@pytest.mark.slow
def test_a_fork_when_threads_of_the_user_decode(pack_path: Path) -> None:
    """While they do, and after them."""
    code = """
import os, sys, threading, rinrcodec
path = sys.argv[1]
file = rinrcodec.open(path)
expected, stop = file[0], threading.Event()
def decode(way):
    file[1]
    while way == "while" and not stop.is_set(): file[2]
for way in ["while"] * 8 + ["after"] * 8:
    threads = [threading.Thread(target=decode, args=(way,)) for _ in range(3)]
    for thread in threads: thread.start()
    if way == "after":
        for thread in threads: thread.join()
    child = os.fork()
    if not child:
        same = bool((file[0] == expected).all() and (rinrcodec.open(path)[0] == expected).all())
        os._exit(0 if same else 3)
    print(way, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    for thread in threads: thread.join()
    stop.clear()
"""
    assert run(code, pack_path)[:2] == (0, "while 0\n" * 8 + "after 0\n" * 8)

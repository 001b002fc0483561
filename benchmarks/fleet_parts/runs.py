"""Runs of `rinrcodec compress` in processes of their own, looked at from outside."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import psutil
from PIL import Image

from rinrcodec.errors import RinrError
from rinrcodec.sources.samples import sample_pictures

__all__ = [
    "Compress",
    "contents",
    "is_alive",
    "manifest_bytes",
    "quick_words",
    "sha256",
    "tiles",
    "write_tiles",
]

# Few steps that run every part of a fit. Other families are not fitted in steps.
_STEPS = {"siren": 40, "nerv": 4, "pyramid": 8}

_LOOK_S = 0.1
# Where every change counts; what it takes to look is not measured then.
_LOOK_OFTEN_S = 0.05


def tiles(count: int, size: int, *, seed: int) -> Iterator[np.ndarray]:
    """Yield `count` random windows of `size` x `size` pixels of scikit-image's pictures."""
    pictures = [picture.pixels for picture in sample_pictures()]
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = pictures[number % len(pictures)]
        top, left = (int(rng.integers(side - size + 1)) for side in pixels.shape[:2])
        yield pixels[top : top + size, left : left + size]


def write_tiles(folder: Path, count: int, size: int, *, seed: int) -> Path:
    """Write the tiles as PNG files below `images` in a folder; every second one has a box."""
    images, labels = folder / "images", folder / "labels"
    images.mkdir(parents=True)
    labels.mkdir()
    for number, pixels in enumerate(tiles(count, size, seed=seed)):
        Image.fromarray(pixels).save(images / f"{number:05d}.png")
        line = "0 0.5 0.5 0.4 0.3\n" if number % 2 else ""
        (labels / f"{number:05d}.txt").write_text(line, encoding="utf-8")
    return images


def quick_words(background: str, steps: int | None = None) -> list[str]:
    """Return the options of `compress` for a short fit of a family.

    steps: in place of the usual ones, where the family is fitted in steps.
    """
    words = ["--background", background, "--preset", "fast"]
    if background in _STEPS:
        words += ["--steps", str(steps or _STEPS[background])]
    return words


def sha256(path: Path) -> str:
    """Return the SHA-256 of the bytes of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents(folder: Path) -> dict[str, str]:
    """Return all files below a folder, also hidden ones, with SHA-256; folders end in a slash."""
    return {
        path.relative_to(folder).as_posix() + "/" * path.is_dir(): ""
        if path.is_dir()
        else sha256(path)
        for path in sorted(folder.rglob("*"))
    }


class Compress:
    """`rinrcodec compress WORDS` from here to its end; as a context it does not outlive the block.

    look: called again and again while it runs. With it, processes: all below it that were seen, and
    workers: those of them that fit shards. Of the driver alone, as last seen: peak_bytes, of all
    its memory, libraries that were read from files with it; own_bytes, the peak of memory that is
    its own; cpu_s. all_cpu_s: of the driver and all processes that it waited for, at the end.
    """

    def __init__(
        self, *words: object, threads: int, look: Callable[[], None] | None = None
    ) -> None:
        self.processes: set[psutil.Process] = set()
        self.workers: set[psutil.Process] = set()
        self.peak_bytes = 0
        self.own_bytes = 0
        self.cpu_s = 0.0
        self.seconds = 0.0
        self.all_cpu_s = 0.0
        self._cpu_before = _cpu_of_children()
        self._look = look
        self._error: BaseException | None = None
        self._began = time.perf_counter()
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed at the end of the run)
        # Tiny pictures gain nothing from threads; that the bytes are the same with more is tested.
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rinrcodec", "compress", *map(str, words)],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        self.driver = psutil.Process(self._process.pid)
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def __enter__(self) -> Compress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._end()

    @property
    def code(self) -> int | None:
        """As `subprocess.Popen.returncode`."""
        return self._process.returncode

    @property
    def so_far(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._began

    def fitting(self) -> list[psutil.Process]:
        """Return the processes that fit a shard now, or are about to."""
        return [process for process in list(self.workers) if is_alive(process) and _fits(process)]

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, *, code: int | None = 0) -> str:
        """Wait until it ends; return what it said. Raise `RinrError` for another exit code."""
        self._process.wait()
        said = self._end()
        if code is not None and self._process.returncode != code:
            raise RinrError(f"compress ended with {self._process.returncode}: {said.strip()}")
        return said

    def _end(self) -> str:
        self._thread.join()
        if self._log.closed:
            return ""
        self._process.wait()
        self.all_cpu_s = _cpu_of_children() - self._cpu_before
        with self._log:
            self._log.seek(0)
            said = self._log.read()
        if self._error is not None:
            raise self._error
        return said

    def _watch(self) -> None:
        try:
            while self.running:
                with suppress(psutil.Error, OSError):
                    self._see()
                if self._look:
                    self._look()
                time.sleep(_LOOK_OFTEN_S if self._look else _LOOK_S)
            self.seconds = time.perf_counter() - self._began
            if self._look:
                self._look()
        except BaseException as error:
            self._error = error

    def _see(self) -> None:
        peak, anonymous = _memory(self.driver)
        self.peak_bytes = max(self.peak_bytes, peak)
        self.own_bytes = max(self.own_bytes, anonymous)
        times = self.driver.cpu_times()
        self.cpu_s = times.user + times.system
        if self._look is None:
            return
        for process in self.driver.children(recursive=True):
            # A process of Ray takes the name of its task when it starts one.
            if process not in self.workers:
                self.processes.add(process)
                if _fits(process):
                    self.workers.add(process)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def is_alive(process: psutil.Process) -> bool:
    """Return whether it runs; one that ended and that nobody asked for yet does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _fits(process: psutil.Process) -> bool:
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return "multiprocessing.spawn" in command or command.startswith("ray::_task")


def _memory(process: psutil.Process) -> tuple[int, int]:
    """Return bytes of resident memory: the peak where it is known, and without those of files."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        now = process.memory_info().rss
        return now, now
    lines = (line.split() for line in status.read_text(encoding="utf-8").splitlines())
    sizes = {words[0]: int(words[1]) * 1024 for words in lines if words[-1:] == ["kB"]}
    return sizes.get("VmHWM:", 0), sizes.get("RssAnon:", 0)


def manifest_bytes(folder: Path) -> tuple[int, int, int]:
    """Return the bytes of the manifest, the number of files it lists, and their total bytes."""
    path = folder / "manifest.json"
    (run,) = json.loads(path.read_text(encoding="utf-8"))["runs"]
    records = [record for shard in run["shards"] for record in shard["files"].values()]
    return path.stat().st_size, len(records), sum(record["bytes"] for record in records)

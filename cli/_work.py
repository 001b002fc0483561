"""Fitting in parts: each batch of frames is kept on disk as soon as it is fitted.

A part is a pack and a JSON file about it, which is written last and so says that the part is
complete. Parts depend on the pictures and options alone, never on when a run was interrupted, and
packs are merged from the files of the parts: a resumed run gives the bytes of an undisturbed one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rinrcodec import __version__
from rinrcodec.cli._files import write_text
from rinrcodec.errors import RinrInputError
from rinrcodec.formats import write_pack
from rinrcodec.sources import Series, Source

if TYPE_CHECKING:
    from rinrcodec.model import Pack

__all__ = ["FittedPart", "Work", "locked", "run_key", "unfinished_runs"]

# The name that a run's folder takes when nothing in it is needed any more.
_DONE = "done"
_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class FittedPart:
    """What is known of a fitted batch: pictures `start` to `start + count` of its series.

    quality: PSNR in dB of (frame, background, objects) of each frame, of the decoded part.
    seconds: reading, fitting and measuring.
    """

    start: int
    count: int
    names: list[str]
    boxes: int
    object_inrs: int
    pixels: int
    source_bytes: int
    quality: list[tuple[float, float | None, float | None]]
    seconds: float
    failures: list[str]
    warnings: list[str]

    @property
    def stop(self) -> int:
        return self.start + self.count


def run_key(source: Source, **options: object) -> str:
    """A name for a run, by everything that decides its bytes: pictures, labels and options.

    Files count by their names within the source, size and time: a run can be gone on with from
    another folder.
    """
    options.update(version=__version__, names=dict(source.names))
    digest = hashlib.sha256(json.dumps(options, sort_keys=True, default=repr).encode())
    for series in source.series:
        digest.update(repr((series.name, series.video and _stamp(series.video))).encode())
        if series.labels is not None:
            labels = [
                (label.relative_to(series.labels).as_posix(), _stamp(label))
                for label in sorted(series.labels.rglob("*.txt"))
            ]
            digest.update(repr(labels).encode())
        for ref in series.refs:
            stamp = ref.label and _stamp(ref.label)
            digest.update(repr((ref.name, _stamp(ref.path), stamp)).encode())
    return digest.hexdigest()[:24]


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return path.name, -1, -1
    return path.name, status.st_size, status.st_mtime_ns


def unfinished_runs(root: Path) -> list[str]:
    """The keys of the runs that wait in a work folder."""
    names = {folder.name for folder in root.iterdir()} if root.is_dir() else set()
    return sorted(names - {_DONE, _LOCK})


@contextlib.contextmanager
def locked(root: Path, out: Path) -> Iterator[None]:
    """Hold the work folder of an output, as no other process can meanwhile; it goes when empty.

    Raises `RinrInputError` where another process holds it.
    """
    file = root / _LOCK
    while True:
        root.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # who held it before is just removing the folder
            continue
        try:
            if not _lock(descriptor):
                raise RinrInputError(
                    f"another compress is writing to {out}; wait for it, or give another -o"
                )
            # Whoever held the lock before may have removed the file since it was opened here.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), file.stat()):
                    break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    try:
        yield
    finally:
        shutil.rmtree(root / _DONE, ignore_errors=True)
        with contextlib.suppress(OSError):
            if not unfinished_runs(root):
                file.unlink()
                root.rmdir()
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


class Work:
    """The folder of one run's parts, in a `locked` folder: there until the run is done."""

    def __init__(self, root: Path, key: str, *, fresh: bool = False) -> None:
        self._root = root
        self._folder = root / key
        if fresh:
            for name in unfinished_runs(root):
                shutil.rmtree(root / name, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)

    @property
    def started(self) -> bool:
        """Whether any part is complete."""
        return next(self._folder.glob("*.json"), None) is not None

    def parts(self, series: Series) -> list[FittedPart]:
        """The complete parts of a series, in order."""
        parts: list[FittedPart] = []
        while True:
            file = self._file(series, len(parts), ".json")
            if not file.exists():
                return parts
            parts.append(FittedPart(**json.loads(file.read_text(encoding="utf-8"))))

    def pack_path(self, series: Series, number: int) -> Path:
        """The pack of a part; there is none where no picture of it could be read."""
        return self._file(series, number, ".rinr")

    def add(self, series: Series, number: int, part: FittedPart) -> None:
        """Say that a part is complete; its pack, if any, is already in its place."""
        write_text(self._file(series, number, ".json"), json.dumps(asdict(part)))

    def publish(self, path: Path, pack: Pack) -> None:
        """Write a pack to its final place, by way of this folder.

        A run that is killed leaves its unfinished file here, where the next run removes it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        ready = self._folder / "ready.rinr"
        write_pack(ready, pack)
        try:
            ready.replace(path)
        except OSError as error:
            if error.errno != errno.EXDEV:  # a folder of the output is a link to another disk
                raise
            write_pack(path, pack)

    def publish_text(self, path: Path, text: str) -> None:
        """Write a text file to its final place, by way of this folder."""
        ready = self._folder / "ready.txt"
        write_text(ready, text)
        ready.replace(path)

    def finish(self) -> None:
        """Remove everything; a run that ends in the middle of this counts as done."""
        done = self._root / _DONE
        shutil.rmtree(done, ignore_errors=True)
        self._folder.replace(done)
        shutil.rmtree(done, ignore_errors=True)

    def drop(self) -> None:
        """Remove this run's folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, series: Series, number: int, suffix: str) -> Path:
        # Series of one run have different names: the splits of a yaml, or just one.
        folder = hashlib.sha256(os.fsencode(series.name)).hexdigest()[:8]
        return self._folder / f"{folder}-{number:06d}{suffix}"

"""Objects in stores that fsspec knows, such as S3. Reached through `files.storage_of`.

A store has no folders, no locks and no renaming, but an object appears whole or not at all. All
requests go through `requests.ask`.
"""

from __future__ import annotations

import errno
import io
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from rinrcodec.storage.byte_source import ByteSource, ObjectSource
from rinrcodec.storage.interface import MOST_BYTES, Item, Kind, Result, Storage
from rinrcodec.storage.locations import is_remote
from rinrcodec.storage.requests import ask, is_no_bucket, key_of
from rinrcodec.storage.stamps import check_size, check_stamp, object_stamp, size_in

__all__ = ["RemoteStorage"]

# How many requests a store gets at a time.
_AT_A_TIME = 16
# An object that is read whole comes in requests of this size; one that takes several is kept on
# the disk meanwhile.
_REQUEST = 1 << 23


class RemoteStorage(Storage):
    """The stores that fsspec knows."""

    has_native_paths = False
    has_folders = False
    has_locks = False
    lists_at_once = True
    writes_whole = True
    poll_seconds = 5.0  # every look is a request, which costs money
    write_advice = "the rights to it"
    root_steps = 3  # the protocol, nothing, and the bucket

    def file_or_folder(self, path: Path) -> Kind:
        try:
            return "folder" if ask(path, "info")["type"] == "directory" else "file"
        except FileNotFoundError as error:
            if is_no_bucket(error):
                raise
            return None

    def stamp_of(self, path: Path) -> str:
        info = ask(path, "info")
        if info["type"] == "directory":
            raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
        if info.get("size") is None:
            message = "the server does not report its size; download it first"
            raise OSError(errno.ENOTSUP, message, str(path))
        return object_stamp(info)

    def files_below(
        self,
        folder: Path,
        *,
        unlisted: list[OSError] | None = None,  # noqa: ARG002 (one request lists all)
    ) -> list[tuple[Path, str]]:
        return [(self.at(text, folder), stamp) for text, stamp in sorted(self.texts_below(folder))]

    def texts_below(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Yield the text and stamp of every file in a folder and below it, in any order.

        Making paths of a million texts takes longer than listing them.
        """
        try:
            entries = ask(folder, "find", detail=True).values()
        except FileNotFoundError as error:
            if is_no_bucket(error):
                raise
            return
        yield from self._texts(folder, entries)

    def texts_in(self, folder: Path) -> Iterator[tuple[str, str]]:
        """Yield the text and stamp of every file right in a folder, in any order."""
        with suppress(FileNotFoundError):
            yield from self._texts(folder, ask(folder, "ls", detail=True))

    def _texts(self, folder: Path, entries: Iterable[Any]) -> Iterator[tuple[str, str]]:
        start = key_of(folder).rstrip("/") + "/"
        base = self.text_of(folder)
        for entry in entries:
            name = entry["name"][len(start) :] if entry["name"].startswith(start) else ""
            # An empty object whose name ends in "/" represents a folder.
            if not name or name.endswith("/") or entry["type"] != "file":
                continue
            if not any(part.startswith(".") for part in name.split("/")):
                yield f"{base}/{name}", object_stamp(entry)

    def names_in(self, folder: Path) -> list[str]:
        try:
            keys = ask(folder, "ls", detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        names = {str(key).rstrip("/").rpartition("/")[2] for key in keys}
        return sorted(names - {folder.name, ""})

    def may_pass(self, path: Path, error: OSError) -> bool:  # noqa: ARG002
        # Credentials that expired can be renewed.
        return not isinstance(error, (FileNotFoundError, IsADirectoryError))

    def is_same(self, path: Path, other: Path) -> bool:
        return is_remote(other) and self.text_of(path) == self.text_of(other)

    def read_file(self, path: Path, *, stamp: str = "", most: int = MOST_BYTES) -> bytes:
        before = stamp or self.stamp_of(path)
        size = size_in(before)
        check_size(path, size, most)
        try:
            data = self.read_range(path, 0, size) if size else b""
        except OSError:
            if self._stamp_now(path) == before:
                raise
            data = b""
        after = self._stamp_now(path)
        check_stamp(path, before, after, "after this run began" if stamp else "while it was read")
        if len(data) != size:
            raise OSError(
                errno.EIO, f"received {len(data):,} of {size:,} bytes; try again", str(path)
            )
        return data

    def _stamp_now(self, path: Path) -> str:
        try:
            return self.stamp_of(path)
        except FileNotFoundError:
            return ""

    def read_range(self, path: Path, start: int, stop: int) -> bytes:
        data: bytes = ask(path, "cat_file", start=start, end=stop)
        if len(data) > stop - start:
            message = "the server does not send parts of files; download it first"
            raise OSError(errno.ENOTSUP, message, str(path))
        return data

    def open_ranges(self, path: Path, *, head: int = 0) -> ByteSource:
        return ObjectSource(path, head=head, stamp_of=self.stamp_of, read_range=self.read_range)

    @contextmanager
    def open_file(
        self, path: Path, *, size: int | None = None, on_block: Callable[[], None] = lambda: None
    ) -> Iterator[IO[bytes]]:
        n_bytes = size_in(self.stamp_of(path)) if size is None else size
        with tempfile.SpooledTemporaryFile(_REQUEST) as copy:
            for start in range(0, n_bytes, _REQUEST):
                on_block()
                copy.write(self.read_range(path, start, min(start + _REQUEST, n_bytes)))
            copy.seek(0)
            yield cast(IO[bytes], copy)

    @contextmanager
    def new_file(self, path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:  # noqa: ARG002
        with io.BytesIO() as file:
            yield file
            ask(path, "pipe_file", file.getvalue())

    def create_file(self, path: Path, data: bytes) -> bool:
        try:
            ask(path, "pipe_file", data, mode="create")
        except FileExistsError:
            return False
        return True

    def move(self, path: Path, destination: Path) -> None:
        # Not `mv`, which takes names with brackets for patterns; nor `rm` below.
        ask(path, "cp_file", key_of(destination))
        ask(path, "rm_file")

    def make_folder(self, folder: Path, *, parents: bool = True) -> None:
        """Do nothing: there are no folders."""

    def remove_file(self, path: Path) -> None:
        if self.file_or_folder(path) == "file":
            ask(path, "rm_file")

    def remove_tree(self, folder: Path) -> None:
        def remove(key: str) -> None:
            with suppress(FileNotFoundError):
                ask(folder, "rm_file", key=key)

        with suppress(FileNotFoundError):
            self.map_stored(remove, ask(folder, "find"))

    def map_stored(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            try:
                futures = [pool.submit(function, item) for item in items]
                for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                    future.result()
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def text_of(self, path: Path) -> str:
        return str(path).rstrip("/")

    def at(self, text: str, like: Path) -> Path:
        return cast(Path, cast(Any, like).with_segments(text))

    def _below(self, folder: Path, entry: str) -> Path:
        # By name, since a store has no folders to ask what ".." is.
        for step in entry.split("/"):
            if step == "..":
                folder = folder.parent
            elif step not in {"", "."}:
                folder = folder / step
        return folder

    def absolute(self, path: Path) -> Path:
        return path

    def normal(self, path: Path) -> Path:
        return path

    def relative_name(self, path: Path, folder: str) -> str:
        start = folder if folder.endswith("/") else f"{folder}/"
        return self.text_of(path)[len(start) :]

    def common_folder(self, folders: Sequence[Path]) -> str:
        split = [self.text_of(folder).split("/") for folder in folders]
        common = itertools.takewhile(lambda step: len(set(step)) == 1, zip(*split, strict=False))
        steps = [step[0] for step in common]
        if not steps:
            raise ValueError("paths of several stores")
        # Of two buckets, the protocol alone is common.
        return "/".join(steps) if len(steps) >= self.root_steps else f"{steps[0]}//"

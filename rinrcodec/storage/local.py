"""Files on the disks of this machine. Reached through `files.storage_of`."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from rinrcodec.errors import RinrInputError
from rinrcodec.storage.byte_source import ByteSource, FileSource, StreamSource
from rinrcodec.storage.interface import MOST_BYTES, Item, Kind, Result, Storage
from rinrcodec.storage.locations import is_remote
from rinrcodec.storage.regular import (
    kernel_devices,
    open_binary,
    open_regular,
    read_at_most,
    read_whole,
)
from rinrcodec.storage.replacing import copy_permissions, replacing, writable_target
from rinrcodec.storage.stamps import check_size, check_stamp, local_stamp

__all__ = ["LocalStorage"]

# What is wrong with a file rather than with its disk.
_LASTING = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR}
_LASTING |= {errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO, errno.ENODEV}
# How many files may be listed again by way of links; a folder counts as a few files.
_MOST_REPEATED = 1_000_000
_FOLDER_COST = 10


class LocalStorage(Storage):
    """The disks of this machine."""

    has_native_paths = True
    has_folders = True
    has_locks = True
    lists_at_once = False
    writes_whole = False
    poll_seconds = 0.5
    write_advice = "the folder and the space on its disk"
    root_steps = 0

    def file_or_folder(self, path: Path) -> Kind:
        return "folder" if path.is_dir() else "file" if path.exists() else None

    def stamp_of(self, path: Path) -> str:
        return local_stamp(path.stat())

    def files_below(
        self, folder: Path, *, unlisted: list[OSError] | None = None
    ) -> list[tuple[Path, str]]:
        # A `Path` would sort "a/b" before "a-b".
        return sorted(_walk(folder, unlisted), key=lambda item: item[0].as_posix())

    def names_in(self, folder: Path) -> list[str]:
        try:
            return sorted(path.name for path in folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def may_pass(self, path: Path, error: OSError) -> bool:  # noqa: ARG002
        return error.errno not in _LASTING

    def is_same(self, path: Path, other: Path) -> bool:
        is_there = not is_remote(other) and path.exists() and other.exists()
        return is_there and path.samefile(other)

    def read_file(self, path: Path, *, stamp: str = "", most: int = MOST_BYTES) -> bytes:
        if stamp and not path.exists():
            check_stamp(path, stamp, "", "after this run began")
        descriptor, status = open_regular(path)
        try:
            before = local_stamp(status)
            check_stamp(path, stamp, before, "after this run began")
            check_size(path, status.st_size, most)
            try:
                data = read_whole(descriptor, status.st_size, path)
            finally:
                after = local_stamp(os.fstat(descriptor))
                check_stamp(path, before, after, "while it was read")
        finally:
            os.close(descriptor)
        return data

    def read_range(self, path: Path, start: int, stop: int) -> bytes:
        descriptor, _ = open_regular(path)
        try:
            os.lseek(descriptor, start, os.SEEK_SET)
            return read_at_most(descriptor, stop - start, path)
        finally:
            os.close(descriptor)

    def open_ranges(self, path: Path, *, head: int = 0) -> ByteSource:  # noqa: ARG002
        if hasattr(os, "pread"):
            return FileSource(path)
        return StreamSource(open_binary(path), owned=True)

    def open_file(
        self,
        path: Path,
        *,
        size: int | None = None,  # noqa: ARG002
        on_block: Callable[[], None] = lambda: None,  # noqa: ARG002
    ) -> AbstractContextManager[IO[bytes]]:
        return open_binary(path)

    @contextmanager
    def new_file(self, path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
        with replacing(path, durable=durable) as temporary, temporary.open("wb") as file:
            yield file

    def named_file(self, path: Path) -> Path:
        return writable_target(path)

    def create_file(self, path: Path, data: bytes) -> bool:
        try:
            file = path.open("xb")
        except FileExistsError:
            return False
        try:
            with file:
                file.write(data)
        except BaseException:  # half a file would take the name
            path.unlink(missing_ok=True)
            raise
        return True

    def move(self, path: Path, destination: Path) -> None:
        try:
            copy_permissions(destination, path)
            path.replace(destination)
        except OSError as error:
            if error.errno != errno.EXDEV:  # on another disk, behind a link
                raise
            with replacing(destination) as temporary:
                shutil.copyfile(path, temporary)
            path.unlink()

    def make_folder(self, folder: Path, *, parents: bool = True) -> None:
        folder.mkdir(parents=parents, exist_ok=True)

    def remove_file(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def remove_tree(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    def map_stored(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        return list(map(function, items))

    def text_of(self, path: Path) -> str:
        return path.as_posix()

    def at(self, text: str, like: Path) -> Path:  # noqa: ARG002
        return Path(text)

    def _below(self, folder: Path, entry: str) -> Path:
        return folder / entry

    def absolute(self, path: Path) -> Path:
        # Not Path.resolve, which follows links: labels are next to the link.
        return Path(os.path.abspath(path))  # noqa: PTH100

    def normal(self, path: Path) -> Path:
        return Path(os.path.normpath(path))

    def relative_name(self, path: Path, folder: str) -> str:
        return Path(os.path.relpath(path, folder)).as_posix()

    def common_folder(self, folders: Sequence[Path]) -> str:
        if any(map(is_remote, folders)):
            raise ValueError("paths of several stores")
        return os.path.commonpath([folder.as_posix() for folder in folders])


def _walk(top: Path, unlisted: list[OSError] | None) -> Iterator[tuple[Path, str]]:
    """Yield the files at and below a folder with their stamps, each under all of its paths.

    Links to folders are followed, so a folder with two links to it is listed twice. One that is
    its own ancestor ends there. Links can multiply without a loop: ten folders with two links to
    the next one have 1,024 paths. `_MOST_REPEATED` bounds that.
    """
    seen: set[tuple[int, int]] = set()
    repeated = 0
    todo: list[tuple[str, frozenset[tuple[int, int]]]] = [(str(top), frozenset())]
    while todo:
        folder, above = todo.pop()
        try:
            stat = os.stat(folder)  # noqa: PTH116 (a `Path` for every folder takes longer)
            here = (stat.st_dev, stat.st_ino)
            if here in above:  # a link that leads back up
                continue
            if here[0] in kernel_devices() and above:
                raise OSError(errno.EINVAL, "a folder of the kernel", folder)
            with os.scandir(folder) as listing:
                entries = [entry for entry in listing if not entry.name.startswith(".")]
        except OSError as error:
            if _matters(error):
                if unlisted is None or folder == str(top):
                    raise
                unlisted.append(error)
            continue
        if here in seen:
            repeated += _FOLDER_COST + len(entries)
            if repeated > _MOST_REPEATED:
                raise RinrInputError(
                    f"{top}: links lead to the same files more than {_MOST_REPEATED:,} times, "
                    f"for example {folder}; remove links between its folders"
                )
        seen.add(here)
        for entry in entries:
            if _is_folder(entry):
                todo.append((entry.path, above | {here}))
                continue
            file = Path(entry.path)
            try:
                yield file, local_stamp(file.stat())
            except OSError:  # reading it says why
                yield file, ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _matters(error: OSError) -> bool:
    """Return whether files of a folder would be missed; only root can list `lost+found`."""
    gone = isinstance(error, (FileNotFoundError, NotADirectoryError))
    return not gone and Path(error.filename).name != "lost+found"

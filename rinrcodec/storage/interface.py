"""The interface of a storage: local disks (`local.py`) and fsspec stores (`remote.py`).

Callers get a storage from `files.storage_of`, or use the functions of the same names in `files.py`.
They ask what a storage can do (the attributes below), never where it is. A storage keeps no state:
every method takes the path. Paths behind a URL are `UPath` objects, typed as `pathlib.Path`.

Every method may raise an `OSError` that names the path.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, BinaryIO, Literal, TypeAlias, TypeVar

from rinrcodec.storage.byte_source import ByteSource
from rinrcodec.storage.locations import check_store, is_absolute, to_path

__all__ = ["MOST_BYTES", "Item", "Kind", "Result", "Storage"]

# Of a file that is read whole, unless the caller allows fewer.
MOST_BYTES = 2**31

Kind: TypeAlias = "Literal['file', 'folder'] | None"
Item = TypeVar("Item")
Result = TypeVar("Result")


class Storage(ABC):
    """One kind of storage.

    Attributes:
        has_native_paths: other libraries can open its paths, and paths may be relative.
        has_folders: a folder exists by itself, and can disappear.
        has_locks: a lock on a file ends with its process.
        lists_at_once: one listing of a folder is cheaper than a question for each file.
        writes_whole: a file appears complete under its name, without a temporary name first.
        poll_seconds: how long a watcher waits between two looks.
        write_advice: what to check where a file cannot be written.
        root_steps: how many steps of a path's text (split at "/") are not folders.
    """

    has_native_paths: bool
    has_folders: bool
    has_locks: bool
    lists_at_once: bool
    writes_whole: bool
    poll_seconds: float
    write_advice: str
    root_steps: int

    # What is there

    @abstractmethod
    def file_or_folder(self, path: Path) -> Kind:
        """Return "file", "folder", or None where nothing has that path.

        Raises:
            OSError: the bucket does not exist, or the store cannot be reached.
        """

    @abstractmethod
    def stamp_of(self, path: Path) -> str:
        """Return the stamp of a file (`stamps.py`)."""

    @abstractmethod
    def files_below(
        self, folder: Path, *, unlisted: list[OSError] | None = None
    ) -> list[tuple[Path, str]]:
        """Return every file in a folder and below it with its stamp, sorted by path as text.

        Hidden files and folders are skipped, links are followed. A folder that is not there is
        empty. The stamp of a link that leads nowhere is "". FIFOs and devices are listed, too.

        Args:
            folder: the folder.
            unlisted: takes the errors of folders that cannot be listed; None raises the first.
        """

    @abstractmethod
    def names_in(self, folder: Path) -> list[str]:
        """Return the sorted names of files and folders right in a folder, [] if it is not there."""

    @abstractmethod
    def may_pass(self, path: Path, error: OSError) -> bool:
        """Return whether a file that could not be read may be readable later.

        True where the disk or store failed, False where something is wrong with the file.
        """

    @abstractmethod
    def is_same(self, path: Path, other: Path) -> bool:
        """Return whether two paths lead to the same folder."""

    # Reading

    @abstractmethod
    def read_file(self, path: Path, *, stamp: str = "", most: int = MOST_BYTES) -> bytes:
        """Return all bytes of a file.

        Args:
            path: the file.
            stamp: the version to read; "" reads any.
            most: refuse a file of more bytes.

        Raises:
            RinrInputError: the file has changed since that stamp, or changes while it is read.
            RinrLimitError: the file is too large.
        """

    @abstractmethod
    def read_range(self, path: Path, start: int, stop: int) -> bytes:
        """Return the bytes `[start, stop)` of a file, fewer where it ends before."""

    @abstractmethod
    def open_ranges(self, path: Path, *, head: int = 0) -> ByteSource:
        """Open a file for random access; it can cross a fork, and threads may share it.

        Args:
            path: the file.
            head: how many bytes at the start are read together when a file is opened.
        """

    @abstractmethod
    def open_file(
        self, path: Path, *, size: int | None = None, on_block: Callable[[], None] = lambda: None
    ) -> AbstractContextManager[IO[bytes]]:
        """Open a file, at its start, to read all of it; a store's object is downloaded first.

        Args:
            path: the file.
            size: its size in bytes, if known from a listing.
            on_block: called before each block of a download; may raise to stop it.
        """

    # Writing

    @abstractmethod
    def new_file(self, path: Path, *, durable: bool = True) -> AbstractContextManager[BinaryIO]:
        """Open a file to write; it gets its name when the block ends without an error.

        Replaces a file of that name. The folder must exist, where the storage has folders.

        Args:
            path: the file.
            durable: flush to the disk before the name changes (slow for thousands of files).
        """

    def named_file(self, path: Path) -> Path:
        """Return the file to write where a user names a path: links are followed.

        Raises:
            OSError: it is a folder, a device, a link that leads nowhere, or write-protected.
        """
        return path

    def write_whole(self, path: Path, data: bytes, *, durable: bool = True) -> None:
        """Write a file, all or nothing, as `new_file` does."""
        with self.new_file(path, durable=durable) as file:
            file.write(data)

    @abstractmethod
    def create_file(self, path: Path, data: bytes) -> bool:
        """Write a file unless that name is taken; return whether it was written.

        Of several writers at the same moment, one gets True.
        """

    @abstractmethod
    def move(self, path: Path, destination: Path) -> None:
        """Rename a file and replace `destination`; copies where the storage cannot rename."""

    @abstractmethod
    def make_folder(self, folder: Path, *, parents: bool = True) -> None:
        """Make a folder unless it exists; does nothing in a storage without folders.

        Args:
            folder: the folder.
            parents: make the folders above it, too. Otherwise a missing one is an `OSError`.
        """

    @abstractmethod
    def remove_file(self, path: Path) -> None:
        """Remove a file if it exists."""

    @abstractmethod
    def remove_tree(self, folder: Path) -> None:
        """Remove a folder and all below it, as far as it exists and can be removed."""

    @abstractmethod
    def map_stored(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return `list(map(function, items))`, with several requests at a time to a store.

        For calls that mostly wait for the storage. The first call that fails ends the work: calls
        under way finish, no others start, and its error is raised.
        """

    # Paths as text

    @abstractmethod
    def text_of(self, path: Path) -> str:
        """Return a path as text with "/" between steps and none at the end; `at` reverses it."""

    @abstractmethod
    def at(self, text: str, like: Path) -> Path:
        """Return the path of a text from `text_of`, in the same storage as `like`."""

    def join(self, folder: Path, entry: str) -> Path:
        """Return the path that a text inside a file of `folder` means: a URL or a path.

        Raises:
            RinrInputError: it is in another store (`locations.check_store`).
        """
        check_store(folder, entry)
        return to_path(entry) if is_absolute(entry) else self._below(folder, entry)

    @abstractmethod
    def _below(self, folder: Path, entry: str) -> Path: ...

    @abstractmethod
    def absolute(self, path: Path) -> Path:
        """Return the path from the root without ".." steps; links stay as they are."""

    @abstractmethod
    def normal(self, path: Path) -> Path:
        """Return the path without ".." steps, relative if it was; links stay as they are."""

    @abstractmethod
    def relative_name(self, path: Path, folder: str) -> str:
        """Return the name of a file below a folder (as `text_of`), with "/" between steps."""

    @abstractmethod
    def common_folder(self, folders: Sequence[Path]) -> str:
        """Return the text of the deepest folder that contains all of these, which are absolute.

        Raises:
            ValueError: there is none: they are in several stores, or on several drives.
        """

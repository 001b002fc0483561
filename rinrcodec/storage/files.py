"""Files at any path, local or behind a URL: one function for each operation of a `Storage`.

`storage_of` picks the storage of a path. The functions have the names and arguments of its methods,
which document them (`interface.py`). Functions that write are in `atomic.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from rinrcodec.storage.interface import MOST_BYTES, Item, Kind, Result, Storage
from rinrcodec.storage.local import LocalStorage
from rinrcodec.storage.locations import is_remote
from rinrcodec.storage.remote import RemoteStorage
from rinrcodec.storage.stamps import size_in

__all__ = [
    "at",
    "file_or_folder",
    "files_below",
    "join",
    "make_folder",
    "map_stored",
    "may_pass",
    "names_in",
    "read_file",
    "read_range",
    "remove_file",
    "remove_tree",
    "size_of",
    "stamp_of",
    "storage_of",
    "text_of",
]

_LOCAL = LocalStorage()
_REMOTE = RemoteStorage()


def storage_of(path: Path) -> Storage:
    """Return the storage that a path from `to_path` is in.

    >>> storage_of(Path("a.png")).has_folders
    True
    """
    return _REMOTE if is_remote(path) else _LOCAL


def file_or_folder(path: Path) -> Kind:
    """Return "file", "folder", or None where nothing has that path."""
    return storage_of(path).file_or_folder(path)


def stamp_of(path: Path) -> str:
    """Return the stamp of a file."""
    return storage_of(path).stamp_of(path)


def size_of(path: Path) -> int | None:
    """Return the size of a file in bytes, None where there is no file."""
    return size_in(stamp_of(path)) if file_or_folder(path) == "file" else None


def files_below(folder: Path, *, unlisted: list[OSError] | None = None) -> list[tuple[Path, str]]:
    """Return every file in a folder and below it with its stamp, sorted by path as text."""
    return storage_of(folder).files_below(folder, unlisted=unlisted)


def names_in(folder: Path) -> list[str]:
    """Return the sorted names of files and folders right in a folder."""
    return storage_of(folder).names_in(folder)


def may_pass(path: Path, error: OSError) -> bool:
    """Return whether a file that could not be read may be readable later."""
    return storage_of(path).may_pass(path, error)


def read_file(path: Path, *, stamp: str = "", most: int = MOST_BYTES) -> bytes:
    """Return all bytes of a file, of the version with that stamp."""
    return storage_of(path).read_file(path, stamp=stamp, most=most)


def read_range(path: Path, start: int, stop: int) -> bytes:
    """Return the bytes `[start, stop)` of a file."""
    return storage_of(path).read_range(path, start, stop)


def make_folder(folder: Path, *, parents: bool = True) -> None:
    """Make a folder unless it exists, where the storage has folders."""
    storage_of(folder).make_folder(folder, parents=parents)


def remove_file(path: Path) -> None:
    """Remove a file if it exists."""
    storage_of(path).remove_file(path)


def remove_tree(folder: Path) -> None:
    """Remove a folder and all below it."""
    storage_of(folder).remove_tree(folder)


def map_stored(
    function: Callable[[Item], Result], items: Iterable[Item], path: Path
) -> list[Result]:
    """Return `list(map(function, items))`, several at a time if `path` is in a remote store."""
    return storage_of(path).map_stored(function, items)


def text_of(path: Path) -> str:
    """Return a path as text with "/" between steps and none at the end."""
    return storage_of(path).text_of(path)


def at(text: str, like: Path) -> Path:
    """Return the path of a text from `text_of`, in the same storage as `like`."""
    return storage_of(like).at(text, like)


def join(folder: Path, entry: str) -> Path:
    """Return the path that a text inside a file of `folder` means, in the same store."""
    return storage_of(folder).join(folder, entry)

"""Writing files that are either complete or not there, at any path."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rinrcodec.errors import RinrError
from rinrcodec.storage.files import make_folder, storage_of
from rinrcodec.storage.locations import is_remote

__all__ = ["create_file", "move", "named_file", "write_text", "write_whole", "writing"]


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file, all or nothing; its folder must exist. As `Storage.write_whole`."""
    storage_of(path).write_whole(path, data, durable=durable)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file as UTF-8, all or nothing; makes its folder."""
    make_folder(path.parent)
    write_whole(path, text.encode(), durable=durable)


def named_file(path: Path) -> Path:
    """Return the file to write where a user names a path: links are followed."""
    return storage_of(path).named_file(path)


def create_file(path: Path, data: bytes) -> bool:
    """Write a file unless that name is taken; return whether it was written."""
    return storage_of(path).create_file(path, data)


def move(path: Path, destination: Path) -> None:
    """Rename a file, over `destination`, in the same storage; copies where it cannot rename."""
    storage_of(path).move(path, destination)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let the errors of a block that writes below `path` name it, not a temporary file."""
    try:
        yield
    except (OSError, RinrError) as error:
        # A pack that cannot be written is a plain RinrError with its cause.
        cause = error.__cause__ if type(error) is RinrError else error
        if not isinstance(cause, OSError) or cause.errno is None:
            raise
        if cause.filename is not None and not _belongs_to(os.fsdecode(cause.filename), path):
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error


def _belongs_to(name: str, path: Path) -> bool:
    """Return whether a file is part of the output at `path`: it, below, above or temporary."""
    steps = re.split(r"[/\\]", name)
    if any(step.startswith(".") and ".rinr-" in f"{step}-" for step in steps):
        return True
    if is_remote(path):
        return name.startswith(str(path))
    file, folder = Path(name).absolute(), path.absolute()
    return file.is_relative_to(folder) or folder.is_relative_to(file)

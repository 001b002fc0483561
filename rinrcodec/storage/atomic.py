"""Files that are either complete or not there."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rinrcodec.errors import RinrError
from rinrcodec.storage.places import is_remote
from rinrcodec.storage.stores import move_object, write_object

__all__ = ["move", "replacing", "write_text", "write_whole", "writing"]


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write a file or an object of a remote store, all or nothing; its folder must be there.

    durable: as in `replacing`.
    """
    if is_remote(path):
        write_object(path, data)
        return
    with replacing(path, durable=durable) as temporary:
        temporary.write_bytes(data)


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary file beside `path` that takes its name when the block ends without an error.

    durable: the bytes are on the disk before the name changes (slow for thousands of files).
    """
    temporary = path.with_name(f".rinr-{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        if durable:
            with temporary.open("r+b") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def move(path: Path, target: Path) -> None:
    """Give a file another name, in place of what has it.

    One whose new place is on another disk, behind a link, is copied; an object of a remote
    store is copied by the store.
    """
    if is_remote(path):
        move_object(path, target)
        return
    try:
        path.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with replacing(target) as temporary:
            shutil.copyfile(path, temporary)
        path.unlink()


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file or object as UTF-8, all or nothing."""
    if not is_remote(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode(), durable=durable)


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
        if cause.filename is not None and not _is_of(os.fsdecode(cause.filename), path):
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error


def _is_of(name: str, path: Path) -> bool:
    """Whether a file belongs to what is written at `path`: it, below it, above it, or temporary."""
    parts = re.split(r"[/\\]", name)
    if any(part.startswith(".") and ".rinr-" in f"{part}-" for part in parts):
        return True
    if is_remote(path):
        return name.startswith(str(path))
    file, target = Path(name).absolute(), path.absolute()
    return file.is_relative_to(target) or target.is_relative_to(file)

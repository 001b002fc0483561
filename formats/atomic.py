"""Files that are either complete or not there."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rinrcodec.places import is_remote
from rinrcodec.storage import move_object, write_object

__all__ = ["move", "replacing", "write_whole"]


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

"""Stamps: short texts that change when a file does.

A stamp is the size of a file, and the time of its last change or, of an object in a store, the
checksum that the store keeps. Stamps come with a listing. Both storages check them while they read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rinrcodec.errors import RinrInputError, RinrLimitError

__all__ = ["check_size", "check_stamp", "local_stamp", "object_stamp", "size_in"]

# What stores call the checksum of an object or, for those that keep none, the time of its change.
_MARKS = ("ETag", "etag", "md5Hash", "checksum", "mtime", "LastModified", "updated", "created")


def size_in(stamp: str) -> int:
    """Return the size in bytes of the file that had this stamp.

    >>> size_in("512-1700000000000000000")
    512
    """
    return int(stamp.split("-", 1)[0])


def local_stamp(stat: os.stat_result) -> str:
    """Make the stamp of a local file."""
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def object_stamp(info: Mapping[str, Any]) -> str:
    """Make the stamp of an object from the details that its store returns."""
    mark = next((info[key] for key in _MARKS if info.get(key)), "")
    # The same time is a datetime or a number, depending on the request.
    text = str(mark.timestamp() if isinstance(mark, datetime) else mark).strip('"')
    return f"{info.get('size') or 0}-{text}"


def check_size(path: Path, size: int, most: int) -> None:
    """Raise `RinrLimitError` for a file of more than `most` bytes."""
    if size > most:
        raise RinrLimitError(f"{path}: {size:,} bytes, at most {most:,} are read")


def check_stamp(path: Path, wanted: str, actual: str, when: str) -> None:
    """Raise `RinrInputError` unless the stamps agree.

    Args:
        path: the file, for the message.
        wanted: the earlier stamp; "" accepts any.
        actual: the stamp now; "" means that the file is gone.
        when: when the change happened, for the message.
    """
    if wanted and actual != wanted:
        what = "changed" if actual else "was removed"
        raise RinrInputError(
            f"{path}: {what} {when}; wait until nothing writes to it and run this again"
        )

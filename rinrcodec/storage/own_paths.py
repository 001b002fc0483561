"""Paths that may be written and removed: regular files in real folders, never through links.

A data set may come from a stranger, with links in it that lead to files of the user. Code that
writes to an output or removes from it calls `obstacle` first.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from rinrcodec.storage.files import storage_of

__all__ = ["obstacle"]

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


def obstacle(path: Path, folder: Path) -> str | None:
    """Return why a file must not be written or removed; None where it may be.

    Args:
        path: A file in `folder` or below it, which need not exist.
        folder: The output. The user named it, so it may be a link itself.

    Returns:
        A message that begins with the step of the path that is a link, or neither a folder nor a
        regular file. A store has no links.

    Raises:
        OSError: a folder that cannot be read.

    Example:
        >>> from pathlib import Path
        >>> obstacle(Path("new/pack.rinr"), Path()) is None
        True
    """
    if not storage_of(path).has_folders:
        return None
    place = folder
    steps = path.relative_to(folder).parts
    for number, step in enumerate(steps, start=1):
        place = place / step
        try:
            mode = os.lstat(place).st_mode
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise
        if stat.S_ISLNK(mode):
            return f"{place} is a link; links in an output are not followed, so remove it"
        if number == len(steps) and not stat.S_ISREG(mode):
            return f"{place} is not a regular file, so it is not replaced; move it away"
        if number < len(steps) and not stat.S_ISDIR(mode):
            return f"{place} is not a folder; move it away"
    return None

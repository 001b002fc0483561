"""Where files are: paths of this machine, and URLs that fsspec knows, such as `s3://bucket/folder`.

A remote place is a `UPath` of universal-pathlib. It has the methods of `pathlib.Path` and is typed
as one here, so that code which reads and writes files need not ask where they are. What differs is
asked of `is_remote`: an object store has no folders, no locks and no renaming, but an object
appears whole or not at all.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from rinrcodec.errors import MissingExtraError, RinrInputError

__all__ = ["is_remote", "place"]

# One letter is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def place(source: str | os.PathLike[str]) -> Path:
    """The path or URL as a place; a `file://` URL is a path of this machine.

    Raises `RinrInputError` for a protocol that fsspec does not know, `MissingExtraError` where the
    extra `remote` or the package of that protocol is not installed.
    """
    if not isinstance(source, str):
        return cast(Path, source) if is_remote(source) else Path(source)
    if not _URL.match(source):
        return Path(source)
    protocol = source.split("://", 1)[0].lower()
    if protocol == "file":
        return Path(unquote(urlsplit(source).path))
    try:
        from upath import UPath
    except ImportError as error:
        raise MissingExtraError("universal-pathlib", "remote") from error
    try:
        found = UPath(source)
        found.fs  # noqa: B018  (made when it is first asked for)
    except ImportError as error:
        package = (
            "s3fs" if protocol in {"s3", "s3a"} else "gcsfs" if protocol == "gs" else str(error)
        )
        raise MissingExtraError(package, "remote") from error
    except ValueError as error:
        raise RinrInputError(f"{source}: {protocol}:// is no protocol that fsspec knows") from error
    return cast(Path, found)


def is_remote(path: object) -> bool:
    """Whether a place is behind a URL."""
    return not isinstance(path, (str, Path)) and hasattr(path, "fs")

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
from typing import Any, cast
from urllib.parse import unquote

from rinrcodec.errors import MissingExtraError, RinrInputError

__all__ = ["S3", "as_place", "at", "is_remote", "join", "place", "text_of"]

S3 = {"s3", "s3a"}
# Protocol -> its package, where the extra brings it.
_EXTRA = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
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
        # What a URL calls a query or fragment is part of a name here.
        return Path(unquote("/" + source.split("://", 1)[1].partition("/")[2]))
    try:
        import fsspec
        from upath import UPath
    except ImportError as error:
        raise MissingExtraError("universal-pathlib", "remote") from error
    source = f"{protocol}{source[len(protocol) :]}"
    try:
        # The class alone: an instance may look for credentials first, which takes its time.
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        if protocol in _EXTRA:
            raise MissingExtraError(_EXTRA[protocol], "remote") from error
        raise RinrInputError(f"{source}: {error}") from error
    except ValueError as error:
        raise RinrInputError(f"{source}: {protocol}:// is no protocol that fsspec knows") from error
    found = UPath(source, **_options(protocol))
    if not source.split("://", 1)[1].strip("/"):
        raise RinrInputError(f"{source}: the name of a bucket or server is missing")
    return cast(Path, found)


def as_place(source: object) -> Path | None:
    """As `place`, None for what is no path or URL: bytes, or an open file."""
    if isinstance(source, (str, os.PathLike)) or is_remote(source):
        return place(source)  # type: ignore[arg-type]
    return None


def is_remote(path: object) -> bool:
    """Whether a place is behind a URL; not so an open file, nor a name."""
    return not isinstance(path, (str, Path)) and hasattr(path, "storage_options")


def join(folder: Path, entry: str) -> Path:
    """The place that a text in a file of that folder names: a URL, or a path, also from `/`.

    Below a remote folder ".." leads up by name, since a store has no folders to ask.
    """
    if _URL.match(entry) or Path(entry).is_absolute():
        return place(entry)
    if not is_remote(folder):
        return folder / entry
    for step in entry.split("/"):
        if step == "..":
            folder = folder.parent
        elif step not in {"", "."}:
            folder = folder / step
    return folder


def text_of(path: Path) -> str:
    """A place as text with `/` between its steps and none at the end; `at` takes it back."""
    return str(path).rstrip("/") if is_remote(path) else path.as_posix()


def at(text: str, like: Path) -> Path:
    """The place of a text that `text_of` gave, of the same store as another place."""
    return like.with_segments(text) if is_remote(like) else Path(text)  # type: ignore[attr-defined]


def _options(protocol: str) -> dict[str, Any]:
    if protocol not in _EXTRA:
        return {}
    # A cache of listings of a million objects would be kept as long as the process lives.
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol in S3:
        import fsspec

        # With the attempts of botocore, a server that is silent would be waited for for minutes.
        quick: dict[str, Any] = {"connect_timeout": 5, "read_timeout": 10}
        if "AWS_MAX_ATTEMPTS" not in os.environ:
            quick["retries"] = {"total_max_attempts": 2, "mode": "standard"}
        own = fsspec.config.conf.get(protocol, {}).get("config_kwargs")
        options["config_kwargs"] = {**quick, **own} if isinstance(own, dict) else quick
    return options

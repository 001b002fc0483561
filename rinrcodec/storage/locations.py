"""Where files are: local paths, and URLs that fsspec knows, such as `s3://bucket/folder`.

A URL becomes a `UPath` of universal-pathlib. It has the methods of `pathlib.Path` and is typed as
one here, so code that reads and writes files is the same for both. Only this folder asks
`is_remote`; everything else asks a `Storage` what it can do.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeGuard, cast
from urllib.parse import unquote

from rinrcodec.errors import MissingExtraError, RinrInputError

__all__ = ["S3", "check_store", "is_absolute", "is_remote", "to_path", "to_path_or_none"]

S3 = {"s3", "s3a"}
# Protocol -> its package, where the extra brings it.
_EXTRA = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
# One letter is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WINDOWS = os.name == "nt"
# Of these, all buckets are in one store, which the user's credentials are for; of others, the
# server is part of what the user named.
_STORES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "memory": "memory"}


def to_path(source: str | os.PathLike[str]) -> Path:
    """Return a path or URL as a path; a `file://` URL is a local path.

    Raises:
        RinrInputError: not a path; fsspec does not know the protocol, or the bucket is missing.
        MissingExtraError: the extra `remote` or the package of the protocol is not installed.

    >>> to_path("images/a.png").name
    'a.png'
    """
    if is_remote(source):
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise RinrInputError(
            f"cannot use a value of type {type(source).__name__} as a path: pass a path or URL; "
            "write bytes in memory to a file first"
        )
    if not isinstance(source, str) or not _URL.match(source):
        return Path(source)
    protocol, rest = source.split("://", 1)
    protocol = protocol.lower()
    if protocol == "file":
        # "?" and "#" are part of a name here.
        return Path(unquote("/" + rest.partition("/")[2]))
    try:
        import fsspec
        from upath import UPath
    except ImportError as error:
        raise MissingExtraError("universal-pathlib", "remote") from error
    source = f"{protocol}://{rest}"
    try:
        # The class alone: an instance may look for credentials first, which takes time.
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        if protocol in _EXTRA:
            raise MissingExtraError(_EXTRA[protocol], "remote") from error
        raise RinrInputError(f"{source}: {error}") from error
    except ValueError as error:
        raise RinrInputError(f"{source}: {protocol}:// is no protocol that fsspec knows") from error
    path = UPath(source, **_options(protocol))
    if not rest.strip("/"):
        raise RinrInputError(f"{source}: the name of a bucket or server is missing")
    return cast(Path, path)


def to_path_or_none(source: object) -> Path | None:
    """Return a path or URL as `to_path` does, and None for anything else: bytes, an open file."""
    if is_remote(source):
        return source
    return to_path(source) if isinstance(source, (str, os.PathLike)) else None


def is_remote(path: object) -> TypeGuard[Path]:
    """Return whether this is a path behind a URL; False for text and open files."""
    return not isinstance(path, (str, Path)) and hasattr(path, "storage_options")


def is_absolute(entry: str) -> bool:
    """Return whether a text is a URL or a path from the root, so that no folder precedes it."""
    return bool(_URL.match(entry)) or Path(entry).is_absolute()


def check_store(folder: Path, entry: str) -> None:
    r"""Check that a path inside of a file leads to no other store than the file is in.

    Files come from strangers: what they name must not make this machine ask a server that the user
    did not name, nor read local files for data behind a URL. Nothing is asked for the check.

    Args:
        folder: The folder of the file.
        entry: The path or URL in it.

    Raises:
        RinrInputError: The entry is in another store, or can be no path.

    Example:
        >>> check_store(Path("set"), "file:///data/images")
    """
    try:
        possible = b"\0" not in os.fsencode(entry)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise RinrInputError(f"{entry[:100]!r}: no file can have this name")
    here, there = _store(str(folder)), _store(entry)
    if here and "::" in entry:
        raise RinrInputError(f"{entry}: a chain of file systems is not followed")
    if there == here or (here and not is_absolute(entry)):
        return
    if not there:
        raise RinrInputError(
            f"{entry}: a path of this machine, in a file behind a URL, is not used"
        )
    if here:
        raise RinrInputError(f"{entry}: leads to another store than the file that names it")
    raise RinrInputError(
        f"{entry}: a URL in a local file is not followed; download it, or pass the URL yourself"
    )


def _store(text: str) -> str:
    """Return the store of a path or URL, "" for disks of this machine."""
    if _URL.match(text):
        protocol, rest = text.lower().split("://", 1)
        if protocol == "file":
            return ""
        return _STORES.get(protocol) or f"{protocol}://{rest.partition('/')[0]}"
    # On Windows, two slashes begin the name of another computer, which is asked at once.
    steps = text.replace("\\", "/")
    if _WINDOWS and steps.startswith("//"):
        return f"//{steps[2:].partition('/')[0].lower()}"
    return ""


def _options(protocol: str) -> dict[str, Any]:
    if protocol not in _EXTRA:
        return {}
    # A cache of listings would keep a million objects as long as the process lives.
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol in S3:
        import fsspec

        # With the attempts of botocore, a silent server would take minutes.
        quick: dict[str, Any] = {"connect_timeout": 5, "read_timeout": 10}
        if "AWS_MAX_ATTEMPTS" not in os.environ:
            quick["retries"] = {"total_max_attempts": 2, "mode": "standard"}
        chosen = fsspec.config.conf.get(protocol, {}).get("config_kwargs")
        options["config_kwargs"] = {**quick, **chosen} if isinstance(chosen, dict) else quick
    return options

"""Where files are: paths of this machine, and URLs that fsspec knows, such as `s3://bucket/folder`.

A remote place is a `UPath` of universal-pathlib. It has the methods of `pathlib.Path` and is typed
as one here, so that code which reads and writes files need not ask where they are. What differs is
asked of `is_remote`: an object store has no folders, no locks and no renaming, but an object
appears whole or not at all.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from rinrcodec.errors import MissingExtraError, RinrInputError

__all__ = ["is_remote", "join", "make_folder", "names_in", "place", "remove_tree"]

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
    source = f"{protocol}{source[len(protocol) :]}"
    try:
        found = UPath(source, **_options(protocol))
        found.fs  # noqa: B018  (made when it is first asked for)
    except ImportError as error:
        package = (
            "s3fs" if protocol in {"s3", "s3a"} else "gcsfs" if protocol == "gs" else str(error)
        )
        raise MissingExtraError(package, "remote") from error
    except ValueError as error:
        raise RinrInputError(f"{source}: {protocol}:// is no protocol that fsspec knows") from error
    if not source.split("://", 1)[1].strip("/"):
        raise RinrInputError(f"{source}: the name of a bucket or server is missing")
    return cast(Path, found)


def is_remote(path: object) -> bool:
    """Whether a place is behind a URL."""
    return not isinstance(path, (str, Path)) and hasattr(path, "fs")


def join(folder: Path, entry: str) -> Path:
    """The place that a text in a file of that folder names: a URL, or a path, also from `/`.

    Below a remote folder ".." leads up by name, since a store has no folders to ask.
    """
    if _URL.match(entry):
        return place(entry)
    if not is_remote(folder) or Path(entry).is_absolute():
        return folder / entry if not is_remote(folder) else Path(entry)
    for step in entry.split("/"):
        folder = (
            folder.parent if step == ".." else folder / step if step not in {"", "."} else folder
        )
    return folder


def make_folder(folder: Path, *, parents: bool = True) -> None:
    """Make a folder where there are folders, unless it is there.

    parents: those above it, too; without, a folder above it that is gone is an `OSError`.
    """
    if not is_remote(folder):
        folder.mkdir(parents=parents, exist_ok=True)


def names_in(folder: Path) -> list[str]:
    """The names of files and folders right in a folder, which need not be there; sorted."""
    if is_remote(folder):
        try:
            found = folder.fs.ls(folder.path, detail=False)  # type: ignore[attr-defined]
        except (FileNotFoundError, NotADirectoryError):
            return []
        names = {str(name).rstrip("/").rpartition("/")[2] for name in found}
        return sorted(names - {folder.name, ""})
    try:
        return sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove_tree(folder: Path) -> None:
    """Remove a folder and all below it, as far as it is there."""
    if is_remote(folder):
        with suppress(FileNotFoundError):
            folder.fs.rm(folder.path, recursive=True)  # type: ignore[attr-defined]
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _options(protocol: str) -> dict[str, Any]:
    # Without a cache of listings, which would hide that a file has changed.
    options: dict[str, Any] = {"use_listings_cache": False}
    if protocol in {"s3", "s3a"}:
        import fsspec

        # botocore's own attempts, each tried again by s3fs, would take minutes to give up.
        quick = {"connect_timeout": 5, "read_timeout": 10}
        if "AWS_MAX_ATTEMPTS" not in os.environ:
            quick["retries"] = {"total_max_attempts": 2, "mode": "standard"}  # type: ignore[assignment]
        own = fsspec.config.conf.get(protocol, {}).get("config_kwargs", {})
        options["config_kwargs"] = {**quick, **own}
    return options

"""Requests to remote stores, for `remote.py`.

The libraries of the stores raise almost anything. Here it becomes an `OSError` that names the URL,
says what is wrong and what to do.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rinrcodec.errors import RinrError
from rinrcodec.storage.locations import S3

__all__ = ["ask", "is_no_bucket", "key_of"]

_NO_BUCKET = "there is no such bucket"
# Names of error classes, whose packages are loaded only where their store is used.
_NO_CREDENTIALS = {
    "CredentialRetrievalError", "DefaultCredentialsError", "NoCredentialsError",
    "PartialCredentialsError", "ProfileNotFound", "RefreshError", "TokenRetrievalError",
}  # fmt: skip
_UNREACHABLE = {
    "ClientConnectionError", "ConnectionError", "ConnectTimeoutError", "EndpointConnectionError",
    "FSTimeoutError", "HTTPClientError", "ReadTimeoutError", "TimeoutError",
}  # fmt: skip


def ask(path: Path, method: str, *args: Any, key: str | None = None, **options: Any) -> Any:
    """Call a method of the fsspec file system of `path`, with the name of its object.

    Args:
        path: the object.
        method: the name of the method.
        *args: arguments of the method after the name.
        key: the name of another object of the same store.
        **options: options of the method.

    Raises:
        OSError: the request failed; it names `path`.
    """
    with _as_os_errors(path):
        filesystem = _filesystem(path)
        # A cached listing would hide that a file has changed.
        filesystem.invalidate_cache(key_of(path))
        return getattr(filesystem, method)(key_of(path) if key is None else key, *args, **options)


def key_of(path: Any) -> str:
    """Return the name of an object within its store."""
    return str(path.path)


def is_no_bucket(error: OSError) -> bool:
    """Return whether an error of `ask` says that the bucket itself is missing."""
    return error.strerror == _NO_BUCKET


def _filesystem(path: Any) -> Any:
    filesystem = path.fs
    if getattr(filesystem, "_pid", os.getpid()) != os.getpid():
        # One made before a fork has its connections in a thread that did not survive it.
        import fsspec

        filesystem = fsspec.filesystem(path.protocol, **path.storage_options)
    if path.protocol in S3:
        filesystem.retries = 2  # of a request, each with the attempts of botocore
    return filesystem


@contextmanager
def _as_os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except RinrError:
        raise
    except Exception as error:
        code, message = _explain(path, error)
        # Python picks the class that belongs to the number, such as FileExistsError.
        raise OSError(code, message, str(path)) from error


def _explain(path: Path, error: Exception) -> tuple[int, str]:
    text = " ".join(str(error).split())[:300] or type(error).__name__
    kinds = {kind.__name__ for kind in type(error).__mro__}
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    # Where a server does not answer, fsspec says of HTTP that nothing is there.
    kinds |= {kind.__name__ for kind in type(cause).__mro__ if kind.__name__ in _UNREACHABLE}
    if isinstance(error, FileNotFoundError) and not kinds & _UNREACHABLE:
        response = getattr(error.__cause__, "response", {})
        gone = response.get("Error", {}).get("Code") == "NoSuchBucket" or not path.name
        return errno.ENOENT, _NO_BUCKET if gone else "there is no such file or folder"
    if isinstance(error, FileExistsError):
        return errno.EEXIST, "is there already"
    if isinstance(error, PermissionError):
        return errno.EACCES, f"permission denied ({text}); check the credentials and their rights"
    if kinds & _NO_CREDENTIALS:
        return errno.EACCES, (
            f"no credentials ({text}); set those of the store in the environment, "
            "such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if kinds & _UNREACHABLE:
        text = " ".join(str(cause or text).split())[:300]
        address = " the address"
        if getattr(path, "protocol", "") in S3:
            address = ", for a store of your own, its address (AWS_ENDPOINT_URL)"
        message = f"the server cannot be reached ({text}); check the network and{address}"
        return errno.EHOSTUNREACH, message
    if isinstance(error, OSError):
        return error.errno or errno.EIO, " ".join((error.strerror or text).split())
    return errno.EIO, f"{type(error).__name__}: {text}"

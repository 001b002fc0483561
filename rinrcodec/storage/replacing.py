"""Replace a local file in one step, and keep who may read it.

`LocalStorage` and the commands that draw plots call this. Nothing is written under the file's own
name: a temporary file in the same folder is renamed over it when it is complete.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rinrcodec.storage.regular import kind_of

__all__ = ["copy_permissions", "replacing", "writable_target"]

_ACL = "system.posix_acl_access"


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give an empty temporary file; it replaces `path` when the block ends without an error.

    The new file has the permissions of the old one, or those of the umask where there is none. A
    symbolic link at `path` is replaced and never followed: see `writable_target`.

    Args:
        path: the file to write.
        durable: flush to the disk before and after the name changes (slow for thousands of files).

    Raises:
        OSError: `path` is a folder, a device, a FIFO or a socket, or cannot be written. The file
            that was there is unchanged.
    """
    _check_replaceable(path)
    temporary = path.with_name(f".rinr-{secrets.token_hex(8)}.tmp")
    try:
        _create(temporary, path)
        yield temporary
        if durable:
            _flush(temporary)
        copy_permissions(path, temporary)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            temporary.unlink()
        raise
    if durable:
        with suppress(OSError):  # the new file is there; not every file system flushes folders
            _flush(path.parent)


def writable_target(path: Path) -> Path:
    """Return the file to replace where a user names `path`: the end of its symbolic links.

    Raises:
        OSError: it is a folder, a device, a FIFO, a socket, a link that leads nowhere, or this
            user may not write it or its folder.

    Example:
        >>> writable_target(Path("new.rinr")).name
        'new.rinr'
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target is not path and not target.exists():
        raise FileNotFoundError(
            errno.ENOENT, f"is a link to {target}, which does not exist; remove the link", str(path)
        )
    _check_replaceable(target)
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "is write-protected", str(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "its folder does not exist", str(path))
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(errno.EACCES, "its folder is write-protected", str(path))
    return target


def copy_permissions(old: Path, new: Path) -> None:
    """Give a new file the owner, mode and access list of the regular file that it replaces.

    Does nothing where there is no such file. Set-user-ID, set-group-ID and sticky bits are dropped.
    Where the group cannot be kept, group members get no more than everyone.
    """
    try:
        before = os.lstat(old)
    except OSError:
        return
    if not stat.S_ISREG(before.st_mode):
        return
    mode = before.st_mode & 0o777
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(new, before.st_uid, -1)
        with suppress(OSError):
            os.chown(new, -1, before.st_gid)
        if os.lstat(new).st_gid != before.st_gid or not _copy_access_list(old, new):
            mode &= 0o707 | (mode & 0o007) << 3
    # Some file systems have one mode for all files and refuse to set it.
    if stat.S_IMODE(os.lstat(new).st_mode) != mode:
        new.chmod(mode)


def _copy_access_list(old: Path, new: Path) -> bool:
    """Copy a POSIX access list; return whether `new` now has what `old` has."""
    if not hasattr(os, "getxattr"):
        return True
    try:
        entries = os.getxattr(old, _ACL)
    except OSError:  # it has none, or the file system knows none
        return True
    try:
        os.setxattr(new, _ACL, entries)
    except OSError:
        return False
    return True


def _check_replaceable(path: Path) -> None:
    """Raise `OSError` for what is neither a regular file nor a link nor nothing."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    kind = kind_of(mode)
    if kind is not None:
        raise OSError(
            errno.EINVAL, f"is {kind}, not a regular file; choose another name", str(path)
        )


def _create(temporary: Path, path: Path) -> None:
    """Make an empty file that nobody can read who cannot read `path`."""
    mode = 0o666
    with suppress(OSError):
        old = os.lstat(path).st_mode
        if stat.S_ISREG(old):
            mode = 0o600
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))


def _flush(path: Path) -> None:
    # A folder opens for reading only, and Windows flushes only what is open for writing.
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

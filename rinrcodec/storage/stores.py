"""Files of this machine and objects of remote stores: what is there, its bytes, and its stamp.

What a remote store is asked goes through here, since the libraries of the stores raise almost
anything: it becomes an `OSError` that names the URL and says what to do.

A *stamp* is a short text that changes when a file does: its size, and the time of its last change
or, of an object, the checksum that its store keeps.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from rinrcodec.errors import RinrError, RinrInputError, RinrLimitError
from rinrcodec.storage.places import S3, at, is_remote, text_of

__all__ = [
    "Listing",
    "create_object",
    "file_or_folder",
    "files_below",
    "make_folder",
    "map_stored",
    "may_pass",
    "move_object",
    "names_in",
    "read_file",
    "read_range",
    "remote_errors",
    "remove_file",
    "remove_tree",
    "size_in",
    "size_of",
    "stamp_of",
    "write_object",
]

# What stores call the checksum of an object or, for those that keep none, the time of its change.
_MARKS = ("ETag", "etag", "md5Hash", "checksum", "mtime", "LastModified", "updated", "created")
# What is wrong with a file of this machine rather than with its disk.
_LASTING = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR}
_LASTING |= {errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL}
# How many requests a store gets at a time.
_AT_A_TIME = 16
# Names of error classes, whose packages are loaded only where their store is used.
_NO_CREDENTIALS = {
    "CredentialRetrievalError", "DefaultCredentialsError", "NoCredentialsError",
    "PartialCredentialsError", "ProfileNotFound", "RefreshError", "TokenRetrievalError",
}  # fmt: skip
_UNREACHABLE = {
    "ClientConnectionError", "ConnectionError", "ConnectTimeoutError", "EndpointConnectionError",
    "FSTimeoutError", "HTTPClientError", "ReadTimeoutError", "TimeoutError",
}  # fmt: skip

Item = TypeVar("Item")
Result = TypeVar("Result")


def file_or_folder(path: Path) -> Literal["file", "folder"] | None:
    """What stands at a place, None where nothing does.

    Raises `OSError` for a bucket that is not there, or a store that cannot be asked.
    """
    if not is_remote(path):
        return "folder" if path.is_dir() else "file" if path.exists() else None
    try:
        return "folder" if _info(path)["type"] == "directory" else "file"
    except FileNotFoundError as error:
        if error.strerror == _NO_BUCKET:
            raise
        return None


def stamp_of(path: Path) -> str:
    """The stamp of a file; raises `OSError` where there is none."""
    if not is_remote(path):
        return _local_stamp(path.stat())
    info = _info(path)
    if info["type"] == "directory":
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    if info.get("size") is None:
        message = "the server does not tell its size; download it first"
        raise OSError(errno.ENOTSUP, message, str(path))
    return _stamp(info)


def may_pass(path: Path, error: OSError) -> bool:
    """Whether a file that could not be read may be read later, as its disk or store failed."""
    if is_remote(path):  # also where credentials end
        return not isinstance(error, (FileNotFoundError, IsADirectoryError))
    return error.errno not in _LASTING


def size_of(path: Path) -> int | None:
    """The size of a file in bytes, None where none stands."""
    return size_in(stamp_of(path)) if file_or_folder(path) == "file" else None


def size_in(stamp: str) -> int:
    """The size in bytes of the file that had that stamp."""
    return int(stamp.split("-", 1)[0])


def read_file(path: Path, *, stamp: str = "", most: int | None = None) -> bytes:
    """All bytes of a file as it was when it had that stamp.

    stamp: "" takes any. most: more bytes than that are not read.

    Raises `RinrInputError` where the file has changed since or changes meanwhile, `RinrLimitError`
    where it is too large, `OSError` where it cannot be read.
    """
    if is_remote(path):
        return _read_object(path, stamp, most)
    if stamp and not path.exists():
        _check_stamp(path, stamp, "", "after this run began")
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        before = _local_stamp(stat)
        _check_stamp(path, stamp, before, "after this run began")
        _check_size(path, stat.st_size, most)
        data = file.read()
        after = _local_stamp(os.fstat(file.fileno()))
        _check_stamp(path, before, after, "while it was read")
    return data


def read_range(path: Path, start: int, stop: int) -> bytes:
    """The bytes `[start, stop)` of an object, in one request; fewer where it ends before."""
    data: bytes = _ask(path, "cat_file", path.path, start=start, end=stop)  # type: ignore[attr-defined]
    if len(data) > stop - start:
        message = "the server sends the whole file for a part of it; download it first"
        raise OSError(errno.ENOTSUP, message, str(path))
    return data


def write_object(path: Path, data: bytes) -> None:
    """Write an object, which appears whole or not at all; replaces one of that name."""
    _ask(path, "pipe_file", path.path, data)  # type: ignore[attr-defined]


def create_object(path: Path, data: bytes) -> bool:
    """Write an object where there is none of that name; returns whether it was written.

    The store decides between two that do so at once.
    """
    try:
        _ask(path, "pipe_file", path.path, data, mode="create")  # type: ignore[attr-defined]
    except FileExistsError:
        return False
    return True


def move_object(path: Path, target: Path) -> None:
    """Have the store copy an object, and remove the one that was copied."""
    # Not `mv`, which takes names with brackets for patterns; nor `rm` below.
    _ask(path, "cp_file", path.path, target.path)  # type: ignore[attr-defined]
    _ask(path, "rm_file", path.path)  # type: ignore[attr-defined]


def make_folder(folder: Path, *, parents: bool = True) -> None:
    """Make a folder, unless it is there; stores have none.

    parents: those above it, too; without, a folder above it that is gone is an `OSError`.
    """
    if not is_remote(folder):
        folder.mkdir(parents=parents, exist_ok=True)


def map_stored(
    function: Callable[[Item], Result], items: Iterable[Item], place: Path
) -> list[Result]:
    """`list(map(function, items))`; several at a time where `place` is in a remote store.

    For calls that do little but wait for the store. Of calls that fail, one is raised, when those
    under way have ended; the others are not made.
    """
    if not is_remote(place):
        return list(map(function, items))
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        try:
            futures = [pool.submit(function, item) for item in items]
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def names_in(folder: Path) -> list[str]:
    """The names of files and folders right in a folder, which need not be there; sorted."""
    try:
        if not is_remote(folder):
            return sorted(path.name for path in folder.iterdir())
        found = _ask(folder, "ls", folder.path, detail=False)  # type: ignore[attr-defined]
    except (FileNotFoundError, NotADirectoryError):
        return []
    names = {str(name).rstrip("/").rpartition("/")[2] for name in found}
    return sorted(names - {folder.name, ""})


def remove_tree(folder: Path) -> None:
    """Remove a folder and all below it, as far as it is there and can be removed."""
    if not is_remote(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return

    def remove(name: str) -> None:
        with suppress(FileNotFoundError):
            _ask(folder, "rm_file", name)

    with suppress(FileNotFoundError):
        map_stored(remove, _ask(folder, "find", folder.path), folder)  # type: ignore[attr-defined]


def remove_file(path: Path) -> None:
    """Remove a file or object, if it is there."""
    if not is_remote(path):
        path.unlink(missing_ok=True)
    elif file_or_folder(path) == "file":
        _ask(path, "rm_file", path.path)  # type: ignore[attr-defined]


def files_below(folder: Path) -> list[tuple[Path, str]]:
    """Every file in a folder and below it with its stamp, sorted by path as text.

    Hidden files and folders are passed over, links are followed. A remote folder takes one
    listing; one that is not there is empty. The stamp of a link that leads nowhere is "". Raises
    `OSError` for a folder that cannot be read.
    """
    # A `Path` would sort "a/b" before "a-b".
    if not is_remote(folder):
        return sorted(_local_files(folder), key=lambda item: item[0].as_posix())
    return [(at(text, folder), stamp) for text, stamp in sorted(_remote_files(folder))]


class Listing:
    """Which files and folders there are: of this machine by looking, of a store from listings.

    A remote folder is listed once, when it is first added; what lies in none is asked for.
    """

    def __init__(self) -> None:
        self._stamps: dict[str, str] = {}
        self._folders: set[str] = set()
        self._texts: dict[str, set[str]] = {}
        self._deep: set[str] = set()
        self._flat: set[str] = set()

    def add(self, folder: Path) -> list[tuple[Path, str]]:
        """The `files_below` a folder, which are remembered."""
        files = files_below(folder)
        if is_remote(folder):
            self._remember(folder, ((text_of(file), stamp) for file, stamp in files))
        return files

    def know(self, folder: Path, *, deep: bool) -> None:
        """List a remote folder, with all below it where `deep`, unless that is known already."""
        if not is_remote(folder) or self._is_known(f"{text_of(folder)}/"):
            return
        if deep:
            self._remember(folder, _remote_files(folder))
        elif text_of(folder) not in self._flat:
            self._remember(folder, _remote_entries(folder), deep=False)

    def kind(self, text: str, like: Path) -> Literal["file", "folder"] | None:
        """As `file_or_folder`, of a `places.text_of` and a place of the same store."""
        if not is_remote(like):
            return file_or_folder(Path(text))
        if text in self._stamps:
            return "file"
        if text in self._folders:
            return "folder"
        if self._is_known(text) or text.rpartition("/")[0] in self._flat:
            return None
        found = file_or_folder(at(text, like))
        if found == "file":
            self._stamps[text] = stamp_of(at(text, like))
        elif found:
            self._folders.add(text)
        return found

    def stamp(self, text: str, like: Path) -> str:
        """The stamp of a file, "" where there is none; of what `kind` takes."""
        if is_remote(like):
            return self._stamps[text] if self.kind(text, like) == "file" else ""
        try:
            return _local_stamp(Path(text).stat()) if Path(text).is_file() else ""
        except OSError:
            return ""

    def texts(self, text: str, like: Path) -> list[str]:
        """The names of the files of a folder that end in `.txt`, sorted; of what `kind` takes."""
        if not is_remote(like):
            return sorted(file.name for file in Path(text).glob("*.txt"))
        return sorted(self._texts.get(text, ()))

    def _remember(
        self, folder: Path, files: Iterable[tuple[str, str]], *, deep: bool = True
    ) -> None:
        if deep:
            self._deep.add(text_of(folder) + "/")
        else:
            self._flat.add(text_of(folder))
        for text, stamp in files:
            self._stamps[text] = stamp
            above, _, last = text.rpartition("/")
            if last.endswith(".txt"):
                self._texts.setdefault(above, set()).add(last)
            while above not in self._folders and "://" in above:
                self._folders.add(above)
                above = above.rpartition("/")[0]

    def _is_known(self, text: str) -> bool:
        return any(text.startswith(folder) for folder in self._deep)


def _local_files(folder: Path) -> Iterator[tuple[Path, str]]:
    visited = set()
    for root, folders, names in os.walk(folder, onerror=_unlisted, followlinks=True):
        here = Path(root).stat()
        if (here.st_dev, here.st_ino) in visited:
            folders.clear()  # a link that leads back up
            continue
        visited.add((here.st_dev, here.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                file = Path(root) / name
                try:
                    yield file, _local_stamp(file.stat())
                except OSError:  # reading it says why
                    yield file, ""


def _unlisted(error: OSError) -> None:
    """Raise for a folder whose files would be missed; `lost+found` is for root alone."""
    gone = isinstance(error, (FileNotFoundError, NotADirectoryError))
    if not gone and Path(error.filename).name != "lost+found":
        raise error


def _remote_files(folder: Path) -> Iterator[tuple[str, str]]:
    try:
        found = _ask(folder, "find", folder.path, detail=True)  # type: ignore[attr-defined]
    except FileNotFoundError as error:
        if error.strerror == _NO_BUCKET:
            raise
        return
    yield from _as_texts(folder, found.values())


def _remote_entries(folder: Path) -> Iterator[tuple[str, str]]:
    try:
        found = _ask(folder, "ls", folder.path, detail=True)  # type: ignore[attr-defined]
    except FileNotFoundError:
        return
    yield from _as_texts(folder, found)


def _as_texts(folder: Path, entries: Any) -> Iterator[tuple[str, str]]:
    start = folder.path.rstrip("/") + "/"  # type: ignore[attr-defined]
    base = text_of(folder)
    for entry in entries:
        name = entry["name"][len(start) :] if entry["name"].startswith(start) else ""
        # An empty object whose name ends in "/" stands for a folder.
        if not name or name.endswith("/") or entry["type"] != "file":
            continue
        if not any(part.startswith(".") for part in name.split("/")):
            yield f"{base}/{name}", _stamp(entry)


def _read_object(path: Path, stamp: str, most: int | None) -> bytes:
    before = stamp or stamp_of(path)
    size = size_in(before)
    _check_size(path, size, most)
    try:
        data = read_range(path, 0, size) if size else b""
    except OSError:
        if _stamp_now(path) == before:
            raise
        data = b""
    after = _stamp_now(path)
    _check_stamp(path, before, after, "after this run began" if stamp else "while it was read")
    if len(data) != size:
        raise OSError(errno.EIO, f"{len(data):,} of {size:,} bytes came; try again", str(path))
    return data


def _stamp_now(path: Path) -> str:
    try:
        return stamp_of(path)
    except FileNotFoundError:
        return ""


def _check_size(path: Path, size: int, most: int | None) -> None:
    if most is not None and size > most:
        raise RinrLimitError(f"{path}: {size:,} bytes, at most {most:,} are read")


def _check_stamp(path: Path, wanted: str, found: str, when: str) -> None:
    if wanted and found != wanted:
        what = "changed" if found else "was removed"
        raise RinrInputError(
            f"{path}: {what} {when}; wait until nothing writes to it and run this again"
        )


def _local_stamp(stat: os.stat_result) -> str:
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _stamp(info: Mapping[str, Any]) -> str:
    mark = next((info[key] for key in _MARKS if info.get(key)), "")
    # The same time is a datetime or a number, depending on how a store is asked.
    text = str(mark.timestamp() if isinstance(mark, datetime) else mark).strip('"')
    return f"{info.get('size') or 0}-{text}"


def _info(path: Path) -> Mapping[str, Any]:
    info: Mapping[str, Any] = _ask(path, "info", path.path)  # type: ignore[attr-defined]
    return info


def _ask(path: Path, method: str, *args: Any, **options: Any) -> Any:
    with remote_errors(path):
        filesystem = _filesystem(path)
        # What it keeps of a listing would hide that a file has changed.
        filesystem.invalidate_cache(path.path)  # type: ignore[attr-defined]
        return getattr(filesystem, method)(*args, **options)


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
def remote_errors(path: Path) -> Iterator[None]:
    """Make what the library of a store raises an `OSError` that names the URL."""
    try:
        yield
    except RinrError:
        raise
    except Exception as error:
        if not is_remote(path):
            raise
        code, message = _explain(path, error)
        # Python makes the class that belongs to the number, such as FileExistsError.
        raise OSError(code, message, str(path)) from error


_NO_BUCKET = "there is no such bucket"


def _explain(path: Path, error: Exception) -> tuple[int, str]:
    said = " ".join(str(error).split())[:300] or type(error).__name__
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, FileNotFoundError):
        response = getattr(error.__cause__, "response", {})
        gone = response.get("Error", {}).get("Code") == "NoSuchBucket" or not path.name
        return errno.ENOENT, _NO_BUCKET if gone else "there is no such file or folder"
    if isinstance(error, FileExistsError):
        return errno.EEXIST, "is there already"
    if isinstance(error, PermissionError):
        return errno.EACCES, f"permission denied ({said}); check the credentials and their rights"
    if kinds & _NO_CREDENTIALS:
        return errno.EACCES, (
            f"no credentials ({said}); set those of the store in the environment, "
            "such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    if kinds & _UNREACHABLE:
        return errno.EHOSTUNREACH, (
            f"the server cannot be reached ({said}); check the network and, "
            "for a store of your own, its address (AWS_ENDPOINT_URL)"
        )
    if isinstance(error, OSError):
        return error.errno or errno.EIO, " ".join((error.strerror or said).split())
    return errno.EIO, f"{type(error).__name__}: {said}"

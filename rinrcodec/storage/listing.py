"""Which files and folders exist, remembered while a source is opened.

A data set may have a million objects. Each remote folder is listed once, and paths are kept as text
(`text_of`), because making `Path` objects takes longer than the listing. Used by `sources`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from rinrcodec.storage.files import at, file_or_folder, files_below, stamp_of, text_of
from rinrcodec.storage.interface import Kind
from rinrcodec.storage.locations import is_remote
from rinrcodec.storage.remote import RemoteStorage
from rinrcodec.storage.stamps import local_stamp

__all__ = ["Listing"]

_MOST_SHOWN = 300  # characters of a path that may be too long for the system


class Listing:
    """Answers from listings for a remote store, and by looking for local disks.

    A remote folder is listed once, when it is first added. Files outside of all listed folders take
    a request each.
    """

    def __init__(self) -> None:
        self._unlisted: list[OSError] = []
        self._added: dict[str, list[tuple[Path, str]]] = {}
        self._stamps: dict[str, str] = {}
        self._folders: set[str] = set()
        self._texts: dict[str, set[str]] = {}
        self._deep: set[str] = set()
        self._flat: set[str] = set()

    def add(self, folder: Path) -> list[tuple[Path, str]]:
        """Return the `files_below` a folder and remember them."""
        text = text_of(folder)
        if text in self._added:
            return self._added[text]
        files = self._added[text] = files_below(folder, unlisted=self._unlisted)
        if is_remote(folder):
            self._remember(folder, ((text_of(file), stamp) for file, stamp in files))
        return files

    def unlisted(self) -> tuple[str, ...]:
        """Return a message for each folder that could not be listed."""
        return tuple(
            f"{error.filename[:_MOST_SHOWN]}: this folder cannot be listed and is ignored: "
            f"{error.strerror}"
            for error in self._unlisted
        )

    def know(self, folder: Path, *, deep: bool) -> None:
        """List a remote folder unless it is known, with all below it if `deep`."""
        if not is_remote(folder) or self._is_known(f"{text_of(folder)}/"):
            return
        if deep:
            self._remember(folder, RemoteStorage().texts_below(folder))
        elif text_of(folder) not in self._flat:
            self._remember(folder, RemoteStorage().texts_in(folder), deep=False)

    def kind(self, text: str, like: Path) -> Kind:
        """Return the kind as `file_or_folder` does, for a `text_of` in the storage of `like`."""
        if not is_remote(like):
            return file_or_folder(Path(text))
        if text in self._stamps:
            return "file"
        if text in self._folders:
            return "folder"
        if self._is_known(text) or text.rpartition("/")[0] in self._flat:
            return None
        kind = file_or_folder(at(text, like))
        if kind == "file":
            self._stamps[text] = stamp_of(at(text, like))
        elif kind:
            self._folders.add(text)
        return kind

    def stamp(self, text: str, like: Path) -> str:
        """Return the stamp of a file, "" where there is none; arguments as for `kind`.

        A FIFO, socket or device has one, too: reading it says what it is.
        """
        if is_remote(like):
            return self._stamps[text] if self.kind(text, like) == "file" else ""
        try:
            status = Path(text).stat()
        except (OSError, ValueError):
            return ""
        return "" if stat.S_ISDIR(status.st_mode) else local_stamp(status)

    def dangles(self, text: str, like: Path) -> bool:
        """Return whether this is a link that leads nowhere; arguments as for `kind`."""
        # Unlike a `Path`, os.path raises nothing for names that are too long.
        broken = os.path.islink(text) and not os.path.exists(text)  # noqa: PTH110, PTH114
        return broken and not is_remote(like)

    def texts_below(self, text: str, like: Path, *, deep: bool = True) -> list[str]:
        """Return the sorted names, relative to a folder, of the `.txt` files in it and below it.

        Args:
            text: as for `kind`.
            like: as for `kind`.
            deep: include the files of the folders in it.
        """
        if is_remote(like):
            names = [
                f"{folder}/{name}"[len(text) + 1 :]
                for folder, names in self._texts.items()
                if folder == text or (deep and folder.startswith(f"{text}/"))
                for name in names
            ]
        else:
            top = Path(text)
            files = (
                [file for file, _ in files_below(top)] if deep else list(top.glob("*.[tT][xX][tT]"))
            )
            names = [file.relative_to(top).as_posix() for file in files]
        return sorted(name for name in names if name.lower().endswith(".txt"))

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
            if last.lower().endswith(".txt"):
                self._texts.setdefault(above, set()).add(last)
            while above not in self._folders and "://" in above:
                self._folders.add(above)
                above = above.rpartition("/")[0]

    def _is_known(self, text: str) -> bool:
        return any(text.startswith(folder) for folder in self._deep)

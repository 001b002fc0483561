"""Which files and folders exist, remembered while a source is opened.

A data set may have a million objects. Each remote folder is listed once, and paths are kept as text
(`text_of`), because making `Path` objects takes longer than the listing. Used by `sources`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rinrcodec.storage.files import at, file_or_folder, files_below, stamp_of, text_of
from rinrcodec.storage.interface import Kind
from rinrcodec.storage.locations import is_remote
from rinrcodec.storage.remote import RemoteStorage
from rinrcodec.storage.stamps import local_stamp

__all__ = ["Listing"]


class Listing:
    """Answers from listings for a remote store, and by looking for local disks.

    A remote folder is listed once, when it is first added. Files outside of all listed folders take
    a request each.
    """

    def __init__(self) -> None:
        self._stamps: dict[str, str] = {}
        self._folders: set[str] = set()
        self._texts: dict[str, set[str]] = {}
        self._deep: set[str] = set()
        self._flat: set[str] = set()

    def add(self, folder: Path) -> list[tuple[Path, str]]:
        """Return the `files_below` a folder and remember them."""
        files = files_below(folder)
        if is_remote(folder):
            self._remember(folder, ((text_of(file), stamp) for file, stamp in files))
        return files

    def know(self, folder: Path, *, deep: bool) -> None:
        """List a remote folder unless it is known, with all below it if `deep`."""
        if not is_remote(folder) or self._is_known(f"{text_of(folder)}/"):
            return
        if deep:
            self._remember(folder, RemoteStorage().texts_below(folder))
        elif text_of(folder) not in self._flat:
            self._remember(folder, RemoteStorage().texts_in(folder), deep=False)

    def kind(self, text: str, like: Path) -> Kind:
        """As `file_or_folder`, for a `text_of` in the storage of `like`."""
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
        """Return the stamp of a file, "" where there is none; arguments as for `kind`."""
        if is_remote(like):
            return self._stamps[text] if self.kind(text, like) == "file" else ""
        try:
            return local_stamp(Path(text).stat()) if Path(text).is_file() else ""
        except OSError:
            return ""

    def texts(self, text: str, like: Path) -> list[str]:
        """Return the sorted names of the `.txt` files of a folder; arguments as for `kind`."""
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

"""Find the label file of a picture: where YOLO looks, or in a folder of labels."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from rinrcodec.storage import Listing, at, read_range, storage_of, text_of

__all__ = ["LabelFinder"]

# Text files that labelling tools and people put next to labels.
_NO_LABELS = frozenset(
    {"classes.txt", "labels.txt", "names.txt", "notes.txt", "license.txt", "requirements.txt"}
    | {"readme.txt", "readme.dataset.txt", "readme.roboflow.txt", "predefined_classes.txt"}
    | {"train.txt", "val.txt", "valid.txt", "test.txt"}
)
_CAPITALS = ".TXT"  # as old tools of Windows write it
_SHOWN_FILES = 3  # of a folder
_SHOWN_FOLDERS = 10
_MOST_LOOKS = 100  # into text files next to pictures


class LabelFinder:
    """Finds the label file of a picture, and remembers which files of a label folder are used.

    around: the folder whose neighbours may hold labels; None for a data yaml, whose labels are
    where YOLO looks. folder: one that the user gave instead. one: a single picture is asked for, so
    that listing remote folders would not pay.
    """

    def __init__(
        self, listing: Listing, around: Path | None, folder: Path | None, *, one: bool = False
    ) -> None:
        self.folder = folder
        self._listing = listing
        self._one = one
        self._used: dict[str, tuple[Path, set[str]]] = {}
        self._next_to: set[str] = set()
        self._yolo_folders: set[str] = set()
        self._capitals: list[str] = []
        if folder is not None:
            roots: tuple[Path, ...] = (folder,)
        elif around is None:
            roots = ()
        else:
            inside = storage_of(around).absolute(around)
            roots = (inside.parent / "labels", inside / "labels")
        self._roots = [text_of(root) for root in roots]
        for root in roots:
            self._know(root)

    def __call__(self, picture: Path, *names: str) -> tuple[Path | None, str]:
        """Find the label file of a picture, or the path of a missing one, or None; and its stamp.

        names: the picture's relative names, by which it is looked up in a folder of labels. The
        stamp of a file that is missing is "".
        """
        # As text: making paths takes longer than all the rest of listing a million objects.
        texts = [f"{root}/{_with_txt(name)}" for root in self._roots for name in names]
        like = self.folder or picture
        if self.folder is None:
            texts = [*self._yolo_texts(picture), *texts]
            next_to = _with_txt(text_of(picture))
        else:
            next_to = ""
        places = [*texts, next_to] if next_to else texts
        for text in [*places, *map(_with_capitals, places)]:
            stamp = self._listing.stamp(text, like)
            # After a link that leads nowhere, labels of another place are not meant.
            if stamp or self._listing.dangles(text, like):
                folder, _, name = text.rpartition("/")
                self._used.setdefault(folder, (like, set()))[1].add(name)
                if text[:-4] == next_to[:-4]:
                    self._next_to.add(folder)
                if text.endswith(_CAPITALS):
                    self._capitals.append(text)
                return at(text, like), stamp
        for text in texts:
            folder = text.rpartition("/")[0]
            if self._listing.kind(folder, like) == "folder":
                self._used.setdefault(folder, (like, set()))
                return at(text, like), ""
        return (at(texts[0], like) if self.folder else None), ""

    def orphans(self, folders: Sequence[Path] = ()) -> tuple[str, ...]:
        """Return messages that name the label files that belong to no picture.

        Each folder names a few, and counts the others. This searches the folders of labels that
        were used, those below them, and those that mirror `folders`, the folders of pictures.
        """
        # Where the user gave a folder, those that mirror the pictures are not meant.
        for folder in () if self.folder else folders:
            for text in self._yolo_texts(folder / "picture.png"):
                self._used.setdefault(text.rpartition("/")[0], (folder, set()))
        for root in self._roots:
            for used, (like, _) in list(self._used.items()):
                if self.folder is not None or used.startswith(f"{root}/"):
                    self._used.setdefault(root, (like, set()))
        return _named(self._unused())

    def in_capitals(self) -> tuple[str, ...]:
        """Return a message about label files that YOLO would not find, as they end in .TXT."""
        if not self._capitals:
            return ()
        n = len(self._capitals)
        files = (
            "1 label file is used that ends" if n == 1 else f"{n:,} label files are used that end"
        )
        return (f"{self._capitals[0]}: {files} in {_CAPITALS}; YOLO finds only .txt. Rename them",)

    def _unused(self) -> dict[str, list[str]]:
        """Return the label files without a picture, by folder."""
        known = {
            _joined(folder, name) for folder, (_, names) in self._used.items() for name in names
        }
        found: dict[str, list[str]] = {}
        looks = 0
        for folder, (like, _) in sorted(self._used.items()):
            # Labels next to pictures: each of their folders is in this list.
            deep = folder not in self._next_to
            for name in self._listing.texts_below(folder or ".", like, deep=deep):
                text = _joined(folder, name)
                if text in known or name.rpartition("/")[2].lower() in _NO_LABELS:
                    continue
                known.add(text)
                looks += not deep
                if deep or looks > _MOST_LOOKS or _looks_like_labels(at(text, like)):
                    found.setdefault(text.rpartition("/")[0], []).append(text)
        return found

    def _yolo_texts(self, picture: Path) -> list[str]:
        """Return `a/labels/b/c.txt` for `a/images/b/c.jpg`; nothing without a folder `images`."""
        storage = storage_of(picture)
        parts = text_of(storage.absolute(picture)).split("/")
        for i in range(len(parts) - 2, storage.root_steps - 1, -1):
            if parts[i] == "images":
                labels = "/".join([*parts[:i], "labels"])
                if labels not in self._yolo_folders:
                    self._yolo_folders.add(labels)
                    self._know(at(labels, picture))
                return [_with_txt("/".join([labels, *parts[i + 1 :]]))]
        return []

    def _know(self, folder: Path) -> None:
        if not self._one:
            self._listing.know(folder, deep=True)


def _named(found: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return messages that name a few files of each folder and count the others."""
    warnings = []
    for folder, texts in list(found.items())[:_SHOWN_FOLDERS]:
        names = texts[:_SHOWN_FILES]
        warnings += [f"{text}: labels without a picture; they are left out" for text in names]
        if rest := len(texts) - len(names):
            warnings.append(f"{folder or '.'}: {rest} more label files without a picture")
    others = list(found.values())[_SHOWN_FOLDERS:]
    if others:
        rest = sum(map(len, others))
        warnings.append(f"{rest} more label files without a picture, in {len(others)} more folders")
    return tuple(warnings)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _looks_like_labels(file: Path) -> bool:
    """Return whether a text file next to pictures begins like YOLO labels, not like notes."""
    try:
        words = read_range(file, 0, 200).split()
        return len(words) >= 5 and all(float(word) >= 0 for word in words[:5])
    except (OSError, ValueError):
        return False


def _with_txt(name: str) -> str:
    return posixpath.splitext(name)[0] + ".txt"


def _with_capitals(text: str) -> str:
    return text.removesuffix(".txt") + _CAPITALS

"""Find the label file of a picture: where YOLO looks, or in a folder of labels."""

from __future__ import annotations

import posixpath
from pathlib import Path

from rinrcodec.storage import Listing, at, storage_of, text_of

__all__ = ["LabelFinder"]


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
        self._yolo_folders: set[str] = set()
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
        """The label file of a picture, or where it is missing from, or None; and its stamp.

        names: the picture's relative names, by which it is looked up in a folder of labels. The
        stamp of a file that is missing is "".
        """
        # As text: making paths takes longer than all the rest of listing a million objects.
        texts = [f"{root}/{_with_txt(name)}" for root in self._roots for name in names]
        like = self.folder or picture
        if self.folder is None:
            texts = [*self._yolo_texts(picture), *texts]
        for text in texts:
            if stamp := self._listing.stamp(text, like):
                folder, _, name = text.rpartition("/")
                self._used.setdefault(folder, (like, set()))[1].add(name)
                return at(text, like), stamp
        if self.folder is None:
            beside = _with_txt(text_of(picture))
            if stamp := self._listing.stamp(beside, like):
                return at(beside, like), stamp
        for text in texts:
            folder = text.rpartition("/")[0]
            if self._listing.kind(folder, like) == "folder":
                self._used.setdefault(folder, (like, set()))
                return at(text, like), ""
        return (at(texts[0], like) if self.folder else None), ""

    def orphans(self) -> tuple[str, ...]:
        """A warning for each label file, in the folders used, that belongs to no picture."""
        warnings = []
        for folder, (like, known) in sorted(self._used.items()):
            for name in self._listing.texts(folder, like):
                if name not in known and name != "classes.txt":
                    file = at(f"{folder}/{name}", like)
                    warnings.append(f"{file}: labels without a picture; they are left out")
        return tuple(warnings)

    def _yolo_texts(self, picture: Path) -> list[str]:
        """`a/images/b/c.jpg` -> `a/labels/b/c.txt`; nothing where no folder is called `images`."""
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


def _with_txt(name: str) -> str:
    return posixpath.splitext(name)[0] + ".txt"

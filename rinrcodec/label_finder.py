"""Where the label file of a picture lies: where YOLO looks, or in a folder of labels."""

from __future__ import annotations

import os
from pathlib import Path

from rinrcodec.places import is_remote
from rinrcodec.storage import Listing

__all__ = ["LabelFinder", "absolute"]


class LabelFinder:
    """Finds the label file of a picture, and remembers which files of a label folder are used.

    around: the folder whose neighbours may hold labels; None for a data yaml, whose labels lie
    where YOLO looks. folder: one that the user gave instead. one: a single picture is asked for, so
    that listing remote folders would not pay.
    """

    def __init__(
        self, listing: Listing, around: Path | None, folder: Path | None, *, one: bool = False
    ) -> None:
        self.folder = folder
        self._listing = listing
        self._one = one
        self._used: dict[Path, set[str]] = {}
        if folder is not None:
            self._roots: tuple[Path, ...] = (folder,)
        elif around is None:
            self._roots = ()
        else:
            inside = absolute(around)
            self._roots = (inside.parent / "labels", inside / "labels")
        for root in self._roots:
            self._know(root)

    def __call__(self, picture: Path, *names: str) -> tuple[Path | None, str]:
        """The label file of a picture, or where it is missing from, or None; and its stamp.

        names: the picture's relative names, by which it is looked up in a folder of labels. The
        stamp of a file that is missing is "".
        """
        places = [(root / name).with_suffix(".txt") for root in self._roots for name in names]
        if self.folder is None:
            places = [*self._yolo_place(picture), *places]
        for place in places:
            if stamp := self._listing.stamp(place):
                self._used.setdefault(place.parent, set()).add(place.name)
                return place, stamp
        if self.folder is None:
            beside = picture.with_suffix(".txt")
            if stamp := self._listing.stamp(beside):
                return beside, stamp
        for place in places:
            if self._listing.kind(place.parent) == "folder":
                self._used.setdefault(place.parent, set())
                return place, ""
        return (places[0] if self.folder else None), ""

    def orphans(self) -> tuple[str, ...]:
        """A warning for each label file, in the folders used, that belongs to no picture."""
        warnings = []
        for folder, known in sorted(self._used.items(), key=lambda item: item[0].as_posix()):
            for file in self._listing.texts(folder):
                if file.name not in known and file.name != "classes.txt":
                    warnings.append(f"{file}: labels without a picture; they are left out")
        return tuple(warnings)

    def _yolo_place(self, picture: Path) -> list[Path]:
        """`a/images/b/c.jpg` -> `a/labels/b/c.txt`; nothing where no folder is called `images`."""
        picture = absolute(picture)
        parts = picture.parts
        for i in range(len(parts) - 2, -1, -1):
            if parts[i] == "images":
                labels = picture.parents[len(parts) - 2 - i].parent / "labels"
                self._know(labels)
                return [labels.joinpath(*parts[i + 1 :]).with_suffix(".txt")]
        return []

    def _know(self, folder: Path) -> None:
        if not self._one:
            self._listing.know(folder, deep=True)


def absolute(path: Path) -> Path:
    """The path from the root, with links as they are."""
    # Unlike Path.resolve, links stay: labels lie beside the link, not beside what it points to.
    return path if is_remote(path) else Path(os.path.abspath(path))  # noqa: PTH100

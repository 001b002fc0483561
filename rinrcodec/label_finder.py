"""Where the label file of a picture lies: where YOLO looks, or in a folder of labels."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["LabelFinder", "absolute"]


class LabelFinder:
    """Finds the label file of a picture, and remembers which files of a label folder are used."""

    def __init__(self, source: Path, folder: Path | None) -> None:
        self.folder = folder
        self._used: dict[Path, set[str]] = {}
        if folder is not None:
            self._roots: tuple[Path, ...] = (folder,)
        elif source.suffix.lower() in {".yaml", ".yml"}:
            self._roots = ()
        else:
            inside = absolute(source if source.is_dir() else source.parent)
            self._roots = (inside.parent / "labels", inside / "labels")

    def __call__(self, picture: Path, *names: str) -> Path | None:
        """The label file of a picture, or where it is missing from, or None without any labels.

        names: the picture's relative names, by which it is looked up in a folder of labels.
        """
        places = [(root / name).with_suffix(".txt") for root in self._roots for name in names]
        if self.folder is None:
            places = [*_yolo_place(picture), *places]
            beside = picture.with_suffix(".txt")
            if beside.is_file() and not any(place.is_file() for place in places):
                return beside
        for place in places:
            if place.is_file():
                self._used.setdefault(place.parent, set()).add(place.name)
                return place
        for place in places:
            if place.parent.is_dir():
                self._used.setdefault(place.parent, set())
                return place
        return places[0] if self.folder else None

    def orphans(self) -> tuple[str, ...]:
        """A warning for each label file, in the folders used, that belongs to no picture."""
        warnings = []
        for folder, known in sorted(self._used.items()):
            for file in sorted(folder.glob("*.txt")):
                if file.name not in known and file.name != "classes.txt":
                    warnings.append(f"{file}: labels without a picture; they are left out")
        return tuple(warnings)


def _yolo_place(picture: Path) -> list[Path]:
    """`a/images/b/c.jpg` -> `a/labels/b/c.txt`; nothing where no folder is called `images`."""
    parts = list(absolute(picture).parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            return [Path(*parts).with_suffix(".txt")]
    return []


def absolute(path: Path) -> Path:
    """The path from the root, with links as they are."""
    # Unlike Path.resolve, links stay: labels lie beside the link, not beside what it points to.
    return Path(os.path.abspath(path))  # noqa: PTH100

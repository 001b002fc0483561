"""Find the pictures that one split of a data yaml names: folders, list files, single pictures.

`data_yaml` calls `find_split` once for each folder that the entries may be relative to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

from rinrcodec.errors import RinrError, RinrInputError, reason
from rinrcodec.sources.picture_names import is_left_out, is_picture, pictures_among, unreadable_kind
from rinrcodec.sources.yaml_keys import shown
from rinrcodec.storage import (
    Listing,
    check_store,
    join,
    may_pass,
    read_file,
    stamp_of,
    storage_of,
    text_of,
)
from rinrcodec.text_limits import MOST_LIST_BYTES, MOST_LIST_LINE, MOST_MISSING

__all__ = ["Split", "entries_of", "find_split", "is_folder", "with_slashes"]

_MOST_ENTRIES = 100_000
# Folders may be called 7, 1.5 or 2024-05-01.
_PATHS = (str, int, float, date)
# For how many lines of a list file to look for a shorter path that exists.
_MOST_SEARCHES = 100
_SHOWN_LINE = 60
_MOST_NESTED = 10  # lists in lists
# What YAML makes of a path with backslashes in double quotes.
_ESCAPES = {7: "/a", 8: "/b", 9: "/t", 10: "/n", 11: "/v", 12: "/f", 13: "/r", 27: "/e"}


@dataclass(slots=True)
class Split:
    """The pictures that the entries of one split name.

    files: the pictures with their stamps. folders: the paths of the entries. n_listed: how many
    pictures were named, with those that were named twice. unread: pictures of kinds that cannot be
    read. others: files in the folders that are no pictures. seen: how many pictures each folder and
    list has named. missing, notes: messages without the name of the yaml.
    """

    files: dict[Path, str] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)
    n_listed: int = 0
    unread: list[tuple[Path, str]] = field(default_factory=list)
    others: list[tuple[Path, str]] = field(default_factory=list)
    seen: dict[Path, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, file: Path, stamp: str) -> None:
        """Add a picture."""
        if unreadable_kind(file.suffix):
            self.unread.append((file, stamp))
            return
        self.n_listed += 1
        self.files.setdefault(file, stamp)


def entries_of(value: object, where: str) -> list[str]:
    """Return the entries of a split as texts; lists in lists are flattened.

    Raises:
        RinrInputError: one is no path, or there are more than 100,000.
    """
    entries: list[str] = []
    todo = [value]
    for _ in range(_MOST_ENTRIES):
        if not todo:
            return entries
        item = todo.pop()
        if isinstance(item, dict):
            raise RinrInputError(
                f"{where}: found a map; give a folder, a list file (.txt), or a list of these"
            )
        if isinstance(item, list):
            todo += reversed(item)
        elif item is not None and item != "":
            if type(item) not in _PATHS:
                raise RinrInputError(f"{where}: expected a path, found {shown(item)}")
            entries.append(str(item))
    raise RinrInputError(f"{where}: more than {_MOST_ENTRIES:,} entries; use a list file (.txt)")


def with_slashes(entry: str) -> str:
    r"""Return a path of Windows with "/" between its steps.

    >>> with_slashes("images\\train")
    'images/train'
    """
    return entry.translate(_ESCAPES).replace("\\", "/")


def find_split(listing: Listing, root: Path, entries: list[str]) -> Split:
    """Find what the entries of a split name, relative to `root`."""
    split = Split()
    for entry in entries:
        _add_entry(listing, root, entry, split)
    return split


def is_folder(listing: Listing, path: Path) -> bool:
    """Return whether a path is a folder."""
    return _kind(listing, path) == "folder"


def _add_entry(listing: Listing, root: Path, entry: str, split: Split) -> None:
    options = list(dict.fromkeys([entry, with_slashes(entry)]))
    if options[-1].startswith("../"):
        # Exports of Roboflow are off by one folder; YOLO accepts that.
        options.append(options[-1][3:])
    try:
        paths = [_joined(root, option) for option in options]
    except RinrInputError as error:  # in another store
        split.missing.append(str(error))
        return
    path = next((path for path in paths if _kind(listing, path)), paths[0])
    split.folders.append(path)
    _add_path(listing, root, path, split, lists=())


def _joined(root: Path, entry: str) -> Path:
    path = join(root, entry)
    return storage_of(path).normal(path)


def _add_path(
    listing: Listing, root: Path, path: Path, split: Split, *, lists: tuple[Path, ...]
) -> None:
    """Add what a path holds; `lists` are the list files that led to it."""
    kind = _kind(listing, path)
    is_list = kind == "file" and path.suffix.lower() == ".txt"
    if path in lists:
        split.missing.append(f"{path}: this list names itself")
        return
    # Each is read once: lists that name lists many times would take forever.
    if path in split.seen:
        split.n_listed += split.seen[path]
        return
    before = split.n_listed
    if kind == "folder":
        files = listing.add(path)
        pictures = pictures_among(files, path)
        for file, stamp in pictures:
            split.add(file, stamp)
        split.unread += [item for item in files if is_left_out(item[0].suffix)]
        split.others += [item for item in files if not is_picture(item[0].suffix)]
        if not pictures:
            split.missing.append(f"no picture in the folder {path}")
    elif is_list:
        if len(lists) == _MOST_NESTED:
            split.missing.append(f"{path}: lists name lists at more than {_MOST_NESTED} levels")
        else:
            _add_list(listing, root, path, split, lists=(*lists, path))
    elif kind == "file" and (is_picture(path.suffix) or unreadable_kind(path.suffix)):
        split.add(path, stamp_of(path))
    elif listing.dangles(text_of(path), path):
        split.missing.append(f"{path}: this link leads nowhere")
    else:
        hint = ""
        if kind == "file":
            hint = "; expected a folder, a list file (.txt) or a picture"
        elif "*" in path.name or "?" in path.name:
            hint = "; patterns are not expanded: name the folder"
        split.missing.append(f"no such folder or list: {path}{hint}")
    if kind == "folder" or is_list:
        split.seen[path] = split.n_listed - before


def _add_list(
    listing: Listing, root: Path, path: Path, split: Split, *, lists: tuple[Path, ...]
) -> None:
    try:
        lines = read_file(path, most=MOST_LIST_BYTES).decode("utf-8-sig").split("\n")
    except (RinrError, OSError) as error:
        if isinstance(error, OSError) and may_pass(path, error):
            raise
        split.missing.append(reason(path, error))
        return
    except UnicodeDecodeError:
        split.missing.append(f"{path}: not a text file (UTF-8); expected a path on each line")
        return
    bases = [path.parent, root]
    if storage_of(path).has_native_paths:
        bases.append(Path())  # YOLO takes lines without "./" from the working folder
    cut: int | None = None
    searches = 0
    lines = list(filter(None, map(str.strip, lines)))
    if not lines:
        split.missing.append(f"{path}: this list is empty")
    missing = 0
    for line in lines:
        found = None
        if len(line) > MOST_LIST_LINE:
            line = f"{line[:_SHOWN_LINE]}..."
        else:
            found = _locate(listing, bases, line, 0)
        if found is None and cut is not None:
            found = _locate(listing, bases, line, cut)
        elif found is None and searches < _MOST_SEARCHES:
            # Lists of other machines, and `data/images/a.png` of CVAT, where there is no `data`.
            searches += 1
            for steps in range(1, len(_steps(line)) - 1):
                if found := _locate(listing, bases, line, steps):
                    cut = steps
                    split.notes.append(
                        f"{path}: there is no {line}; {found[0]} is used, "
                        "and so on for the other lines"
                    )
                    break
        if found is None:
            missing += 1
            if missing <= MOST_MISSING:
                split.missing.append(
                    f"{_elsewhere(path, line) or f'{line}: no such picture'} (in {path})"
                )
        elif found[1]:
            split.add(*found)
        else:
            _add_path(listing, root, found[0], split, lists=lists)
    if missing > MOST_MISSING:
        split.missing.append(f"{missing - MOST_MISSING:,} more: no such pictures (in {path})")


def _locate(listing: Listing, bases: list[Path], line: str, cut: int) -> tuple[Path, str] | None:
    """Return the file of a line and its stamp, "" if it is no picture; None if it is missing.

    cut: how many steps at the start of the line to leave out.
    """
    texts = ["/".join(_steps(line)[cut:])] if cut else dict.fromkeys([line, with_slashes(line)])
    for text in texts:
        for base in bases if not _elsewhere(bases[0], text) else ():
            path = _joined(base, text)
            listing.know(path.parent, deep=False)
            if path.suffix.lower() in {"", ".txt"}:
                if _kind(listing, path):
                    return path, ""
            elif stamp := listing.stamp(text_of(path), path):
                return path, stamp
            elif listing.dangles(text_of(path), path):
                return path, ""
    return None


def _elsewhere(near: Path, line: str) -> str:
    """Explain why a line of a list, a URL or a local path, is not followed; "" if it may be."""
    try:
        check_store(near, line)
    except RinrInputError as error:
        return str(error)
    return ""


def _steps(line: str) -> list[str]:
    return [step for step in with_slashes(line).split("/") if step not in {"", "."}]


def _kind(listing: Listing, path: Path) -> Literal["file", "folder"] | None:
    try:
        return listing.kind(text_of(path), path)
    except (OSError, ValueError):  # a path that is too long, or of bytes that no path has
        return None

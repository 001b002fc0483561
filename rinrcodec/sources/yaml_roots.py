"""The folders that the paths in a data yaml may be relative to, the likeliest first.

`data_yaml` takes the first one with the pictures of the splits.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.split_entries import with_slashes
from rinrcodec.sources.yaml_keys import shown
from rinrcodec.storage import check_store, file_or_folder, join, storage_of

__all__ = ["Root", "roots_of"]

_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that entries may be relative to.

    note: what to tell the user if it is taken. cut: the start of absolute paths of another machine
    that this folder replaces.
    """

    folder: Path
    note: str = ""
    cut: str = ""

    def entries(self, entries: Sequence[str]) -> list[str]:
        """Return the entries with absolute paths of another machine made relative."""
        if not self.cut:
            return list(entries)
        texts = []
        for entry in entries:
            text = with_slashes(entry)
            inside = text.startswith(f"{self.cut.rstrip('/')}/")
            texts.append(text[len(self.cut) :].strip("/") or "." if inside else entry)
        return texts


def roots_of(path: Path, given: object, entries: Mapping[str, list[str]]) -> list[Root]:
    """Return the folders that the entries of a data yaml may be relative to.

    A relative `path` is looked for in the folder of the yaml, then in the working folder, as
    Ultralytics does it. An absolute one that does not exist is of another machine.

    Args:
        path: the data yaml.
        given: its `path`.
        entries: the entries of its splits.

    Raises:
        RinrInputError: `path` is no text, or in another store than the yaml.
    """
    if isinstance(given, (list, dict, set)):
        raise RinrInputError(f"{path}: path: found {shown(given)}; expected one folder")
    text = str(given or "")
    for option in (text, with_slashes(text)):
        try:
            check_store(path.parent, option)
        except RinrInputError as error:
            raise RinrInputError(f"{path}: path: {error}") from error
    if not storage_of(path).has_native_paths:
        return [Root(join(path.parent, text))]
    # The last one is the working folder.
    bases = [Root(path.parent), *_local_bases(path)]
    every = [entry for texts in entries.values() for entry in texts]
    try:
        roots = [*_roots_below(path, text, bases), *_roots_for_foreign(path, bases, every)]
    except OSError as error:
        found = f"{text:.60}... of {len(text):,} characters" if len(text) > 60 else text
        raise RinrInputError(f"{path}: path: {found}: {error.strerror}") from error
    unique: dict[tuple[Path, str], Root] = {}
    for root in roots:
        unique.setdefault((storage_of(path).absolute(root.folder), root.cut), root)
    return _with_note(path, text, bases, list(unique.values()), entries)


def _local_bases(path: Path) -> list[Root]:
    """Return the folder of a yaml that is a link, or has one above it; then the working folder."""
    bases = []
    real = Path(os.path.realpath(path)).parent
    if real != storage_of(path).absolute(path.parent):
        bases.append(
            Root(real, f"{path}: pictures are taken from the folder of its target, {real}")
        )
    return [
        *bases,
        Root(Path.cwd(), f"{path}: paths are taken relative to the working folder, as YOLO does"),
    ]


def _roots_below(path: Path, text: str, bases: Sequence[Root]) -> Iterable[Root]:
    """Yield the folders that `path:` may mean, or those of the yaml if it has no `path:`."""
    normal = storage_of(path).normal
    options = dict.fromkeys([text, with_slashes(text)])
    existing = False
    for base in bases:
        for option in options:
            folder = normal(join(base.folder, option)) if option else base.folder
            existing = existing or file_or_folder(folder) == "folder"
            note = f"{base.note}: {folder}" if base.note and option else base.note
            yield Root(folder, note)
    if text and not existing:
        # It is of another machine, where this folder is perhaps the one of the yaml.
        last = posixpath.basename(with_slashes(text).rstrip("/"))
        for base in bases[:-1]:
            for folder in (base.folder, base.folder / last):
                if last not in {"", ".", ".."}:
                    yield Root(folder, f"{path}: path: there is no folder {text}; {folder} is used")


def _roots_for_foreign(path: Path, bases: Sequence[Root], entries: Sequence[str]) -> Iterable[Root]:
    """Yield the folders of the yaml in place of the common root of another machine's entries."""
    texts = [posixpath.normpath(with_slashes(entry)) for entry in entries]
    foreign = [
        text
        for text in texts
        if _ABSOLUTE.match(text) and _is_local(path, text) and not os.path.exists(text)  # noqa: PTH110
    ]
    common = posixpath.commonprefix([posixpath.dirname(text) + "/" for text in foreign])
    steps = common.split("/")[:-1]
    # The longest path that is left comes first: it is the most telling.
    for n in range(1 + common.startswith("/"), len(steps) + 1):
        cut = "/".join(steps[:n])
        for base in bases[:-1]:
            note = f"{path}: there is no folder {cut}; {base.folder} is used in its place"
            yield Root(base.folder, note, cut)


def _is_local(path: Path, text: str) -> bool:
    """Return whether a data yaml's path is in the yaml's store; on Windows, on this computer."""
    try:
        check_store(path.parent, text)
    except RinrInputError:
        return False
    return True


def _with_note(
    path: Path,
    text: str,
    bases: Sequence[Root],
    roots: list[Root],
    entries: Mapping[str, list[str]],
) -> list[Root]:
    """Have the first root say so where Ultralytics would use the folder of that name elsewhere."""
    if not text:
        return roots
    first, other = roots[0], bases[-1].folder / with_slashes(text)
    if not (first.folder.is_dir() and other.is_dir()) or first.folder.samefile(other):
        return roots
    some = [texts[0] for texts in entries.values() if texts and _is_local(path, texts[0])]
    if not any((other / text).exists() for text in some):
        return roots
    note = (
        f"{path}: path: {text} exists in the folder of the yaml and in the working folder; "
        f"{first.folder} is used, Ultralytics uses {storage_of(path).absolute(other)}"
    )
    return [Root(first.folder, note), *roots[1:]]

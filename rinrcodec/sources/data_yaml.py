"""Read a YOLO data yaml: its splits, the pictures that they name, and the class names.

`open_source` calls `open_data_yaml`; a folder of packs has a data yaml, too (`load_data_yaml`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.label_finder import LabelFinder
from rinrcodec.sources.picture_names import left_out, name_order
from rinrcodec.sources.readings import ImageRef
from rinrcodec.sources.source import Series, Source
from rinrcodec.sources.split_entries import Split, entries_of, find_split, is_folder
from rinrcodec.sources.unused_files import annotation_hint, dangling_links, unused_keys
from rinrcodec.sources.yaml_keys import (
    SPLITS,
    check_nodes,
    class_names,
    keypoint_shape,
    misspelled,
    other_keys,
    renamed_splits,
)
from rinrcodec.sources.yaml_roots import Root, roots_of
from rinrcodec.storage import Listing, read_file, storage_of, text_of

__all__ = ["load_data_yaml", "open_data_yaml"]

# Aliases (*name) can make a short yaml say more than any memory holds.
_MOST_CHARACTERS = 2**22
_MOST_SHOWN = 500  # characters of an error
# What PyYAML raises, also for a date of month 13 and for tags such as `!!bool maybe`.
_YAML_ERRORS = (
    *(yaml.YAMLError, ValueError, TypeError, AttributeError),
    *(LookupError, ArithmeticError, RecursionError),
)


def load_data_yaml(path: Path) -> dict[str, Any]:
    """The keys of a YOLO data yaml; raises `RinrInputError` for a file that is none."""
    return _parsed(path, read_file(path), yaml.SafeLoader)


def _parsed(
    path: Path, text: bytes, loader: type[yaml.SafeLoader | yaml.BaseLoader]
) -> dict[str, Any]:
    try:
        parser = loader(text.decode("utf-8-sig"))
        node = parser.get_single_node()
        check_nodes(path, node, most=max(_MOST_CHARACTERS, 4 * len(text)))
        data = parser.construct_document(node) if node else None
    except RinrInputError:
        raise
    except _YAML_ERRORS as error:
        found = " ".join(str(error).split())[:_MOST_SHOWN]
        raise RinrInputError(f"{path}: not a yaml file: {found}") from error
    if not isinstance(data, dict):
        raise RinrInputError(f"{path}: expected the keys train, val, names of a YOLO data yaml")
    return data


def open_data_yaml(path: Path, listing: Listing, find: LabelFinder | None) -> Source:
    """Find the pictures of a YOLO data yaml; `find` looks for their labels, None skips them."""
    text = read_file(path)
    data = _parsed(path, text, yaml.SafeLoader)
    keys, warnings = renamed_splits(path, data)
    entries = {split: entries_of(keys[split], f"{path}: {split}") for split in _given(keys)}
    root, splits = _best_root(listing, roots_of(path, keys.get("path"), entries), entries)
    warnings += [root.note] if root.note else []
    series, failures, absent = [], [], []
    unread: list[str] = []
    for name, split in splits.items():
        # YOLO needs no test split to train, and exports name one that they do not have.
        missing = [f"{path}: {name}: {item}" for item in split.missing]
        absent += missing
        if name == "test":
            warnings += [f"{item}; it is left out" for item in missing]
        else:
            failures += missing
        warnings += [f"{path}: {name}: {note}" for note in split.notes]
        unread += left_out(split.unread, f"{path}: {name}")
        if extra := split.n_listed - len(split.files):
            warnings.append(f"{path}: {name}: {extra} pictures are listed twice; one is kept")
        if split.files:
            base = _base_folder(f"{path}: {name}", listing, split)
            series.append(Series(name, _name_refs(split.files, base, name, find)))
    misspellings = misspelled(path, keys)
    used = [split.files for split in splits.values()]
    unused = unused_keys(path, listing, root.folder, other_keys(keys), used)
    if not series:
        hints = [*unread, *misspellings.values(), *unused.values()]
        reason = "; ".join(absent) or "none of the keys train, val and test names pictures"
        raise RinrInputError(f"{path}: no pictures: {'; '.join([reason, *hints])}")
    warnings += unread
    warnings += {**unused, **misspellings}.values()
    folders = [
        folder
        for split in splits.values()
        for folder in split.folders
        if is_folder(listing, folder)
    ]
    others = [item for split in splits.values() for item in split.others]
    failures += [*listing.unlisted(), *dangling_links(others)]
    lost = find.orphans(folders) if find else ()
    warnings += find.in_capitals() if find else ()
    if find and find.folder is None:
        warnings += annotation_hint(path.parent, [file for file, _ in others], folders)
    names, notes = class_names(path, keys, _parsed(path, text, yaml.BaseLoader).get("names"))
    return Source(
        "yaml",
        path,
        tuple(series),
        names,
        kpt_shape=keypoint_shape(path, keys),
        warnings=(*warnings, *notes),
        failures=tuple(failures),
        yaml_keys=other_keys(keys),
        lost_labels=tuple(lost),
    )


def _given(keys: Mapping[str, Any]) -> list[str]:
    return [split for split in SPLITS if keys.get(split)]


def _best_root(
    listing: Listing, roots: Sequence[Root], entries: Mapping[str, list[str]]
) -> tuple[Root, dict[str, Split]]:
    """Return the first root that has all splits but `test`, else the one that has most."""
    best: tuple[int, Root, dict[str, Split]] | None = None
    for root in roots:
        found = {
            split: find_split(listing, root.folder, root.entries(texts))
            for split, texts in entries.items()
        }
        score = sum(bool(split.files) for split in found.values())
        if best is None or score > best[0]:
            best = (score, root, found)
        missing = [split for split, its in found.items() if its.missing]
        if not missing or (missing == ["test"] and score):
            break
    assert best is not None
    return best[1], best[2]


def _base_folder(where: str, listing: Listing, split: Split) -> str:
    """The folder that the names of a split's pictures are relative to, as text."""
    first = split.folders[0]
    if len(split.folders) == 1 and is_folder(listing, first):
        return text_of(first)
    files = list(split.files)
    storage = storage_of(files[0])
    try:
        return storage.common_folder([storage.absolute(file.parent) for file in files])
    except ValueError:
        message = f"{where}: pictures of several stores; give each a data yaml"
        raise RinrInputError(message) from None


def _name_refs(
    files: Mapping[Path, str], base: str, split: str, find: LabelFinder | None
) -> tuple[ImageRef, ...]:
    refs = []
    for file, stamp in files.items():
        name = storage_of(file).relative_name(file, base)
        label, label_stamp = find(file, f"{split}/{name}", name) if find else (None, "")
        refs.append(ImageRef(name, file, label, stamp, label_stamp))
    return tuple(sorted(refs, key=lambda ref: name_order(ref.name)))

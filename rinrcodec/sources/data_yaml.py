"""Read a YOLO data yaml: its splits, the pictures that they name, and the class names.

`open_source` calls `open_data_yaml`; a folder of packs has a data yaml, too (`load_data_yaml`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rinrcodec.errors import RinrInputError
from rinrcodec.sources.label_finder import LabelFinder
from rinrcodec.sources.picture_names import left_out, name_order
from rinrcodec.sources.readings import ImageRef
from rinrcodec.sources.source import Series, Source
from rinrcodec.sources.split_entries import Split, entries_of, find_split, is_folder
from rinrcodec.sources.unused_files import annotation_hint, dangling_links, unused_keys
from rinrcodec.sources.yaml_file import parse_yaml
from rinrcodec.sources.yaml_keys import (
    SPLITS,
    class_names,
    keypoint_shape,
    misspelled,
    other_keys,
    renamed_splits,
)
from rinrcodec.sources.yaml_roots import Root, roots_of
from rinrcodec.storage import Listing, read_file, storage_of, text_of
from rinrcodec.text_limits import MOST_YAML_BYTES

__all__ = ["load_data_yaml", "open_data_yaml"]


def load_data_yaml(path: Path) -> dict[str, Any]:
    """Read the keys of a YOLO data yaml; raise `RinrInputError` for other files."""
    return parse_yaml(path, read_file(path, most=MOST_YAML_BYTES))[0]


def open_data_yaml(path: Path, listing: Listing, find: LabelFinder | None) -> Source:
    """Find the pictures of a YOLO data yaml; `find` looks for their labels, None skips them."""
    data, words = parse_yaml(path, read_file(path, most=MOST_YAML_BYTES))
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
    names, notes = class_names(path, keys, words)
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
    """Return the folder to which the picture names of a split are relative, as text."""
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

"""Read a YOLO data yaml: its splits, the pictures that they name, and the class names.

`open_source` calls `open_data_yaml`; a folder of packs has a data yaml, too (`load_data_yaml`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from rinrcodec.errors import RinrInputError
from rinrcodec.labels.model import MOST_CLASSES
from rinrcodec.sources.label_finder import LabelFinder
from rinrcodec.sources.picture_names import IMAGE_SUFFIXES, name_order, pictures_among
from rinrcodec.sources.readings import ImageRef
from rinrcodec.sources.source import Series, Source
from rinrcodec.storage import Listing, join, read_file, stamp_of, storage_of, text_of

__all__ = ["SPLITS", "load_data_yaml", "open_data_yaml"]

SPLITS = ("train", "val", "test")
_MOST_KEYPOINTS = 1000


def load_data_yaml(path: Path) -> dict[str, Any]:
    """The keys of a YOLO data yaml; raises `RinrInputError` for a file that is none."""
    try:
        data = yaml.safe_load(read_file(path).decode("utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RinrInputError(f"{path}: not a yaml file: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise RinrInputError(f"{path}: want the keys train, val, names of a YOLO data yaml")
    return data


def open_data_yaml(path: Path, listing: Listing, find: LabelFinder | None) -> Source:
    """Find the pictures of a YOLO data yaml; `find` looks for their labels, None skips them."""
    data = load_data_yaml(path)
    root = join(path.parent, str(data.get("path") or ""))
    series, failures, warnings = [], [], []
    for split in SPLITS:
        if not data.get(split):
            continue
        entries = data[split] if isinstance(data[split], list) else [data[split]]
        files: list[tuple[Path, str]] = []
        folders: list[Path] = []
        for entry in entries:
            pictures, folder, missing = _resolve_entry(listing, root, str(entry))
            files += pictures
            folders.append(folder)
            failures += [f"{path}: {split}: {item}" for item in missing]
        unique = dict(files)
        if len(unique) < len(files):
            extra = len(files) - len(unique)
            warnings.append(f"{path}: {split}: {extra} pictures are listed twice; one is kept")
        if unique:
            alone = len(entries) == 1 and _kind(listing, folders[0]) == "folder"
            base = text_of(folders[0]) if alone else _common(f"{path}: {split}", list(unique))
            series.append(Series(split, _name_refs(unique, base, split, find)))
    if not series:
        reason = "; ".join(failures) or "none of the keys train, val and test names pictures"
        raise RinrInputError(f"{path}: no pictures: {reason}")
    warnings += find.orphans() if find else ()
    names = _class_names(path, data)
    return Source(
        "yaml",
        path,
        tuple(series),
        names,
        kpt_shape=_kpt_shape(path, data),
        warnings=tuple(warnings),
        failures=tuple(failures),
    )


def _resolve_entry(
    listing: Listing, root: Path, entry: str
) -> tuple[list[tuple[Path, str]], Path, list[str]]:
    """Return the pictures and stamps of an entry of a split, its path, and what is missing."""
    path = join(root, entry)
    kind = _kind(listing, path)
    if kind is None and entry.startswith("../"):
        # Exports of some labelling tools are off by one folder; YOLO accepts that, and so do we.
        path = join(root, entry[3:])
        kind = _kind(listing, path)
    if kind == "folder":
        files = pictures_among(listing.add(path), path)
        return files, path, [] if files else [f"no picture in the folder {path}"]
    if kind == "file" and path.suffix.lower() == ".txt":
        files, missing = [], []
        for line in read_file(path).decode("utf-8-sig").split("\n"):
            if not (text := line.strip()):
                continue
            for option in (join(path.parent, text), join(root, text)):
                listing.know(option.parent, deep=False)
                if stamp := listing.stamp(text_of(option), option):
                    files.append((storage_of(option).normal(option), stamp))
                    break
            else:
                missing.append(f"{text}: no such picture (in {path})")
        return files, path, missing
    if kind == "file" and path.suffix.lower() in IMAGE_SUFFIXES:
        return [(path, stamp_of(path))], path, []
    return [], path, [f"no such folder or list: {path}"]


def _kind(listing: Listing, path: Path) -> Literal["file", "folder"] | None:
    return listing.kind(text_of(path), path)


def _common(where: str, files: Sequence[Path]) -> str:
    """The folder that all files are below."""
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


def _kpt_shape(path: Path, data: Mapping[str, Any]) -> tuple[int, int] | None:
    shape = data.get("kpt_shape")
    if shape is None:
        return None
    good = isinstance(shape, list) and len(shape) == 2 and all(type(n) is int for n in shape)
    if not good or not 1 <= shape[0] <= _MOST_KEYPOINTS or shape[1] not in (2, 3):
        raise RinrInputError(
            f"{path}: kpt_shape: {shape!r}; expected [number of keypoints, 2 or 3], such as [17, 3]"
        )
    return shape[0], shape[1]


def _class_names(path: Path, data: Mapping[str, Any]) -> dict[int, str]:
    names = data.get("names")
    if names is None:
        count = data.get("nc") or 0
        known = isinstance(count, int) and count <= MOST_CLASSES
        names = [f"class_{i}" for i in range(count)] if known else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(
        isinstance(key, int) and 0 <= key < MOST_CLASSES for key in names
    ):
        raise RinrInputError(
            f"{path}: names: want a list of class names, or a map from class id (0 to "
            f"{MOST_CLASSES - 1}) to name"
        )
    return {key: str(value) for key, value in sorted(names.items())}

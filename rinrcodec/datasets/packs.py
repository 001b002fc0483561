"""The `.rinr` files that a source names: one, a folder of them, or a data yaml of packs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rinrcodec.datasets.names import WORK
from rinrcodec.errors import RinrError, RinrInputError, reason
from rinrcodec.files import packs_below
from rinrcodec.sources.data_yaml import load_data_yaml
from rinrcodec.sources.split_entries import entries_of
from rinrcodec.sources.yaml_keys import SPLITS, renamed_splits
from rinrcodec.sources.yaml_roots import Root, roots_of
from rinrcodec.storage import check_store, file_or_folder, join, may_pass

__all__ = ["PackFiles", "find_packs", "list_packs", "yaml_text"]


@dataclass(frozen=True, slots=True)
class PackFiles:
    """Files by split; a single file or plain folder is the split "".

    data: what the data yaml says, where there is one.
    """

    splits: dict[str, list[Path]]
    data: dict[str, Any] | None = None
    failures: list[str] = field(default_factory=list)

    def all(self) -> list[Path]:
        """Return every file, in order."""
        return [path for paths in self.splits.values() for path in paths]


def find_packs(source: Path) -> PackFiles:
    """List the packs of a file, folder or data yaml; raise `RinrInputError` if there is none.

    A folder that holds a `data.yaml` made by `compress` is read as that yaml. Where that cannot be
    used, it is a failure, and all packs of the folder are listed.
    """
    if file_or_folder(source) == "folder":
        data_yaml = source / "data.yaml"
        failures = []
        if file_or_folder(data_yaml) == "file":
            try:
                return _from_yaml(data_yaml)
            except (RinrError, OSError) as error:
                if isinstance(error, OSError) and may_pass(data_yaml, error):
                    raise
                failures.append(reason(data_yaml, error))
        unlisted: list[OSError] = []
        paths = packs_below(source, unlisted=unlisted)
        failures += [reason(Path(error.filename), error) for error in unlisted]
        if not paths:
            message = f"{source}: no .rinr file in this folder or below it{_why_none(source)}"
            raise RinrInputError("; ".join([*failures, message]))
        return PackFiles({"": paths}, failures=failures)
    if source.suffix.lower() in {".yaml", ".yml"}:
        return _from_yaml(source)
    return PackFiles({"": [source]})


def _why_none(folder: Path) -> str:
    """Say that a run is not finished, where `compress` left its work folder."""
    if file_or_folder(folder / WORK) != "folder":
        return ""
    return "; a run is not finished: rerun the same compress command with `resume=True`"


def list_packs(sources: Sequence[Path]) -> tuple[list[Path], dict[str, str]]:
    """Return the packs of all sources, and the problems of the sources, by name."""
    files: list[Path] = []
    bad: dict[str, str] = {}
    for source in sources:
        try:
            packs = find_packs(source)
        except (RinrError, OSError) as error:
            bad[str(source)] = reason(source, error)
            continue
        files += packs.all()
        bad.update({failure: failure for failure in packs.failures})
    return files, bad


def yaml_text(data: Mapping[str, Any]) -> str:
    """Return a data yaml as text, with its keys in the given order."""
    return yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True)


def _from_yaml(path: Path) -> PackFiles:
    data, _ = renamed_splits(path, load_data_yaml(path))
    entries = {
        split: entries_of(data[split], f"{path}: {split}") for split in SPLITS if data.get(split)
    }
    roots = roots_of(path, data.get("path"), entries)
    failures: list[str] = []
    entries = {split: _of_store(path, split, texts, failures) for split, texts in entries.items()}
    splits = next(filter(None, (_splits(root, entries) for root in roots)), {})
    failures += [
        f"{path}: {split}: no .rinr file in {', '.join(texts)}"
        for split, texts in entries.items()
        if split not in splits and texts
    ]
    if not splits:
        raise RinrInputError("; ".join(failures) or f"{path}: no split names .rinr files")
    return PackFiles(splits, data, failures)


def _of_store(path: Path, split: str, texts: Sequence[str], failures: list[str]) -> list[str]:
    """Return the entries of a split in the store of its yaml; the others become failures."""
    kept = []
    for text in texts:
        try:
            check_store(path.parent, text)
        except RinrInputError as error:
            failures.append(f"{path}: {split}: {error}")
        else:
            kept.append(text)
    return kept


def _splits(root: Root, entries: Mapping[str, list[str]]) -> dict[str, list[Path]]:
    """Return the packs of each split that has some, of entries relative to a root."""
    files = {
        split: [file for text in root.entries(texts) for file in _below(join(root.folder, text))]
        for split, texts in entries.items()
    }
    return {split: found for split, found in files.items() if found}


def _below(path: Path) -> list[Path]:
    return [path] if file_or_folder(path) == "file" else packs_below(path)

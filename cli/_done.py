"""What runs were completed in an output folder, and which files they wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from rinrcodec.cli._files import json_text

__all__ = ["files_of_run", "with_run"]


def files_of_run(record: Path, key: str) -> list[Path] | None:
    """The files that the completed run of that key wrote, or None where there was none."""
    names = _read(record).get(key)
    return None if names is None else [record.parent / name for name in names]


def with_run(record: Path, key: str, files: Iterable[Path]) -> str:
    """The record with one more completed run; those whose files it replaced are left out."""
    names = sorted(file.relative_to(record.parent).as_posix() for file in files)
    runs = {k: old for k, old in _read(record).items() if not set(old) & set(names)}
    return json_text({**runs, key: names})


def _read(record: Path) -> dict[str, list[str]]:
    try:
        runs = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return runs if isinstance(runs, dict) else {}

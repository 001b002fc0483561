"""Work folders that keep what a script computed: the options they were filled with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["keep_options"]

_NAME = "options.json"


def keep_options(folder: Path, options: Mapping[str, Any]) -> None:
    """Write down the options of a work folder, or exit if it has others.

    Args:
        folder: The work folder; made where it is missing.
        options: What the files in it depend on, by name: JSON values.

    Raises:
        SystemExit: The folder was filled with other options, or has files of something else.
    """
    path = folder / _NAME
    if folder.is_dir() and any(folder.iterdir()):
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        others = [
            f"{name} {found.get(name, 'unknown')} (now {value})"
            for name, value in options.items()
            if name not in found or found[name] != value
        ]
        if others:
            raise SystemExit(
                f"error: {folder} was filled with other options: {', '.join(others)}. Take these "
                "options, give another --work, or delete the folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".json.part")
    partial.write_text(json.dumps(dict(options), indent=1) + "\n", encoding="utf-8")
    partial.replace(path)

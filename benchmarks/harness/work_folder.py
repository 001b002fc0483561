"""Work folders that keep what a script computed: the options they were filled with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["keep_options"]

_NAME = "options.json"


def keep_options(
    folder: Path, options: Mapping[str, Any], *, assumed: Mapping[str, Any] | None = None
) -> None:
    """Write down the options of a work folder, or exit if it has others.

    Args:
        folder: The work folder; made where it is missing.
        options: What the files in it depend on, by name: JSON values.
        assumed: The options of a folder without a file of them; None if it is empty.

    Raises:
        SystemExit: The folder was filled with other options.
    """
    path = folder / _NAME
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else assumed
    if found is not None:
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

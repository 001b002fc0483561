"""What the tests of the tree, the imports and docs/architecture.md hold the repository to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("rinrcodec", "formats", "plugins", "cli")
MOST_MODULES = 20  # in a folder
MOST_LINES = 500  # in a module

# A module may import from its own layer and those above it in this list; the longest name counts.
LAYERS = [
    [
        "rinrcodec.errors",
        "rinrcodec.limits",
        "rinrcodec.memory",
        "rinrcodec.printing",
        "rinrcodec.strict_json",
        "rinrcodec.text_limits",
    ],
    ["rinrcodec.storage"],
    ["rinrcodec.boxes", "rinrcodec.display", "rinrcodec.targets"],
    ["rinrcodec.pack", "rinrcodec.picture", "rinrcodec.labels"],
    ["rinrcodec.formats", "rinrcodec.metrics", "rinrcodec.compute"],
    ["rinrcodec.families", "rinrcodec.presets"],
    [
        "rinrcodec.sources",
        "rinrcodec.encoder",
        "rinrcodec.encoding",
        "rinrcodec.decodable",
        "rinrcodec.decoder",
        "rinrcodec.decoding",
        "rinrcodec.files",
    ],
    ["rinrcodec.datasets", "rinrcodec.evaluation"],
    ["rinrcodec.plugins"],
    ["rinrcodec.cli", "rinrcodec.__main__"],
]


def walk(top: str) -> Iterator[tuple[Path, list[Path]]]:
    """Yield every folder at and below `top`, relative to the root, with its files.

    The links from rinrcodec/ to other folders are not followed, and are no files.
    """
    for name, folders, files in os.walk(ROOT / top):
        folders[:] = sorted(folder for folder in folders if not folder.startswith((".", "__")))
        folder = Path(name).relative_to(ROOT)
        # Where git makes no links, they are files of one line.
        yield folder, [folder / file for file in sorted(files) if file not in FOLDERS]

"""Names of output files, never two alike; numbers in messages."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from rinrcodec.sources.picture_names import frame_stem

__all__ = ["count", "fit_name", "output_names"]

_MAX_NAME_BYTES = 255


def output_names(names: Sequence[str], suffix: str) -> list[str]:
    """A relative posix path for each name: `a/b.jpg` -> `a/b.png`.

    Where that would give two files one name (`b.jpg` and `b.webp`), both keep their whole name:
    `b.jpg.png`, `b.webp.png`. Names that are equal to begin with are numbered: `b~2.png`.
    """
    stems = [frame_stem(name) for name in names]
    counts = Counter(frame_stem(name).casefold() for name in set(names))
    taken: set[str] = set()
    result = []
    for name, short in zip(names, stems, strict=True):
        stem = short if counts[short.casefold()] == 1 else name
        path = _fitting(stem, suffix)
        number = 2
        while path.casefold() in taken:
            path = _fitting(f"{stem}~{number}", suffix)
            number += 1
        taken.add(path.casefold())
        result.append(path)
    return result


def count(number: int, word: str) -> str:
    """A number and what it counts: `2 boxes`."""
    plural = "es" if word.endswith("x") else "s"
    return f"{number:,} {word}{plural if number != 1 else ''}"


def fit_name(name: str) -> str:
    """A file name that file systems take: one of over 255 bytes is cut and gets a hash."""
    encoded = os.fsencode(name)
    if len(encoded) <= _MAX_NAME_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    tail = f"-{hashlib.sha256(encoded).hexdigest()[:12]}{dot}{suffix}"
    kept = os.fsencode(stem)[: _MAX_NAME_BYTES - len(os.fsencode(tail))]
    return kept.decode(errors="ignore") + tail


def _fitting(stem: str, suffix: str) -> str:
    path = PurePosixPath(stem + suffix)
    return str(path.with_name(fit_name(path.name)))

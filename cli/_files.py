"""Writing files so that nothing half-written ever stands under a final name."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

__all__ = ["fit_name", "json_text", "replacing", "write_text", "yaml_text"]

_MAX_NAME_BYTES = 255


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary file beside `path` that takes its name when the block ends without an error.

    durable: the bytes are on the disk before the name changes (slow for thousands of files).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".rinr-{secrets.token_hex(6)}.tmp"
    try:
        yield temporary
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file as UTF-8, all or nothing."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def json_text(value: Any) -> str:
    """JSON for people and programs; raises `ValueError` on infinities, which JSON lacks."""
    # ASCII: file names may hold bytes that are no Unicode, which only an escape can carry.
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def yaml_text(value: Mapping[str, Any]) -> str:
    """Yaml with its keys in the given order."""
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True)


def fit_name(name: str) -> str:
    """A file name that file systems take: one of over 255 bytes is cut and gets a hash."""
    encoded = os.fsencode(name)
    if len(encoded) <= _MAX_NAME_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    tail = f"-{hashlib.sha256(encoded).hexdigest()[:12]}{dot}{suffix}"
    kept = os.fsencode(stem)[: _MAX_NAME_BYTES - len(os.fsencode(tail))]
    return kept.decode(errors="ignore") + tail

"""Texts, and names of files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rinrcodec.formats.atomic import replacing

__all__ = ["fit_name", "json_text", "write_text", "yaml_text"]

_MAX_NAME_BYTES = 255


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file as UTF-8, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
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

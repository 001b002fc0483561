"""Texts, and names of files."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import yaml

from rinrcodec.errors import RinrError
from rinrcodec.formats.atomic import write_whole
from rinrcodec.places import is_remote

__all__ = ["fit_name", "json_text", "write_report", "write_text", "writing", "yaml_text"]

_MAX_NAME_BYTES = 255


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write a text file or object as UTF-8, all or nothing."""
    if not is_remote(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode(), durable=durable)


def write_report(target: str, text: str) -> None:
    """Write figures where `--json` wants them: `-` is the standard output.

    A file is replaced, also the one that a link leads to; a device or FIFO is written into.
    """
    if target == "-":
        click.echo(text, nl=False)
        return
    path = Path(target)
    with writing(path):
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            write_text(path.resolve(), text)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Let the errors of a block that writes below `path` name it, not a temporary file."""
    try:
        yield
    except (OSError, RinrError) as error:
        # A pack that cannot be written is a plain RinrError with its cause.
        cause = error.__cause__ if type(error) is RinrError else error
        if not isinstance(cause, OSError) or cause.errno is None:
            raise
        if cause.filename is not None and not _is_of(os.fsdecode(cause.filename), path):
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error


def _is_of(name: str, path: Path) -> bool:
    """Whether a file belongs to what is written at `path`: it, below it, above it, or temporary."""
    parts = re.split(r"[/\\]", name)
    if any(part.startswith(".") and ".rinr-" in f"{part}-" for part in parts):
        return True
    if is_remote(path):
        return name.startswith(str(path))
    file, target = Path(name).absolute(), path.absolute()
    return file.is_relative_to(target) or target.is_relative_to(file)


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

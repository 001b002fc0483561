"""JSON for `--json`, on the standard output or in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rinrcodec.storage.atomic import write_text, writing

__all__ = ["json_text", "write_report"]


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


def json_text(value: Any) -> str:
    """JSON for people and programs; raises `ValueError` on infinities, which JSON lacks."""
    # ASCII: file names may hold bytes that are no Unicode, which only an escape can carry.
    return json.dumps(value, indent=1, allow_nan=False) + "\n"

"""What commands print beside their own figures: errors, warnings, and JSON for `--json`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from rinrcodec.storage.atomic import write_text, writing

__all__ = ["json_text", "print_errors", "print_warnings", "write_report"]

_SHOWN_WARNINGS = 20


def write_report(destination: str, text: str) -> None:
    """Write figures where `--json` wants them: `-` is the standard output.

    A file is replaced, also the one that a link leads to; a device or FIFO is written into.
    """
    if destination == "-":
        click.echo(text, nl=False)
        return
    path = Path(destination)
    with writing(path):
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            write_text(path.resolve(), text)


def json_text(value: Any) -> str:
    """JSON for people and programs; raises `ValueError` on infinities, which JSON lacks."""
    # ASCII: file names may hold bytes that are no Unicode, which only an escape can carry.
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def print_errors(messages: Iterable[str]) -> None:
    """Print a line for every error to the standard error."""
    for message in messages:
        click.echo(f"error: {message}", err=True)


def print_warnings(messages: Iterable[str]) -> None:
    """Print the first warnings to the standard error, and how many more there are."""
    # Splits may share pictures.
    messages = list(dict.fromkeys(messages))
    for message in messages[:_SHOWN_WARNINGS]:
        click.echo(f"warning: {message}", err=True)
    if len(messages) > _SHOWN_WARNINGS:
        rest = len(messages) - _SHOWN_WARNINGS
        click.echo(f"warning: and {rest} more; --json lists them all", err=True)

"""How commands print: lines, tables, errors, warnings, and JSON for `--json`.

All text for people passes through `say` and `print_table`, which escape what a terminal would act
on. Nothing else in `cli` calls `click.echo` or rich's `Console`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import click

from rinrcodec.cli.spelling import as_options
from rinrcodec.printing import printable

__all__ = [
    "is_report",
    "json_text",
    "print_errors",
    "print_json",
    "print_table",
    "print_warnings",
    "say",
    "write_report",
]

_LEAST_TEXT = 12  # columns of the terminal
_ENDLESS = 10_000
_REPORT_OF = "report_of"
_SHOWN_WARNINGS = 20
_SHOWN_ERRORS = 1000


def say(*lines: str, err: bool = False) -> None:
    """Print lines to the standard output, or to the standard error.

    The standard error gets messages of the library, in which options get the names of commands.
    """
    if err:
        lines = tuple(map(as_options, lines))
    click.echo("\n".join(map(printable, lines)), err=err)


def print_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    n_texts: int = 1,
    title: str | None = None,
    bold: Sequence[int] = (),
    is_tight: bool = False,
) -> None:
    """Print a table to the standard output, at most as wide as the terminal.

    Where not even broken texts make room for the numbers, every row becomes lines `heading: value`.

    Args:
        headings: One for each column; a line break in one is kept.
        rows: The cells of each row.
        n_texts: How many columns at the left are text, which may be broken; others are numbers.
        title: Above the table.
        bold: The numbers of the rows to print in bold.
        is_tight: Whether columns have one space between them in place of two.
    """
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=0 if is_tight else (0, 1, 0, 0),
        title=None if title is None else printable(title),
    )
    for number, heading in enumerate(headings):
        justify: Literal["left", "right"] = "left" if number < n_texts else "right"
        table.add_column(heading, justify=justify, overflow="fold")
    lines = [[printable(cell) for cell in cells] for cells in rows]
    for number, cells in enumerate(lines):
        table.add_row(*cells, style="bold" if number in bold else None)
    # Names with brackets are no markup, ":x:" in them is no emoji, and digits have no colours.
    console = Console(markup=False, emoji=False, highlight=False)
    natural = Measurement.get(console, console.options.update(width=_ENDLESS), table).maximum
    excess = natural - console.width
    # Only texts give way to a narrow terminal: numbers are never cut.
    for number in range(n_texts):
        longest = max(cell_len(cells[number]) for cells in [headings, *lines])
        given = min(excess, longest - _LEAST_TEXT)
        if given > 0:
            table.columns[number].width = longest - given
            excess -= given
    if excess <= 0:
        console.print(table)
        return
    if title is not None:
        console.print(printable(title))
    for number, cells in enumerate(lines):
        style = "bold" if number in bold else None
        console.print(", ".join(filter(None, cells[:n_texts])) or "all", style=style)
        for heading, cell in zip(headings[n_texts:], cells[n_texts:], strict=True):
            if cell:
                console.print(f"  {' '.join(heading.split())}: {cell}", style=style)


def print_json(text: str) -> None:
    """Print JSON, which has escapes of its own, to the standard output."""
    click.echo(text, nl=False)


def write_report(destination: str, command: str, figures: Mapping[str, Any]) -> None:
    """Write the figures of a command where `--json` asks for them; `-` is the standard output.

    A file is replaced, also the one that a link leads to; a device or FIFO is written into.
    """
    text = json_text({_REPORT_OF: f"rinrcodec {command}", **_spelled(figures)})
    if destination == "-":
        print_json(text)
        return
    from rinrcodec.storage.atomic import write_text, writing
    from rinrcodec.storage.replacing import writable_target

    path = Path(destination)
    with writing(path):
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            write_text(writable_target(path) if path.is_symlink() else path, text)


def _spelled(value: Any) -> Any:
    """Figures whose messages name the options of commands."""
    if isinstance(value, str):
        return as_options(value)
    if isinstance(value, Mapping):
        return {key: _spelled(item) for key, item in value.items()}
    return [_spelled(item) for item in value] if isinstance(value, (list, tuple)) else value


def is_report(path: Path) -> bool:
    """Return whether a file is empty or was written by `write_report`."""
    with path.open("rb") as file:
        start = b"".join(file.read(64).split())
    return not start or start.startswith(f'{{"{_REPORT_OF}":"rinrcodec'.encode())


def json_text(value: Any) -> str:
    """Format JSON for people and programs; raise `ValueError` on infinities, which JSON lacks."""
    # ASCII: file names may hold bytes that are no Unicode, which only an escape can carry.
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def print_errors(messages: Iterable[str]) -> None:
    """Print the first errors to the standard error, and how many more there are."""
    # Frames of one video, or views of one frame, may fail for one reason.
    _print_first("error", list(dict.fromkeys(messages)), _SHOWN_ERRORS, "")


def print_warnings(messages: Iterable[str], *, more: str = "; --json lists them all") -> None:
    """Print the first warnings to the standard error, and how many more there are.

    more: where the others are.
    """
    # Splits may share pictures.
    _print_first("warning", list(dict.fromkeys(messages)), _SHOWN_WARNINGS, more)


def _print_first(kind: str, messages: Sequence[str], most: int, more: str) -> None:
    for message in messages[:most]:
        say(f"{kind}: {message}", err=True)
    if len(messages) > most:
        say(f"{kind}: and {len(messages) - most} more{more}", err=True)

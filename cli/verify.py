"""`rinrcodec verify`: read every byte of `.rinr` files and check it."""

from __future__ import annotations

from pathlib import Path

import click

from rinrcodec.cli._options import PlaceType, json_option, quiet_option
from rinrcodec.errors import RinrError

__all__ = ["command"]


@click.command("verify")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PlaceType(exists=True))
@json_option
@quiet_option
def command(sources: tuple[Path, ...], json_path: str | None, quiet: bool) -> int:
    """Check .rinr files for damage.

    SRC is a .rinr file, a folder of them, or a data.yaml that compress wrote, also by its URL.
    Prints one line for every bad file, and ends with exit code 1 if there is one.
    """
    from rinrcodec.cli._errors import reason
    from rinrcodec.cli._files import json_text, write_report
    from rinrcodec.cli._packs import list_packs
    from rinrcodec.cli._progress import progress
    from rinrcodec.formats import PackReader

    files, bad = list_packs(sources)
    with progress("verifying", len(files), unit="files", quiet=quiet) as bar:
        for number, file in enumerate(files, start=1):
            try:
                with PackReader(file) as reader:
                    reader.verify()
            except (RinrError, OSError) as error:
                bad[str(file)] = reason(file, error)
            bar.update(number)
    for message in bad.values():
        click.echo(f"error: {message}", err=True)
    if json_path is not None:
        text = json_text({"files": len(files), "bad": bad})
        write_report(json_path, text)
    if not quiet and not bad and json_path != "-":
        click.echo(f"{len(files)} file{'s are' if len(files) != 1 else ' is'} sound")
    return 1 if bad else 0

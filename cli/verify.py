"""`rinrcodec verify`: read every byte of `.rinr` files and check it."""

from __future__ import annotations

from pathlib import Path

import click

from rinrcodec.errors import RinrError

__all__ = ["command"]


@click.command("verify")
@click.argument(
    "sources", metavar="SRC...", nargs=-1, required=True,
    type=click.Path(exists=True, path_type=Path),
)  # fmt: skip
@click.option("--json", "json_path", metavar="FILE", help="Write the result as JSON; - for stdout.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def command(sources: tuple[Path, ...], json_path: str | None, quiet: bool) -> int:
    """Check .rinr files for damage.

    SRC is a .rinr file, a folder of them, or a data.yaml that compress wrote. Prints one line for
    every bad file, and ends with exit code 1 if there is one.
    """
    from rinrcodec.cli._files import json_text, write_text
    from rinrcodec.cli._packs import find_packs
    from rinrcodec.cli._progress import progress
    from rinrcodec.formats import PackReader

    bad: dict[str, str] = {}
    files: list[Path] = []
    for source in sources:
        try:
            packs = find_packs(source)
        except RinrError as error:
            bad[str(source)] = str(error)
            continue
        files += packs.all()
        bad.update({failure: failure for failure in packs.failures})
    with progress("verifying", len(files), quiet=quiet) as bar:
        for number, file in enumerate(files, start=1):
            try:
                with PackReader(file) as reader:
                    reader.verify()
            except RinrError as error:
                bad[str(file)] = str(error)
            except OSError as error:
                bad[str(file)] = f"{file}: {error.strerror or error}"
            bar.update(number)
    for message in bad.values():
        click.echo(f"error: {message}", err=True)
    if json_path is not None:
        text = json_text({"files": len(files), "bad": bad})
        if json_path == "-":
            click.echo(text, nl=False)
        else:
            write_text(Path(json_path), text)
    if not quiet and not bad and json_path != "-":
        click.echo(f"{len(files)} file{'s are' if len(files) != 1 else ' is'} sound")
    return 1 if bad else 0

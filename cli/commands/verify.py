"""`rinrcodec verify`: read every byte of `.rinr` files and of whole data sets, and check it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rinrcodec.cli.log import verbose_option
from rinrcodec.cli.options import PathOrUrl, json_option, max_pixels_option, quiet_option

if TYPE_CHECKING:
    from rinrcodec.datasets.verify import VerifyResult

__all__ = ["UNCHECKED", "command"]

UNCHECKED = 4  # the exit code where a family or torch is not installed, and nothing else is wrong


@click.command("verify")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PathOrUrl(exists=True))
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N",
    help="Files that are read at a time. [default: one for each core]",
)  # fmt: skip
@click.option(
    "--decode", is_flag=True, help="Compute the pixels of all frames, too. Takes much longer."
)
@max_pixels_option
@json_option
@quiet_option
@verbose_option
def command(
    sources: tuple[Path, ...],
    jobs: int | None,
    decode: bool,
    max_pixels: int | None,
    json_path: str | None,
    quiet: bool,
) -> int:
    """Check that .rinr files are undamaged and decode.

    SRC is a .rinr file, a folder of them, or a data.yaml that compress wrote, also by its URL.
    If there is a manifest.json of compress in a folder or below it, all files that it lists must be
    present and unmodified. Every run must be complete. Prints one line for every bad file, and ends
    with exit code 1 if there is one. Exit code 4 means that nothing is wrong, but frames could not
    be checked, because the family that decodes them is not installed.
    """
    from rinrcodec.cli.output import print_errors, write_report
    from rinrcodec.cli.progress import drawing
    from rinrcodec.datasets.verify import verify

    with drawing("reading packs", unit="files", quiet=quiet) as draw:
        result = verify(*sources, jobs=jobs, decode=decode, max_pixels=max_pixels, on_progress=draw)
    print_errors([*result.bad.values(), *result.unchecked.values()])
    if json_path is not None:
        write_report(json_path, "verify", result.as_json())
    if not quiet and result.ok and json_path != "-":
        _print_sound(result, decoded=decode)
    if result.bad:
        return 1
    return UNCHECKED if result.unchecked else 0


def _print_sound(result: VerifyResult, *, decoded: bool) -> None:
    from rinrcodec.cli.output import say
    from rinrcodec.printing import count

    every = f"; {count(result.frames, 'frame')} decoded" if decoded else ""
    say(f"{result.packs} file{'s are' if result.packs != 1 else ' is'} sound{every}")
    for manifest in result.manifests:
        unreadable = manifest.unreadable
        without = f", without {count(unreadable, 'unreadable picture')}" if unreadable else ""
        every = "all " if manifest.files > 1 else ""
        say(
            f"{manifest.path}: {count(len(manifest.runs), 'run')}, {every}"
            f"{count(manifest.files, 'file')} as written{without}"
        )

"""`rinrcodec info`: what a `.rinr` file holds and where its bytes go, and what runs made."""

from __future__ import annotations

from pathlib import Path

import click

from rinrcodec.cli.log import verbose_option
from rinrcodec.cli.options import PathOrUrl, max_pixels_option

__all__ = ["command"]


@click.command("info")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PathOrUrl(exists=True))
@click.option(
    "--files", "each", is_flag=True, help="Open every file, also of a folder with a manifest."
)
@click.option("--frames", is_flag=True, help="List the frames of every file, too.")
@max_pixels_option
@verbose_option
@click.option(
    "--json", "as_json", is_flag=True,
    help="Print JSON: a list with an item for every file, or folder with a manifest.",
)  # fmt: skip
def command(
    sources: tuple[Path, ...], each: bool, frames: bool, max_pixels: int | None, as_json: bool
) -> int:
    """Show what .rinr files hold.

    SRC is a .rinr file, a folder of them, or a data.yaml that compress wrote, also by its URL.
    Where compress left a manifest.json, in a folder or below it, this shows its runs, shards and
    frames without opening a file.
    """
    from rinrcodec.cli.output import json_text, print_errors, print_json, say
    from rinrcodec.cli.views.info_text import folder_as_text, pack_as_text
    from rinrcodec.datasets.inspection.describe import describe
    from rinrcodec.limits import limits_for

    described = describe(sources, files=each, frames=frames, limits=limits_for(max_pixels))
    if as_json:
        folders = [] if each or frames else described.folders
        print_json(json_text([*folders, *described.packs]))
    elif described.folders or described.packs:
        blocks = [folder_as_text(one, opened=each or frames) for one in described.folders]
        blocks += map(pack_as_text, described.packs)
        say(*blocks[0], *(line for block in blocks[1:] for line in ("", *block)))
    print_errors(described.bad.values())
    return 1 if described.bad else 0

"""`rinrcodec verify`: read every byte of `.rinr` files and of whole data sets, and check it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import click

from rinrcodec.cli.options import PathOrUrl, json_option, quiet_option

__all__ = ["command"]


@click.command("verify")
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PathOrUrl(exists=True))
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N",
    help="Files that are read at a time. [default: one for each core]",
)  # fmt: skip
@json_option
@quiet_option
def command(sources: tuple[Path, ...], jobs: int | None, json_path: str | None, quiet: bool) -> int:
    """Check .rinr files for damage.

    SRC is a .rinr file, a folder of them, or a data.yaml that compress wrote, also by its URL.
    Where compress left a manifest.json, in a folder or below it, all that it lists must be there as
    it was written, and every run complete. Prints one line for every bad file, and ends with exit
    code 1 if there is one.
    """
    from rinrcodec.cli.output import json_text, write_report
    from rinrcodec.cli.progress import progress
    from rinrcodec.datasets.check import check_files
    from rinrcodec.datasets.inventory import take_inventory
    from rinrcodec.datasets.runs import count, run_as_json

    found = take_inventory(sources)
    files, bad = list(found.files.values()), found.bad
    frames = 0
    with (
        progress("verifying", len(files), unit="files", quiet=quiet) as bar,
        closing(check_files(files, jobs=jobs or os.cpu_count() or 1)) as checked,
    ):
        for number, one in enumerate(checked, start=1):
            if one.error is None:
                frames += one.n_frames
            else:
                bad[str(one.path)] = one.error
            bar.update(number)
    for message in bad.values():
        click.echo(f"error: {message}", err=True)
    packs = sum(file.is_pack for file in files)
    manifests = found.manifests.values()
    if json_path is not None:
        runs = [
            run_as_json(manifest, run) for manifest in manifests for run in manifest.runs.values()
        ]
        text = json_text({"files": packs, "frames": frames, "bad": bad, "runs": runs})
        write_report(json_path, text)
    if not quiet and not bad and json_path != "-":
        click.echo(f"{packs} file{'s are' if packs != 1 else ' is'} sound")
        for manifest in manifests:
            made = manifest.runs.values()
            lists = count(sum(len(run.all_files()) for run in made), "file")
            unreadable = sum(shard.unreadable for run in made for shard in run.shards)
            without = f", without {count(unreadable, 'unreadable picture')}" if unreadable else ""
            click.echo(
                f"{manifest.path}: {count(len(made), 'run')}, all {lists} as written{without}"
            )
    return 1 if bad else 0

"""`rinrcodec decompress`: `.rinr` files back to pictures and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from rinrcodec.cli.library_command import LibraryCommand
from rinrcodec.cli.options import (
    PathOrUrl,
    device_option,
    json_option,
    max_pixels_option,
    quiet_option,
)

__all__ = ["command"]


@click.command("decompress", cls=LibraryCommand)
@click.argument("source", metavar="SRC", type=PathOrUrl(exists=True))
@click.option(
    "-o", "--out", required=True, metavar="DIR", type=PathOrUrl(exists=False, file_okay=False),
    help="Output folder, or its URL.",
)  # fmt: skip
@click.option(
    "--format", "kind", type=click.Choice(["png", "jpg", "webp", "npy"]), default="png",
    show_default=True, help="webp is lossless, jpg of quality 95, npy a uint8 array.",
)  # fmt: skip
@click.option(
    "--labels", is_flag=True, help="Write YOLO label files too, as is always done from a data.yaml."
)
@device_option
@max_pixels_option
@click.option("--overwrite", is_flag=True, help="Replace files that DIR already has.")
@json_option
@quiet_option
def command(
    source: Path,
    out: Path,
    kind: Literal["png", "jpg", "webp", "npy"],
    labels: bool,
    device: str,
    max_pixels: int | None,
    overwrite: bool,
    json_path: str | None,
    quiet: bool,
) -> int:
    """Turn .rinr files back into pictures and labels.

    SRC is a .rinr file, a folder of them, or the data.yaml that compress wrote, also by its URL.
    Pictures have their old names with a new suffix. With --labels, or from a data.yaml, they go
    to DIR/images and labels to DIR/labels.
    """
    from rinrcodec.cli.output import json_text, print_errors, write_report
    from rinrcodec.cli.progress import drawing
    from rinrcodec.datasets.decompress import decompress

    with drawing(quiet=quiet) as draw:
        result = decompress(
            source,
            out,
            format=kind,
            labels=labels,
            device=device,
            overwrite=overwrite,
            max_pixels=max_pixels,
            on_progress=draw,
        )
    if json_path is not None:
        write_report(json_path, json_text(result.as_json()))
    if not quiet:
        for warning in result.warnings:
            click.echo(f"warning: {warning}", err=True)
        if json_path != "-":
            n_frames = result.frames + result.failed_frames
            click.echo(
                f"frames: {result.frames} of {n_frames}, packs: {result.packs}, "
                f"seconds: {result.seconds:.1f}, in {out}"
            )
    print_errors(result.failures)
    return 1 if result.failures else 0

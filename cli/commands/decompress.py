"""`rinrcodec decompress`: `.rinr` files back to pictures and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from rinrcodec.cli.library_command import LibraryCommand
from rinrcodec.cli.log import verbose_option
from rinrcodec.cli.options import (
    PathOrUrl,
    device_option,
    json_option,
    max_pixels_option,
    quiet_option,
)
from rinrcodec.labels.losses import LABEL_FORMATS, LabelFormat

__all__ = ["command"]


class _LabelsCommand(LibraryCommand):
    """Lets `--labels` have a format or none, before and after SRC."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give `--labels` without a format its default."""
        args = list(args)
        end = args.index("--") if "--" in args else len(args)
        for i in range(end):
            if args[i] != "--labels":
                continue
            value = args[i + 1] if i + 1 < end else ""
            if value in LABEL_FORMATS:
                args[i] = f"--labels={args.pop(i + 1)}"
                return self.parse_args(ctx, args)
            if value and not value.startswith("-") and not _may_be_source(value):
                formats = ", ".join(LABEL_FORMATS)
                raise click.BadParameter(
                    f"{value!r} is no format of labels ({formats}), and no file or folder.",
                    ctx=ctx,
                    param_hint="'--labels'",
                )
            args[i] = "--labels=yolo"
        return super().parse_args(ctx, args)


def _may_be_source(text: str) -> bool:
    return Path(text).exists() or any(mark in text for mark in "/\\.")


@click.command("decompress", cls=_LabelsCommand)
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
    "--labels", type=click.Choice(LABEL_FORMATS), metavar="[yolo|coco|voc]",
    help="Write labels too: YOLO's, as is always done from a data.yaml, or in another format.",
)  # fmt: skip
@device_option
@max_pixels_option
@click.option("--overwrite", is_flag=True, help="Replace files that DIR already has.")
@json_option
@quiet_option
@verbose_option
def command(
    source: Path,
    out: Path,
    kind: Literal["png", "jpg", "webp", "npy"],
    labels: LabelFormat | None,
    device: str,
    max_pixels: int | None,
    overwrite: bool,
    json_path: str | None,
    quiet: bool,
) -> int:
    """Turn .rinr files back into pictures and labels.

    SRC is a .rinr file, a folder of them, or the data.yaml that compress wrote, also by its URL.
    Pictures have their old names with a new suffix. With --labels, or from a data.yaml, they go
    to DIR/images, and labels to DIR/labels, DIR/annotations.json or DIR/Annotations. Pictures whose
    labels could not be understood go to DIR/unlabelled.
    """
    from rinrcodec.cli.output import print_errors, print_warnings, say, write_report
    from rinrcodec.cli.progress import drawing
    from rinrcodec.datasets.decompress import decompress

    with drawing("reading packs", quiet=quiet) as draw:
        result = decompress(
            source,
            out,
            format=kind,
            labels=labels or False,
            device=device,
            overwrite=overwrite,
            max_pixels=max_pixels,
            on_progress=draw,
        )
    if json_path is not None:
        write_report(json_path, "decompress", result.as_json())
    if not quiet:
        print_warnings(result.warnings)
        if json_path != "-":
            n_frames = result.frames + result.failed_frames
            say(
                f"frames: {result.frames} of {n_frames}, packs: {result.packs}, "
                f"seconds: {result.seconds:.1f}, in {out}"
            )
    print_warnings(result.lost_labels)
    print_errors(result.failures)
    return 1 if result.failures else 0

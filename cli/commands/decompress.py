"""`rinrcodec decompress`: `.rinr` files back to pictures and labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rinrcodec.cli.log import verbose_option
from rinrcodec.cli.options import (
    Finite,
    PathOrUrl,
    StringType,
    device_option,
    json_option,
    max_pixels_option,
    quiet_option,
)
from rinrcodec.cli.suggestions import Choice
from rinrcodec.labels.losses import LABEL_FORMATS, LabelFormat

if TYPE_CHECKING:
    from rinrcodec.datasets.unpacking.outputs import Format

__all__ = ["command"]

PICTURES = ("png", "jpg", "webp", "npy")
CLIPS = ("mp4", "gif")


class _LabelsCommand(click.Command):
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


class _Frames(StringType):
    """A number or a slice, as Python writes it."""

    name = "frames"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        from rinrcodec.datasets.unpacking.selection import parse_frames

        return parse_frames(value) if isinstance(value, str) else value


class _Region(StringType):
    """Four whole numbers, X,Y,W,H."""

    name = "region"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            x, y, width, height = map(int, value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not X,Y,W,H in pixels, such as 10,20,640,360.", param, ctx)
        return x, y, width, height


def _may_be_source(text: str) -> bool:
    return Path(text).exists() or any(mark in text for mark in "/\\.")


@click.command("decompress", cls=_LabelsCommand)
@click.argument("source", metavar="SRC", type=PathOrUrl(exists=True))
@click.option(
    "-o", "--out", required=True, metavar="OUT", type=PathOrUrl(exists=False),
    help="Output folder, or its URL; for one frame also x.png, x.jpg, x.webp or x.npy, for a video "
    "also x.mp4 or x.gif.",
)  # fmt: skip
@click.option(
    "--format", "kind", type=Choice([*PICTURES, *CLIPS]),
    help="webp is lossless, jpg of quality 95, npy a uint8 array; mp4 and gif are a video of every "
    "folder of frames. [default: that of OUT, or png]",
)  # fmt: skip
@click.option(
    "--frames", type=_Frames(), metavar="N|A:B[:STEP]",
    help="Number or slice of frames, of all packs in order: 3, -1, 3:20, ::10. [default: all]",
)  # fmt: skip
@click.option(
    "--region", type=_Region(), metavar="X,Y,W,H",
    help="Decode these pixels of every frame alone.",
)  # fmt: skip
@click.option(
    "--scale", type=Finite(min=0, min_open=True, max=16), default=1.0, metavar="F",
    help="Decode at this scale, such as 0.5; --region comes first. [default: 1]",
)  # fmt: skip
@click.option(
    "--fps", type=Finite(min=0, min_open=True, max=1000), metavar="F",
    help="Frames a second of mp4 and gif. [default: as packs of a video know, or 10]",
)  # fmt: skip
@click.option(
    "--labels", type=Choice(LABEL_FORMATS), metavar="[yolo|coco|voc]",
    help="Write labels too: YOLO's, as is always done from a data.yaml, or in another format.",
)  # fmt: skip
@device_option
@max_pixels_option
@click.option("--overwrite", is_flag=True, help="Replace files that OUT already has.")
@json_option
@quiet_option
@verbose_option
def command(
    source: Path,
    out: Path,
    kind: Format | None,
    frames: int | slice | None,
    region: tuple[int, int, int, int] | None,
    scale: float,
    fps: float | None,
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
    to OUT/images, and labels to OUT/labels, OUT/annotations.json or OUT/Annotations. Pictures whose
    labels could not be understood go to OUT/unlabelled. Labels move along with --region and
    --scale.
    """
    from rinrcodec.cli.output import print_errors, print_warnings, say, write_report
    from rinrcodec.cli.progress import drawing
    from rinrcodec.datasets.decompress import decompress

    with drawing("reading packs", quiet=quiet) as draw:
        result = decompress(
            source,
            out,
            format=kind,
            frames=frames,
            region=region,
            scale=scale,
            fps=fps,
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
            where = f", in {out}" if result.frames else ""  # which may not be there else
            say(
                f"frames: {result.frames} of {n_frames}, packs: {result.packs}, "
                f"seconds: {result.seconds:.1f}{where}"
            )
    print_warnings(result.lost_labels)
    print_errors(result.failures)
    return 1 if result.failures else 0

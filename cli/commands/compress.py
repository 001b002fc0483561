"""`rinrcodec compress`: pictures to `.rinr` files."""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from rinrcodec.cli.log import verbose_option
from rinrcodec.cli.options import (
    PathOrUrl,
    background_option,
    depth_range_option,
    device_option,
    family_help,
    formats_option,
    gop_option,
    json_option,
    labels_option,
    max_pixels_option,
    objects_option,
    option_of,
    preset_option,
    quiet_option,
    seed_option,
    shrink_option,
    soften_option,
    steps_option,
    target_of,
    target_options,
)
from rinrcodec.cli.signals import interrupted_code
from rinrcodec.cli.suggestions import Choice
from rinrcodec.labels.model import TASKS
from rinrcodec.printing import count

if TYPE_CHECKING:
    from rinrcodec.datasets.options import CompressOptions
    from rinrcodec.datasets.summary import CompressResult

__all__ = ["command"]


class _Source(PathOrUrl):
    """A path or URL, or a stream, which stays the text that was typed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from rinrcodec.sources.live.stream import is_stream

        return value if is_stream(value) else super().convert(value, param, ctx)


class _Interrupted(click.ClickException):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.exit_code = interrupted_code()  # type: ignore[misc]  # click reads the instance's

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=True)


@click.command("compress")
@click.argument("source", metavar="SRC", type=_Source(exists=True))
@click.option(
    "-o", "--out", required=True, metavar="OUT", type=PathOrUrl(exists=False),
    help="Output folder; for an image, folder, COCO file or video also one file ending in .rinr.",
)  # fmt: skip
@labels_option
@click.option(
    "--task", type=Choice(TASKS),
    help="Task of YOLO labels. [default: from their columns]",
)  # fmt: skip
@click.option(
    "--strict", is_flag=True, help="Stop before fitting where a label cannot be understood."
)
@depth_range_option
@max_pixels_option
@formats_option
@preset_option
@background_option
@objects_option
@steps_option
@gop_option
@shrink_option
@soften_option
@target_options
@click.option(
    "--layout", type=Choice(["pack", "files"]), default="pack", show_default=True,
    help="Packs of many frames, or one file per picture.",
)  # fmt: skip
@click.option(
    "--shard-size", type=click.IntRange(min=1), metavar="N",
    help="Most frames in one pack. [default: 1000; of a stream: 250]",
)  # fmt: skip
@device_option
@seed_option
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N",
    help="Packs that are encoded at a time, each by a process of its own. [default: 1, or one for "
    "each device; with ray as many as it has room for]",
)  # fmt: skip
@click.option(
    "--executor", type=Choice(["local", "ray"]), default="local", show_default=True,
    help="Encode on this machine, or on Ray.",
)  # fmt: skip
@click.option(
    "--ray-address", metavar="ADDR",
    help="The Ray to encode on: HOST:PORT, or auto. [default: RAY_ADDRESS, or one of this machine]",
)  # fmt: skip
@click.option(
    "--resume",
    is_flag=True,
    help="Continue a run, or update its packs whose pictures or labels changed.",
)
@click.option("--overwrite", is_flag=True, help="Replace packs that OUT already has.")
@click.option(
    "--dry-run", is_flag=True,
    help="Say what would be done, and estimate bytes and time from a sample; write nothing.",
)  # fmt: skip
@json_option
@quiet_option
@verbose_option
def command(
    source: Path | str,
    out: Path,
    *,
    dry_run: bool,
    json_path: str | None,
    quiet: bool,
    **given: Any,
) -> int:
    """Turn pictures into .rinr files.

    SRC is an image, a folder of images, a YOLO data yaml, a COCO file, or a video. A yaml becomes
    packs OUT/SPLIT/SPLIT-00000.rinr and OUT/data.yaml, all else OUT/NAME-00000.rinr; manifest.json
    lists them. SRC, but for a video, and OUT may be URLs (s3://bucket/out).

    SRC may also be a stream: "-" for a video on the standard input, a camera of Linux such as
    /dev/video0, or rtsp://HOST/PATH. Packs appear one by one; Ctrl-C ends it.

    Packs are encoded one by one, by this process or by several: --jobs 4, --device cuda:0,cuda:1,
    or --executor ray. The bytes are the same, and so they are after --resume.
    """
    from rinrcodec.cli.output import print_warnings, say, write_report
    from rinrcodec.cli.progress import drawing
    from rinrcodec.cli.views.compress_table import print_summary
    from rinrcodec.datasets.compress import compress_with
    from rinrcodec.datasets.interruption import CompressInterrupted
    from rinrcodec.datasets.progress import Hint

    options = _options(given, is_stream=isinstance(source, str))
    if isinstance(source, str):
        from rinrcodec.cli.views.other_runs import stream_run

        if dry_run:
            raise click.UsageError("--dry-run: a stream has no length to estimate")
        return stream_run(source, out, options, json_path=json_path, quiet=quiet)
    if dry_run:
        from rinrcodec.cli.views.other_runs import estimate_run

        return estimate_run(source, out, options, json_path=json_path, quiet=quiet)

    said: set[str] = set()

    def tell(message: str) -> None:
        said.add(message)
        if not quiet or isinstance(message, Hint):
            say(message, err=True)

    try:
        with drawing("reading pictures and labels", quiet=quiet) as draw:
            result = compress_with(source, out, options, on_progress=draw, on_message=tell)
    except CompressInterrupted as error:
        raise _Interrupted(str(error)) from None
    if json_path is not None:
        write_report(json_path, "compress", result.as_json())
    if not quiet:
        _print_kept(result)
    warnings = [*(() if quiet else result.warnings), *result.lost_labels]
    print_warnings([text for text in warnings if f"warning: {text}" not in said])
    if not quiet and json_path != "-" and result.total.frames:
        print_summary(result)
    for miss in result.missed:
        say(f"error: {miss.text(option_of(miss.field))}", err=True)
    _print_failures(result)
    failed = bool(result.failures or result.missed)
    if result.nothing_to_do and not failed:
        say(
            f"{out} is complete: nothing to resume; rinrcodec verify checks it, --overwrite "
            "starts again",
            err=True,
        )
    return 1 if failed else 0


def _options(given: dict[str, Any], *, is_stream: bool) -> CompressOptions:
    """Make the options of `compress` from those of the command line, by their names."""
    from rinrcodec.datasets.options import CompressOptions
    from rinrcodec.datasets.streaming.compress_stream import STREAM_SHARD_SIZE
    from rinrcodec.sources.pictures.opening import check_formats

    target = target_of(given)
    given["shard_size"] = given["shard_size"] or (STREAM_SHARD_SIZE if is_stream else 1000)
    given["formats"] = check_formats(given["formats"])
    return CompressOptions(**given, target=target)


def _print_kept(result: CompressResult) -> None:
    """Print what `--resume` kept, fitted again and removed."""
    if (not result.kept_shards and not result.changed_shards) or result.nothing_to_do:
        return
    from rinrcodec.cli.output import say

    said = [f"{result.kept_shards} of {result.shards} packs are kept"]
    if result.changed_shards:
        said.append(f"{result.changed_shards} fitted again because pictures or labels changed")
    if result.removed_files:
        said.append(f"{count(result.removed_files, 'file')} of earlier pictures removed")
    say(f"{'; '.join(said)}; the figures are of the new packs only", err=True)


def _print_failures(result: CompressResult) -> None:
    from rinrcodec.cli.output import print_errors, say

    print_errors(result.failures)
    if result.can_resume:
        failed = _what_failed(result)
        advice = "Rerun"
        if result.failed_pictures:
            pictures = "picture" if result.failed_pictures == 1 else "pictures"
            advice = f"Fix or remove the {pictures}, and rerun"
        say(f"{failed} failed (see above). {advice} the same command with --resume.", err=True)


def _what_failed(result: CompressResult) -> str:
    """Count what failed: `2 pictures and 1 pack`."""
    others = len(result.failures) - result.failed_pictures - result.failed_shards
    kinds = {
        "picture": result.failed_pictures,
        "pack": result.failed_shards,
        "other path": others,
    }
    found = [count(number, kind) for kind, number in kinds.items() if number]
    return " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))


command.epilog = """\b
Examples:
  rinrcodec compress frames -o packs
  rinrcodec compress data.yaml -o packs --target-bytes 4000
  rinrcodec compress clip.mp4 -o clip.rinr --labels none
"""
command.help = f"{cleandoc(command.help or '')}\n\n{family_help()}"

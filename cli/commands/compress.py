"""`rinrcodec compress`: pictures to `.rinr` files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import click

from rinrcodec.cli.options import (
    PathOrUrl,
    background_option,
    device_option,
    json_option,
    labels_option,
    preset_of,
    preset_option,
    quiet_option,
    seed_option,
    steps_option,
    target_of,
    target_options,
)
from rinrcodec.errors import RinrError, RinrInputError

if TYPE_CHECKING:
    from rinrcodec.datasets.run import Run
    from rinrcodec.datasets.summary import Row
    from rinrcodec.datasets.work import FittedPart, Work

__all__ = ["command"]

_SHOWN_WARNINGS = 20


class _Interrupted(click.ClickException):
    exit_code = 130

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=True)


@click.command("compress")
@click.argument("source", metavar="SRC", type=PathOrUrl(exists=True))
@click.option(
    "-o", "--out", required=True, metavar="OUT", type=PathOrUrl(exists=False),
    help="Output folder; for an image, folder or video also one file ending in .rinr.",
)  # fmt: skip
@labels_option
@preset_option
@background_option
@steps_option
@target_options
@click.option(
    "--layout", type=click.Choice(["pack", "files"]), default="pack", show_default=True,
    help="Packs of many frames, or one file per picture.",
)  # fmt: skip
@click.option(
    "--shard-size", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N",
    help="Most frames in one pack.",
)  # fmt: skip
@device_option
@seed_option
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N",
    help="Packs that are fitted at a time, each by a process of its own. [default: 1, or one for "
    "each device; with ray as many as it has room for]",
)  # fmt: skip
@click.option(
    "--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True,
    help="Fit on this machine, or on Ray.",
)  # fmt: skip
@click.option(
    "--ray-address", metavar="ADDR",
    help="The Ray to fit on: HOST:PORT, or auto. [default: RAY_ADDRESS, or one of this machine]",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
@click.option("--overwrite", is_flag=True, help="Replace what stands in OUT.")
@json_option
@quiet_option
def command(
    source: Path,
    out: Path,
    labels: str,
    preset: str,
    background: str,
    steps: int | None,
    lmbda: float | None,
    target_psnr: float | None,
    target_bytes: int | None,
    objects_psnr: float | None,
    layout: Literal["pack", "files"],
    shard_size: int,
    device: str,
    seed: int,
    jobs: int | None,
    executor: Literal["local", "ray"],
    ray_address: str | None,
    resume: bool,
    overwrite: bool,
    json_path: str | None,
    quiet: bool,
) -> int:
    """Turn pictures into .rinr files.

    SRC is an image, a folder of images, a YOLO data yaml, or a video. A folder or video becomes
    packs OUT/NAME-00000.rinr, a yaml OUT/SPLIT/SPLIT-00000.rinr and OUT/data.yaml; manifest.json
    beside them lists what was made. SRC, but for a video, and OUT may be URLs (s3://bucket/out).

    Packs are fitted one by one, by this process or by several: --jobs 4, --device cuda:0,cuda:1,
    or --executor ray. The bytes are the same, and so they are after --resume.

    With --background nerv a video is a sequence, and so is every folder, also below SRC: its
    frames of one size and mode in the order of their names, which share a network.

    With --background pyramid a frame becomes coded latents, for the quality or the size that you
    ask for with one of --lambda, --target-psnr and --target-bytes; objects are kept sharper.
    """
    if resume and overwrite:
        raise click.UsageError("--resume goes on, --overwrite starts again: give one of them")
    target = target_of(
        background,
        lmbda=lmbda,
        target_psnr=target_psnr,
        target_bytes=target_bytes,
        objects_psnr=objects_psnr,
    )
    from rinrcodec.cli.output import json_text, write_report
    from rinrcodec.compute.devices import resolve_device
    from rinrcodec.datasets.batches import BATCH_FRAMES
    from rinrcodec.datasets.fitter import Fitter
    from rinrcodec.datasets.manifest import Manifest
    from rinrcodec.datasets.plan import check_output, make_plan
    from rinrcodec.datasets.run import Run, make_entry
    from rinrcodec.datasets.shards import shards_of
    from rinrcodec.datasets.summary import print_table, row_as_json
    from rinrcodec.datasets.work import Work
    from rinrcodec.families import background_family
    from rinrcodec.sources.source import open_source
    from rinrcodec.storage import file_or_folder
    from rinrcodec.storage.atomic import writing
    from rinrcodec.storage.lock import locked

    if source.suffix.lower() == ".rinr" and file_or_folder(source) == "file":
        raise click.UsageError(
            f"{source} is compressed already; rinrcodec decompress makes pictures of it"
        )
    if ray_address and executor != "ray":
        raise click.UsageError("--ray-address is of --executor ray")
    options = preset_of(preset, steps=steps, background=background)
    if layout == "files":
        # A row of several frames would go whole into the file of each.
        try:
            options = replace(options, background=options.background.alone())
        except RinrInputError as error:
            raise click.UsageError(str(error)) from error
    found = open_source(source, labels=labels)
    plan = make_plan(found, out, layout=layout, shard_size=shard_size)
    # Before anything is touched.
    if executor == "ray" and device == "cuda":
        devices = [device]  # of the workers; the driver needs none
    else:
        devices = [str(resolve_device(name.strip())) for name in device.split(",")]
    (kind, *others) = {name.split(":")[0] for name in devices}
    if others or (len(devices) > 1 and kind == "cpu"):
        raise click.UsageError(f"--device {device}: several devices are several of cuda")
    if executor == "ray" and ("," in device or ":" in device):
        raise click.UsageError(f"--device {device}: Ray chooses them itself, so give cpu or cuda")
    shards = shards_of(found, plan.shard_size)
    settings = {
        "preset": preset,
        "background": background,
        "steps": steps,
        "target": None if target is None else asdict(target),
        "seed": seed,
        "device": kind,
        "layout": plan.layout,
        "shard_size": plan.shard_size,
        "names": {str(key): name for key, name in found.names.items()},
    }
    entry = make_entry(settings, options, shards)
    many = max(jobs or 1, len(devices))
    if plan.shard_size and many > len(shards) and not quiet:
        few = "one pack" if len(shards) == 1 else f"{len(shards)} packs"
        click.echo(f"{few} for {many} processes: a smaller --shard-size makes more", err=True)

    def say(text: str) -> None:
        click.echo(text, err=True)

    with writing(out), locked(plan.work, out, on_message=say) as check_lock:
        manifest = Manifest(plan.manifest) if plan.manifest else None
        if not check_output(plan, entry, manifest, resume=resume, overwrite=overwrite):
            click.echo(
                f"{out} is complete: nothing to resume; rinrcodec verify checks it, --overwrite "
                "starts again",
                err=True,
            )
            return 0
        work = Work(plan.work, entry.key)
        work.begin(fresh=overwrite)
        kept = (
            "after every sequence"
            if background_family(background).joins_frames
            else f"every {BATCH_FRAMES} frames"
        )
        fitter = Fitter(work, options, target, seed, devices[0], found.names)
        run = Run(
            plan, shards, entry, manifest, fitter, check_lock, resume=resume, overwrite=overwrite
        )
        with _resumable(work, run, out, kept, keep=overwrite):
            run.fit(executor, jobs=jobs, devices=devices, address=ray_address, quiet=quiet)
            rows = run.publish()
        if run.kept and not quiet:
            click.echo(
                f"{run.kept} of {len(shards)} shards are there and left alone; the figures are of "
                "the others",
                err=True,
            )
    parts = [part for _, its_parts in rows for part in its_parts]
    failures = [*found.failures, *(failure for part in parts for failure in part.failures)]
    failures += run.failures
    warnings = [*found.warnings, *(warning for part in parts for warning in part.warnings)]
    table = _with_total(rows)
    frames = table[-1].frames
    if json_path is not None:
        text = json_text(
            {
                "source": str(source),
                "out": str(out),
                "preset": preset,
                "background": background,
                "steps": steps,
                "target": None if target is None else asdict(target),
                "seed": seed,
                "device": devices[0] if len(devices) == 1 else devices,
                "series": [row_as_json(row) for row, _ in rows],
                "total": row_as_json(table[-1]),
                "kept_shards": run.kept,
                "warnings": warnings,
                "failures": failures,
            }
        )
        write_report(json_path, text)
    if not quiet:
        _print_some(warnings, "warning")
        if json_path != "-" and frames:
            print_table(table)
            if table[-1].bytes > table[-1].source_bytes > 0:
                click.echo("larger than its source: small pictures gain nothing from INRs")
    for failure in failures:
        click.echo(f"error: {failure}", err=True)
    if failures and frames:
        click.echo(
            f"{len(failures)} could not be done, see above; the others are. When they are mended, "
            f"{'--resume goes on' if run.failures == failures else '--overwrite starts again'}",
            err=True,
        )
    return 1 if failures else 0


@contextmanager
def _resumable(work: Work, run: Run, out: Path, kept: str, *, keep: bool) -> Iterator[None]:
    """Say how to go on where a run ends early; leave nothing behind where there is nothing.

    kept: when what is fitted is kept, in words. keep: the work folder stays in any case, as a sign
    that the outputs of before are to go.
    """
    instead = " in place of --overwrite" if keep else ""
    hint = f"what is fitted is kept; the same command with --resume{instead} goes on"
    try:
        yield
    except BaseException as error:
        if isinstance(error, (OSError, RinrError)) and not work.is_there():
            raise RinrInputError(
                f"{out}: not there any more; was it moved, removed or unmounted? Bring it back, "
                f"and the same command with --resume{instead} goes on"
            ) from error
        if run.is_complete:
            if isinstance(error, KeyboardInterrupt):
                raise _Interrupted("interrupted; the output is complete") from None
            raise
        fitted = work.started
        if not fitted and not keep:
            run.forget()
            work.drop()
        if isinstance(error, KeyboardInterrupt):
            nothing = f"nothing is fitted yet: work is kept {kept}"
            raise _Interrupted(f"interrupted; {hint if fitted else nothing}") from None
        if fitted:
            click.echo(hint, err=True)
        raise


def _with_total(rows: list[tuple[Row, list[FittedPart]]]) -> list[Row]:
    from rinrcodec.datasets.summary import total

    alone = [row for row, _ in rows]
    return alone if len(alone) == 1 else [*alone, total(rows)]


def _print_some(lines: list[str], kind: str) -> None:
    for line in lines[:_SHOWN_WARNINGS]:
        click.echo(f"{kind}: {line}", err=True)
    if len(lines) > _SHOWN_WARNINGS:
        rest = len(lines) - _SHOWN_WARNINGS
        click.echo(f"{kind}: and {rest} more; --json lists them all", err=True)

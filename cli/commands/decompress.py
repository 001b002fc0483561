"""`rinrcodec decompress`: `.rinr` files back to pictures and labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from rinrcodec.cli.options import PathOrUrl, device_option, json_option, quiet_option
from rinrcodec.errors import RinrError, RinrInputError

if TYPE_CHECKING:
    from torch import Tensor

    from rinrcodec.cli.progress import Progress
    from rinrcodec.datasets.packs import PackFiles
    from rinrcodec.formats import PackReader
    from rinrcodec.pack import Frame

__all__ = ["command"]


@dataclass(frozen=True, slots=True)
class _Job:
    """One pack, and the picture and label file of each of its frames."""

    path: Path
    pictures: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)


@click.command("decompress")
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
@click.option("--overwrite", is_flag=True, help="Replace files that stand in DIR.")
@json_option
@quiet_option
def command(
    source: Path,
    out: Path,
    kind: Literal["png", "jpg", "webp", "npy"],
    labels: bool,
    device: str,
    overwrite: bool,
    json_path: str | None,
    quiet: bool,
) -> int:
    """Turn .rinr files back into pictures and labels.

    SRC is a .rinr file, a folder of them, or the data.yaml that compress wrote, also by its URL.
    Pictures have their old names with a new suffix. With --labels, or from a data.yaml, they go
    to DIR/images and labels to DIR/labels.
    """
    import time

    from rinrcodec.cli.output import json_text, write_report
    from rinrcodec.cli.progress import progress
    from rinrcodec.compute.devices import resolve_device
    from rinrcodec.datasets.packs import find_packs
    from rinrcodec.storage.atomic import writing

    began = time.monotonic()
    packs = find_packs(source)
    failures = list(packs.failures)
    jobs = _make_jobs(packs, out, kind, labels, failures)
    _refuse_existing(jobs, packs, out, overwrite)
    n_frames = sum(len(job.pictures) for job in jobs)
    warnings: list[str] = []
    written = done = 0
    resolve_device(device)
    with writing(out):
        with progress("decoding", n_frames, quiet=quiet) as bar:
            for job in jobs:
                written += _decompress(job, kind, device, warnings, failures, bar, done)
                done += len(job.pictures)
        if packs.data is not None:
            _write_data_yaml(packs, out)
    seconds = time.monotonic() - began
    figures = {
        "source": str(source),
        "out": str(out),
        "packs": len(jobs),
        "frames": written,
        "failed_frames": n_frames - written,
        "seconds": seconds,
        "warnings": warnings,
        "failures": failures,
    }
    if json_path is not None:
        write_report(json_path, json_text(figures))
    if not quiet:
        for warning in warnings:
            click.echo(f"warning: {warning}", err=True)
        if json_path != "-":
            click.echo(
                f"frames: {written} of {n_frames}, packs: {len(jobs)}, seconds: {seconds:.1f}, "
                f"in {out}"
            )
    for failure in failures:
        click.echo(f"error: {failure}", err=True)
    return 1 if failures else 0


def _make_jobs(
    packs: PackFiles, out: Path, kind: str, labels: bool, failures: list[str]
) -> list[_Job]:
    """Decide every file name before anything is written."""
    from rinrcodec.datasets.names import output_names
    from rinrcodec.errors import reason
    from rinrcodec.formats import PackReader

    jobs = []
    for split, paths in packs.splits.items():
        found: list[tuple[Path, tuple[str, ...]]] = []
        for path in paths:
            try:
                with PackReader(path) as reader:
                    found.append((path, reader.names()))
            except (RinrError, OSError) as error:
                failures.append(reason(path, error))
        flat = [name for _, names in found for name in names]
        layout = labels or packs.data is not None
        images = out / "images" / split if layout else out
        pictures = [images / name for name in output_names(flat, f".{kind}")]
        texts = [out / "labels" / split / name for name in output_names(flat, ".txt")]
        start = 0
        for path, names in found:
            stop = start + len(names)
            jobs.append(_Job(path, pictures[start:stop], texts[start:stop] if layout else []))
            start = stop
    return jobs


def _refuse_existing(jobs: list[_Job], packs: PackFiles, out: Path, overwrite: bool) -> None:
    if overwrite:
        return
    from rinrcodec.storage import files_below, storage_of

    files = [file for job in jobs for file in (*job.pictures, *job.labels)]
    if packs.data is not None:
        files.append(out / "data.yaml")
    # One listing rather than a request for every frame.
    at_once = storage_of(out).lists_at_once
    there = {str(file) for file, _ in files_below(out)} if at_once else None
    existing = [f for f in files if (f.exists() if there is None else str(f) in there)]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise click.UsageError(f"{existing[0]}{more} already there; --overwrite replaces it")


def _decompress(
    job: _Job,
    kind: str,
    device: str,
    warnings: list[str],
    failures: list[str],
    bar: Progress,
    done: int,
) -> int:
    """Write the frames of a pack that can be read; returns how many."""
    from rinrcodec.compute.compose import to_array
    from rinrcodec.datasets.batches import batches
    from rinrcodec.datasets.picture_files import write_picture
    from rinrcodec.errors import reason
    from rinrcodec.formats import PackReader
    from rinrcodec.sources.labels import format_labels
    from rinrcodec.storage.atomic import write_text

    written = 0
    try:
        reader = PackReader(job.path)
    except (RinrError, OSError) as error:
        failures.append(reason(job.path, error))
        return written
    with reader:
        frames = _readable(reader, job, failures)
        for batch in batches(frames, lambda item: item[1].width * item[1].height):
            for index, frame, pixels in _decoded(reader, job, batch, device, failures):
                array = to_array(pixels, frame.mode)
                try:
                    warnings += write_picture(job.pictures[index], array, frame.metadata, kind=kind)
                    written += 1
                except RinrInputError as error:
                    failures.append(str(error))
                if job.labels:
                    text = format_labels(frame.boxes, width=frame.width, height=frame.height)
                    write_text(job.labels[index], text, durable=False)
                bar.update(done + index + 1)
    return written


def _readable(reader: PackReader, job: _Job, failures: list[str]) -> Iterator[tuple[int, Frame]]:
    """Frames with their numbers; those in a damaged part of the table go to the failures."""
    from rinrcodec.errors import reason

    for index in range(reader.n_frames):
        try:
            frame = reader.frame(index)
        except (RinrError, OSError) as error:
            failures.append(f"{job.pictures[index]} cannot be made: {reason(job.path, error)}")
        else:
            yield index, frame


def _decoded(
    reader: PackReader,
    job: _Job,
    batch: list[tuple[int, Frame]],
    device: str,
    failures: list[str],
) -> Iterator[tuple[int, Frame, Tensor]]:
    """A batch with its pixels: decoded together or, where one is damaged, each on its own."""
    from rinrcodec.decoder import decode
    from rinrcodec.errors import reason

    try:
        decoded = decode(reader, [index for index, _ in batch], device=device)
    except (RinrError, OSError) as error:
        if len(batch) == 1:
            index = batch[0][0]
            failures.append(f"{job.pictures[index]} cannot be made: {reason(job.path, error)}")
            return
        for item in batch:
            yield from _decoded(reader, job, [item], device, failures)
    else:
        for (index, frame), pixels in zip(batch, decoded, strict=True):
            yield index, frame, pixels


def _write_data_yaml(packs: PackFiles, out: Path) -> None:
    from rinrcodec.datasets.texts import yaml_text
    from rinrcodec.storage.atomic import write_text

    assert packs.data is not None
    data: dict[str, Any] = {split: f"images/{split}" for split in packs.splits}
    if packs.data.get("names"):
        data["names"] = packs.data["names"]
    write_text(out / "data.yaml", yaml_text(data))

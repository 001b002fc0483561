"""`rinrcodec report`: a page that says what the codec is worth on a user's own pictures."""

from __future__ import annotations

from pathlib import Path

import click

from rinrcodec.cli.options import (
    ABOVE_0,
    background_option,
    device_option,
    json_option,
    labels_option,
    preset_of,
    preset_option,
    quiet_option,
    seed_option,
    steps_option,
    writable,
)
from rinrcodec.families import DEFAULT_BACKGROUND, background_families, background_family

__all__ = ["command"]

MB = 1e6


@click.command("report")
@click.argument("source", metavar="SRC", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--out", default="report.html", show_default=True, metavar="FILE", callback=writable,
    help="The page, one file that needs no other; an older one is replaced.",
)  # fmt: skip
@click.option(
    "--frames", type=click.IntRange(min=1), default=8, show_default=True, metavar="N",
    help="Frames to take, spread evenly over SRC.",
)  # fmt: skip
@labels_option
@preset_option
@background_option
@steps_option
@device_option
@seed_option
@click.option(
    "--bandwidth", type=ABOVE_0, default=2.0, show_default=True, metavar="MB/S",
    help="Of the link, in 10^6 bytes a second.",
)  # fmt: skip
@click.option(
    "--devices", type=click.IntRange(min=2), default=10, show_default=True, metavar="N",
    help="How many devices share such frames.",
)  # fmt: skip
@json_option
@quiet_option
def command(
    source: Path,
    out: str,
    frames: int,
    labels: str,
    preset: str,
    background: str,
    steps: int | None,
    device: str,
    seed: int,
    bandwidth: float,
    devices: int,
    json_path: str | None,
    quiet: bool,
) -> None:
    """Write a page: which codec to use for your own pictures, and why.

    SRC is an image, a folder of images, a YOLO data yaml, or a video. Some frames are fitted and
    given to JPEG, WebP, AVIF, and AVIF with pasted crops at as many bytes. The page shows crops,
    quality over bytes, sizes, latency and the fog, and ends in advice, which may be another codec.
    It takes as long as fitting those frames, and some seconds more for each. A background that is
    shared by the frames of a sequence is fitted to all frames of SRC.
    """
    if Path(out).suffix.lower() not in {".html", ".htm"}:
        raise click.UsageError(f"-o {out}: want a file ending in .html")
    if source.suffix.lower() == ".rinr" and source.is_file():
        raise click.UsageError(f"{source}: a report is made of pictures, not of their packs")
    from rinrcodec.cli.output import json_text, write_report
    from rinrcodec.cli.progress import progress
    from rinrcodec.cli.views.report.page import report_page
    from rinrcodec.compute.devices import resolve_device
    from rinrcodec.evaluation.measure import measure
    from rinrcodec.evaluation.report import make_report, report_as_json
    from rinrcodec.sources.discover import open_source
    from rinrcodec.sources.spread import evenly_spread, read_pictures
    from rinrcodec.storage.atomic import write_text, writing

    chosen = preset_of(preset, steps=steps, background=background)
    used_device = resolve_device(device)
    opened = open_source(source, labels=labels)
    for warning in opened.warnings if not quiet else ():
        click.echo(f"warning: {warning}", err=True)
    total = sum(map(len, opened.series))
    compared = evenly_spread(frames, total)
    whole = background_family(background).joins_frames
    pictures = read_pictures(opened, None if whole else compared)
    with progress("fitting", len(pictures) + len(compared), quiet=quiet) as bar:
        figures = measure(
            pictures,
            chosen,
            compared=compared if whole else None,
            seed=seed,
            device=device,
            on_fitted=bar.update,
            on_compared=lambda done: bar.update(len(pictures) + done, label="comparing"),
        )
    remarks = []
    if opened.kind == "video":
        share = source.stat().st_size / total
        remarks = _of_video(share, figures.source_bytes / len(figures.frames), whole=whole)
    made = {
        "command": f"rinrcodec report {source.name} --frames {frames} --preset {preset}"
        + (f" --background {background}" if background != DEFAULT_BACKGROUND else "")
        + (f" --steps {steps}" if steps else "")
        + f" --seed {seed} --bandwidth {bandwidth:g} --devices {devices}",
        "device": str(used_device),
    }
    report = make_report(
        figures,
        name=source.name,
        n_source_frames=total,
        bandwidth=bandwidth * MB,
        devices=devices,
        made=made,
        remarks=remarks,
    )
    with writing(Path(out)):
        write_text(Path(out).resolve(), report_page(report))
    if json_path is not None:
        write_report(json_path, json_text(report_as_json(report)))
    if not quiet and json_path != "-":
        click.echo("\n".join([report.advice.headline, *report.advice.reasons, f"page: {out}"]))


def _of_video(share: float, as_frames: float, *, whole: bool) -> list[str]:
    """What a comparison of single frames does not say of a video; both are bytes a frame."""
    from rinrcodec.cli.views.fog_table import size_text

    lines = []
    if share < as_frames:
        lines.append(
            f"The video itself has {size_text(share)} a frame: where all frames are wanted, "
            "send that."
        )
    if not whole:
        lines += [
            f"Every frame was fitted alone: --background {name} fits {family.summary}."
            for name, family in background_families().items()
            if family.joins_frames
        ]
    return lines

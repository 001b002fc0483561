"""`rinrcodec report`: a page that says what the codec is worth on a user's own pictures."""

from __future__ import annotations

from pathlib import Path

import click

from rinrcodec.cli.log import verbose_option
from rinrcodec.cli.options import (
    ABOVE_0,
    FamilyChoice,
    LocalPath,
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
from rinrcodec.families import background_families
from rinrcodec.presets import compared_backgrounds

__all__ = ["command"]

MB = 1e6
# Of a video whose frames are fitted to one network without being asked: more take long.
SHORT_VIDEO = 128


def _names(*, sequences: bool) -> str:
    return ", ".join(compared_backgrounds("balanced", sequences=sequences))


@click.command("report")
@click.argument("source", metavar="SRC", type=LocalPath())
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
@click.option(
    "--background", "backgrounds", type=FamilyChoice(background_families), multiple=True,
    help="Family of the backgrounds; may be repeated. Other codecs get the bytes of the first. "
    f"[default: {_names(sequences=False)}; of a video of up to {SHORT_VIDEO} frames: "
    f"{_names(sequences=True)}; without torch only those that need none]",
)  # fmt: skip
@steps_option
@device_option
@seed_option
@click.option(
    "--bandwidth", type=ABOVE_0, default=2.0, show_default=True, metavar="MB/S",
    help="Speed of your link, in 10^6 bytes a second; the advice depends on it.",
)  # fmt: skip
@click.option(
    "--devices", type=click.IntRange(min=2), default=10, show_default=True, metavar="N",
    help="How many devices share such frames.",
)  # fmt: skip
@click.option(
    "--detector", type=LocalPath(), metavar="MODEL",
    help="Also measure how many labels a detector of Ultralytics finds: a file such as best.pt, "
    "which may run code when it is loaded. Needs the extra yolo.",
)  # fmt: skip
@json_option
@quiet_option
@verbose_option
def command(
    source: Path,
    out: str,
    frames: int,
    labels: str,
    preset: str,
    backgrounds: tuple[str, ...],
    steps: int | None,
    device: str,
    seed: int,
    bandwidth: float,
    devices: int,
    detector: Path | None,
    json_path: str | None,
    quiet: bool,
) -> None:
    """Write a page: which codec to use for your own pictures, and why.

    SRC is an image, a folder of images, a YOLO data yaml, or a video. Some frames are fitted with
    several backgrounds, and given to JPEG, WebP, AVIF, and AVIF with pasted crops at as many bytes.
    The page shows crops, quality over bytes, sizes, latency and the fog. It ends in advice, which
    may be another codec, and the command that follows it. Backgrounds that can be tuned are fitted
    for PSNR and for accuracy. With --detector, each row also shows the detector's mAP.

    Eight frames of 640x360 take 2 to 10 minutes on two free cores, and several times as long on
    busy ones. The time grows with the pixels. Networks take most of it, or frames that follow each
    other. A background that joins frames is fitted to a group around each frame, or to all
    frames of SRC. With --preset fast and the default background alone, it takes a minute.
    """
    if Path(out).suffix.lower() not in {".html", ".htm"}:
        raise click.UsageError(f"-o {out}: expected a file ending in .html")
    if source.suffix.lower() == ".rinr" and source.is_file():
        raise click.UsageError(f"{source}: a report is made of pictures, not of their packs")
    from rinrcodec.cli.output import print_warnings, say, write_report
    from rinrcodec.cli.progress import drawing
    from rinrcodec.cli.views.report.page import report_page
    from rinrcodec.compute.devices import find_gpu
    from rinrcodec.datasets.progress import Progress
    from rinrcodec.evaluation.backgrounds import suitable_backgrounds
    from rinrcodec.evaluation.measure import measure
    from rinrcodec.evaluation.report import make_report, report_as_json
    from rinrcodec.evaluation.rows import shell_line
    from rinrcodec.sources.discover import open_source
    from rinrcodec.sources.spread import evenly_spread
    from rinrcodec.sources.survey import survey
    from rinrcodec.storage import make_folder
    from rinrcodec.storage.atomic import named_file, write_text, writing

    for name in backgrounds:
        preset_of(preset, steps=steps, background=name).require_packages()
    gpu = find_gpu(device)
    seen = survey(open_source(source, labels=labels))
    opened = seen.source
    hints = (*opened.warnings, *seen.warnings) if not quiet else ()
    print_warnings([*hints, *opened.lost_labels, *seen.unread], more="")
    total = sum(map(len, opened.series))
    short = opened.kind == "video" and total <= SHORT_VIDEO
    chosen = list(dict.fromkeys(backgrounds))
    left_out: dict[str, str] = {}
    if not chosen:
        chosen, left_out = suitable_backgrounds(preset, sequences=short)
    found = None
    if detector is not None:
        from rinrcodec.evaluation.accuracy import load_detector

        found = load_detector(detector, device=device)
    with drawing("fitting", unit="steps", quiet=quiet) as draw:
        measured = measure(
            opened,
            evenly_spread(frames, total),
            chosen,
            effort=preset,
            steps=steps,
            seed=seed,
            device=device,
            detector=found,
            options=() if labels == "auto" else ("--labels", labels),
            on_progress=lambda done, work, what: draw(Progress(what, done, work)),
        )
    accuracy = measured.source.accuracy
    if accuracy is not None and not accuracy.map50:
        text = (
            f"{detector}: found no labelled box in the original frames. Check that its class ids "
            "match the labels."
        )
        print_warnings([text], more="")
    words = ["rinrcodec", "report", str(source), "--frames", str(frames), "--preset", preset]
    for name in backgrounds:
        words += ["--background", name]
    words += ["--steps", str(steps)] if steps else []
    words += ["--labels", labels] if labels != "auto" else []
    words += ["--detector", str(detector)] if detector else []
    words += ["--device", device] if device != "auto" else []
    words += ["--seed", str(seed), "--bandwidth", f"{bandwidth:g}", "--devices", str(devices)]
    report = make_report(
        measured,
        path=str(source),
        n_source_frames=total,
        bandwidth=bandwidth * MB,
        devices=devices,
        left_out=left_out,
        made={"command": shell_line(words), "device": str(gpu or "CPU")},
    )
    with drawing("drawing the page", quiet=quiet), writing(Path(out)):
        make_folder(Path(out).parent)
        write_text(named_file(Path(out)), report_page(report))
    if json_path is not None:
        write_report(json_path, "report", report_as_json(report))
    if not quiet and json_path != "-":
        advice = report.advice
        say(advice.headline, *advice.reasons, f"page: {out}", report.command(advice.row))

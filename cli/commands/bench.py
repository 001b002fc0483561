"""`rinrcodec bench`: what the codec is worth on pictures of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rinrcodec.cli.log import verbose_option
from rinrcodec.cli.options import (
    FamilyChoice,
    LocalPath,
    device_option,
    labels_option,
    preset_of,
    preset_option,
    quiet_option,
    seed_option,
    steps_option,
)
from rinrcodec.cli.progress import progress
from rinrcodec.cli.suggestions import Choice, SuggestingGroup
from rinrcodec.errors import RinrInputError
from rinrcodec.families import background_families, background_family
from rinrcodec.families.interface import BackgroundFamily

if TYPE_CHECKING:
    from rinrcodec.evaluation.rungs import Rung
    from rinrcodec.picture import Picture
    from rinrcodec.presets import Preset

__all__ = ["command"]


def _families() -> dict[str, BackgroundFamily]:
    """Return the families that the ladder can compare: those with bits and widths to choose."""
    return {name: family for name, family in background_families().items() if family.resizable}


@click.group("bench", cls=SuggestingGroup)
def command() -> None:
    """Measure the codec on your own pictures."""


@command.command("ladder")
@click.argument("source", metavar="SRC", type=LocalPath())
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("ladder-out"),
    show_default=True,
    help="Folder for the page, the figures and the packs; older ones are replaced.",
)  # fmt: skip
@click.option(
    "--labels", default="auto", show_default=True, metavar="auto|DIR",
    help="YOLO labels: where YOLO finds them, or a folder that mirrors the pictures.",
)  # fmt: skip
@click.option(
    "--frames", type=click.IntRange(min=1), default=12, show_default=True, metavar="N",
    help="Frames to take, spread evenly over SRC.",
)  # fmt: skip
@preset_option
@click.option(
    "--background", "backgrounds", type=FamilyChoice(_families), default=(next(iter(_families())),),
    multiple=True, show_default=True,
    help="Family of the backgrounds; several, if given several times.",
)  # fmt: skip
@steps_option
@device_option
@seed_option
@quiet_option
@verbose_option
def ladder(
    source: Path,
    out: Path,
    labels: str,
    frames: int,
    preset: str,
    backgrounds: tuple[str, ...],
    steps: int | None,
    device: str,
    seed: int,
    quiet: bool,
) -> None:
    """Compare every step of the method, and other codecs, on the same frames.

    SRC is an image, a folder of images, a YOLO data yaml, or a video, with labels. The first rows
    are the paper's: BS is a larger background INR alone, BE the background INR alone. DE adds
    object INRs of the raw RGB, and RE object INRs of the residual. QRE is RE with 8 instead of 16
    bits for the background. Low-quality JPEG follows. The last rows have as many bytes as QRE:
    JPEG, WebP, AVIF, AVIF with pasted crops and the default background.

    Everything is fitted three times, so take few frames. A background that is shared by the frames
    of a sequence is fitted to all frames of SRC, and compared on those taken.
    """
    if source.suffix.lower() == ".rinr" and source.is_file():
        raise click.UsageError(f"{source}: the ladder is made of pictures, not of their packs")
    from rinrcodec.cli.output import json_text, print_warnings, say
    from rinrcodec.cli.views.ladder_page import NOTES, line, page
    from rinrcodec.cli.views.ladder_plots import draw_ladder
    from rinrcodec.evaluation.ladder import default_preset
    from rinrcodec.evaluation.rungs import low_quality_jpeg, rung_as_json
    from rinrcodec.sources.discover import open_source
    from rinrcodec.sources.spread import evenly_spread, read_pictures
    from rinrcodec.sources.survey import survey
    from rinrcodec.storage.atomic import write_text, writing

    seen = survey(open_source(source, labels=labels))
    opened = seen.source
    warnings = (*opened.warnings, *seen.warnings, *opened.lost_labels, *seen.unread)
    print_warnings(warnings, more="")
    chosen_frames = evenly_spread(frames, sum(map(len, opened.series)))
    pictures = read_pictures(opened, chosen_frames)
    if not any(box.region(p.width, p.height).area for p in pictures for box in p.boxes):
        raise RinrInputError(
            f"{source}: no object on any frame that was taken ({len(pictures)} in all); the ladder "
            "compares objects: give a folder of YOLO labels, or take more frames"
        )
    rungs: list[Rung] = []

    def add(rung: Rung) -> None:
        rungs.append(rung)
        if not quiet:
            say(line(rung))

    add(low_quality_jpeg(pictures))
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    for background in dict.fromkeys(backgrounds):
        chosen = preset_of(preset, steps=steps, background=background)
        whole = background_family(background).joins_frames
        fitted = read_pictures(opened) if whole else pictures
        options: dict[str, Any] = {
            "folder": out,
            "other": default_preset(preset, steps=steps, alone=not whole),
            "measured": chosen_frames if whole else None,
            "seed": seed,
            "device": device,
        }
        for rung in _fit(fitted, chosen, label=background, quiet=quiet, **options):
            add(rung)

    with writing(out):
        plots = draw_ladder(out, rungs)
        plural = "s" if len(pictures) > 1 else ""
        effort = preset if steps is None else f"{preset}, {steps} steps"
        what = f"{len(pictures)} frame{plural}, preset {effort}, seed {seed}"
        notes = "\n".join(f"* {note}" for note in NOTES)
        text = f"# The ladder\n\n{what}.\n\n{page(rungs, plots=plots)}\n\n{notes}\n"
        write_text(out / "ladder.md", text)
        figures = {
            "source": source.name,
            "preset": preset,
            "steps": steps,
            "seed": seed,
            "rows": [rung_as_json(rung) for rung in rungs],
        }
        write_text(out / "ladder.json", json_text(figures))
    if not quiet:
        _print_table(rungs, what)
        say(f"page: {out / 'ladder.md'}")


@command.command("rival")
@click.argument("source", metavar="SRC", type=LocalPath())
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, metavar="OUT",
    help="New folder for the files, or for a single image a new file such as x.avif.",
)  # fmt: skip
@click.option(
    "--codec", type=Choice(("jpeg", "webp", "avif")), default="avif", show_default=True,
    help="Codec of the frames, with the best settings of Pillow at reasonable speed.",
)  # fmt: skip
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    required=True,
    metavar="Q",
    help="Quality of the frames, 1 to 100.",
)
@click.option(
    "--subsampling", type=Choice(("4:2:0", "4:4:4")), help="Chroma of JPEG. [default: 4:2:0]"
)
@click.option(
    "--crops", type=Choice(("jpeg", "webp", "avif")),
    help="Also write a crop of every box, in this codec.",
)  # fmt: skip
@click.option("--crops-quality", type=click.IntRange(1, 100), metavar="Q",
    help="Quality of the crops, 1 to 100.",
)  # fmt: skip
@labels_option
@quiet_option
@verbose_option
def rival(
    source: Path,
    out: Path,
    codec: str,
    quality: int,
    subsampling: str | None,
    crops: str | None,
    crops_quality: int | None,
    labels: str,
    quiet: bool,
) -> None:
    """Write frames in another codec, with the settings that `report` has found.

    SRC is an image, a folder of images, a YOLO data yaml, or a video. The files are OUT/NAME.avif.
    With crops they are OUT/frames/NAME.avif and OUT/crops/NAME/NUMBER_X_Y.webp: paste them at X, Y.
    ICC profiles are kept, EXIF and XMP are not.
    """
    if subsampling is not None and codec != "jpeg":
        raise click.UsageError(f"--subsampling {subsampling}: --codec {codec} has no such choice")
    if (crops is None) != (crops_quality is None):
        raise click.UsageError("--crops and --crops-quality belong together: give both or none")
    from rinrcodec.cli.output import print_warnings, say
    from rinrcodec.cli.views.fog_table import size_text
    from rinrcodec.evaluation.baselines import CODECS, available_codecs
    from rinrcodec.evaluation.rival_files import write_rival
    from rinrcodec.evaluation.rivals import Rival
    from rinrcodec.printing import count
    from rinrcodec.sources.discover import open_source
    from rinrcodec.sources.survey import survey

    for name in filter(None, (codec, crops)):
        if name not in available_codecs():
            raise RinrInputError(f"{name}: this Pillow cannot write it; install a newer Pillow")
    seen = survey(open_source(source, labels=labels))
    opened = seen.source
    print_warnings([*opened.lost_labels, *seen.unread], more="")
    chroma = [str(setting.get("subsampling")) for setting in CODECS[codec]]
    chosen = Rival(
        codec,
        quality,
        chroma.index(subsampling) if subsampling else 0,
        None if crops is None or crops_quality is None else (crops, crops_quality),
    )
    total = sum(map(len, opened.series))
    with progress("encoding", total, quiet=quiet) as bar:
        size = write_rival(opened, out, chosen, on_written=bar.update)
    if not quiet:
        say(f"{count(total, 'frame')}, {size_text(size)}, {size_text(size / total)} a frame: {out}")


def _fit(
    pictures: Sequence[Picture], preset: Preset, *, label: str, quiet: bool, **options: Any
) -> Iterator[Rung]:
    """Yield `family_rungs` with a progress bar."""
    from rinrcodec.evaluation.ladder import family_rungs

    with progress(label, len(pictures), quiet=quiet) as bar:

        def report(name: str, share: float) -> None:
            bar.update(share * len(pictures), label=f"{label} {name}")

        yield from family_rungs(pictures, preset, on_progress=report, **options)


def _print_table(rungs: Sequence[Rung], what: str) -> None:
    from rinrcodec.cli.output import print_table, say
    from rinrcodec.cli.views.ladder_page import HEADER, cells, shown, verdicts

    print_table(HEADER, map(cells, shown(rungs)), title=what, is_tight=True)
    say(*verdicts(rungs))

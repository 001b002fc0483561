"""`rinrcodec report`: a page that says what the codec is worth on a user's own pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
from rinrcodec.families import background_families, background_family
from rinrcodec.presets import compared_backgrounds

if TYPE_CHECKING:
    from rinrcodec.cli.progress import Bar
    from rinrcodec.evaluation.backgrounds import PackFigures
    from rinrcodec.evaluation.measure import Figures
    from rinrcodec.picture import Picture
    from rinrcodec.presets import Preset
    from rinrcodec.sources.source import Source

__all__ = ["command"]

MB = 1e6
# Of a video whose frames are fitted to one network without being asked: more take long.
SHORT_VIDEO = 128


def _names(*, sequences: bool) -> str:
    return ", ".join(compared_backgrounds("balanced", sequences=sequences))


@dataclass(frozen=True, slots=True)
class _Part:
    """One background and the frames that it encodes, in runs; see `runs_around`."""

    preset: Preset
    runs: Sequence[Sequence[int]]

    @property
    def numbers(self) -> list[int]:
        return [number for run in self.runs for number in run]

    def places(self, compared: Sequence[int]) -> list[int]:
        """Where the compared frames are among those that it encodes."""
        return [self.numbers.index(number) for number in compared]

    def pictures(self, source: Source) -> list[Picture]:
        from rinrcodec.sources.spread import read_pictures

        return read_pictures(source, self.numbers)


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
    help="Family of the backgrounds. With several, the first is compared with other codecs, the "
    f"others are shown beside it. [default: {_names(sequences=False)}; of a video of up to "
    f"{SHORT_VIDEO} frames: {_names(sequences=True)}]",
)  # fmt: skip
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
    backgrounds: tuple[str, ...],
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
    It takes as long as fitting those frames, and some seconds more for each. A background that
    joins frames is fitted to a group around each of them, or to all frames of SRC.
    """
    if Path(out).suffix.lower() not in {".html", ".htm"}:
        raise click.UsageError(f"-o {out}: want a file ending in .html")
    if source.suffix.lower() == ".rinr" and source.is_file():
        raise click.UsageError(f"{source}: a report is made of pictures, not of their packs")
    from rinrcodec.cli.output import print_warnings, say, write_report
    from rinrcodec.cli.progress import progress
    from rinrcodec.cli.views.report.page import report_page
    from rinrcodec.compute.devices import resolve_device
    from rinrcodec.evaluation.backgrounds import runs_around
    from rinrcodec.evaluation.report import make_report, report_as_json
    from rinrcodec.sources.discover import open_source
    from rinrcodec.sources.spread import evenly_spread
    from rinrcodec.sources.survey import survey
    from rinrcodec.storage import make_folder
    from rinrcodec.storage.atomic import named_file, write_text, writing

    presets = [preset_of(preset, steps=steps, background=name) for name in backgrounds]
    used_device = resolve_device(device)
    seen = survey(open_source(source, labels=labels))
    opened = seen.source
    hints = (*opened.warnings, *seen.warnings) if not quiet else ()
    print_warnings([*hints, *opened.lost_labels, *seen.lost], more="")
    total = sum(map(len, opened.series))
    compared = evenly_spread(frames, total)
    if not presets:
        short = opened.kind == "video" and total <= SHORT_VIDEO
        presets = [
            preset_of(preset, steps=steps, background=name)
            for name in compared_backgrounds(preset, sequences=short)
        ]
    lengths = [len(series) for series in opened.series]
    parts = [_Part(one, runs_around(one.background.family, compared, lengths)) for one in presets]
    work = sum(len(part.numbers) for part in parts) + len(compared)
    with progress("fitting", work, quiet=quiet) as bar:
        figures, others = _measure(parts, opened, compared, bar, seed=seed, device=device)
    whole = background_family(presets[0].background.family).joins_frames
    remarks = []
    if opened.kind == "video":
        share = source.stat().st_size / total
        remarks = _of_video(share, figures.source_bytes / len(figures.frames), whole=whole)
    made = {
        "command": f"rinrcodec report {source.name} --frames {frames} --preset {preset}"
        + "".join(f" --background {name}" for name in backgrounds)
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
        others=others,
        made=made,
        remarks=remarks,
    )
    with writing(Path(out)):
        make_folder(Path(out).parent)
        write_text(named_file(Path(out)), report_page(report))
    if json_path is not None:
        write_report(json_path, "report", report_as_json(report))
    if not quiet and json_path != "-":
        say(report.advice.headline, *report.advice.reasons, f"page: {out}")


def _measure(
    parts: Sequence[_Part],
    source: Source,
    compared: Sequence[int],
    bar: Bar,
    *,
    seed: int,
    device: str,
) -> tuple[Figures, list[PackFigures]]:
    """Measure the first background and other codecs, then the other backgrounds."""
    from rinrcodec.evaluation.backgrounds import measure_pack
    from rinrcodec.evaluation.measure import measure

    def measured(part: _Part, done: int) -> dict[str, Any]:
        family = part.preset.background.family
        return {
            "compared": part.places(compared),
            "runs": [len(run) for run in part.runs],
            "seed": seed,
            "device": device,
            "on_fitted": lambda count: bar.update(done + count, label=f"fitting {family}"),
        }

    first, *rest = parts
    done = len(first.numbers)
    figures = measure(
        first.pictures(source),
        first.preset,
        on_compared=lambda count: bar.update(done + count, label="comparing"),
        **measured(first, 0),
    )
    done += len(compared)
    others = []
    for part in rest:
        pictures = part.pictures(source)
        others.append(measure_pack(pictures, part.preset, **measured(part, done)))
        done += len(pictures)
    return figures, others


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

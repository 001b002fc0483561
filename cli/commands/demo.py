"""`rinrcodec demo`: four pictures become a `.rinr` file and come back, with figures."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rinrcodec.cli.log import verbose_option
from rinrcodec.cli.options import (
    FamilyChoice,
    device_option,
    preset_of,
    seed_option,
    steps_option,
)
from rinrcodec.cli.output import print_table, say
from rinrcodec.cli.progress import progress
from rinrcodec.cli.suggestions import Choice
from rinrcodec.errors import RinrError, RinrUsageError
from rinrcodec.families import background_families
from rinrcodec.presets import PRESET_NAMES, compared_backgrounds, for_psnr

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rinrcodec.evaluation.rows import CodedFrame
    from rinrcodec.metrics import Quality
    from rinrcodec.picture import Picture

    Pixels = NDArray[np.uint8]

__all__ = ["command"]

PACK_NAME = "demo.rinr"
PICTURE_NAME = "comparison.png"
_HEADINGS = (
    "codec",
    "bytes",
    "ratio",
    "bits per\npixel",
    "PSNR\noutside",
    "PSNR\ninside",
    "time to\nencode",
)
# Efforts: of the first background, and of the others, which may take longer.
_FIRST, _OTHERS = "balanced", "fast"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: what was done, its bytes, its quality and the time it took."""

    label: str
    n_bytes: int
    quality: Quality | None = None
    seconds: float | None = None


@click.command("demo")
@click.option(
    "-o", "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("demo-out"),
    show_default=True, help="Folder for the pack and the picture.",
)  # fmt: skip
@click.option(
    "--preset", type=Choice(PRESET_NAMES),
    help=f"Effort of all backgrounds. [default: {_FIRST} for the first, {_OTHERS} for the others]",
)  # fmt: skip
@click.option(
    "--background", "backgrounds", type=FamilyChoice(background_families), multiple=True,
    help="Family of the backgrounds. With several, the first gives the pack and the picture. "
    f"[default: {', '.join(compared_backgrounds(_FIRST, sequences=False))}]",
)  # fmt: skip
@steps_option
@device_option
@seed_option
@click.option("--overwrite", is_flag=True, help="Replace the pack and the picture that are there.")
@verbose_option
def command(
    out: Path,
    preset: str | None,
    backgrounds: tuple[str, ...],
    steps: int | None,
    device: str,
    seed: int,
    overwrite: bool,
) -> None:
    """Show what the codec does, on four pictures.

    They ship with scikit-image; they are compressed, verified and decoded. Ends with a table of
    several backgrounds, and of JPEG, WebP and AVIF at as many bytes as the first one. A picture
    shows the source, the background alone, the result with objects, and AVIF at as many bytes.
    It also shows their errors, bytes and dB.
    """
    import rinrcodec
    from rinrcodec.cli.views.comparison_picture import draw_comparison
    from rinrcodec.compute.compose import to_array
    from rinrcodec.evaluation.comparison import method_label
    from rinrcodec.evaluation.side_by_side import side_by_side
    from rinrcodec.formats import pack_bytes
    from rinrcodec.sources import samples
    from rinrcodec.storage.atomic import write_whole, writing
    from rinrcodec.storage.replacing import replacing

    names = backgrounds or compared_backgrounds(preset or _FIRST, sequences=False)
    first, *others = dict.fromkeys(names)
    chosen = preset_of(preset or _FIRST, steps=steps, background=first)
    pack_path, picture_path = out / PACK_NAME, out / PICTURE_NAME
    existing = [str(path) for path in (pack_path, picture_path) if os.path.lexists(path)]
    if existing and not overwrite:
        them = "it" if len(existing) == 1 else "them"
        there = f"{' and '.join(existing)} {'are' if len(existing) > 1 else 'is'} already there"
        raise RinrUsageError(f"{there}; --overwrite replaces {them}")
    pictures = samples.sample_pictures()
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    n_boxes = sum(len(picture.boxes) for picture in pictures)
    say(f"fitting {len(pictures)} pictures with {n_boxes} boxes, preset {chosen.name}")
    start = time.perf_counter()
    with progress("fitting", len(pictures)) as bar:
        pack = rinrcodec.encode(
            pictures,
            preset=chosen,
            target=for_psnr(first),  # the table compares dB
            seed=seed,
            device=device,
            on_progress=lambda share: bar.update(share * len(pictures)),
        )
    seconds = time.perf_counter() - start
    with writing(pack_path):
        write_whole(pack_path, pack_bytes(pack))

    indices = range(len(pictures))
    with rinrcodec.open(pack_path) as file:
        file.verify()
        start = time.perf_counter()
        decoded = [to_array(item) for item in file.decode(indices)]
        decode_seconds = time.perf_counter() - start
    _check_same(decoded, [to_array(item) for item in rinrcodec.decode(pack, indices)])
    say(f"verified; decoded in {decode_seconds:.2f} s to the same pixels as from memory")

    lines = [_beside(pictures, other, preset or _OTHERS, steps, seed, device) for other in others]
    shown = side_by_side(pack, pictures)
    lines = [
        Line("source, JPEG q95", sum(p.source_bytes for p in pictures)),
        _line(chosen.name, [one.decoded for one in shown], seconds),
        _line("  without objects", [one.background for one in shown]),
        *lines,
        *(
            _line(method_label(method), [one.others[method] for one in shown])
            for method in shown[0].others
        ),
    ]
    _print_table(lines, sum(p.width * p.height for p in pictures))
    with writing(picture_path), replacing(picture_path) as temporary:
        draw_comparison(temporary, shown)
    say(f"pack:    {pack_path}", f"picture: {picture_path}")


def _check_same(from_file: Sequence[Pixels], from_memory: Sequence[Pixels]) -> None:
    """Check that the file gives back what was fitted, to the last bit."""
    same = all(
        (one.shape == other.shape) and bool((one == other).all())
        for one, other in zip(from_file, from_memory, strict=True)
    )
    if not same:
        raise RinrError(
            "the pack decodes to other pixels from its file than from memory; please report this"
        )


def _beside(
    pictures: Sequence[Picture],
    family: str,
    effort: str,
    steps: int | None,
    seed: int,
    device: str,
) -> Line:
    """Measure another background, at the size that its preset gives."""
    from rinrcodec.evaluation.backgrounds import measure_background

    name = preset_of(effort, steps=steps, background=family).name
    with progress(f"fitting {family}", len(pictures)) as bar:
        *_, row = measure_background(
            pictures,
            family,
            effort=effort,
            steps=steps,
            seed=seed,
            device=device,
            on_fitted=bar.update,
        )
    return _line(name, row.frames, row.speed.encode * len(pictures))


def _line(label: str, frames: Sequence[CodedFrame], seconds: float | None = None) -> Line:
    """Sum the bytes and average the dB of all pictures."""
    from rinrcodec.metrics import mean_quality

    n_bytes = round(sum(frame.n_bytes for frame in frames))
    return Line(label, n_bytes, mean_quality([frame.quality for frame in frames]), seconds)


def _print_table(lines: Sequence[Line], n_pixels: int) -> None:
    source = lines[0].n_bytes or 0
    print_table(
        _HEADINGS,
        [_cells(line, source, n_pixels) for line in lines],
        title="All pictures together; other codecs at the bytes of the first background",
        bold=[number for number, line in enumerate(lines) if line.seconds is not None],
    )
    say(
        "PSNR outside and inside the boxes is the mean of the pictures. Other backgrounds have the",
        "bytes of their presets. AVIF + crops: frames about as good as those without objects, and",
        "the bytes that this saves spent on crops of the boxes.",
    )


def _cells(line: Line, source: int, n_pixels: int) -> tuple[str, ...]:
    quality = line.quality
    return (
        line.label,
        f"{line.n_bytes:,}" if line.n_bytes else "",
        f"{source / line.n_bytes:.1f}x" if line.n_bytes else "",
        f"{8 * line.n_bytes / n_pixels:.3f}" if line.n_bytes else "",
        _db(quality.background) if quality else "",
        _db(quality.objects) if quality else "",
        f"{line.seconds:.0f} s" if line.seconds is not None else "",
    )


def _db(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} dB"

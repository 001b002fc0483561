"""Options that several commands share, and how they are checked."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click

__all__ = [
    "ABOVE_0",
    "PRESETS",
    "Finite",
    "background_option",
    "device_option",
    "json_option",
    "labels_option",
    "preset_option",
    "quiet_option",
    "seed_option",
    "steps_option",
    "writable",
]

# The names in `rinrcodec.presets`, which imports more than a help page may wait for.
PRESETS = ("paper", "fast", "balanced", "best")
BACKGROUNDS = ("siren", "nerv")


class Finite(click.FloatRange):
    """A number that is none of nan and inf, which a range lets through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


ABOVE_0 = Finite(min=0, min_open=True)


def writable(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:  # noqa: ARG001
    """Refuse a file that cannot be written before the work whose figures it is to hold."""
    if value in {"-", "/dev/stdout"}:
        return "-"
    if value is None:
        return None
    path = Path(value)
    if path.is_dir():
        raise click.BadParameter(f"{path} is a folder; give a file")
    if path.exists() and not path.is_file():  # a device or FIFO, which is written into
        if not os.access(path, os.W_OK):
            raise click.BadParameter(f"{path} cannot be written")
        return value
    try:
        place = next(parent for parent in path.resolve().parents if parent.exists())
    except RuntimeError:
        raise click.BadParameter(f"{path} is a link that leads to itself") from None
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise click.BadParameter(f"{path} cannot be written: {place} is no folder to write to")
    return value


preset_option = click.option(
    "--preset", type=click.Choice(PRESETS), default="balanced", show_default=True
)
background_option = click.option(
    "--background", type=click.Choice(BACKGROUNDS), default="siren", show_default=True,
    help="A network for every frame (siren), or for every sequence (nerv).",
)  # fmt: skip
labels_option = click.option(
    "--labels", default="auto", show_default=True, metavar="auto|none|DIR",
    help="YOLO labels: where YOLO finds them, none, or a folder that mirrors the pictures.",
)  # fmt: skip
steps_option = click.option(
    "--steps", type=click.IntRange(min=1), metavar="N",
    help="Fitting steps (of nerv: epochs) in place of the preset's, for a quick look.",
)  # fmt: skip
device_option = click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda")
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, metavar="N",
    help="Seed of the fit.",
)  # fmt: skip
json_option = click.option(
    "--json", "json_path", metavar="FILE", callback=writable,
    help="Write the figures as JSON; - for stdout.",
)  # fmt: skip
quiet_option = click.option("--quiet", is_flag=True, help="Print errors only.")

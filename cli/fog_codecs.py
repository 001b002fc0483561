"""What `rinrcodec fog --codec` says of another codec, in numbers or as a folder of its files."""

from __future__ import annotations

import math
from pathlib import Path

import click

from rinrcodec.datasets.inspection.sizes import Sizes, picture_sizes
from rinrcodec.evaluation.fog import Codec

__all__ = ["other_codec"]


def other_codec(text: str, jpeg: Sizes) -> Codec:
    """The codec of `NAME=BYTES` (a frame), `NAME=SHARE%` (of the JPEG bytes) or `NAME=FOLDER`.

    `,SECONDS` behind it is what a frame takes to encode. Raises `click.UsageError` for another
    text, `RinrInputError` for a folder of other frames.
    """
    name, equals, value = text.partition("=")
    if not (name and equals and value.partition(",")[0]):
        raise click.UsageError(
            f"--codec {text!r}: want NAME=BYTES a frame, NAME=SHARE% or NAME=FOLDER"
        )
    seconds = 0.0
    if "," in value and not Path(value).is_dir():
        value, _, last = value.rpartition(",")
        try:
            seconds = float(last)
        except ValueError:
            raise click.UsageError(
                f"--codec {text!r}: {last!r} is no number of seconds a frame"
            ) from None
    return Codec(name, _alpha(text, value, jpeg), encode_seconds=seconds)


def _alpha(text: str, value: str, jpeg: Sizes) -> float:
    if Path(value).is_dir():
        return picture_sizes(Path(value), jpeg.frames).n_bytes / jpeg.n_bytes
    try:
        number = float(value.removesuffix("%"))
    except ValueError:
        raise click.UsageError(
            f"--codec {text!r}: {value} is neither a number nor a folder"
        ) from None
    if not (math.isfinite(number) and number > 0):
        raise click.UsageError(f"--codec {text!r}: want a number above 0")
    return number / 100 if value.endswith("%") else number / jpeg.per_frame

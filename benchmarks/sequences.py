"""A whole sequence: one network for all frames, beside pictures coded alone and a video codec.

Ours is a pack of all frames with its objects. JPEG, WebP and AVIF code every frame alone, at the
lowest quality of theirs that gives our background PSNR, and x265 the whole sequence with a key
frame every so many frames. What a video saves is paid for when one frame is wanted: everything from
the key frame before it has to be read and decoded. Ours reads the network, whatever the frame.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import _common as common
import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import rinrcodec
from rinrcodec.baselines import Ladder, available_codecs, decode_picture
from rinrcodec.compose import to_array
from rinrcodec.images import Picture
from rinrcodec.metrics import Quality, frame_quality, mean_quality
from rinrcodec.presets import get_preset

Pixels = NDArray[np.uint8]
KEY_FRAMES = (1, 8, 250)
# Of constant rate factors: from nearly lossless to unrecognisable.
CRF_STEPS = range(40, 511)  # in tenths


@dataclass(frozen=True)
class Row:
    """A method on a whole sequence; `opened_*` is what one random frame takes to open."""

    method: str
    setting: str
    bytes_a_frame: float
    frame_psnr: float
    background_psnr: float | None
    object_psnr: float | None
    encode_seconds: float
    opened_frames: float
    opened_bytes: float
    opened_ms: float


def quality_of(pictures: Sequence[Picture], decoded: Sequence[Pixels]) -> Quality:
    """The mean over the frames."""
    return mean_quality(
        [
            frame_quality(picture.pixels, pixels, picture.boxes)
            for picture, pixels in zip(pictures, decoded, strict=True)
        ]
    )


def opened(which: Sequence[int], open_one: Callable[[int], object]) -> float:
    """Milliseconds to open one frame: the median over `which`."""
    times = []
    for index in which:
        start = time.perf_counter()
        open_one(index)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def our_rows(
    pictures: Sequence[Picture], which: Sequence[int], options: argparse.Namespace
) -> list[Row]:
    """The pack with its objects, and what its backgrounds are alone."""
    preset = get_preset(options.preset, steps=options.steps, background="nerv")
    if options.object_steps:
        recipe = replace(preset.objects.recipe, steps=options.object_steps)
        preset = replace(preset, objects=replace(preset.objects, recipe=recipe))
    if options.background_bits:
        background = replace(preset.background, bits=options.background_bits)
        preset = replace(preset, background=background)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, boxes in (("background alone", []), ("with object INRs", None)):
            # The seed gives the same background both times; without boxes the file has it alone.
            if boxes is None:
                pack = rinrcodec.encode(pictures, **fit_options)
            path = Path(folder) / "sequence.rinr"
        raise NotImplementedError
    return rows

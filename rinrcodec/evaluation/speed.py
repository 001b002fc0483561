"""How long codecs take to encode and decode a picture, here: the best of a few rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import rinrcodec
from rinrcodec.datasets.batches import batches
from rinrcodec.evaluation.baselines import decode_picture, encode_picture
from rinrcodec.picture import Picture

__all__ = ["ROUNDS", "Speed", "best_seconds", "decode_timed", "mean_speed", "time_codec"]

# A round in which another process had the core does not count: the best one does.
ROUNDS = 3
# What more rounds of long work may take, in all.
_SPARE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds for one frame, the mean."""

    encode: float
    decode: float


def mean_speed(speeds: Iterable[Speed]) -> Speed:
    """Return the mean of one speed or more."""
    known = list(speeds)
    count = len(known)
    return Speed(sum(s.encode for s in known) / count, sum(s.decode for s in known) / count)


def best_seconds(work: Callable[[], object], seconds: float) -> float:
    """Repeat work that was timed once, as long as that is cheap.

    Args:
        work: What took the seconds.
        seconds: Of the first round.

    Returns:
        The seconds of the best of up to 3 rounds. Work that takes more than 5 s is not repeated.
    """
    best, spent = seconds, 0.0
    for _ in range(ROUNDS - 1):
        if spent + best > _SPARE_SECONDS:
            break
        start = time.perf_counter()
        work()
        took = time.perf_counter() - start
        spent += took
        best = min(best, took)
    return best


def time_codec(codec: str, pixels: NDArray[np.uint8], quality: int, *, setting: int = 0) -> Speed:
    """Time a codec on a picture, with the arguments of `encode_picture`."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        data = encode_picture(codec, pixels, quality, setting=setting)
        encoded = time.perf_counter()
        decode_picture(data, "L" if pixels.ndim == 2 else "RGB")
        rounds.append((encoded - start, time.perf_counter() - encoded))
    encode, decode = map(min, zip(*rounds, strict=True))
    return Speed(encode, decode)


def decode_timed(
    path: Path, pictures: Sequence[Picture], chosen: Sequence[int], device: str
) -> tuple[list[NDArray[np.uint8]], float]:
    """Decode some frames of a pack.

    Args:
        path: The pack.
        pictures: The pictures of all its frames, which say the modes to decode to.
        chosen: The numbers of the frames to decode.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Returns:
        The pixels of every frame, uint8 [H, W] or [H, W, 3], and the seconds a frame, with the
        time to open the file, at best.
    """
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        decoded: list[NDArray[np.uint8]] = []
        with rinrcodec.open(path) as file:
            # A few at a time: large pictures are floats of four times their size on the way.
            for members in batches(chosen, lambda i: pictures[i].pixels.size):
                for i, pixels in zip(members, file.pixels(members, device=device), strict=True):
                    # Grey frames have three equal channels.
                    grey = pictures[i].mode == "L"
                    decoded.append(np.ascontiguousarray(pixels[..., 0]) if grey else pixels)
        rounds.append((time.perf_counter() - start) / len(chosen))
    return decoded, min(rounds)

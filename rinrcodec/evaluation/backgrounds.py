"""What one of our backgrounds is worth on some pictures, to show it beside others.

`rinrcodec demo` and `rinrcodec report` show them. Every background has the size that its preset
gives; at equal bytes, `rinrcodec.evaluation.measure` compares one of them with other codecs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import rinrcodec
from rinrcodec.evaluation.comparison import OURS, Comparison, summary
from rinrcodec.evaluation.speed import Speed, decode_timed
from rinrcodec.families import background_family, family_of
from rinrcodec.metrics import frame_bytes, frame_quality
from rinrcodec.pack import Pack, merge_packs
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset

__all__ = ["PackFigures", "measure_pack", "runs_around"]


def runs_around(family: str, chosen: Sequence[int], lengths: Sequence[int]) -> list[Sequence[int]]:
    """Return the frames to encode, so that some have the bytes that they have in a whole pack.

    A family that codes frames alone needs no others. One that cuts sequences into groups needs a
    group around each frame. One that does not cut them needs all frames.

    Args:
        family: The name of the family of the backgrounds.
        chosen: The numbers of the frames that count, which rise.
        lengths: How many frames each series has; numbers rise through all series.

    Returns:
        The numbers of the frames to encode, in runs for one call of `encode` each.

    Example:
        >>> from rinrcodec.evaluation.backgrounds import runs_around
        >>> from rinrcodec.families import DEFAULT_BACKGROUND
        >>> runs_around(DEFAULT_BACKGROUND, [20, 90], [100])
        [range(12, 28), range(82, 98)]
    """
    known = background_family(family)
    if not known.joins_frames:
        return [chosen]
    if known.gop is None:
        return [range(sum(lengths))]
    ends = list(accumulate(lengths))
    series = [range(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    runs: list[range] = []
    for number in chosen:
        if runs and number in runs[-1]:
            continue
        inside = next(one for one in series if number in one)
        first = max(inside.start, min(number - known.gop // 2, inside.stop - known.gop))
        if runs:
            first = max(first, runs[-1].stop)
        runs.append(range(first, min(first + known.gop, inside.stop)))
    return [*runs]


@dataclass(frozen=True, slots=True, eq=False)
class PackFigures:
    """What some frames are worth in one pack.

    preset: its name, which says the effort and the family.
    shares: the bytes of each frame, its part of what frames share included.
    chosen: the numbers of the frames that were decoded; `pixels` are what they decode to.
    speed: of encoding and decoding a frame.
    """

    preset: str
    pictures: tuple[Picture, ...]
    pack: Pack
    shares: tuple[float, ...]
    chosen: tuple[int, ...]
    pixels: tuple[NDArray[np.uint8], ...]
    speed: Speed

    @property
    def n_bytes(self) -> float:
        """The bytes of the chosen frames."""
        return sum(self.shares[index] for index in self.chosen)

    @property
    def at_fog(self) -> bool:
        """Whether devices leave the encoding to a fog node: the pack has networks."""
        return any(family_of(group.spec.family).fits_networks for group in self.pack.groups)

    def mean(self) -> Comparison:
        """Return the means over the chosen frames."""
        comparisons = [
            Comparison.of(
                self.pictures[index],
                OURS,
                self.preset,
                self.shares[index],
                frame_quality(self.pictures[index].pixels, pixels, self.pictures[index].boxes),
            )
            for index, pixels in zip(self.chosen, self.pixels, strict=True)
        ]
        ((method, size, bpp, quality),) = summary(comparisons)
        parts = (quality.frame, quality.background, quality.objects)
        return Comparison("", method, self.preset, size, bpp, *parts)


def measure_pack(
    pictures: Sequence[Picture],
    preset: Preset,
    *,
    compared: Sequence[int] | None = None,
    runs: Sequence[int] | None = None,
    seed: int = 0,
    device: str = "auto",
    on_fitted: Callable[[float], None] = lambda _: None,
) -> PackFigures:
    """Encode pictures into one pack, save it, and decode some of them.

    Args:
        pictures: The pictures with their boxes.
        preset: How to fit them.
        compared: The numbers of the pictures to decode; None for all.
        runs: How many pictures to encode at a time, in order; None for all at once.
        seed: Seed of the fit.
        device: Where to fit and decode: "auto", "cpu", "cuda" or "cuda:N".
        on_fitted: Called with the number of pictures that are fitted (a float).
    """
    start = time.perf_counter()
    packs: list[Pack] = []
    done = 0
    for count in [len(pictures)] if runs is None else runs:
        packs.append(
            rinrcodec.encode(
                pictures[done : done + count],
                preset=preset,
                seed=seed,
                device=device,
                on_progress=partial(_report, on_fitted, done, count),
            )
        )
        done += count
    pack = merge_packs(packs)
    seconds = (time.perf_counter() - start) / len(pictures)
    chosen = tuple(range(len(pictures)) if compared is None else compared)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.rinr"
        shares = frame_bytes(pack, rinrcodec.save(pack, path))
        pixels, decode_seconds = decode_timed(path, pictures, chosen, device)
    speed = Speed(seconds, decode_seconds)
    return PackFigures(
        preset.name, tuple(pictures), pack, tuple(shares), chosen, tuple(pixels), speed
    )


def _report(on_fitted: Callable[[float], None], done: int, count: int, share: float) -> None:
    on_fitted(done + share * count)

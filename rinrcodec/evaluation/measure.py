"""Measure pictures in our codec and in others: sizes, quality and times.

`rinrcodec report` shows the figures; `measure` gives them to Python as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

from rinrcodec.compute.parallel import cores
from rinrcodec.evaluation.backgrounds import measure_pack
from rinrcodec.evaluation.baselines import JPEG_SUFFIXES, Coded, QualityScan, available_codecs
from rinrcodec.evaluation.comparison import (
    OURS,
    Comparison,
    at_equal_bytes,
    at_size,
    summary,
)
from rinrcodec.evaluation.speed import Speed, mean_speed, time_codec, time_coded
from rinrcodec.metrics import Quality
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset

__all__ = ["Figures", "Frame", "measure"]

# Points of the rate curves, as shares of our mean bytes.
CURVE_SHARES = (0.4, 0.65, 1.0, 1.6, 2.5)
# A JPEG as a camera sends it, for pictures that come as something else.
CAMERA_QUALITY = 95


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture in every codec: ours first, then the others at about as many bytes.

    source_bytes: the size of the picture as it would be sent without any of these codecs.
    """

    picture: Picture
    source_bytes: int
    object_inrs: int
    coded: tuple[Coded, ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """All figures of a report.

    preset: the name of ours. at_fog: devices leave its encoding to a fog node.
    source: the pictures before coding: their JPEG files, or JPEGs made of them.
    pack_bytes: the share of the frames in our file, which may hold the rest of their sequence, too.
    curves: the comparisons at every point, by the bytes that were asked for.
    """

    preset: str
    at_fog: bool
    frames: tuple[Frame, ...]
    source: str
    pack_bytes: int
    speeds: dict[str, Speed]
    source_speed: Speed
    curves: dict[int, tuple[Comparison, ...]]

    @property
    def source_bytes(self) -> int:
        """The bytes of all frames together, before coding."""
        return sum(frame.source_bytes for frame in self.frames)

    @property
    def has_objects(self) -> bool:
        """Whether any frame has a box with pixels."""
        return any(
            one.object_psnr is not None for frame in self.frames for one in frame.comparisons
        )

    def means(self) -> dict[str, Comparison]:
        """Return the means over the frames of every method, at about equal bytes."""
        comparisons = [one for frame in self.frames for one in frame.comparisons]
        return {
            method: Comparison("", method, OURS, size, bpp, *_parts(quality))
            for method, size, bpp, quality in summary(comparisons)
        }


def measure(
    pictures: Sequence[Picture],
    preset: Preset,
    *,
    compared: Sequence[int] | None = None,
    runs: Sequence[int] | None = None,
    seed: int = 0,
    device: str = "auto",
    on_fitted: Callable[[float], None] = lambda _: None,
    on_compared: Callable[[float], None] = lambda _: None,
) -> Figures:
    """Fit the pictures, give the other codecs as many bytes, and time each of them.

    All pictures are encoded into one file. The other codecs are timed one after the other, at the
    end.

    Args:
        pictures: The pictures with their boxes.
        preset: How to fit them.
        compared: The numbers of the pictures that are given to the other codecs and that the
            figures are about; None for all.
        runs: How many pictures to encode at a time, in order; None for all at once.
        seed: Seed of the fit.
        device: Where to fit and decode: "auto", "cpu", "cuda" or "cuda:N".
        on_fitted: Called with the number of pictures that are fitted (a float).
        on_compared: Called with the number of pictures that are compared.

    Returns:
        The figures. `rinrcodec.evaluation.report` turns them into advice and JSON.

    Example:
        >>> import numpy as np
        >>> from rinrcodec.presets import get_preset
        >>> from rinrcodec.sources.images import picture_from_array
        >>> black = picture_from_array(np.zeros((24, 32, 3), np.uint8), name="black.png")
        >>> figures = measure([black], get_preset("fast", steps=1), device="cpu")
        >>> list(figures.means())[:2]
        ['rinrcodec', 'jpeg']
    """
    own = measure_pack(
        pictures,
        preset,
        compared=compared,
        runs=runs,
        seed=seed,
        device=device,
        on_fitted=on_fitted,
    )
    chosen = own.chosen
    ours = {
        index: Coded(OURS, 0, round(own.shares[index]), pixels)
        for index, pixels in zip(chosen, own.pixels, strict=True)
    }
    sizes = [round(share * sum(own.shares) / len(pictures)) for share in CURVE_SHARES]
    from_jpeg = all(_is_jpeg(pictures[index]) for index in chosen)
    # Without boxes there are no crops to paste.
    shown = [pictures[index] for index in chosen]
    crops = any(box.region(p.width, p.height).area for p in shown for box in p.boxes)

    def compare(index: int) -> tuple[Frame, list[list[Comparison]]]:
        return _compare(
            pictures[index], ours[index], own.pack, index, sizes, from_jpeg=from_jpeg, crops=crops
        )

    results = []
    pool = ThreadPoolExecutor(cores())
    try:
        for result in pool.map(compare, chosen):
            results.append(result)
            on_compared(len(results))
    finally:
        pool.shutdown(cancel_futures=True)
    frames = tuple(frame for frame, _ in results)
    speeds = {OURS: own.speed}
    for number, coded in enumerate(frames[0].coded):
        if coded.codec != OURS:
            speeds[coded.codec] = mean_speed(
                time_coded(frame.picture, frame.coded[number]) for frame in frames
            )
    return Figures(
        preset.name,
        own.at_fog,
        frames,
        "JPEG files" if from_jpeg else f"JPEGs of quality {CAMERA_QUALITY}",
        round(own.n_bytes),
        speeds,
        mean_speed(time_codec("jpeg", frame.picture.pixels, CAMERA_QUALITY) for frame in frames),
        {
            size: tuple(one for _, curve in results for one in curve[number])
            for number, size in enumerate(sizes)
        },
    )


def _compare(
    picture: Picture,
    ours: Coded,
    pack: Pack,
    index: int,
    sizes: Sequence[int],
    *,
    from_jpeg: bool,
    crops: bool,
) -> tuple[Frame, list[list[Comparison]]]:
    """One frame with all codecs, and its points of the rate curves; crops: the composite too."""

    def shown(coded: list[Coded]) -> list[Coded]:
        return [one for one in coded if crops or one.codec != "composite"]

    scans = {codec: QualityScan(codec, picture.pixels) for codec in available_codecs()}
    mine = Comparison.of_coded(picture, ours, OURS)
    least = mine.background_psnr
    others = shown(at_equal_bytes(picture, scans, ours.n_bytes, background_psnr=least))
    sent = picture.source_bytes
    if not from_jpeg:
        sent = scans["jpeg"].at_quality(CAMERA_QUALITY).n_bytes
    frame = Frame(
        picture,
        sent,
        sum(item is not None for item in pack.frames[index].objects),
        (ours, *others),
        (mine, *(Comparison.of_coded(picture, coded, OURS) for coded in others)),
    )
    points = [
        [
            Comparison.of_coded(picture, one, str(size))
            for one in shown(at_size(picture, scans, size))
        ]
        for size in sizes
    ]
    return frame, points


def _parts(quality: Quality) -> tuple[float, float | None, float | None]:
    return quality.frame, quality.background, quality.objects


def _is_jpeg(picture: Picture) -> bool:
    suffix = PurePosixPath(picture.name).suffix.lower()
    return picture.source_bytes > 0 and suffix in JPEG_SUFFIXES

"""What a report is made of: pictures through our codec and through others, with sizes and times."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray

import rinrcodec
from rinrcodec.compute.compose import to_array
from rinrcodec.datasets.batches import batches
from rinrcodec.evaluation.baselines import (
    Coded,
    Ladder,
    available_codecs,
    decode_picture,
    encode_picture,
)
from rinrcodec.evaluation.comparison import Row, at_equal_bytes, at_size, summary
from rinrcodec.metrics import Quality, frame_bytes
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset

__all__ = ["OURS", "Figures", "Frame", "Speed", "measure"]

OURS = "rinrcodec"
# Points of the rate curves, as shares of our mean bytes.
CURVE_SHARES = (0.4, 0.65, 1.0, 1.6, 2.5)
# A JPEG as a camera sends it, for pictures that come as something else.
CAMERA_QUALITY = 95
# Of the crops of a composite, about; how long they take hardly depends on it.
CROP_QUALITY = 90
# In which a codec is timed.
ROUNDS = 3
_JPEG_SUFFIXES = {".jpg", ".jpeg", ".jpe"}


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds for one frame, the mean."""

    encode: float
    decode: float


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture and what came of it: ours first, then the others at about as many bytes.

    source_bytes: as it would be sent without any of this.
    """

    picture: Picture
    source_bytes: int
    object_inrs: int
    coded: tuple[Coded, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """All figures of a report.

    source: what the pictures are without any of this: their own JPEG files, or JPEGs made of them.
    pack_bytes: what the frames have of our file, which may hold the rest of their sequence, too.
    curves: the rows of every point, by the bytes that were asked for.
    """

    frames: tuple[Frame, ...]
    source: str
    pack_bytes: int
    speeds: dict[str, Speed]
    source_speed: Speed
    curves: dict[int, tuple[Row, ...]]

    @property
    def source_bytes(self) -> int:
        """Of all frames together."""
        return sum(frame.source_bytes for frame in self.frames)

    @property
    def has_objects(self) -> bool:
        return any(row.object_psnr is not None for frame in self.frames for row in frame.rows)

    def means(self) -> dict[str, Row]:
        """One row a method: the means over the frames, at about equal bytes."""
        rows = [row for frame in self.frames for row in frame.rows]
        return {
            method: Row("", method, OURS, size, bpp, *_parts(quality))
            for method, size, bpp, quality in summary(rows)
        }


def measure(
    pictures: Sequence[Picture],
    preset: Preset,
    *,
    compared: Sequence[int] | None = None,
    seed: int = 0,
    device: str = "auto",
    on_fitted: Callable[[float], None] = lambda _: None,
    on_compared: Callable[[float], None] = lambda _: None,
) -> Figures:
    """Fit the pictures, give the other codecs as many bytes, and take the time of each.

    compared: the numbers of the pictures that the other codecs are given and the figures are of;
        None for all. All are encoded, into one file.
    on_fitted, on_compared: told how many pictures are done. Times are taken in the end, one codec
    after the other.
    """
    start = time.perf_counter()
    pack = rinrcodec.encode(
        pictures,
        preset=preset,
        seed=seed,
        device=device,
        on_progress=lambda share: on_fitted(share * len(pictures)),
    )
    fit_seconds = (time.perf_counter() - start) / len(pictures)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.rinr"
        pack_bytes = rinrcodec.save(pack, path)
        chosen = range(len(pictures)) if compared is None else compared
        decoded, decode_seconds = _decode(path, pictures, chosen, device)
    shares = frame_bytes(pack, pack_bytes)
    ours = {
        index: Coded(OURS, 0, round(shares[index]), pixels)
        for index, pixels in zip(chosen, decoded, strict=True)
    }
    sizes = [round(share * pack_bytes / len(pictures)) for share in CURVE_SHARES]
    from_jpeg = all(_is_jpeg(pictures[index]) for index in chosen)
    # Without boxes there are no crops to paste.
    shown = [pictures[index] for index in chosen]
    crops = any(box.region(p.width, p.height).area for p in shown for box in p.boxes)

    def compare(index: int) -> tuple[Frame, list[list[Row]]]:
        return _compare(
            pictures[index], ours[index], pack, index, sizes, from_jpeg=from_jpeg, crops=crops
        )

    results = []
    pool = ThreadPoolExecutor(torch.get_num_threads())
    try:
        for result in pool.map(compare, chosen):
            results.append(result)
            on_compared(len(results))
    finally:
        pool.shutdown(cancel_futures=True)
    frames = tuple(frame for frame, _ in results)
    speeds = {OURS: Speed(fit_seconds, decode_seconds)}
    for number, coded in enumerate(frames[0].coded):
        if coded.codec != OURS:
            speeds[coded.codec] = _mean([_speed(f.picture, f.coded[number]) for f in frames])
    return Figures(
        frames,
        "JPEG files" if from_jpeg else f"JPEGs of quality {CAMERA_QUALITY}",
        round(sum(shares[index] for index in chosen)),
        speeds,
        _mean([_timed("jpeg", frame.picture.pixels, CAMERA_QUALITY) for frame in frames]),
        {
            size: tuple(row for _, curve in results for row in curve[number])
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
) -> tuple[Frame, list[list[Row]]]:
    """One frame with all codecs, and its points of the rate curves; crops: the composite too."""

    def shown(coded: list[Coded]) -> list[Coded]:
        return [one for one in coded if crops or one.codec != "composite"]

    ladders = {codec: Ladder(codec, picture.pixels) for codec in available_codecs()}
    row = Row.of_coded(picture, ours, OURS)
    least = row.background_psnr
    others = shown(at_equal_bytes(picture, ladders, ours.n_bytes, background_psnr=least))
    sent = picture.source_bytes
    if not from_jpeg:
        sent = ladders["jpeg"].at_quality(CAMERA_QUALITY).n_bytes
    frame = Frame(
        picture,
        sent,
        sum(item is not None for item in pack.frames[index].objects),
        (ours, *others),
        (row, *(Row.of_coded(picture, coded, OURS) for coded in others)),
    )
    points = [
        [Row.of_coded(picture, one, str(size)) for one in shown(at_size(picture, ladders, size))]
        for size in sizes
    ]
    return frame, points


def _decode(
    path: Path, pictures: Sequence[Picture], chosen: Sequence[int], device: str
) -> tuple[list[NDArray[np.uint8]], float]:
    """The pixels of the chosen frames, from the file, and the seconds a frame at best."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        decoded: list[NDArray[np.uint8]] = []
        with rinrcodec.open(path) as file:
            # A few at a time: large pictures are floats of four times their size on the way.
            for members in batches(chosen, lambda i: pictures[i].pixels.size):
                for i, pixels in zip(members, file.decode(members, device=device), strict=True):
                    mode = pictures[i].mode
                    decoded.append(to_array(pixels, mode))
        rounds.append((time.perf_counter() - start) / len(chosen))
    return decoded, min(rounds)


def _speed(picture: Picture, coded: Coded) -> Speed:
    if coded.codec != "composite":
        return _timed(coded.codec, picture.pixels, coded.quality)
    codec = available_codecs()[-1]
    regions = [box.region(picture.width, picture.height) for box in picture.boxes]
    parts = [_timed(codec, picture.pixels, coded.quality)] + [
        _timed(codec, np.ascontiguousarray(picture.pixels[region.slices]), CROP_QUALITY)
        for region in regions
        if region.area
    ]
    return Speed(sum(part.encode for part in parts), sum(part.decode for part in parts))


def _timed(codec: str, pixels: NDArray[np.uint8], quality: int) -> Speed:
    """The best of a few rounds: a moment that another process took is none of the codec's."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        data = encode_picture(codec, pixels, quality)
        encoded = time.perf_counter()
        decode_picture(data, "L" if pixels.ndim == 2 else "RGB")
        rounds.append((encoded - start, time.perf_counter() - encoded))
    encode, decode = map(min, zip(*rounds, strict=True))
    return Speed(encode, decode)


def _mean(speeds: Sequence[Speed]) -> Speed:
    count = len(speeds)
    return Speed(sum(s.encode for s in speeds) / count, sum(s.decode for s in speeds) / count)


def _parts(quality: Quality) -> tuple[float, float | None, float | None]:
    return quality.frame, quality.background, quality.objects


def _is_jpeg(picture: Picture) -> bool:
    suffix = PurePosixPath(picture.name).suffix.lower()
    return picture.source_bytes > 0 and suffix in _JPEG_SUFFIXES

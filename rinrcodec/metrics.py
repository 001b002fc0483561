"""Quality and size in numbers: PSNR of a frame and its parts; SSIM; bytes; rate against quality.

All PSNR here is in dB against a peak of 255, from the mean squared error over all pixels and
channels in question. The squared errors are summed as integers, so the same pixels give the same
figure on every machine. A mean over frames is the mean of their dB values (as the papers report
it), not the dB of the mean error. SSIM is scikit-image's, which is imported when it is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.pack import GroupInfo, InrRef, Pack

__all__ = [
    "Quality",
    "bd_rate",
    "frame_bytes",
    "frame_quality",
    "mean_db",
    "mean_quality",
    "object_mask",
    "psnr",
    "rate_curve",
    "row_bytes",
    "ssim",
]

PEAK = 255
LARGEST_DB = 100.0
SSIM_WINDOW = 11


@dataclass(frozen=True, slots=True)
class Quality:
    """PSNR in dB of a frame, of its pixels outside all boxes, and of those inside any box.

    None stands for a part without pixels; infinity for one that is reproduced exactly.
    """

    frame: float
    background: float | None
    objects: float | None


def psnr(reference: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    """PSNR in dB between two pictures; infinity when they are equal.

    Both are uint8 of one shape, [H, W] or [H, W, 3]; anything else raises `RinrInputError`.
    """
    return _decibel(int(_squared_errors(reference, decoded).sum(dtype=np.int64)), reference.size)


def object_mask(boxes: Iterable[Box], width: int, height: int) -> NDArray[np.bool_]:
    """The pixels that any box touches, bool [height, width]: the union of `Box.region`."""
    mask = np.zeros((height, width), dtype=np.bool_)
    for box in boxes:
        mask[box.region(width, height).slices] = True
    return mask


def frame_quality(
    reference: NDArray[np.uint8], decoded: NDArray[np.uint8], boxes: Iterable[Box] = ()
) -> Quality:
    """PSNR of a frame as a whole, outside its boxes and inside them.

    Both pictures are uint8 of one shape, [H, W] or [H, W, 3]; the boxes are in their pixels. A
    pixel in two boxes counts once. Raises `RinrInputError` on pictures that do not match.
    """
    errors = _squared_errors(reference, decoded)
    height, width = errors.shape
    channels = reference.size // errors.size
    mask = object_mask(boxes, width, height)
    total, inside = int(errors.sum(dtype=np.int64)), int(errors[mask].sum(dtype=np.int64))
    n_inside = int(np.count_nonzero(mask))
    n_outside = mask.size - n_inside
    return Quality(
        frame=_decibel(total, reference.size),
        background=_decibel(total - inside, n_outside * channels) if n_outside else None,
        objects=_decibel(inside, n_inside * channels) if n_inside else None,
    )


def mean_db(values: Iterable[float | None]) -> float | None:
    """The mean of dB values, leaving out None; None when nothing is left.

    A value above 100 dB counts as 100, as video tools do it, so that one box of a few pixels that
    came back exact (infinity) does not hide all others.
    """
    known = [min(value, LARGEST_DB) for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def mean_quality(frames: Sequence[Quality]) -> Quality:
    """The mean over frames: of each part, the mean dB of the frames that have it."""
    frame = mean_db(quality.frame for quality in frames)
    if frame is None:
        raise RinrInputError("no frames to take a mean over: want at least one")
    return Quality(
        frame=frame,
        background=mean_db(quality.background for quality in frames),
        objects=mean_db(quality.objects for quality in frames),
    )


def ssim(reference: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float | None:
    """SSIM of two pictures (Wang et al. 2004: a Gaussian window of sigma 1.5), at most 1.

    Both are uint8 of one shape, [H, W] or [H, W, 3] (the mean over channels). None for a picture
    of fewer than 11 pixels a side, which has no window. Raises `RinrInputError` for pictures that
    do not match, `MissingExtraError` without scikit-image.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise MissingExtraError("scikit-image", "demo") from error
    if reference.shape != decoded.shape:
        raise RinrInputError(
            f"SSIM wants pictures of one shape, got {reference.shape} and {decoded.shape}"
        )
    if min(reference.shape[:2]) < SSIM_WINDOW:
        return None
    return float(
        structural_similarity(
            reference,
            decoded,
            data_range=PEAK,
            channel_axis=2 if reference.ndim == 3 else None,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def row_bytes(group: GroupInfo) -> float:
    """Bytes of the weights of one INR of a group, before compression; without coded bytes."""
    return group.n_params * group.bits / 8 + 2 * group.n_scales


def frame_bytes(pack: Pack, file_bytes: int) -> list[float]:
    """What every frame of a file of `file_bytes` costs: its weights and an equal part of the rest.

    Entropy-coded bytes of a row count with its weights. A row that several frames use is split
    among them. Where compression has made the file smaller than its weights, their bytes are
    scaled to it. The sum is the size of the file.
    """
    groups = pack.groups
    refs = [
        [frame.background, *(item.inr for item in frame.objects if item is not None)]
        for frame in pack.frames
    ]
    users: dict[InrRef, int] = {}
    for ref in (ref for row in refs for ref in row):
        users[ref] = users.get(ref, 0) + 1

    def whole(ref: InrRef) -> float:
        coded = pack.stacks[ref.group].rows.coded
        return row_bytes(groups[ref.group]) + (len(coded[ref.row]) if coded else 0)

    weights = [sum(whole(ref) / users[ref] for ref in row) for row in refs]
    total = sum(weights)
    if total > file_bytes:
        return [value * file_bytes / total for value in weights]
    rest = (file_bytes - total) / len(weights)
    return [value + rest for value in weights]


def rate_curve(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (bytes, PSNR in dB) that no other beats, from the smallest to the largest.

    Both bytes and PSNR increase along them, as `bd_rate` wants it. A codec asked for all its
    qualities has points that are larger than others and no better.
    """
    found: list[tuple[float, float]] = []
    for size, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if not found or quality > found[-1][1]:
            found.append((size, quality))
    return found


def bd_rate(ours: Iterable[tuple[float, float]], anchor: Iterable[tuple[float, float]]) -> float:
    """Bjontegaard delta rate: how many more bytes `ours` takes than `anchor`, in percent.

    Both are points (bytes, PSNR in dB), two or more, in any order; -10 means ten percent fewer
    bytes at equal PSNR. The logarithm of the bytes is a function of the PSNR, the monotone
    piecewise cubic of Fritsch and Carlson (1980) that video standards use in place of the single
    cubic of Bjontegaard (VCEG-M33); its difference is averaged over the PSNR that both curves have.
    Nothing is extrapolated.

    Raises `RinrInputError` for a curve of fewer than two points, of bytes that are not positive,
    or whose PSNR does not increase with its bytes, and for curves that share no range of PSNR.
    """
    one, other = _curve(ours, "ours"), _curve(anchor, "anchor")
    low, high = max(one[0][0], other[0][0]), min(one[0][-1], other[0][-1])
    if low >= high:
        ranges = " and ".join(f"{x[0]:.2f} to {x[-1]:.2f} dB" for x, _ in (one, other))
        raise RinrInputError(
            f"the curves share no range of PSNR: ours and anchor have {ranges}; want more points"
        )
    inner = [x[(x > low) & (x < high)] for x, _ in (one, other)]
    knots = np.unique(np.concatenate([[low, high], *inner]))
    middles = (knots[:-1] + knots[1:]) / 2

    def difference(at: NDArray[np.float64]) -> NDArray[np.float64]:
        return _monotone_cubic(*one, at) - _monotone_cubic(*other, at)

    # Between knots the difference is one cubic, whose integral Simpson's rule gives exactly.
    ends = difference(knots)
    pieces = np.diff(knots) * (ends[:-1] + 4 * difference(middles) + ends[1:]) / 6
    return 100 * math.expm1(float(pieces.sum()) / (high - low))


def _curve(
    points: Iterable[tuple[float, float]], name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """PSNR and the logarithm of the bytes of a curve, float64 [N] each, both increasing."""
    table = np.array(sorted(points), dtype=np.float64).reshape(-1, 2)
    if len(table) < 2:
        raise RinrInputError(f"the curve {name!r} has {len(table)} points: want two or more")
    sizes, qualities = table.T
    if not (np.isfinite(table).all() and sizes[0] > 0):
        raise RinrInputError(
            f"the curve {name!r} has {table.tolist()}: want finite, positive bytes"
        )
    stuck = np.flatnonzero((np.diff(qualities) <= 0) | (np.diff(sizes) <= 0))
    if stuck.size:
        (a, p), (b, q) = table[stuck[0]], table[stuck[0] + 1]
        raise RinrInputError(
            f"the curve {name!r} goes from {p:.2f} dB at {a:,.0f} bytes to {q:.2f} dB at "
            f"{b:,.0f}: want PSNR to increase with bytes (`rate_curve` drops what is beaten)"
        )
    return qualities, np.log(sizes)


def _monotone_cubic(
    x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The monotone piecewise cubic through y(x), float64 [N], at `at` within x: PCHIP.

    Written out, because SciPy, which has it, is no dependency of the core.
    """
    width = np.diff(x)
    slope = np.diff(y) / width
    if len(x) == 2:
        return np.asarray(y[0] + slope[0] * (at - x[0]))
    # Inside, the weighted harmonic mean of the slopes beside a point (all of one sign here).
    left, right = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    inside = (left + right) / (left / slope[:-1] + right / slope[1:])
    first = _end_slope(width[0], width[1], slope[0], slope[1])
    last = _end_slope(width[-1], width[-2], slope[-1], slope[-2])
    tangent = np.concatenate([[first], inside, [last]])
    piece = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(slope) - 1)
    h, t = width[piece], (at - x[piece]) / width[piece]
    a, b = tangent[piece] - slope[piece], tangent[piece + 1] - slope[piece]
    straight = y[piece] + h * t * slope[piece]
    return np.asarray(straight + h * t * (1 - t) * (a * (1 - t) - b * t))


def _end_slope(width: float, next_width: float, slope: float, next_slope: float) -> float:
    """The one-sided slope at an end of a rising curve, cut at 0 so that it does not fall."""
    tangent = ((2 * width + next_width) * slope - width * next_slope) / (width + next_width)
    return max(tangent, 0.0)


def _squared_errors(reference: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Squared error of every pixel, int32 [H, W], summed over its channels."""
    if reference.dtype != np.uint8 or decoded.dtype != np.uint8:
        raise RinrInputError(f"PSNR wants uint8 pictures, got {reference.dtype}, {decoded.dtype}")
    if reference.shape != decoded.shape:
        raise RinrInputError(
            f"PSNR wants pictures of one shape, got {reference.shape} and {decoded.shape}"
        )
    grey = reference.ndim == 2
    if not reference.size or not (grey or (reference.ndim == 3 and reference.shape[2] == 3)):
        raise RinrInputError(f"PSNR wants [H, W] or [H, W, 3], got {reference.shape}")
    if grey:
        return _square(reference, decoded)
    # One channel at a time keeps a 48 megapixel picture under 1 GB of intermediate memory.
    errors = _square(reference[..., 0], decoded[..., 0])
    for channel in (1, 2):
        errors += _square(reference[..., channel], decoded[..., channel])
    return errors


def _square(reference: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> NDArray[np.int32]:
    difference = np.subtract(reference, decoded, dtype=np.int32)
    return difference * difference


def _decibel(squared_error: int, samples: int) -> float:
    if squared_error == 0:
        return math.inf
    return 10.0 * math.log10(PEAK * PEAK * samples / squared_error)

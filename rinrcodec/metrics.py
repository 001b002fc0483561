"""Quality and size in numbers: PSNR of a frame and its parts; SSIM; bytes.

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
    "frame_bytes",
    "frame_quality",
    "mean_db",
    "mean_quality",
    "object_mask",
    "psnr",
    "row_bytes",
    "ssim",
    "stored_bytes",
]

PEAK = 255
LARGEST_DB = 100.0
SSIM_WINDOW = 11


@dataclass(frozen=True, slots=True)
class Quality:
    """PSNR in dB of a frame, of its pixels outside all boxes, and of those inside any box.

    None is for a part without pixels, infinity for one that is reproduced exactly.
    """

    frame: float
    background: float | None
    objects: float | None


def psnr(reference: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    """Compute the PSNR in dB between two pictures; infinity if they are equal.

    Both are uint8 of one shape, [H, W] or [H, W, 3]; anything else raises `RinrInputError`.
    """
    return _decibel(int(_squared_errors(reference, decoded).sum(dtype=np.int64)), reference.size)


def object_mask(boxes: Iterable[Box], width: int, height: int) -> NDArray[np.bool_]:
    """Draw the pixels that any box touches, bool [height, width]: the union of `Box.region`."""
    mask = np.zeros((height, width), dtype=np.bool_)
    for box in boxes:
        mask[box.region(width, height).slices] = True
    return mask


def frame_quality(
    reference: NDArray[np.uint8], decoded: NDArray[np.uint8], boxes: Iterable[Box] = ()
) -> Quality:
    """Measure the PSNR of a frame as a whole, outside its boxes and inside them.

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
    """Compute the mean of dB values, leaving out None; None if nothing is left.

    A value above 100 dB counts as 100, as video tools do it, so that one box of a few pixels that
    came back exact (infinity) does not hide all others.
    """
    known = [min(value, LARGEST_DB) for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def mean_quality(frames: Sequence[Quality]) -> Quality:
    """Compute the mean over frames: of each part, the mean dB of the frames that have it."""
    frame = mean_db(quality.frame for quality in frames)
    if frame is None:
        raise RinrInputError("no frames to take a mean over: expected at least one")
    return Quality(
        frame=frame,
        background=mean_db(quality.background for quality in frames),
        objects=mean_db(quality.objects for quality in frames),
    )


def ssim(reference: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float | None:
    """Compute the SSIM of two pictures, at most 1.

    Follows Wang et al. 2004, with a Gaussian window of sigma 1.5.

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
            f"SSIM needs pictures of one shape, got {reference.shape} and {decoded.shape}"
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
    """Compute the bytes of one INR's weights before compression, without coded bytes."""
    return group.n_params * group.bits / 8 + 2 * group.n_scales


def stored_bytes(pack: Pack, ref: InrRef) -> float:
    """Return the bytes of a row, its weights or its coded bytes, before a file compresses them."""
    group = pack.stacks[ref.group]
    coded = group.rows.coded
    return row_bytes(group.info) + (len(coded[ref.row]) if coded else 0)


def frame_bytes(pack: Pack, file_bytes: int) -> list[float]:
    """Compute the bytes of every frame of a file of `file_bytes`.

    A frame takes its weights and an equal part of the rest.

    Entropy-coded bytes of a row count with its weights. A row that several frames use is split
    among them. Where compression has made the file smaller than its weights, their bytes are
    scaled to it. The sum is the size of the file.
    """
    refs = [
        [frame.background, *(item.inr for item in frame.objects if item is not None)]
        for frame in pack.frames
    ]
    users: dict[InrRef, int] = {}
    for ref in (ref for refs_of_frame in refs for ref in refs_of_frame):
        users[ref] = users.get(ref, 0) + 1

    weights = [
        sum(stored_bytes(pack, ref) / users[ref] for ref in refs_of_frame) for refs_of_frame in refs
    ]
    total = sum(weights)
    if total > file_bytes:
        return [value * file_bytes / total for value in weights]
    rest = (file_bytes - total) / len(weights)
    return [value + rest for value in weights]


def _squared_errors(reference: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Compute the squared error of every pixel, int32 [H, W], summed over its channels."""
    if reference.dtype != np.uint8 or decoded.dtype != np.uint8:
        raise RinrInputError(f"PSNR needs uint8 pictures, got {reference.dtype}, {decoded.dtype}")
    if reference.shape != decoded.shape:
        raise RinrInputError(
            f"PSNR needs pictures of one shape, got {reference.shape} and {decoded.shape}"
        )
    grey = reference.ndim == 2
    if not reference.size or not (grey or (reference.ndim == 3 and reference.shape[2] == 3)):
        raise RinrInputError(f"PSNR needs [H, W] or [H, W, 3], got {reference.shape}")
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

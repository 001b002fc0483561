"""From network outputs to pixels: paste order, residual or direct, rounding.

Inside its region an object is pasted onto the *background*: background + gain * residual, or
gain * output in `direct` mode. Regions are pasted from the largest to the smallest (ties in box
order), so a small object is never hidden by that of a larger box around it::

    background b      1. the largest region    2. a smaller one
    +-----------+     +-----------+            +-----------+
    |           |     | +-------+ |            | +-------+ |
    |           |     | |1 1 1 1| |            | |1 +----+ |
    |           | ->  | |1 1 1 1| |    ->      | |1 |2 2 | |
    |           |     | +-------+ |            | +--+----+ |
    +-----------+     +-----------+            +-----------+

    frame[region] = b[region] + gain * output    residual; b is free of objects, also in step 2
    frame[region] = gain * output                direct
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Region
from rinrcodec.compute.arrays import Array, as_float, contiguous, is_array, moved
from rinrcodec.pack import Frame, ObjectInr
from rinrcodec.picture import Picture

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "apply_object",
    "as_rgb",
    "paste_order",
    "pixel_array",
    "pixel_tensor",
    "stack_if_equal",
    "to_array",
    "to_pixels",
    "to_signal",
]

_VALUES_AT_ONCE = 1 << 20  # that are rounded


def paste_order(frame: Frame) -> list[tuple[Region, ObjectInr]]:
    """Return the regions and objects of a frame in the order in which they are pasted."""
    pastes = [
        (box.region(frame.width, frame.height), inr)
        for box, inr in zip(frame.boxes, frame.objects, strict=True)
        if inr is not None
    ]
    return sorted(pastes, key=lambda item: item[0].area, reverse=True)


def apply_object(background: Array, outputs: Array, inr: ObjectInr) -> Array:
    """Compute the signal of a region from its background and the outputs of its object.

    Both are [h, w, channels], float32 on the scale [-1, 1].
    """
    scaled = outputs * inr.gain
    return background + scaled if inr.mode == "residual" else scaled


def pixel_array(picture: Picture) -> NDArray[np.uint8]:
    """Return the pixels of a picture as uint8 [h, w, 1 or 3]."""
    pixels = picture.pixels
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def pixel_tensor(picture: Picture) -> Tensor:
    """Return a copy of the pixels of a picture as uint8 [h, w, 1 or 3]."""
    import torch

    return torch.tensor(pixel_array(picture))


def to_signal(pixels: Array) -> Array:
    """Return uint8 pixels as the float32 values in [-1, 1] that networks output."""
    return as_float(pixels) / 127.5 - 1


def to_pixels(signal: Array) -> Array:
    """Round a signal [h, w, ...] in [-1, 1] to uint8, half to even; values beyond are clipped.

    NaN, which weights give that no fit has made, becomes 0.
    """
    # Some lines at a time: a second signal of a large frame is a gigabyte.
    lines = max(1, _VALUES_AT_ONCE // max(1, math.prod(signal.shape[1:])))
    parts = [slice(top, top + lines) for top in range(0, len(signal), lines)]
    if is_array(signal):
        pixels = np.empty_like(signal, np.uint8)
        with np.errstate(all="ignore"):
            for part in parts:
                values = signal[part] + 1
                values *= 127.5
                np.rint(values, values)
                np.fmax(values, 0, values)  # which takes 0 for a NaN
                pixels[part] = np.fmin(values, 255, values)
        return pixels
    import torch

    there = torch.empty_like(signal, dtype=torch.uint8)
    for part in parts:
        values = (signal[part] + 1).mul_(127.5).round_().clamp_(0, 255)
        there[part] = values.nan_to_num_(nan=0.0)  # a NaN is another pixel on every machine
    return there


def as_rgb(pixels: Array, *, channels_last: bool = False) -> Array:
    """Return pixels [h, w, 1 or 3] as [3, h, w], or as [h, w, 3]; grey is repeated."""
    if pixels.shape[2] == 1:
        pixels = pixels.repeat(3, 2) if is_array(pixels) else pixels.expand(-1, -1, 3)
    return contiguous(pixels if channels_last else moved(pixels, (2, 0, 1)))


def to_array(pixels: Tensor, mode: str = "RGB") -> NDArray[np.uint8]:
    """Convert decoded pixels [3, h, w] on any device to an array.

    The array is [h, w, 3], or [h, w] for mode "L".
    """
    array: NDArray[np.uint8] = (pixels[0] if mode == "L" else pixels.permute(1, 2, 0)).cpu().numpy()
    return array


def stack_if_equal(images: Sequence[Tensor]) -> Tensor | list[Tensor]:
    """Return one [n, 3, h, w] tensor if all sizes are equal, else the list."""
    import torch

    if len({image.shape for image in images}) == 1:
        return torch.stack(list(images))
    return list(images)

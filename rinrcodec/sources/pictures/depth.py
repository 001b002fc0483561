"""Greys of 16 and 32 bits as 8 bits: the whole range, or the range that the user names.

`images.picture_from_pil` calls `grey_of`. Thermal cameras use a small part of 16 bits, of which few
greys would be left; a note says so and names the range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rinrcodec.errors import RinrInputError

__all__ = [
    "DepthRange",
    "check_depth_range",
    "check_planes",
    "deep_colour_note",
    "eight_bit_greys",
    "raw_mode",
]

# The values that become 0 and 255.
DepthRange: TypeAlias = tuple[float, float]

_WHITE = 65_535
# Fewer greys than this are few, if there were twice as many values.
_FEW_GREYS = 128
_BLOCK = 2**22
# More than this share of pixels outside a range is worth a word.
_MOST_OUTSIDE = 0.8
_BITS, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT = 258, 262, 284, 339
_UNSIGNED, _SEPARATE = 1, 2


def check_depth_range(value: object) -> DepthRange:
    """Return a pair of numbers, the lower first; raise `RinrInputError` for anything else."""
    try:
        low, high = map(float, cast(Iterable[Any], value))
    except (TypeError, ValueError):
        raise RinrInputError(
            f"depth_range {value!r} is not a pair of numbers, such as (7000, 8020)"
        ) from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise RinrInputError(f"depth_range {low:g}:{high:g}: the first must be below the second")
    return low, high


def raw_mode(image: Image.Image) -> str:
    """Return Pillow's name for the pixel layout of the file; call this before loading them."""
    tiles: Sequence[Any] = getattr(image, "tile", ())
    args = tiles[0].args if tiles else ""
    first = args[0] if isinstance(args, tuple) and args else args
    # Portable pixmaps say the largest value instead.
    if isinstance(args, tuple) and tiles[0].codec_name.startswith("ppm") and args[-1] > 255:
        return f"{first};16"
    return first if isinstance(first, str) else ""


def eight_bit_greys(
    image: Image.Image, name: str, *, stored: str, depth_range: DepthRange | None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Map the greys of an image of mode "I", "I;16..." or "F" to 0 to 255.

    stored: the `raw_mode` of the image. depth_range: the values that become 0 and 255; None maps
    all 16 bits. Returns the greys, and notes for the user.

    Raises `RinrInputError` where no range is given and the values have no white.
    """
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    if values.dtype == np.int32 and tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0] == _UNSIGNED and tags:
        values = values.view(np.uint32)
    # Pillow inverts 8 bits itself.
    white_is_zero = bool(tags) and tags.get(_PHOTOMETRIC) == 0
    notes: tuple[str, ...] = ()
    if depth_range is None:
        greys, notes = _whole_range(values, name, 4095 if stored.startswith("I;12") else _WHITE)
    else:
        greys = _mapped(values, depth_range)
        notes = _outside(values, depth_range)
        if values.dtype.kind == "f" and (unknown := int(np.isnan(values).sum())):
            notes += (f"NaN pixels become black: {unknown:,} of {values.size:,}",)
    return (255 - greys if white_is_zero else greys), notes


def check_planes(image: Image.Image, name: str, stored: str) -> None:
    """Raise `RinrInputError` for a TIFF whose planes of 16 bits Pillow takes for 8 bits."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS, (1,))
    if tags.get(_PLANAR) == _SEPARATE and len(bits) > 1 and max(bits) > 8 and ";16" not in stored:
        raise RinrInputError(
            f"{name}: colour of {max(bits)} bits in separate planes (PlanarConfiguration 2) is not "
            "read; save it with interleaved samples (PlanarConfiguration 1) or as PNG"
        )


def deep_colour_note(
    pixels: NDArray[np.uint8], stored: str, depth_range: DepthRange | None
) -> tuple[str, ...]:
    """Note that values of 16 bits lost their low bits, or that a range was not applied."""
    if ";16" not in stored:
        if depth_range is None:
            return ()
        return ("has 8 bits a value, so `depth_range` is not applied",)
    channels = pixels.reshape(-1, pixels.shape[2]).T if pixels.ndim == 3 else [pixels.ravel()]
    levels = max(int(np.count_nonzero(np.bincount(one, minlength=256))) for one in channels)
    what = "grey with alpha" if stored.startswith("LA") else "colour"
    advice = "save it as 16-bit grey and use `depth_range` to keep more"
    if depth_range is not None:
        return (f"is 16-bit {what}, to which `depth_range` is not applied; {advice}",)
    if levels < _FEW_GREYS // 2 and pixels.size > 2 * levels:
        return (f"is 16-bit {what}, of which {levels} of 256 levels are left; {advice}",)
    return ()


def _whole_range(
    values: NDArray[Any], name: str, white: int
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    low, high = values.min(), values.max()
    advice = "`depth_range=(LOW, HIGH)` names the values of black and white"
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        span = f" from {finite.min():g} to {finite.max():g}" if finite.size else ""
        raise RinrInputError(
            f"{name}: floating-point pixels (mode F){span} have no fixed white; {advice}"
        )
    if low < 0 or high > _WHITE:
        raise RinrInputError(
            f"{name}: values from {low} to {high} are not unsigned 16 bits (0 to 65535); {advice}"
        )
    values = values.astype(np.uint16, copy=False)
    # 65535 = 255 * 257; adding half the divisor rounds.
    all_values = np.arange(_WHITE + 1, dtype=np.uint32)
    table = np.minimum((all_values * 255 + white // 2) // white, 255).astype(np.uint8)
    return table[values], _few_greys(values, table)


def _few_greys(values: NDArray[np.uint16], table: NDArray[np.uint8]) -> tuple[str, ...]:
    counts = np.bincount(values.ravel(), minlength=len(table))
    present = np.flatnonzero(counts)
    greys = len(np.unique(table[present]))
    if greys >= _FEW_GREYS or len(present) < 2 * greys:
        return ()
    low, high = int(present[0]), int(present[-1])
    # A few hot or dead pixels must not decide what is suggested.
    shares = np.cumsum(counts) / values.size
    inner = int(np.searchsorted(shares, 0.001)), int(np.searchsorted(shares, 0.999))
    nearly = inner[1] > inner[0] and inner[1] - inner[0] < (high - low) / 2
    suggested = inner if nearly else (low, high)
    most = f", nearly all from {inner[0]} to {inner[1]}," if nearly else ""
    return (
        f"16-bit values from {low} to {high}{most} leave {greys} of 256 greys; "
        f"`depth_range=({suggested[0]}, {suggested[1]})` keeps more",
    )


def _mapped(values: NDArray[Any], depth_range: DepthRange) -> NDArray[np.uint8]:
    low, high = depth_range
    greys = np.empty(values.shape, np.uint8)
    rows = max(1, _BLOCK // values.shape[1])  # float64 of a whole picture would take much memory
    for start in range(0, len(values), rows):
        block = values[start : start + rows].astype(np.float64)
        scaled = (np.clip(block, low, high) - low) * 255 / (high - low)
        greys[start : start + rows] = np.floor(np.nan_to_num(scaled, nan=0.0) + 0.5)
    return greys


def _outside(values: NDArray[Any], depth_range: DepthRange) -> tuple[str, ...]:
    """Note that a range has little to do with the values."""
    low, high = depth_range
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    outside = int(np.count_nonzero(known < low)) + int(np.count_nonzero(known > high))
    if outside <= _MOST_OUTSIDE * known.size:
        return ()
    return (
        f"{outside / known.size:.0%} of its values are outside of "
        f"`depth_range=({low:g}, {high:g})` and become black or white; "
        f"it has values from {known.min():g} to {known.max():g}",
    )

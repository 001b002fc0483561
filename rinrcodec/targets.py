"""What one asks of a background: a price of bits, a quality, or a size. Plain data, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from rinrcodec.errors import RinrInputError

__all__ = ["EXCLUSIVE", "Target"]

# They say the same thing in other words.
EXCLUSIVE = ("lmbda", "psnr", "n_bytes", "quality")
EXCLUSIVE_OF_OBJECTS = ("objects_psnr", "objects_quality")


@dataclass(frozen=True, slots=True)
class Target:
    """The quality or size that backgrounds are fitted for: at most one, besides `objects_psnr`.

    Families say which of these they understand; without any, a preset decides.

    lmbda: minimise mean squared error (of values from 0 to 1) + lmbda x bits per pixel.
    psnr: dB of the frame; where `objects_psnr` is given, outside of the boxes.
    n_bytes: of a frame, its share of the networks included.
    objects_psnr: dB inside the boxes; without it, the preset says how much more they count.
    quality: 0 to 100, as of AVIF files; a whole number.
    """

    lmbda: float | None = None
    psnr: float | None = None
    n_bytes: int | None = None
    objects_psnr: float | None = None
    quality: int | None = None
    objects_quality: int | None = None

    def __post_init__(self) -> None:
        for names in (EXCLUSIVE, EXCLUSIVE_OF_OBJECTS):
            rivals = [name for name in names if getattr(self, name) is not None]
            if len(rivals) > 1:
                raise RinrInputError(f"a target of {' and '.join(rivals)}: want one of them")
        for name, (low, high) in _TARGET_RANGES.items():
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, Real) or not low <= float(value) <= high:
                raise RinrInputError(f"a target with {name}={value!r}: want {low:g} to {high:g}")

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the fields that have a value."""
        return tuple(name for name in _TARGET_RANGES if getattr(self, name) is not None)


_TARGET_RANGES = {
    "lmbda": (1e-6, 1.0),
    "psnr": (10.0, 60.0),
    "n_bytes": (1, 2**30),
    "objects_psnr": (10.0, 60.0),
    "quality": (0, 100),
    "objects_quality": (0, 100),
}

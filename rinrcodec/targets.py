"""Targets of an encoder: a price of bits, a quality, or a size. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from typing import Literal, get_args

from rinrcodec.errors import RinrInputError

__all__ = [
    "EXCLUSIVE",
    "EXCLUSIVE_OF_OBJECTS",
    "TUNES",
    "Miss",
    "Target",
    "TargetWarning",
    "Tune",
    "out_of_range",
    "target_text",
]

Tune = Literal["psnr", "accuracy"]
TUNES: tuple[Tune, ...] = get_args(Tune)

# They say the same thing in other words.
EXCLUSIVE = ("lmbda", "psnr", "n_bytes", "quality")
EXCLUSIVE_OF_OBJECTS = ("objects_psnr", "objects_quality")


@dataclass(frozen=True, slots=True)
class Target:
    """The quality or size to encode for: at most one for backgrounds, and one for objects.

    Families say which of these they understand; without any, a preset decides.

    Attributes:
        lmbda: Minimise mean squared error (of values from 0 to 1) + lmbda x bits per pixel.
        psnr: dB of the background: the mean over the frames of a row. Where the family keeps
            objects sharp itself and `objects_psnr` is given, outside of the boxes.
        n_bytes: Of a frame on average, with all that is in a file: n frames take n times as many.
        quality: 0 to 100, the best; a whole number.
        objects_psnr: dB inside the boxes of a frame: the mean over the frames.
            An object that the background shows as well as that takes no bytes.
        objects_quality: 0 to 100, the best; a whole number.
        tune: What bytes are spent on: "psnr", the least error, or "accuracy", what detectors need.
            It goes with any of the others. None is "psnr" where a PSNR is asked for, and otherwise
            "accuracy".

    Example:
        >>> from rinrcodec import Target
        >>> Target(psnr=30, objects_psnr=36).given
        ('psnr', 'objects_psnr')
    """

    lmbda: float | None = None
    psnr: float | None = None
    n_bytes: int | None = None
    objects_psnr: float | None = None
    quality: int | None = None
    objects_quality: int | None = None
    tune: Tune | None = None

    def __post_init__(self) -> None:
        for names in (EXCLUSIVE, EXCLUSIVE_OF_OBJECTS):
            rivals = [name for name in names if getattr(self, name) is not None]
            if len(rivals) > 1:
                raise RinrInputError(f"a target of {' and '.join(rivals)}: give one of them")
        for name in _TARGET_RANGES:
            value = getattr(self, name)
            if value is not None and (expected := out_of_range(name, value)):
                raise RinrInputError(f"a target with {name}={value!r}: expected {expected}")
        if self.tune is not None and self.tune not in TUNES:
            choices = " or ".join(TUNES)
            raise RinrInputError(f"a target with tune={self.tune!r}: expected {choices}")

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the fields that have a value."""
        names = (*_TARGET_RANGES, "tune")
        return tuple(name for name in names if getattr(self, name) is not None)

    @property
    def text(self) -> str:
        """What is asked for, as `Pack.info` has it; "" for what is so without asking.

        Example:
            >>> Target(quality=30, objects_psnr=36.5, tune="accuracy").text
            'objects_psnr=36.5, quality=30, tune=accuracy'
        """
        usual = replace(self, tune=None)
        is_usual = usual.tuned_for == self.tuned_for
        return target_text(asdict(usual if is_usual else self))

    @property
    def tuned_for(self) -> Tune:
        """The measure that bits are spent on: `tune`, or the default for None."""
        if self.tune is not None:
            return self.tune
        asks_for_psnr = self.psnr is not None or self.objects_psnr is not None
        return "psnr" if asks_for_psnr else "accuracy"


def target_text(fields: Mapping[str, object]) -> str:
    """Return the fields of a target that have a value, for people."""
    given = ((name, value) for name, value in fields.items() if value is not None)
    return ", ".join(
        f"{name}={f'{value:.10g}' if isinstance(value, float) else value}" for name, value in given
    )


_WHOLE = ("n_bytes", "quality", "objects_quality")
_TARGET_RANGES = {
    "lmbda": (1e-6, 1.0),
    "psnr": (10.0, 60.0),
    "n_bytes": (1, 2**30),
    "objects_psnr": (10.0, 60.0),
    "quality": (0, 100),
    "objects_quality": (0, 100),
}


def out_of_range(field: str, value: object) -> str | None:
    """Return what a field of a target may be, in words; None where the value is that."""
    low, high = _TARGET_RANGES[field]
    kind, what = (Integral, "a whole number") if field in _WHOLE else (Real, "a number")
    if isinstance(value, kind) and not isinstance(value, bool) and low <= float(value) <= high:
        return None
    return f"{what} from {_plain(low)} to {_plain(high)}"


def _plain(number: float) -> str:
    return f"{number:,.6f}".rstrip("0").rstrip(".")


# Where the PSNR of a target is measured, for a frame.
_WHERE = {"psnr": "without its objects", "objects_psnr": "in its boxes"}


class TargetWarning(UserWarning):
    """Warn that a pack misses the quality or size that was asked for."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Describe a target that some frames miss.

    Attributes:
        field: The field of `Target`.
        wanted: Its value.
        reached: The value of the worst of these frames; of `n_bytes` the mean of all of them.
        frames: How many frames miss it.
        name: The name of the worst frame; of `n_bytes` of the first one.

    Example:
        >>> from rinrcodec import Miss
        >>> miss = Miss("psnr", wanted=40, reached=38.2, frames=2, name="a.png")
        >>> miss.text("--target-psnr").partition(": ")[0]
        '2 frames miss the target --target-psnr of 40 dB'
    """

    field: str
    wanted: float
    reached: float
    frames: int
    name: str

    def text(self, name: str | None = None) -> str:
        """Return a sentence about it.

        Args:
            name: What to call the target, such as the name of an option; None takes `field`.
        """
        if self.field == "n_bytes":
            taken = "1 frame takes" if self.frames == 1 else f"{self.frames:,} frames take"
            average = "" if self.frames == 1 else " on average"
            return (
                f"{taken} {self.reached:,.0f} bytes{average}, more than the target "
                f"{name or self.field} of {self.wanted:,.0f}; allow more bytes, or encode smaller "
                "pictures"
            )
        frames = "1 frame misses" if self.frames == 1 else f"{self.frames:,} frames miss"
        return (
            f"{frames} the target {name or self.field} of {self.wanted:,g} dB: the worst, "
            f"{self.name}, has {self.reached:,.2f} dB {_WHERE[self.field]}; ask for less, or use a "
            "slower preset"
        )

    def worse(self, other: Miss) -> bool:
        """Return whether this misses the same target by more than another does.

        Args:
            other: Of the same target.
        """
        return abs(self.reached - self.wanted) > abs(other.reached - other.wanted)

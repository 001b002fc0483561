"""Presets: which backgrounds and objects are fitted, and for how long. Plain data, no torch.

A preset's name says how much effort it takes. What that means for a family is in the folder of the
family. `paper` exists for the families of the paper only, so without a family it takes the first of
them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from types import MappingProxyType

from rinrcodec.compute.devices import require_torch
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.families import (
    DEFAULT_BACKGROUND,
    DEFAULT_OBJECTS,
    OBJECT_CHOICES,
    background_families,
    background_families_for,
    background_family,
    object_families,
    object_family,
)
from rinrcodec.families.cheapest import Cheapest
from rinrcodec.families.interface import BackgroundEncoder, ObjectEncoder
from rinrcodec.pack import ObjectMode
from rinrcodec.targets import EXCLUSIVE_OF_OBJECTS, Target

__all__ = [
    "MOST_SOFTEN",
    "PRESETS",
    "PRESET_NAMES",
    "Preset",
    "compared_backgrounds",
    "default_background",
    "for_psnr",
    "get_preset",
    "target_problem",
]

# Preset -> the gain in dB above which an object is kept.
_MIN_GAIN = {"paper": 0.0, "fast": 0.2, "balanced": 0.2, "best": 0.2}
PRESET_NAMES = tuple(_MIN_GAIN)
# Pixels: more than objects are large.
MOST_SOFTEN = 64
_ANY = Target()


@dataclass(frozen=True, slots=True)
class Preset:
    """Hold the settings of `encode`. Get one from `rinrcodec.presets.get_preset`.

    Attributes:
        name: The effort, the family of the backgrounds, and what was changed.
        background: How backgrounds are fitted.
        objects: How objects are fitted; None where boxes get no objects of their own.
        object_mode: "residual" adds objects to the background, "direct" replaces it.
        min_gain: Keep an object if it raises the PSNR inside its box by more than this, in dB.
            Minus infinity keeps all.
        soften: Blur frames outside of their boxes before backgrounds are fitted: the standard
            deviation in pixels.

    Example:
        >>> from rinrcodec.presets import get_preset
        >>> get_preset("fast").with_steps(100).name.endswith("100 steps")
        True
    """

    name: str
    background: BackgroundEncoder
    objects: ObjectEncoder | None
    object_mode: ObjectMode = "residual"
    min_gain: float = 0.0
    soften: float = 0.0

    def require_packages(self) -> None:
        """Raise `MissingExtraError` where what this preset fits needs torch, which is not there."""
        family = background_family(self.background.family)
        if family.needs_torch or (self.objects is not None and self.objects.needs_torch):
            require_torch("fitting networks")

    def with_steps(self, steps: int) -> Preset:
        """Return the preset with another number of fitting steps for backgrounds and objects.

        Args:
            steps: 1 or more; for a family of sequences, epochs.

        Raises:
            RinrInputError: It is not a whole number of 1 or more.
        """
        if not isinstance(steps, Integral) or steps < 1:
            raise RinrInputError(f"steps={steps!r}: expected a whole number, 1 or more")
        return replace(
            self,
            name=f"{self.name}, {steps} steps",
            background=self.background.with_steps(steps),
            objects=self.objects and self.objects.with_steps(steps),
        )

    def with_gop(self, gop: int) -> Preset:
        """Return the preset with at most so many frames of a sequence in a row.

        Args:
            gop: 1 or more; with 1, every frame is read alone.

        Raises:
            RinrInputError: The number is wrong, or the family makes no such groups.
        """
        family = self.background.family
        if background_family(family).gop is None:
            able = [name for name, one in background_families().items() if one.gop is not None]
            raise RinrInputError(
                f"`gop`: backgrounds of the family {family!r} have no groups of frames; leave it "
                f"out, or use {' or '.join(able)} backgrounds"
            )
        return replace(
            self,
            name=f"{self.name}, gop {gop}",
            background=self.background.with_gop(gop),
            objects=self.objects and self.objects.with_gop(gop),
        )

    def with_shrink(self, factor: int) -> Preset:
        """Return the preset that stores backgrounds smaller. Decoding enlarges them.

        Args:
            factor: Divisor of width and height; 1 keeps the size.

        Raises:
            RinrInputError: The family does not support this factor.
        """
        family = self.background.family
        factors = background_family(family).shrinks
        whole = isinstance(factor, Integral) and not isinstance(factor, bool)
        if whole:
            factor = int(factor)  # NumPy's, too
        if whole and factor == self.background.shrink:
            return self
        if not whole or factor not in (1, *factors):
            if factors:
                raise RinrInputError(f"`shrink={factor!r}`: expected {_choices((1, *factors))}")
            able = {name: one.shrinks for name, one in background_families().items() if one.shrinks}
            known = " and ".join(f"{name} (by {_choices(its)})" for name, its in able.items())
            raise RinrInputError(
                f"`shrink={factor!r}`: only backgrounds of {known} can be shrunk, not those of "
                f"{family!r}"
            )
        return replace(
            self,
            name=f"{self.name}, shrink {factor}",
            background=self.background.with_shrink(factor),
        )

    def with_soften(self, sigma: float) -> Preset:
        """Return the preset that blurs frames outside of their boxes.

        Args:
            sigma: Standard deviation of the blur in pixels, from 0 (no blur) to 64.

        Raises:
            RinrInputError: It is none of these numbers.
        """
        number = isinstance(sigma, Real) and not isinstance(sigma, bool)
        if not number or not 0 <= float(sigma) <= MOST_SOFTEN:
            raise RinrInputError(f"soften={sigma!r}: expected 0 to {MOST_SOFTEN} pixels")
        if not sigma:
            return self
        return replace(self, name=f"{self.name}, softened {sigma:g}", soften=float(sigma))

    def alone(self) -> Preset:
        """Return the preset for files of one frame: no row serves two frames.

        Raises:
            RinrInputError: The family of the backgrounds cannot do that.
        """
        return replace(
            self,
            background=self.background.alone(),
            objects=self.objects and self.objects.alone(),
        )

    def for_ladder(self, background_bits: int) -> Preset:
        """Return the preset with 16-bit objects that are all kept, as the rungs of the ladder.

        Args:
            background_bits: Bits of a weight of the backgrounds.
        """
        return replace(
            self,
            background=self.background.with_bits(background_bits),
            objects=self.objects and self.objects.with_bits(16),
            min_gain=-math.inf,
        )


def get_preset(
    name: str | Preset,
    *,
    steps: int | None = None,
    background: str | None = None,
    objects: str | None = None,
    gop: int | None = None,
    shrink: int | None = None,
    soften: float | None = None,
) -> Preset:
    """Return a preset by its name.

    Args:
        name: One of `PRESET_NAMES`, or a `Preset`, which only `steps`, `gop`, `shrink` and
            `soften` can change.
        steps: Fitting steps in place of the preset's; for a family of sequences, epochs.
        background: The family of the backgrounds, by its name in `rinrcodec.families`; None takes
            that of `default_background`.
        objects: The family of the objects on top; "auto" takes for each object the one of the
            fewest bytes, "none" leaves objects out. None takes "auto", and no objects where the
            backgrounds keep them sharp themselves.
        gop: The largest number of frames in a row, where the family cuts sequences into groups of
            frames.
        shrink: Store backgrounds smaller, as of `Preset.with_shrink`.
        soften: Blur frames outside of their boxes, as of `Preset.with_soften`.

    Raises:
        RinrInputError: There is no such preset or family, the family has no such preset or no
            groups of frames, `steps` is not a whole number of 1 or more, or `shrink` or `soften`
            is wrong.

    Example:
        >>> from rinrcodec.presets import get_preset
        >>> get_preset("fast", steps=50).name.endswith(", 50 steps")
        True
    """
    if isinstance(name, Preset):
        preset = name
    else:
        preset = _named(name, background or default_background(name), objects)
    preset = preset if steps is None else preset.with_steps(steps)
    preset = preset if gop is None else preset.with_gop(gop)
    preset = preset if shrink is None else preset.with_shrink(shrink)
    return preset if soften is None else preset.with_soften(soften)


def default_background(name: str) -> str:
    """Return the family of the backgrounds of a preset where none is given.

    Args:
        name: One of `PRESET_NAMES`.

    Returns:
        `DEFAULT_BACKGROUND`; for `paper`, which it lacks, the first family that has it.

    Raises:
        RinrInputError: There is no such preset.

    Example:
        >>> from rinrcodec.families import DEFAULT_BACKGROUND
        >>> from rinrcodec.presets import default_background
        >>> default_background("balanced") == DEFAULT_BACKGROUND
        True
        >>> default_background("paper") == DEFAULT_BACKGROUND
        False
    """
    _check_name(name)
    if name in background_family(DEFAULT_BACKGROUND).background_presets():
        return DEFAULT_BACKGROUND
    families = background_families().items()
    return next(family for family, one in families if name in one.background_presets())


def for_psnr(background: str, target: Target = _ANY) -> Target:
    """Return a target that spends bytes on the least error, where a family lets users choose.

    For comparisons of PSNR. Elsewhere, such families spend bytes on what detectors need.

    Args:
        background: The family of the backgrounds.
        target: What else is asked for.
    """
    takes_it = "tune" in background_family(background).targets
    return replace(target, tune="psnr") if takes_it else target


def compared_backgrounds(name: str, *, sequences: bool) -> list[str]:
    """Return the backgrounds to compare where none are given: the default, then the paper's.

    Args:
        name: A name of `PRESET_NAMES`, which all of them have.
        sequences: Include families that fit a network to a sequence.
    """
    paper = [
        family
        for family, one in background_families().items()
        if one.resizable and (sequences or not one.joins_frames)
    ]
    return list(dict.fromkeys([default_background(name), *paper]))


def target_problem(
    target: Target, background: str, objects: str | None, *, soften: bool = False
) -> str | None:
    """Say what is wrong with a target for families, or return None.

    Args:
        target: The target.
        background: The family of the backgrounds.
        objects: The objects on top, as of `get_preset`.
        soften: Whether frames are blurred outside of their boxes.
    """
    if soften and target.psnr is not None:
        return (
            "a target PSNR of the background and soften: a blurred background cannot be as near to "
            "the source; give one of the two, or ask for a quality or for bytes"
        )
    asked = set(target.given)
    of_objects = [name for name in target.given if name in EXCLUSIVE_OF_OBJECTS]
    if of_objects and objects == "none" and background_family(background).takes_objects:
        return f"a target of {of_objects[0]} with objects 'none': leave out one of the two"
    if background in background_families_for(asked, objects):
        return None
    what = f"a target of {' and '.join(target.given)} for {background} backgrounds"
    if background in background_families_for(asked):
        return f"{what} with objects {objects!r}, which do not support it: use 'auto'"
    able = background_families_for(asked)
    wanted = f"; use {' or '.join(able)}" if able else ""
    return f"{what}: they do not support it{wanted}"


def _choices(values: Sequence[int]) -> str:
    *first, last = map(str, values)
    return f"{', '.join(first)} or {last}"


def _check_name(name: str) -> None:
    if name not in PRESET_NAMES:
        raise RinrInputError(f"unknown preset {name!r}: expected one of {', '.join(PRESET_NAMES)}")


def _named(name: str, background: str, objects: str | None) -> Preset:
    _check_name(name)
    try:
        family = background_family(background)
    except RinrFormatError:
        known = ", ".join(background_families())
        raise RinrInputError(f"background {background!r}: expected one of {known}") from None
    encoders = family.background_presets()
    if name not in encoders:
        raise RinrInputError(
            f"the preset {name!r} has no {background} background: expected one of "
            f"{', '.join(encoders)}"
        )
    if objects is not None and not family.takes_objects:
        raise RinrInputError(
            f"objects {objects!r}: a {background} background keeps objects sharp itself; leave "
            "objects out"
        )
    return Preset(
        f"{name}, {background}",
        encoders[name],
        _objects(name, objects or DEFAULT_OBJECTS) if family.takes_objects else None,
        min_gain=_MIN_GAIN[name],
    )


def _objects(name: str, objects: str) -> ObjectEncoder | None:
    if objects == "none":
        return None
    if objects == "auto":
        return _cheapest(name)
    try:
        encoders = object_family(objects).object_presets()
    except RinrFormatError:
        known = ", ".join([*OBJECT_CHOICES, *object_families()])
        raise RinrInputError(f"objects {objects!r}: expected one of {known}") from None
    if name not in encoders:
        raise RinrInputError(
            f"the preset {name!r} has no {objects} objects: expected one of {', '.join(encoders)}"
        )
    return encoders[name]


def _cheapest(name: str) -> ObjectEncoder:
    """Return an encoder in which each object takes the family of the fewest bytes.

    The first family that can be asked for a quality codes all; where none has the preset, the first
    that has it is the only one.
    """
    known = [
        (one, one.object_presets()[name])
        for one in object_families().values()
        if name in one.object_presets()
    ]
    main = next((encoder for one, encoder in known if one.object_targets), None)
    if main is None:
        return known[0][1]
    return Cheapest(main, tuple(one for _, one in known if one.sized and one is not main))


PRESETS: Mapping[str, Preset] = MappingProxyType({name: get_preset(name) for name in PRESET_NAMES})

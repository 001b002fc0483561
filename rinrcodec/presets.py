"""Presets: which networks are fitted, for how long, with how many bits. Plain data, no torch.

`paper` is Residual-INR's own choice (arXiv 2408.05617), unchanged. The others were chosen by
measuring; docs/results shows their time and quality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from types import MappingProxyType

from rinrcodec.errors import RinrInputError
from rinrcodec.model import ObjectMode, Spec

__all__ = ["PRESETS", "Part", "Preset", "Recipe", "SizeClass", "get_preset"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of INR is fitted.

    steps: Adam steps; the learning rate rises over `warmup` steps and falls as a cosine that
        reaches zero after `schedule` steps (None: after `steps`).
    samples: pixels drawn per step without replacement; None takes every pixel in every step.
    quantized: share of the steps, the last ones, that see the quantised weights.
    """

    steps: int
    learning_rate: float
    samples: int | None
    warmup: int = 100
    betas: tuple[float, float] = (0.9, 0.999)
    quantized: float = 0.2
    schedule: int | None = None


@dataclass(frozen=True, slots=True)
class SizeClass:
    """The SIREN for areas of at most `max_area` pixels (None: of any size)."""

    max_area: int | None
    depth: int
    width: int


@dataclass(frozen=True, slots=True)
class Part:
    """One of the two kinds of INR: its size classes in rising order, bits and recipe."""

    sizes: tuple[SizeClass, ...]
    bits: int
    recipe: Recipe
    w0: float = 30.0
    w0_first: float = 30.0

    def spec(self, area: int, channels: int) -> Spec:
        """The network for an area in pixels; `channels` is 3 for RGB, 1 for grey."""
        size = next(s for s in self.sizes if s.max_area is None or area <= s.max_area)
        return Spec.of(
            "siren",
            depth=size.depth,
            width=size.width,
            out=channels,
            w0=self.w0,
            w0_first=self.w0_first,
        )


@dataclass(frozen=True, slots=True)
class Preset:
    """Everything that `encode` needs to know beside the pictures.

    min_gain: an object INR is kept when it raises the PSNR inside its box by more than this, in dB.
    """

    name: str
    background: Part
    objects: Part
    object_mode: ObjectMode = "residual"
    min_gain: float = 0.0

    def with_steps(self, steps: int) -> Preset:
        """The preset with another number of fitting steps for both kinds of INR."""
        if not isinstance(steps, Integral) or steps < 1:
            raise RinrInputError(f"steps={steps!r}: want a whole number, 1 or more")

        def shortened(part: Part) -> Part:
            recipe = replace(part.recipe, steps=steps, warmup=min(part.recipe.warmup, steps // 4))
            return replace(part, recipe=recipe)

        name = f"{self.name}, {steps} steps"
        return replace(
            self, name=name, background=shortened(self.background), objects=shortened(self.objects)
        )


_PAPER_OBJECTS = (
    SizeClass(1_000, 3, 10),
    SizeClass(3_000, 3, 15),
    SizeClass(10_000, 5, 17),
    SizeClass(None, 5, 24),
)
_PAPER_RECIPE = Recipe(10_000, 2e-4, None, warmup=0, quantized=0.0)

_OBJECTS = (SizeClass(64, 2, 6), *_PAPER_OBJECTS)
_BACKGROUNDS = (
    SizeClass(256, 2, 8),
    SizeClass(2_048, 3, 14),
    SizeClass(8_192, 3, 20),
    SizeClass(32_768, 4, 24),
    SizeClass(131_072, 5, 32),
    SizeClass(600_000, 5, 40),
    SizeClass(2_500_000, 5, 56),
    SizeClass(None, 5, 80),
)


def _measured(name: str, background_steps: int, object_steps: int, samples: int) -> Preset:
    return Preset(
        name,
        Part(_BACKGROUNDS, 8, Recipe(background_steps, 1.5e-3, samples)),
        Part(_OBJECTS, 16, Recipe(object_steps, 6e-3, 2 * samples), w0=20.0, w0_first=15.0),
        min_gain=0.2,
    )


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "paper": Preset(
            "paper",
            Part((SizeClass(None, 10, 28),), 8, _PAPER_RECIPE),
            Part(_PAPER_OBJECTS, 16, _PAPER_RECIPE),
        ),
        "fast": _measured("fast", 1_000, 300, 1_024),
        "balanced": _measured("balanced", 5_000, 1_000, 2_048),
        "best": _measured("best", 12_000, 4_000, 4_096),
    }
)


def get_preset(name: str | Preset, *, steps: int | None = None) -> Preset:
    """A preset by name, with `steps` in place of its own where given."""
    if isinstance(name, Preset):
        preset = name
    elif name in PRESETS:
        preset = PRESETS[name]
    else:
        raise RinrInputError(f"unknown preset {name!r}: want one of {', '.join(PRESETS)}")
    return preset if steps is None else preset.with_steps(steps)

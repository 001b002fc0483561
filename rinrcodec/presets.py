"""Presets: which networks are fitted, for how long, with how many bits. Plain data, no torch.

`paper` is Residual-INR's own choice (arXiv 2408.05617), unchanged, for a background of either
family. The others were chosen by measuring; docs/results shows their time and quality.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from types import MappingProxyType

from rinrcodec.errors import RinrInputError
from rinrcodec.pack import ObjectMode, Spec

__all__ = [
    "BACKGROUNDS",
    "MOST_FRAMES",
    "MOST_PREDICTED",
    "PRESETS",
    "Part",
    "Preset",
    "PyramidPart",
    "Recipe",
    "SequencePart",
    "SequenceSize",
    "SizeClass",
    "Target",
    "get_preset",
]

BACKGROUNDS = ("siren", "nerv", "pyramid")
# Of a row of latents, in its format: in all, and where each is predicted from the one before.
MOST_FRAMES = 64
MOST_PREDICTED = 8


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one kind of INR is fitted.

    steps: Adam steps; the learning rate rises over `warmup` steps and falls as a cosine that
        reaches zero after `schedule` steps (None: after `steps`). For the network of a sequence
        all three count epochs, which see every frame once.
    samples: pixels drawn per step without replacement; None takes every pixel in every step. For
        the network of a sequence: frames per step; None takes one.
    quantized: share of the steps, the last ones, that see the quantised weights.
    ssim: for the network of a sequence, the share of 1 - SSIM in the loss, the rest of which is
        the absolute error; with 0 the loss is the squared error, as it is for all other networks.
    """

    steps: int
    learning_rate: float
    samples: int | None
    warmup: int = 100
    betas: tuple[float, float] = (0.9, 0.999)
    quantized: float = 0.2
    schedule: int | None = None
    ssim: float = 0.0


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
class SequenceSize:
    """The NeRV for sequences of at most `max_pixels` pixels, all frames together (None: any).

    stem: hidden units of the MLP; features: channels of its grid and of the first block; every
    further block has half as many, but at least `narrowest`.
    """

    max_pixels: int | None
    stem: int
    features: int
    narrowest: int


@dataclass(frozen=True, slots=True)
class SequencePart:
    """A background that is one NeRV for all frames of a sequence, in place of a `Part`.

    sizes: size classes in rising order. A sequence of more than `longest` frames, or of more than
    `most_pixels` in all of them, is cut into chunks with a network each.
    """

    sizes: tuple[SequenceSize, ...]
    bits: int
    recipe: Recipe
    longest: int = 256
    most_pixels: int = 2**27

    def chunk(self, n_frames: int, area: int) -> int:
        """How many of `n_frames` frames of `area` pixels each the first chunk takes."""
        most = max(1, min(self.longest, self.most_pixels // area))
        return math.ceil(n_frames / math.ceil(n_frames / most))

    def spec(self, width: int, height: int, n_frames: int, channels: int) -> Spec:
        """The network for frames of a size in pixels; `channels` is 3 for RGB, 1 for grey."""
        pixels = width * height * n_frames
        size = next(s for s in self.sizes if s.max_pixels is None or pixels <= s.max_pixels)
        strides = _strides(min(width, height))
        widths = [size.features]
        while len(widths) < len(strides):
            widths.append(max(widths[-1] // 2, size.narrowest))
        enlarged = math.prod(strides)
        return Spec.of(
            "nerv",
            grid_width=math.ceil(width / enlarged),
            grid_height=math.ceil(height / enlarged),
            strides=",".join(map(str, strides)),
            stem=size.stem,
            features=size.features,
            widths=",".join(map(str, widths)),
            out=channels,
            levels=40,
            base=1.25,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """What a `pyramid` background is fitted for: one of the first three, or the preset's lambda.

    lmbda: minimise mean squared error (of values from 0 to 1) + lmbda x bits per pixel.
    psnr: dB of the frame; where `objects_psnr` is given, outside of the boxes.
    n_bytes: of a frame, its share of the networks included.
    objects_psnr: dB inside the boxes; without it, the preset says how much more they count.
    """

    lmbda: float | None = None
    psnr: float | None = None
    n_bytes: int | None = None
    objects_psnr: float | None = None

    def __post_init__(self) -> None:
        given = {
            name: getattr(self, name)
            for name in ("lmbda", "psnr", "n_bytes")
            if getattr(self, name) is not None
        }
        if len(given) > 1:
            raise RinrInputError(f"a target of {' and '.join(given)}: want one of them")
        for name, (low, high) in _TARGET_RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise RinrInputError(f"a target with {name}={value}: want {low:g} to {high:g}")


_TARGET_RANGES = {
    "lmbda": (1e-6, 1.0),
    "psnr": (10.0, 60.0),
    "n_bytes": (1, 2**30),
    "objects_psnr": (10.0, 60.0),
}


@dataclass(frozen=True, slots=True)
class PyramidPart:
    """A background that is a pyramid of latents for every frame, in place of a `Part`.

    lmbda: of a target that names nothing else.
    object_weight: how much more an error counts inside a box.
    together: frames of a row at most, which share networks; fewer where they have over
        `most_pixels` pixels. As many as the command line encodes at once.
    shared_below: bytes of a frame's latents, in a trial: where they are more, every frame has a
        row, and so networks, of its own, unless it is predicted.
    chunk: frames of a row at most where each is predicted from the one before: to see one of them,
        those before it are decoded.
    at_once: pixels whose gradients are in memory at once, of predicted frames and on a GPU: they
        take about a kilobyte each.
    The recipe's learning rate is that of networks, and of latents in sixteenths of a step.
    """

    recipe: Recipe
    lmbda: float = 1e-3
    object_weight: float = 4.0
    together: int = 16
    shared_below: int = 8_000
    chunk: int = MOST_PREDICTED
    most_pixels: int = 2**23
    at_once: int = 2**21
    start: str = "a"

    def __post_init__(self) -> None:
        # Found out after a long fit otherwise, by a decoder.
        for name, most in (("together", MOST_FRAMES), ("chunk", MOST_PREDICTED)):
            if not 1 <= getattr(self, name) <= most:
                raise RinrInputError(
                    f"{name}={getattr(self, name)}: want 1 to {most} frames of a row"
                )

    def predicted(self, area: int) -> int:
        """How many frames of `area` pixels a row has at most where they are predicted."""
        return max(1, min(self.chunk, self.at_once // area))

    def rows(self, n_frames: int, area: int) -> int:
        """How many rows, of about as many frames each, take frames of `area` pixels."""
        return math.ceil(n_frames / max(1, min(self.together, self.most_pixels // area)))

    def spec(self, channels: int) -> Spec:
        """The networks; `channels` is 3 for RGB, 1 for grey."""
        return Spec.of("pyramid", out=channels, start=self.start)


def _strides(shorter: int) -> list[int]:
    """How the blocks enlarge a grid of at most 9 cells to the shorter side of a frame, in pixels.

    The paper's 5, 2, 2, 2 for 640x360; as many twos as are needed for other sizes.
    """
    strides = [5]
    while shorter > 9 * math.prod(strides):
        strides.append(2)
    return strides


@dataclass(frozen=True, slots=True)
class Preset:
    """Everything that `encode` needs to know beside the pictures.

    min_gain: an object INR is kept when it raises the PSNR inside its box by more than this, in dB.
    """

    name: str
    background: Part | SequencePart | PyramidPart
    objects: Part
    object_mode: ObjectMode = "residual"
    min_gain: float = 0.0

    def with_steps(self, steps: int) -> Preset:
        """The preset with another number of fitting steps for both kinds of INR."""
        if not isinstance(steps, Integral) or steps < 1:
            raise RinrInputError(f"steps={steps!r}: want a whole number, 1 or more")

        def shortened(recipe: Recipe) -> Recipe:
            return replace(recipe, steps=steps, warmup=min(recipe.warmup, steps // 4))

        return replace(
            self,
            name=f"{self.name}, {steps} steps",
            background=replace(self.background, recipe=shortened(self.background.recipe)),
            objects=replace(self.objects, recipe=shortened(self.objects.recipe)),
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


# By the pixels of all frames of a sequence: about one byte of weights for 150 of them.
_SEQUENCE_SIZES = (
    SequenceSize(1_000_000, 8, 4, 4),
    SequenceSize(4_000_000, 16, 6, 6),
    SequenceSize(8_000_000, 24, 8, 8),
    SequenceSize(16_000_000, 32, 12, 10),
    SequenceSize(40_000_000, 48, 16, 12),
    SequenceSize(100_000_000, 64, 24, 16),
    SequenceSize(None, 96, 32, 16),
)


def _measured_sequence(epochs: int) -> SequencePart:
    recipe = Recipe(epochs, 2e-2, 2, warmup=epochs // 10)
    return SequencePart(_SEQUENCE_SIZES, 8, recipe)


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


_SEQUENCES: Mapping[str, SequencePart] = MappingProxyType(
    {
        "paper": SequencePart(
            (SequenceSize(None, 256, 16, 96),),
            8,
            Recipe(300, 5e-4, None, warmup=60, quantized=0.0, ssim=0.3),
            longest=1024,
            most_pixels=2**28,
        ),
        "fast": _measured_sequence(40),
        "balanced": _measured_sequence(200),
        "best": _measured_sequence(600),
    }
)


_PYRAMIDS: Mapping[str, PyramidPart] = MappingProxyType(
    {
        name: PyramidPart(Recipe(steps, 1e-2, None, warmup=0))
        for name, steps in (("fast", 200), ("balanced", 600), ("best", 2_000))
    }
)


def get_preset(
    name: str | Preset, *, steps: int | None = None, background: str = "siren"
) -> Preset:
    """A preset by name, with `steps` in place of its own where given.

    background: the family of the background INRs of a preset that is given by name, one of
    `BACKGROUNDS`.
    """
    if background not in BACKGROUNDS:
        raise RinrInputError(f"background {background!r}: want one of {', '.join(BACKGROUNDS)}")
    if isinstance(name, Preset):
        preset = name
    elif name in PRESETS:
        preset = PRESETS[name]
        if background == "nerv":
            preset = replace(preset, name=f"{name}, nerv", background=_SEQUENCES[name])
        elif background == "pyramid":
            if name not in _PYRAMIDS:
                raise RinrInputError(
                    f"the preset {name!r} has no pyramid background: want one of "
                    f"{', '.join(_PYRAMIDS)}"
                )
            preset = replace(preset, name=f"{name}, pyramid", background=_PYRAMIDS[name])
    else:
        raise RinrInputError(f"unknown preset {name!r}: want one of {', '.join(PRESETS)}")
    return preset if steps is None else preset.with_steps(steps)

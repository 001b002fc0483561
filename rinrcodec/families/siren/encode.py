"""Settings of SIREN backgrounds and objects: which networks, how many bits, how they are fitted.

`paper` is Residual-INR's own choice (arXiv 2408.05617), unchanged. The others were chosen by
measuring; docs/results/presets.md shows their time and quality. Plain data, no torch.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from rinrcodec.families.fitting import Recipe
from rinrcodec.families.interface import (
    BackgroundEncoder,
    FitContext,
    FittedObjects,
    FittedRows,
    ObjectEncoder,
    Reference,
)
from rinrcodec.pack import WHOLE, Group, Spec
from rinrcodec.picture import Picture

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

__all__ = ["BACKGROUNDS", "OBJECTS", "SirenBackgrounds", "SirenObjects", "SizeClass"]


@dataclass(frozen=True, slots=True)
class SizeClass:
    """The SIREN for areas of at most `max_area` pixels (None: of any size)."""

    max_area: int | None
    depth: int
    width: int


@dataclass(frozen=True, slots=True)
class _Networks:
    """Size classes in rising order, the bits of a weight, and the recipe."""

    sizes: tuple[SizeClass, ...]
    bits: int
    recipe: Recipe
    w0: float = 30.0
    w0_first: float = 30.0

    def spec(self, area: int, channels: int) -> Spec:
        """Return the network for an area in pixels; `channels` is 3 for RGB, 1 for grey."""
        size = next(s for s in self.sizes if s.max_area is None or area <= s.max_area)
        return Spec.of(
            "siren",
            depth=size.depth,
            width=size.width,
            out=channels,
            w0=self.w0,
            w0_first=self.w0_first,
        )

    def step_work(self, area: int, channels: int) -> int:
        """Return the multiplications of one step of a network for `area` pixels."""
        from rinrcodec.families.siren import network

        return min(self.recipe.samples or area, area) * network.work(self.spec(area, channels))

    def with_steps(self, steps: int) -> Self:
        return replace(self, recipe=self.recipe.with_steps(steps))

    def with_bits(self, bits: int) -> Self:
        return replace(self, bits=bits)

    def fit_groups(
        self, references: Sequence[Tensor], context: FitContext
    ) -> Iterator[tuple[Group, list[int]]]:
        """Fit one network to each reference [h, w, channels]; yield groups and their members."""
        from rinrcodec.families.siren.fit import fit_group

        members: dict[Spec, list[int]] = defaultdict(list)
        for i, reference in enumerate(references):
            height, width, channels = reference.shape
            members[self.spec(height * width, channels)].append(i)
        for spec, numbers in members.items():
            shapes = [references[i].shape for i in numbers]
            work = [self.step_work(height * width, channels) for height, width, channels in shapes]
            fitted = fit_group(
                spec,
                [references[i] for i in numbers],
                self.recipe,
                bits=self.bits,
                seed=context.seed,
                device=context.device,
                on_step=context.counted(sum(work) / len(work)),
            )
            yield Group(spec, self.bits, fitted.rows), numbers


@dataclass(frozen=True, slots=True)
class SirenBackgrounds(_Networks, BackgroundEncoder):
    """A network for every frame."""

    family: ClassVar[str] = "siren"

    def fit(self, pictures: Sequence[Picture], context: FitContext) -> list[FittedRows]:
        from rinrcodec.compute.compose import pixel_tensor

        pixels = [pixel_tensor(picture) for picture in pictures]
        return [
            FittedRows(group, [[(i, 0.0)] for i in numbers])
            for group, numbers in self.fit_groups(pixels, context)
        ]

    def work(self, pictures: Sequence[Picture]) -> float:
        return self.recipe.steps * sum(
            self.step_work(picture.width * picture.height, picture.channels) for picture in pictures
        )

    def widened(self, share: float) -> Self:
        return replace(
            self, sizes=tuple(replace(s, width=round(s.width * share)) for s in self.sizes)
        )

    def n_weights(self, pictures: Sequence[Picture]) -> int:
        from rinrcodec.families.siren import network

        first = pictures[0]
        return sum(network.tensor_sizes(self.spec(first.width * first.height, first.channels)))


@dataclass(frozen=True, slots=True)
class SirenObjects(_Networks, ObjectEncoder):
    """A network for every object."""

    family: ClassVar[str] = "siren"
    sized: ClassVar[bool] = True

    def fit(self, references: Sequence[Reference], context: FitContext) -> Iterator[FittedObjects]:
        signals = [reference.signal for reference in references]
        for group, numbers in self.fit_groups(signals, context):
            yield FittedObjects(group, [[(i, WHOLE)] for i in numbers])

    def work(self, area: int, channels: int) -> float:
        return self.recipe.steps * self.step_work(area, channels)

    def row_bytes(self, area: int, channels: int) -> int:
        from rinrcodec.families.siren import network

        sizes = network.tensor_sizes(self.spec(area, channels))
        return math.ceil(sum(sizes) * self.bits / 8) + 2 * len(sizes)


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
# Preset -> steps of backgrounds and of objects, pixels in a step of a background.
_MEASURED = {
    "fast": (1_000, 300, 1_024),
    "balanced": (5_000, 1_000, 2_048),
    "best": (12_000, 4_000, 4_096),
}

BACKGROUNDS: Mapping[str, SirenBackgrounds] = MappingProxyType(
    {
        "paper": SirenBackgrounds((SizeClass(None, 10, 28),), 8, _PAPER_RECIPE),
        **{
            name: SirenBackgrounds(_BACKGROUNDS, 8, Recipe(steps, 1.5e-3, samples))
            for name, (steps, _, samples) in _MEASURED.items()
        },
    }
)

OBJECTS: Mapping[str, SirenObjects] = MappingProxyType(
    {
        "paper": SirenObjects(_PAPER_OBJECTS, 16, _PAPER_RECIPE),
        **{
            name: SirenObjects(
                _OBJECTS, 16, Recipe(steps, 6e-3, 2 * samples), w0=20.0, w0_first=15.0
            )
            for name, (_, steps, samples) in _MEASURED.items()
        },
    }
)

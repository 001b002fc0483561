"""Settings of NeRV backgrounds: which network for which sequence, and how it is fitted.

`paper` is Residual-INR's own choice (arXiv 2408.05617), unchanged. The others were chosen by
measuring; docs/results/sequences.md shows what they give. Plain data, no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.families.fitting import Recipe
from rinrcodec.families.interface import BackgroundEncoder, FitContext, FittedRows
from rinrcodec.pack import Group, Rows, Spec, join_rows
from rinrcodec.picture import Picture, alike

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BACKGROUNDS", "NervBackgrounds", "SequenceSize"]


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
class NervBackgrounds(BackgroundEncoder):
    """One network for all frames of a sequence.

    sizes: size classes in rising order. A sequence of more than `longest` frames, or of more than
    `most_pixels` in all of them, is cut into chunks with a network each. The steps of the recipe
    are epochs.
    """

    sizes: tuple[SequenceSize, ...]
    bits: int
    recipe: Recipe
    longest: int = 256
    most_pixels: int = 2**27

    family: ClassVar[str] = "nerv"

    def with_steps(self, steps: int) -> Self:
        return replace(self, recipe=self.recipe.with_steps(steps))

    def with_bits(self, bits: int) -> Self:
        return replace(self, bits=bits)

    def alone(self) -> Self:
        raise RinrInputError(
            "layout files: every file would hold the network of its whole sequence; "
            "the family nerv needs packs"
        )

    def fit(self, pictures: Sequence[Picture], context: FitContext) -> list[FittedRows]:
        from rinrcodec.compute.compose import pixel_tensor
        from rinrcodec.families.nerv import network
        from rinrcodec.families.nerv.fit import fit_sequence

        chunks = self._chunks(pictures)
        # Before the first one is fitted, which takes minutes: is any of them too large?
        specs = [self._spec_of(pictures[members[0]], len(members)) for members in chunks]
        rows: dict[Spec, list[Rows]] = {}
        frames: dict[Spec, list[list[tuple[int, float]]]] = {}
        for members, spec in zip(chunks, specs, strict=True):
            times = [k / len(members) for k in range(len(members))]
            fitted = fit_sequence(
                spec,
                [pixel_tensor(pictures[i]) for i in members],
                self.recipe,
                times=times,
                bits=self.bits,
                seed=context.seed,
                device=context.device,
                on_step=context.counted(network.work(spec)),
            )
            rows.setdefault(spec, []).append(fitted.rows)
            frames.setdefault(spec, []).append(list(zip(members, times, strict=True)))
        return [
            FittedRows(Group(spec, self.bits, join_rows(parts)), frames[spec])
            for spec, parts in rows.items()
        ]

    def work(self, pictures: Sequence[Picture]) -> float:
        from rinrcodec.families.nerv import network

        specs = (self._spec_of(picture, len(pictures)) for picture in pictures)
        return self.recipe.steps * sum(network.work(spec) for spec in specs)

    def widened(self, share: float) -> Self:
        def wider(width: int) -> int:
            return round(width * share)

        sizes = (
            replace(
                size,
                stem=wider(size.stem),
                features=wider(size.features),
                narrowest=wider(size.narrowest),
            )
            for size in self.sizes
        )
        return replace(self, sizes=tuple(sizes))

    def n_weights(self, pictures: Sequence[Picture]) -> int:
        from rinrcodec.families.nerv import network

        first = pictures[0]
        n_frames = self.chunk(len(pictures), first.width * first.height)
        spec = self.spec(first.width, first.height, n_frames, first.channels)
        return sum(network.tensor_sizes(spec))

    def chunk(self, n_frames: int, area: int) -> int:
        """Return how many of `n_frames` frames of `area` pixels each the first chunk takes."""
        most = max(1, min(self.longest, self.most_pixels // area))
        return math.ceil(n_frames / math.ceil(n_frames / most))

    def spec(self, width: int, height: int, n_frames: int, channels: int) -> Spec:
        """Return the network for frames of a size in pixels.

        `channels` is 3 for RGB, 1 for grey.
        """
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

    def _chunks(self, pictures: Sequence[Picture]) -> list[list[int]]:
        """Return the numbers of the pictures of each sequence, cut into chunks if it is long."""
        chunks = []
        for members in alike(pictures):
            first = pictures[members[0]]
            while members:
                count = self.chunk(len(members), first.width * first.height)
                chunks.append(members[:count])
                members = members[count:]
        return chunks

    def _spec_of(self, picture: Picture, n_frames: int) -> Spec:
        """Return the network for a sequence of pictures like this one, if there can be one."""
        from rinrcodec.families.nerv import network

        spec = self.spec(picture.width, picture.height, n_frames, picture.channels)
        try:
            network.check(spec)
        except RinrFormatError as error:
            raise RinrInputError(
                f"{picture.name}: a frame of {picture.width}x{picture.height} is too large for the "
                f"network of a sequence ({error}); choose a background that codes every frame alone"
            ) from error
        return spec


def _strides(shorter: int) -> list[int]:
    """Return the factors by which blocks enlarge at most 9 cells to a frame's shorter side.

    The side is in pixels.

    The paper's 5, 2, 2, 2 for 640x360; as many twos as are needed for other sizes.
    """
    strides = [5]
    while shorter > 9 * math.prod(strides):
        strides.append(2)
    return strides


# By the pixels of all frames of a sequence: about one byte of weights for 150 of them.
_SIZES = (
    SequenceSize(1_000_000, 8, 4, 4),
    SequenceSize(4_000_000, 16, 6, 6),
    SequenceSize(8_000_000, 24, 8, 8),
    SequenceSize(16_000_000, 32, 12, 10),
    SequenceSize(40_000_000, 48, 16, 12),
    SequenceSize(100_000_000, 64, 24, 16),
    SequenceSize(None, 96, 32, 16),
)


def _measured(epochs: int) -> NervBackgrounds:
    recipe = Recipe(epochs, 2e-2, 2, warmup=epochs // 10)
    return NervBackgrounds(_SIZES, 8, recipe)


BACKGROUNDS: Mapping[str, NervBackgrounds] = MappingProxyType(
    {
        "paper": NervBackgrounds(
            (SequenceSize(None, 256, 16, 96),),
            8,
            Recipe(300, 5e-4, None, warmup=60, quantized=0.0, ssim=0.3),
            longest=1024,
            most_pixels=2**28,
        ),
        "fast": _measured(40),
        "balanced": _measured(200),
        "best": _measured(600),
    }
)

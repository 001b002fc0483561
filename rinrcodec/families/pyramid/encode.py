"""How pyramid backgrounds are encoded. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from rinrcodec.families.fitting import Recipe
from rinrcodec.families.interface import BackgroundEncoder, FitContext, FittedRows
from rinrcodec.families.pyramid.settings import STEP_WORK, PyramidSettings
from rinrcodec.pack import Group, Spec
from rinrcodec.picture import Picture

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BACKGROUNDS", "PyramidBackgrounds"]


@dataclass(frozen=True, slots=True)
class PyramidBackgrounds(PyramidSettings, BackgroundEncoder):
    """A pyramid of latents for every frame."""

    family: ClassVar[str] = "pyramid"

    def with_steps(self, steps: int) -> Self:
        return replace(self, recipe=self.recipe.with_steps(steps))

    def alone(self) -> Self:
        return replace(self, together=1)

    def fit(self, pictures: Sequence[Picture], context: FitContext) -> list[FittedRows]:
        from rinrcodec.families.pyramid.rows import fit_rows

        coded: dict[Spec, list[bytes]] = {}
        frames: dict[Spec, list[list[tuple[int, float]]]] = {}
        for row in fit_rows(pictures, self, context):
            coded.setdefault(row.spec, []).append(row.coded)
            numbered = [(i, float(number)) for number, i in enumerate(row.members)]
            frames.setdefault(row.spec, []).append(numbered)
        groups = {spec: Group.of_bytes(spec, rows) for spec, rows in coded.items()}
        return [FittedRows(group, frames[spec]) for spec, group in groups.items()]

    def work(self, pictures: Sequence[Picture]) -> float:
        return self.recipe.steps * sum(p.width * p.height * STEP_WORK for p in pictures)


BACKGROUNDS: Mapping[str, PyramidBackgrounds] = MappingProxyType(
    {
        name: PyramidBackgrounds(Recipe(steps, 1e-2, None, warmup=0))
        for name, steps in (("fast", 200), ("balanced", 600), ("best", 2_000))
    }
)

"""How av1 backgrounds are encoded. Plain data, no torch, no PyAV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from rinrcodec.families.av1.settings import (
    OBJECTS_QUALITY,
    Av1ObjectSettings,
    Av1Settings,
    pixel_work,
)
from rinrcodec.families.interface import (
    BackgroundEncoder,
    FitContext,
    FittedObjects,
    FittedRows,
    ObjectEncoder,
    Reference,
)
from rinrcodec.picture import Picture

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BACKGROUNDS", "OBJECTS", "Av1Backgrounds", "Av1Objects"]


@dataclass(frozen=True, slots=True)
class Av1Backgrounds(Av1Settings, BackgroundEncoder):
    """AV1 for every frame, or for groups of frames."""

    family: ClassVar[str] = "av1"

    def with_steps(self, steps: int) -> Self:
        """Return the settings: AV1 is not fitted in steps, but objects on top of it are."""
        del steps
        return self

    def with_gop(self, gop: int) -> Self:
        return replace(self, gop=gop)

    @property
    def default_qualities(self) -> tuple[int, int]:
        return self.default_quality, OBJECTS_QUALITY

    def with_shrink(self, factor: int) -> Self:
        return replace(self, shrink=factor)

    def alone(self) -> Self:
        return replace(self, gop=1)

    def fit(self, pictures: Sequence[Picture], context: FitContext) -> list[FittedRows]:
        from rinrcodec.families.av1.fit import fit_rows

        return fit_rows(pictures, self, context)

    def work(self, pictures: Sequence[Picture]) -> float:
        return sum(self.work_of(p.width * p.height) for p in pictures)


@dataclass(frozen=True, slots=True)
class Av1Objects(Av1ObjectSettings, ObjectEncoder):
    """Residuals in atlases: those of several frames side by side in one picture."""

    family: ClassVar[str] = "av1"
    asks_for_quality: ClassVar[bool] = True
    needs_torch: ClassVar[bool] = False

    def with_steps(self, steps: int) -> Self:
        """Return the settings: AV1 is not fitted in steps."""
        del steps
        return self

    def with_gop(self, gop: int) -> Self:
        return replace(self, gop=gop)

    def alone(self) -> Self:
        return replace(self, frames=1, gop=1)

    def fit(self, references: Sequence[Reference], context: FitContext) -> Iterator[FittedObjects]:
        from rinrcodec.families.av1.fit_objects import fit_objects

        return fit_objects(references, self, context)

    def work(self, area: int, channels: int) -> float:
        del channels
        return area * pixel_work(self.speed)


BACKGROUNDS: Mapping[str, Av1Backgrounds] = MappingProxyType(
    {
        "fast": Av1Backgrounds(speed=6, preset=8),
        "balanced": Av1Backgrounds(speed=4, preset=2),
        "best": Av1Backgrounds(speed=3, preset=1),
    }
)

OBJECTS: Mapping[str, Av1Objects] = MappingProxyType(
    {
        "fast": Av1Objects(speed=5),
        "balanced": Av1Objects(speed=4),
        "best": Av1Objects(speed=3),
    }
)

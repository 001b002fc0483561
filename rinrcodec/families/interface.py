"""What a family implements: one interface for backgrounds, one for objects.

A family is a class that derives from `BackgroundFamily`, from `ObjectFamily`, or from both, and is
registered under its name (`rinrcodec.families.register`). The decoder calls the family itself. The
encoder calls a `BackgroundEncoder` and an `ObjectEncoder`, the settings of a preset: plain data
that can fit. Methods of a family import their modules when they are called, so decoding imports
nothing of fitting.

    reading                                        writing
    BackgroundFamily.decode_backgrounds(...)       BackgroundEncoder.fit(pictures, context)
    ObjectFamily.decode_objects(...)               ObjectEncoder.fit(references, context)

No other code of the package knows a family by name or by type: it asks the facts below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rinrcodec.boxes import Region
from rinrcodec.errors import RinrInputError
from rinrcodec.pack import Frame, Group, GroupInfo, ObjectInr, Spec
from rinrcodec.picture import Picture
from rinrcodec.targets import Target

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from typing_extensions import Self

    from rinrcodec.compute.grids import Grid
    from rinrcodec.families.group_reader import GroupReader

__all__ = [
    "BackgroundEncoder",
    "BackgroundFamily",
    "Family",
    "FitContext",
    "FittedObjects",
    "FittedRows",
    "ObjectEncoder",
    "ObjectFamily",
    "ObjectView",
    "View",
]


@dataclass(frozen=True, slots=True)
class View:
    """A frame and the grid on which its background is wanted."""

    frame: Frame
    grid: Grid

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the grid."""
        return len(self.grid.y), len(self.grid.x)


@dataclass(frozen=True, slots=True)
class ObjectView:
    """An object INR of a frame, and the part of a grid that lies in the region of its box."""

    frame: Frame
    inr: ObjectInr
    region: Region
    grid: Grid
    part: tuple[slice, slice]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the part."""
        y, x = self.part
        return y.stop - y.start, x.stop - x.start

    @property
    def n_pixels(self) -> int:
        height, width = self.shape
        return height * width


class Family(ABC):
    """A way of coding signals as rows of groups; `name` is what specs in files call it."""

    name: ClassVar[str]
    coded_rows: ClassVar[str] = "coded bytes"  # what the coded bytes of a row are, for people

    @abstractmethod
    def check(self, info: GroupInfo) -> None:
        """Raise `RinrFormatError` unless the family can decode rows of this group."""

    @abstractmethod
    def channels(self, spec: Spec) -> int:
        """Return the channels of the signal: 3 for RGB, 1 for grey. The spec has been checked."""


class BackgroundFamily(Family):
    """A family of backgrounds: its facts, its presets, and how its rows are decoded.

    summary: a few words for `--background`.
    help: a paragraph for the help of `compress`, "" for none.
    steps: what `--steps` counts.
    targets: the fields of `rinrcodec.Target` that its backgrounds can be fitted for.
    joins_frames: a row stands for the frames of a sequence (one folder and size, in order), which
        have to be encoded together.
    takes_objects: objects are fitted on top; else the family keeps them sharp itself.
    resizable: `BackgroundEncoder.with_bits` and `widened` work.
    """

    summary: ClassVar[str]
    help: ClassVar[str] = ""
    steps: ClassVar[str] = "steps"
    targets: ClassVar[frozenset[str]] = frozenset()
    joins_frames: ClassVar[bool] = False
    takes_objects: ClassVar[bool] = True
    resizable: ClassVar[bool] = False

    @abstractmethod
    def background_presets(self) -> Mapping[str, BackgroundEncoder]:
        """Return the settings by the names of presets (`rinrcodec.presets`); some may lack."""

    @abstractmethod
    def background_work(self, info: GroupInfo, shape: tuple[int, int]) -> int:
        """Return about how many multiplications decoding one frame on a grid takes.

        The decoder holds the sum against `Limits.max_work` before it decodes anything.
        """

    @abstractmethod
    def decode_backgrounds(self, group: GroupReader, views: Sequence[View]) -> list[Tensor]:
        """Decode frames of one group: float32 [h, w, channels] each, about [-1, 1].

        A frame gives the same values in any batch. Tensors are on `group.device` and may be
        written to.
        """


class ObjectFamily(Family):
    """A family of objects: its presets, and how its rows are decoded."""

    @abstractmethod
    def object_presets(self) -> Mapping[str, ObjectEncoder]:
        """Return the settings by the names of presets (`rinrcodec.presets`); some may lack."""

    @abstractmethod
    def object_work(self, info: GroupInfo, n_pixels: int) -> int:
        """Return about how many multiplications decoding one object on `n_pixels` takes."""

    @abstractmethod
    def decode_objects(self, group: GroupReader, views: Sequence[ObjectView]) -> list[Tensor]:
        """Decode objects of one group: float32 [h, w, channels] each, before gain and mode."""


@dataclass(frozen=True, slots=True)
class FitContext:
    """What every fit of one `encode` call shares.

    counted: for the multiplications of one step of one row, a function to call as
        (rows, steps done since the last call), also from several threads.
    """

    seed: int
    device: torch.device
    target: Target
    counted: Callable[[float], Callable[[int, int], None]]


@dataclass(frozen=True, slots=True)
class FittedRows:
    """A group of backgrounds. members: for each row, (number of the picture, its time in it)."""

    group: Group
    members: Sequence[Sequence[tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class FittedObjects:
    """A group of objects. members: for each row, the number of its reference."""

    group: Group
    members: Sequence[int]


class BackgroundEncoder(ABC):
    """The settings of backgrounds of one family; derive a frozen dataclass that can be pickled."""

    family: ClassVar[str]

    @abstractmethod
    def with_steps(self, steps: int) -> Self:
        """Return the settings with another number of fitting steps."""

    @abstractmethod
    def fit(self, pictures: Sequence[Picture], context: FitContext) -> Sequence[FittedRows]:
        """Fit all pictures, each of which becomes a member of exactly one row."""

    @abstractmethod
    def work(self, pictures: Sequence[Picture]) -> float:
        """Return about how many multiplications `fit` takes, counted as in `FitContext`."""

    def alone(self) -> Self:
        """Return settings that give every frame a row of its own, for files of one frame.

        Raises `RinrInputError` where the family cannot do that.
        """
        return self

    def chunk(self, n_frames: int, area: int) -> int:
        """Return how many of `n_frames` frames of a sequence the next row takes.

        area: pixels of a frame. Only families that join frames are asked.
        """
        del area
        return n_frames

    def with_bits(self, bits: int) -> Self:  # noqa: ARG002
        """Return the settings with weights of `bits` bits, for the ladder of the paper."""
        raise self._not_resizable()

    def widened(self, share: float) -> Self:  # noqa: ARG002
        """Return the settings with networks that are wider by a factor, for the ladder."""
        raise self._not_resizable()

    def n_weights(self, pictures: Sequence[Picture]) -> int:  # noqa: ARG002
        """Return the weights of the row that begins with the first picture, for the ladder."""
        raise self._not_resizable()

    def _not_resizable(self) -> RinrInputError:
        return RinrInputError(f"backgrounds of the family {self.family!r} have no width to choose")


class ObjectEncoder(ABC):
    """The settings of objects of one family; derive a frozen dataclass, which can be pickled."""

    family: ClassVar[str]

    @abstractmethod
    def with_steps(self, steps: int) -> Self:
        """Return the settings with another number of fitting steps."""

    @abstractmethod
    def fit(self, references: Sequence[Tensor], context: FitContext) -> Iterator[FittedObjects]:
        """Fit objects, group by group.

        references: what each object has to give inside its box, float32 [h, w, channels] on the
            device; of residuals the largest magnitude is 1.
        """

    @abstractmethod
    def work(self, area: int, channels: int) -> float:
        """Return about how many multiplications fitting an object of `area` pixels takes."""

    def with_bits(self, bits: int) -> Self:  # noqa: ARG002
        """Return the settings with weights of `bits` bits, for the ladder of the paper."""
        raise RinrInputError(f"objects of the family {self.family!r} have no bits to choose")

"""The interfaces of a family: one for backgrounds, one for objects.

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
from rinrcodec.compute.devices import torch_device
from rinrcodec.errors import RinrInputError
from rinrcodec.pack import Cell, Frame, Group, GroupInfo, ObjectInr, Spec
from rinrcodec.picture import Picture
from rinrcodec.targets import Target

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self

    from rinrcodec.compute.arrays import Array
    from rinrcodec.compute.grids import Grid
    from rinrcodec.families.group_reader import GroupReader

__all__ = [
    "BackgroundEncoder",
    "BackgroundFamily",
    "Cost",
    "Family",
    "FitContext",
    "FittedObjects",
    "FittedRows",
    "ObjectEncoder",
    "ObjectFamily",
    "ObjectView",
    "Reference",
    "View",
]


@dataclass(frozen=True, slots=True)
class View:
    """A frame, and the grid on which to decode its background.

    The signal is asked for at every pair of `grid.y` and `grid.x`, in pixels of the frame: pixel i
    has its centre at i + 0.5. A grid may be of a region, or coarser or finer than the pixels.
    """

    frame: Frame
    grid: Grid

    @property
    def shape(self) -> tuple[int, int]:
        """Return the height and width of the grid."""
        return len(self.grid.y), len(self.grid.x)


@dataclass(frozen=True, slots=True)
class ObjectView:
    """An object of a frame, and the part of a grid on which to decode it.

    region: the whole pixels that its box touches; the object covers all of them.
    part: (slice of y, slice of x), the positions of `grid` that are inside the region.
    """

    frame: Frame
    inr: ObjectInr
    region: Region
    grid: Grid
    part: tuple[slice, slice]

    @property
    def shape(self) -> tuple[int, int]:
        """Return the height and width of the part."""
        y, x = self.part
        return y.stop - y.start, x.stop - x.start

    @property
    def n_pixels(self) -> int:
        """Return the number of pixels of the part."""
        height, width = self.shape
        return height * width


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of decoding, from what a file declares and before a byte of it is decoded.

    work: about how many multiplications take as long; a core does about 30 a nanosecond.
    memory: bytes at the peak, the result as float32 and the weights included.
    """

    work: int
    memory: int


class Family(ABC):
    """A way of coding signals as rows of groups. Derive from the two classes below.

    name: what specs in files and options call the family.
    coded_rows: what the coded bytes of a row are, in a few words for people.
    fits_networks: encoding fits networks, for which a device needs a GPU or much time.
    needs_torch: it computes with torch. With False, signals on a CPU are NumPy arrays.
    """

    name: ClassVar[str]
    coded_rows: ClassVar[str] = "coded bytes"
    fits_networks: ClassVar[bool] = True
    needs_torch: ClassVar[bool] = True

    @abstractmethod
    def check(self, info: GroupInfo) -> None:
        """Check that the family can decode rows of this group.

        The decoder and `verify` call this before any other method; files may be hostile.

        Raises:
            RinrFormatError: The spec is not valid, or `n_params`, `n_scales`, `shared` or `coded`
                do not fit it.
        """

    @abstractmethod
    def channels(self, spec: Spec) -> int:
        """Return the channels of the signal by a spec that was checked: 3 for RGB, 1 for grey."""


class BackgroundFamily(Family):
    """A family of backgrounds: its facts, its presets, and how its rows are decoded.

    summary: a few words for `--background`.
    help: a paragraph for the help of `compress`, "" for none.
    steps: what `--steps` counts; "objects only" where `with_steps` returns the settings unchanged.
    targets: the fields of `rinrcodec.Target` that its backgrounds can be fitted for.
    joins_frames: a row holds the frames of a sequence (one folder and size, in order), which have
        to be encoded together.
    takes_objects: objects are fitted on top. If False, the family keeps them sharp itself.
    gop: how many frames a row has at most by default, where `BackgroundEncoder.with_gop` works.
    shrinks: the factors that `BackgroundEncoder.with_shrink` takes.
    chained: decoding a frame may decode those before it in its row. Loaders then decode the frames
        of a row together.
    resumes: `GroupReader.memory` keeps the row decoded last, so that its frames in order are
        decoded once. Threads that share a row then have to take turns.
    resizable: `BackgroundEncoder.with_bits`, `widened` and `n_weights` work, for the comparison of
        the paper (`bench ladder`). Families without networks leave all of them out.
    quality: the default, if any.
    """

    summary: ClassVar[str] = ""
    help: ClassVar[str] = ""
    steps: ClassVar[str] = "steps"
    targets: ClassVar[frozenset[str]] = frozenset()
    joins_frames: ClassVar[bool] = False
    takes_objects: ClassVar[bool] = True
    gop: ClassVar[int | None] = None
    shrinks: ClassVar[Sequence[int]] = ()
    chained: ClassVar[bool] = False
    resumes: ClassVar[bool] = False
    resizable: ClassVar[bool] = False
    quality: ClassVar[int | None] = None

    @abstractmethod
    def background_presets(self) -> Mapping[str, BackgroundEncoder]:
        """Return the settings by the names of presets (`rinrcodec.presets`); some may lack."""

    @abstractmethod
    def background_cost(self, info: GroupInfo, view: View) -> Cost:
        """Return what decoding one frame alone takes at most, for any coded bytes.

        The decoder compares it with the `Limits` before it decodes anything. It decodes frames
        together, also on several threads, while their memory adds up to `Limits.max_memory`.

        Args:
            info: A group that was checked.
            view: The frame and its grid.
        """

    def check_frames(
        self,
        info: GroupInfo,
        coded: bytes,
        frames: Sequence[Frame],
        spend: Callable[[int], object],
    ) -> None:
        """Check that frames of one row can be decoded, as `verify` asks for every row.

        Find everything that makes `decode_backgrounds` raise for a frame alone. In a family without
        this method, only `verify --decode` finds it.

        Args:
            info: The group, which was checked.
            coded: The coded bytes of the row, empty in a group without them.
            frames: All frames of the row: sizes, times, and "frame 3" as the name. Where a row
                holds one frame, refuse a time other than 0: nothing else checks times.
            spend: Call it with multiplications before you take them; it raises over the limit.

        Raises:
            RinrFormatError: A frame cannot be decoded from these bytes.
            RinrLimitError: From `spend`.
        """

    @abstractmethod
    def decode_backgrounds(self, group: GroupReader, views: Sequence[View]) -> Sequence[Array]:
        """Decode the backgrounds of some frames of one group.

        A frame has to give the same values in any batch.

        Args:
            group: The rows of the group. A frame's row is `view.frame.background.row`.
            views: The frames, each with its grid.

        Returns:
            For each view a tensor [h, w, channels] on `group.device` that the caller may write to:
            float32 of about -1 to 1, or uint8 where the family has pixels. Where `group.gpu` is
            None, a NumPy array will do.

        Raises:
            RinrFormatError: The coded bytes of a row are damaged, or do not fit a frame.
        """


class ObjectFamily(Family):
    """A family of objects: its presets, and how its rows are decoded.

    object_targets: the fields of `rinrcodec.Target` that its objects can be fitted for.
    objects_quality: the default quality, None where there are no qualities.
    """

    object_targets: ClassVar[frozenset[str]] = frozenset()
    objects_quality: ClassVar[int | None] = None

    @abstractmethod
    def object_presets(self) -> Mapping[str, ObjectEncoder]:
        """Return the settings by the names of presets (`rinrcodec.presets`); some may lack."""

    @abstractmethod
    def object_cost(self, info: GroupInfo, view: ObjectView) -> Cost:
        """Return what decoding one object takes; the decoder uses it as that of a background.

        Args:
            info: A group that was checked.
            view: The object, and the part of a grid on which it is decoded.
        """

    def row_cost(self, info: GroupInfo, views: Sequence[ObjectView]) -> Cost:  # noqa: ARG002
        """Return what a row takes once, on top of its objects, however many it has.

        Args:
            info: The group of the row.
            views: The objects of one frame in that row.
        """
        return Cost(0, 0)

    def check_objects(
        self,
        info: GroupInfo,
        coded: bytes,
        views: Sequence[ObjectView],
        spend: Callable[[int], object],
    ) -> None:
        """Check that objects of one row can be decoded, as `verify` asks for every row.

        Args:
            info: The group, which was checked.
            coded: The coded bytes of the row, empty in a group without them.
            views: All objects of the row, of any frames, without a grid.
            spend: As of `BackgroundFamily.check_frames`.

        Raises:
            RinrFormatError: An object cannot be decoded from these bytes.
            RinrLimitError: From `spend`.
        """

    @abstractmethod
    def decode_objects(self, group: GroupReader, views: Sequence[ObjectView]) -> Sequence[Array]:
        """Decode some objects of one group.

        An object has to give the same values in any batch.

        Args:
            group: The rows of the group. An object's row is `view.inr.inr.row`.
            views: The objects, each with its part of a grid.

        Returns:
            For each view float32 [h, w, channels] of the part, where `decode_backgrounds` has its
            result. The decoder applies gain and mode to it.

        Raises:
            RinrFormatError: The coded bytes of a row are damaged.
        """


@dataclass(frozen=True, slots=True)
class FitContext:
    """The context that all fits of one `encode` call share.

    seed: for every random number; the same seed gives the same rows on one CPU machine.
    gpu: where to fit; None for the CPU.
    target: the quality or size that is asked for, in fields that the family understands.
    counted: reports progress; its use is optional. `done = counted(w)` takes the multiplications
        of one step of one row. Call `done(rows, steps)` after each part of the work, also from
        several threads. All calls together should add up to `work(pictures)`.
    """

    seed: int
    gpu: torch.device | None
    target: Target
    counted: Callable[[float], Callable[[int, int], None]]

    @property
    def device(self) -> torch.device:
        """Where to fit, for families that need torch."""
        return torch_device(self.gpu)


@dataclass(frozen=True, slots=True)
class FittedRows:
    """A group of backgrounds.

    members: for each row its pictures, as (number of the picture, its time in the row). The time
        is stored as `Frame.time`; it is 0 where a row holds one frame.
    """

    group: Group
    members: Sequence[Sequence[tuple[int, float]]]


@dataclass(frozen=True, slots=True)
class Reference:
    """The target of an object: the pixels of a region of a picture.

    picture: the number of the picture in the call of `encode`.
    sequence: the same number for all pictures of one folder, size and mode.
    signal: float32 [h, w, channels] on the device, an array on a CPU for those that need no torch;
        the largest magnitude of a residual is 1.
    gain: by which the signal was divided; the decoder multiplies by it.
    """

    picture: int
    sequence: int
    region: Region
    signal: Array
    gain: float


@dataclass(frozen=True, slots=True)
class FittedObjects:
    """A group of objects.

    members: for each row its objects, as (number of the reference, its part of the row).
    gain: of all these objects; None takes those of the references.
    """

    group: Group
    members: Sequence[Sequence[tuple[int, Cell]]]
    gain: float | None = None


class BackgroundEncoder(ABC):
    """The settings of backgrounds of one family; derive a frozen dataclass that can be pickled.

    family: the name of the family, under which it is registered.
    shrink: the divisor of width and height that `with_shrink` has set.
    """

    family: ClassVar[str]
    shrink: int = 1

    @abstractmethod
    def with_steps(self, steps: int) -> Self:
        """Return the settings with another number of fitting steps; `self` where there are none."""

    @abstractmethod
    def fit(self, pictures: Sequence[Picture], context: FitContext) -> Sequence[FittedRows]:
        """Fit all pictures.

        Args:
            pictures: At least one, of any sizes and modes.
            context: Seed, device, target and progress.

        Returns:
            Groups in which every picture is a member of exactly one row.

        Raises:
            RinrInputError: A picture does not suit the family, such as one that is too large.
        """

    @abstractmethod
    def work(self, pictures: Sequence[Picture]) -> float:
        """Return about how many multiplications `fit` reports to `FitContext.counted`."""

    def alone(self) -> Self:
        """Return settings that give every frame a row of its own, for files of one frame.

        Raises:
            RinrInputError: The family cannot do that.
        """
        return self

    def chunk(self, n_frames: int, area: int) -> int:
        """Return how many frames of a sequence the next row takes; asked where `joins_frames`.

        Args:
            n_frames: Frames of the sequence that are in no row yet.
            area: Pixels of a frame.
        """
        del area
        return n_frames

    def with_gop(self, gop: int) -> Self:  # noqa: ARG002
        """Return the settings with at most `gop` frames in a row, or raise `RinrInputError`."""
        raise RinrInputError(f"backgrounds of the family {self.family!r} have no groups of frames")

    @property
    def default_qualities(self) -> tuple[int, int]:
        """Return the default qualities of backgrounds and of objects, where there are any."""
        return 50, 50

    def with_shrink(self, factor: int) -> Self:  # noqa: ARG002
        """Return settings that divide width and height by a factor: 1, or one of `shrinks`."""
        raise RinrInputError(f"backgrounds of the family {self.family!r} do not support shrink")

    def with_bits(self, bits: int) -> Self:  # noqa: ARG002
        """Return the settings with weights of `bits` bits. Only of `resizable` families."""
        raise self._not_resizable()

    def widened(self, share: float) -> Self:  # noqa: ARG002
        """Return the settings with `share` times the width. Only of `resizable` families."""
        raise self._not_resizable()

    def n_weights(self, pictures: Sequence[Picture]) -> int:  # noqa: ARG002
        """Return the weights of the first picture's row. Only of `resizable` families."""
        raise self._not_resizable()

    def _not_resizable(self) -> RinrInputError:
        return RinrInputError(f"backgrounds of the family {self.family!r} have no width to choose")


class ObjectEncoder(ABC):
    """The settings of objects of one family; derive a frozen dataclass that can be pickled.

    family: the name of the family, under which it is registered.
    asks_for_quality: `fit` understands `Target.objects_quality`.
    sized: `row_bytes` works.
    needs_torch: as of `Family`; references come with tensors.
    """

    family: ClassVar[str]
    asks_for_quality: ClassVar[bool] = False
    sized: ClassVar[bool] = False
    needs_torch: ClassVar[bool] = True

    @abstractmethod
    def with_steps(self, steps: int) -> Self:
        """Return the settings with another number of fitting steps."""

    @abstractmethod
    def fit(self, references: Sequence[Reference], context: FitContext) -> Iterator[FittedObjects]:
        """Fit objects, group by group.

        Args:
            references: What the objects have to reproduce, in the order of the pictures.
            context: Seed, device, target and progress.

        Yields:
            Groups in which a reference is in one row at most; one that is in none gets no object.
        """

    @abstractmethod
    def work(self, area: int, channels: int) -> float:
        """Return about how many multiplications `fit` reports for an object of `area` pixels."""

    def alone(self) -> Self:
        """Return settings by which objects of two frames share no row, for files of one frame."""
        return self

    def with_gop(self, gop: int) -> Self:  # noqa: ARG002
        """Return the settings for backgrounds with at most `gop` frames in a row."""
        return self

    def row_bytes(self, area: int, channels: int) -> int:  # noqa: ARG002
        """Return the bytes of an object of `area` pixels; `RinrInputError` unless `sized`."""
        raise RinrInputError(f"rows of objects of the family {self.family!r} have any size")

    def with_bits(self, bits: int) -> ObjectEncoder:  # noqa: ARG002
        """Return the settings with weights of `bits` bits, or raise `RinrInputError`."""
        raise RinrInputError(f"objects of the family {self.family!r} have no bits to choose")

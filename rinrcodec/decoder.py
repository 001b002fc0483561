"""Decoding: backgrounds group by group, objects pasted onto them, and rounding to uint8 RGB.

What a row decodes to is known to its family alone (`rinrcodec.families`). On a CPU, frames are put
together with NumPy: torch is imported for tensors, for a GPU, and for families that need it.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box, Region
from rinrcodec.compute.arrays import Array, as_array, as_tensor, copied, is_array
from rinrcodec.compute.compose import apply_object, as_rgb, to_pixels, to_signal
from rinrcodec.compute.devices import device_memory_errors, find_gpu, require_torch, torch_device
from rinrcodec.compute.grids import Grid, grid_shape
from rinrcodec.compute.images import Images, each
from rinrcodec.compute.parallel import on_lasting_thread, without_torch_threads
from rinrcodec.decoding.checks import check_channels, check_count, check_group, check_shape
from rinrcodec.decoding.tasks import (
    BYTES_OF_OBJECTS,
    NOTHING,
    Paste,
    Task,
    cut_to_memory,
    memory_at_once,
    pastes_of,
)
from rinrcodec.errors import RinrInputError
from rinrcodec.families import background_family, object_family
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import (
    BackgroundFamily,
    Family,
    ObjectFamily,
    ObjectView,
    View,
)
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Frame, InrRef, PackSource, frame_number
from rinrcodec.printing import count

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Decoder", "decode"]

_POSITION_BYTES = 24  # of a line or column of a grid, and of what families make of it
_SIGNAL_BYTES = 12  # of a pixel as float32
_BOX_BYTES = 2048  # of a box and its object, as Python has them


@overload
def decode(
    source: PackSource,
    frames: SupportsIndex,
    *,
    device: str | torch.device = ...,
    region: Region | tuple[int, int, int, int] | None = ...,
    scale: float = ...,
    objects: bool = ...,
    limits: Limits = ...,
) -> Tensor: ...


@overload
def decode(
    source: PackSource,
    frames: Sequence[int],
    *,
    device: str | torch.device = ...,
    region: Region | tuple[int, int, int, int] | None = ...,
    scale: float = ...,
    objects: bool = ...,
    limits: Limits = ...,
) -> Tensor | list[Tensor]: ...


def decode(
    source: PackSource,
    frames: SupportsIndex | Sequence[int],
    *,
    device: str | torch.device = "cpu",
    region: Region | tuple[int, int, int, int] | None = None,
    scale: float = 1.0,
    objects: bool = True,
    limits: Limits = DEFAULT_LIMITS,
) -> Tensor | list[Tensor]:
    """Decode frames of a pack to uint8 RGB tensors.

    For NumPy arrays, which need torch for networks alone, use `RinrFile.pixels`. To decode again
    and again from one pack, `Decoder` keeps what it has read.

    Args:
        source: The pack: a `Pack` in memory, or an open `RinrFile`.
        frames: The index of one frame, or several. Negative indices count from the end.
        device: Where to decode, and where the result is: "cpu", "cuda", "cuda:N", or "auto".
        region: Decode only these whole pixels of the frame: a `Region`, or (x, y, width, height).
        scale: Evaluate a finer or coarser grid: 0.5 gives half as many pixels on each axis. For
            networks this costs less; other families decode the frame and resize it.
        objects: Paste the objects. With False, decode the background alone.
        limits: How much work and memory a frame may take, and how large the result may be.

    Returns:
        For one index, a uint8 tensor [3, H, W]. For a sequence, [n, 3, H, W], or a list of
        [3, H, W] where sizes differ. Grey frames have three equal channels.

    Raises:
        RinrInputError: An index or region is outside.
        RinrFormatError: The weights do not fit their spec.
        RinrLimitError: A frame takes too much work or memory.
        RinrMemoryError: This machine has less memory than the limits allow.
        RinrDeviceError: There is no such device.
        MissingExtraError: torch is not installed.

    Example:
        >>> import numpy as np, rinrcodec
        >>> pack = rinrcodec.encode([np.zeros((24, 32, 3), np.uint8)] * 2)
        >>> rinrcodec.decode(pack, [0, 1], region=(0, 0, 16, 8)).shape
        torch.Size([2, 3, 8, 16])
    """
    decoder = Decoder(source, device=device, limits=limits)
    return decoder.decode(frames, region=region, scale=scale, objects=objects)


class Decoder:
    """Decode frames of one pack on one device.

    It remembers the groups that it has read. `RinrFile.decode` and `rinrcodec.decode` use one.

    Args:
        source: The pack: a `Pack` in memory, or an open `RinrFile`.
        device: Where to decode: "cpu", "cuda", "cuda:N", or "auto".
        resident: Read all weights of a group at once, and keep them on the device.
        limits: How much work and memory a frame may take, and how large a result may be.

    Raises:
        RinrDeviceError: There is no such device.

    Example:
        >>> import numpy as np, rinrcodec
        >>> pack = rinrcodec.encode([np.zeros((24, 32, 3), np.uint8)])
        >>> rinrcodec.Decoder(pack).pixels(0).shape
        (24, 32, 3)
    """

    def __init__(
        self,
        source: PackSource,
        *,
        device: str | torch.device = "cpu",
        resident: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.source = source
        self._gpu = find_gpu(device)
        self._limits = limits
        self._resident = resident
        self._readers: dict[int, GroupReader] = {}
        self._backgrounds: dict[int, BackgroundFamily] = {}
        self._objects: dict[int, ObjectFamily] = {}

    def __repr__(self) -> str:
        return f"<Decoder of {count(self.source.n_frames, 'frame')} on {self._gpu or 'cpu'}>"

    @property
    def device(self) -> torch.device:
        """The device of torch that decodes."""
        return torch_device(self._gpu)

    def decode(
        self,
        frames: SupportsIndex | Sequence[int],
        *,
        region: Region | tuple[int, int, int, int] | None = None,
        scale: float = 1.0,
        objects: bool = True,
    ) -> Tensor | list[Tensor]:
        """Decode frames to uint8 RGB tensors on the device of this decoder.

        Args:
            frames: As of `rinrcodec.decode`.
            region: As of `rinrcodec.decode`.
            scale: As of `rinrcodec.decode`.
            objects: As of `rinrcodec.decode`.

        Returns:
            [3, H, W], [n, 3, H, W] or a list, as `rinrcodec.decode` does.

        Raises:
            RinrError: As of `rinrcodec.decode`.
            MissingExtraError: torch is not installed.
        """
        require_torch("tensors, where `pixels` gives NumPy arrays without it")
        images = self._images(frames, region, scale, objects=objects, channels_last=False)
        return each(as_tensor, images)

    @overload
    def pixels(
        self,
        frames: SupportsIndex,
        *,
        region: Region | tuple[int, int, int, int] | None = ...,
        scale: float = ...,
        objects: bool = ...,
    ) -> NDArray[np.uint8]: ...

    @overload
    def pixels(
        self,
        frames: Sequence[int],
        *,
        region: Region | tuple[int, int, int, int] | None = ...,
        scale: float = ...,
        objects: bool = ...,
    ) -> NDArray[np.uint8] | list[NDArray[np.uint8]]: ...

    def pixels(
        self,
        frames: SupportsIndex | Sequence[int],
        *,
        region: Region | tuple[int, int, int, int] | None = None,
        scale: float = 1.0,
        objects: bool = True,
    ) -> NDArray[np.uint8] | list[NDArray[np.uint8]]:
        """Decode frames to NumPy arrays, with the same pixels as `decode`.

        On a CPU, frames that hold no networks need no torch.

        Args:
            frames: The index of one frame, or several.
            region: As of `rinrcodec.decode`.
            scale: As of `rinrcodec.decode`.
            objects: As of `rinrcodec.decode`.

        Returns:
            For one index, uint8 RGB [H, W, 3]. For a sequence, [n, H, W, 3], or a list where sizes
            differ. Grey frames have three equal channels.

        Raises:
            MissingExtraError: A frame holds networks, and torch is not installed.
            RinrError: As of `rinrcodec.decode`.
        """
        images = self._images(frames, region, scale, objects=objects, channels_last=True)
        return each(as_array, images)

    def _images(
        self,
        frames: SupportsIndex | Sequence[int],
        region: Region | tuple[int, int, int, int] | None,
        scale: float,
        *,
        objects: bool,
        channels_last: bool,
    ) -> Array | list[Array]:
        """Decode the pixels of frames: one image, or all of them."""
        indices, alone = _indices(frames)

        def decoded() -> Array | list[Array]:
            tried = "decoding " + (f"frame {indices[0]}" if len(indices) == 1 else "frames")
            # Weights of a stranger may give infinities and NaN, of which NumPy would warn.
            with device_memory_errors(tried), np.errstate(all="ignore"):
                tasks = self._tasks(indices, region, scale, objects=objects)
                images = Images(len(indices), self._limits.max_result_bytes)
                for part in cut_to_memory(tasks, self._limits.max_memory):
                    for pixels in self._decode_part(part):
                        images.add(as_rgb(pixels, channels_last=channels_last))
                return images.all[0] if alone else images.stacked()

        return on_lasting_thread(decoded, self._gpu)

    def _decode_part(self, tasks: Sequence[Task]) -> Iterator[Array]:
        """Decode frames together, and give the pixels of each: uint8 [h, w, channels]."""
        signals = self._decode_backgrounds([task.view for task in tasks])
        self._paste_objects([task.pastes for task in tasks], signals)
        for number, signal in enumerate(signals):
            signals[number] = NOTHING
            yield signal if _is_bytes(signal) else to_pixels(signal)

    def check(self, frame: Frame) -> None:
        """Check that a frame can be decoded within the limits.

        `decode` does this before it decodes. `verify` calls it with frames that it makes itself,
        with the sizes, boxes and objects of those of the pack.

        Args:
            frame: A frame whose background and objects are rows of this pack.

        Raises:
            RinrLimitError: It takes too much work or memory.
        """
        view = View(frame, Grid.of_frame(frame.width, frame.height))
        self._task(view, objects=True)

    def background_signal(self, index: int, region: Region) -> Array:
        """Evaluate a background without rounding it, to fit objects on top.

        Args:
            index: The index of the frame.
            region: The pixels to evaluate.

        Returns:
            float32 [h, w, channels], about -1 to 1: an array on a CPU, a tensor on a GPU.
        """
        signal = self._decode_backgrounds([self._view(index, region, 1.0)])[0]
        return to_signal(signal) if _is_bytes(signal) else signal

    def _tasks(
        self,
        indices: Sequence[int],
        region: Region | tuple[int, int, int, int] | None,
        scale: float,
        *,
        objects: bool,
    ) -> Iterator[Task]:
        """Yield the frames that the limits allow, one by one: many boxes take memory, too."""
        if isinstance(region, Box):
            raise RinrInputError(
                "region: a Box may end between pixels; give box.region(frame.width, frame.height)"
            )
        pixels = 0
        for index in indices:
            frame = self._frame(index)
            height, width = grid_shape(frame.width, frame.height, region=region, scale=scale)
            pixels += height * width
            what = "bytes of pixels of all frames; decode fewer at a time"
            self._limits.check("max_result_bytes", 3 * pixels, what)
            what = f"bytes of positions to decode {frame.name}"
            self._limits.check("max_memory", _POSITION_BYTES * (height + width), what)
            grid = Grid.of_frame(frame.width, frame.height, region=region, scale=scale)
            yield self._task(View(frame, grid), objects=objects)

    def _frame(self, index: int) -> Frame:
        if not -self.source.n_frames <= index < self.source.n_frames:
            there = count(self.source.n_frames, "frame")
            raise RinrInputError(f"there is no frame {index}: the pack has {there}")
        return self.source.frame(index % self.source.n_frames)

    def _view(
        self, index: int, region: Region | tuple[int, int, int, int] | None, scale: float
    ) -> View:
        frame = self._frame(index)
        return View(frame, Grid.of_frame(frame.width, frame.height, region=region, scale=scale))

    def _task(self, view: View, *, objects: bool) -> Task:
        """Return a frame with its objects, if the limits allow decoding it."""
        pastes = list(pastes_of(view)) if objects else []
        groups = self.source.groups
        group = view.frame.background.group
        cost = self._background_family(group).background_cost(groups[group], view)
        work, memory = cost.work, cost.memory
        rows: dict[InrRef, list[ObjectView]] = defaultdict(list)
        for paste in pastes:
            ref = paste.view.inr.inr
            paste.cost = self._object_family(ref.group).object_cost(groups[ref.group], paste.view)
            work += paste.cost.work
            rows[ref].append(paste.view)
        largest = 0
        for ref, views in rows.items():
            cost = self._object_family(ref.group).row_cost(groups[ref.group], views)
            work += cost.work
            largest = max(largest, cost.memory)
        memory += largest + memory_at_once([paste.cost.memory for paste in pastes])
        height, width = view.shape
        memory += _POSITION_BYTES * (height + width) + _BOX_BYTES * len(view.frame.boxes)
        if len(pastes) > 1:  # which read the background as it was
            memory += _SIGNAL_BYTES * height * width
        pixels = view.frame.width * view.frame.height
        self._limits.check_frame(work, memory, pixels, height * width, view.frame.name)
        return Task(view, pastes, memory)

    def _reader(self, group: int) -> GroupReader:
        if group not in self._readers:
            self._readers[group] = GroupReader(
                self.source, group, self._gpu, resident=self._resident
            )
        return self._readers[group]

    def _background_family(self, group: int) -> BackgroundFamily:
        """Return the family of a group of backgrounds, which has checked the group."""
        if group not in self._backgrounds:
            info = self.source.groups[group]
            family = background_family(info.spec.family)
            check_group(family, info)
            self._backgrounds[group] = family
        return self._backgrounds[group]

    def _object_family(self, group: int) -> ObjectFamily:
        """Return the family of a group of objects, which has checked the group."""
        if group not in self._objects:
            info = self.source.groups[group]
            family = object_family(info.spec.family)
            check_group(family, info)
            self._objects[group] = family
        return self._objects[group]

    def _decode_backgrounds(self, views: Sequence[View]) -> list[Array]:
        """Decode the background of every view, [h, w, channels].

        It is a float32 signal, or uint8 pixels.
        """
        signals: list[Array] = [NOTHING] * len(views)
        by_group = defaultdict(list)
        for i, view in enumerate(views):
            by_group[view.frame.background.group].append(i)
        for group, members in by_group.items():
            family, reader = self._background_family(group), self._reader(group)
            channels = family.channels(reader.info.spec)
            for i in members:
                check_channels(channels, views[i].frame)
            some = [views[i] for i in members]
            with self._torch_for(family):
                decoded = family.decode_backgrounds(reader, some)
            check_count(family, "frame", decoded, len(some))
            for i, signal in zip(members, decoded, strict=True):
                check_shape(family, signal, (*views[i].shape, channels))
                signals[i] = self._here(signal)
        return signals

    @contextmanager
    def _torch_for(self, family: Family) -> Iterator[None]:
        """Have a family decode: with torch, kept to one thread, if it needs that."""
        if not family.needs_torch:
            yield
            return
        import torch

        with torch.no_grad(), without_torch_threads(self._gpu):
            yield

    def _here(self, signal: Array) -> Array:
        """Return what a family decoded as an array on a CPU, and as a tensor on a GPU."""
        if self._gpu is not None or is_array(signal):
            return signal
        return as_array(signal if _is_bytes(signal) else signal.float())

    def _paste_objects(self, pastes: Sequence[Sequence[Paste]], signals: Sequence[Array]) -> None:
        """Decode the objects of all views group by group, and paste them view by view."""
        waiting: list[Paste] = []
        memory = 0
        for objects, signal in zip(pastes, signals, strict=True):
            background = copied(signal) if len(objects) > 1 else signal
            for paste in objects:
                paste.background, paste.result = background, signal
                if waiting and memory + paste.cost.memory > BYTES_OF_OBJECTS:
                    self._decode_and_paste(waiting)
                    waiting, memory = [], 0
                waiting.append(paste)
                memory += paste.cost.memory
        self._decode_and_paste(waiting)

    def _decode_and_paste(self, pastes: Sequence[Paste]) -> None:
        by_group: dict[int, list[int]] = defaultdict(list)
        for k, paste in enumerate(pastes):
            by_group[paste.view.inr.inr.group].append(k)
        outputs: list[Array] = [NOTHING] * len(pastes)
        for group, members in by_group.items():
            family, reader = self._object_family(group), self._reader(group)
            channels = family.channels(reader.info.spec)
            for k in members:
                check_channels(channels, pastes[k].view.frame)
            some = [pastes[k].view for k in members]
            with self._torch_for(family):
                decoded = family.decode_objects(reader, some)
            check_count(family, "object", decoded, len(some))
            for k, output in zip(members, decoded, strict=True):
                check_shape(family, output, (*pastes[k].view.shape, channels))
                outputs[k] = self._here(output)
        for paste, output in zip(pastes, outputs, strict=True):
            part = paste.view.part
            below, inr = paste.background[part], paste.view.inr
            if _is_bytes(below):
                paste.result[part] = to_pixels(apply_object(to_signal(below), output, inr))
            else:
                paste.result[part] = apply_object(below, output, inr)
            paste.background = paste.result = NOTHING  # which may be the last to hold them


def _is_bytes(signal: Array) -> bool:
    """Return whether a signal consists of uint8 pixels."""
    return int(signal.dtype.itemsize) == 1


def _indices(frames: Any) -> tuple[list[int], bool]:
    """Return frame numbers as a list, and whether a single one was given."""
    if isinstance(frames, str) or not hasattr(frames, "__iter__"):
        return [frame_number(frames)], True
    try:
        return [operator.index(frames)], True  # an array without dimensions, which looks iterable
    except TypeError:
        return [frame_number(i) for i in frames], False

"""Decoding: backgrounds group by group, objects pasted onto them, and rounding to uint8 RGB.

What a row decodes to is known to its family alone (`rinrcodec.families`).
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, SupportsIndex, overload

import torch
from torch import Tensor

from rinrcodec.boxes import Box, Region
from rinrcodec.compute.compose import (
    apply_object,
    as_rgb,
    paste_order,
    stack_if_equal,
    to_pixels,
    to_signal,
)
from rinrcodec.compute.devices import memory_errors, resolve_device
from rinrcodec.compute.grids import Grid
from rinrcodec.compute.parallel import on_lasting_thread, without_torch_threads
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.families import background_family, object_family
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import BackgroundFamily, Family, ObjectFamily, ObjectView, View
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Frame, InrRef, PackSource

__all__ = ["Decoder", "decode"]

_VALUES_OF_OBJECTS = 1 << 24  # pixels and weights at once, however many boxes overlap


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
    """Decode frames of a pack to uint8 RGB on `device`.

    frames: one index gives a tensor [3, H, W]; a sequence gives [n, 3, H, W], or a list of
        [3, H, W] where the frames' sizes differ. Grey frames have three equal channels.
    region: whole pixels of the frame, a `Region` or (x, y, width, height): only these are computed.
    scale: 0.5 evaluates a grid half as fine on each axis, 2.0 one twice as fine.
    objects: False decodes the background INR alone.

    limits: of which `max_work` holds here, for every frame on its own.

    Raises `RinrInputError` for an index or region outside, `RinrFormatError` for weights that do
    not fit their spec, `RinrLimitError` for a frame that takes too much work, `RinrDeviceError` for
    a device that is not there.
    """
    decoder = Decoder(source, device=device, limits=limits)
    return decoder.decode(frames, region=region, scale=scale, objects=objects)


class Decoder:
    """Decodes one pack on one device; with `resident`, weights are read once and stay there."""

    def __init__(
        self,
        source: PackSource,
        *,
        device: str | torch.device = "cpu",
        resident: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.source = source
        self.device = resolve_device(device)
        self._limits = limits
        self._resident = resident
        self._readers: dict[int, GroupReader] = {}
        self._backgrounds: dict[int, BackgroundFamily] = {}
        self._objects: dict[int, ObjectFamily] = {}

    def decode(
        self,
        frames: SupportsIndex | Sequence[int],
        *,
        region: Region | tuple[int, int, int, int] | None = None,
        scale: float = 1.0,
        objects: bool = True,
    ) -> Tensor | list[Tensor]:
        """As the function `decode`."""
        indices, alone = _indices(frames)
        work = partial(self._decode, indices, region, scale, objects=objects, alone=alone)
        return on_lasting_thread(work, self.device)

    @torch.no_grad()
    def _decode(
        self,
        indices: Sequence[int],
        region: Region | tuple[int, int, int, int] | None,
        scale: float,
        *,
        objects: bool,
        alone: bool,
    ) -> Tensor | list[Tensor]:
        with memory_errors(), without_torch_threads(self.device):
            views = [self._view(index, region, scale) for index in indices]
            pastes = [list(_pastes(view)) if objects else [] for view in views]
            self._check_work(views, pastes)
            signals = self._decode_backgrounds(views)
            self._paste_objects(pastes, signals)
            images = [as_rgb(_as_pixels(signal)) for signal in signals]
            return images[0] if alone else stack_if_equal(images)

    @torch.no_grad()
    def background_signal(self, index: int, region: Region) -> Tensor:
        """What the background INR outputs, unrounded: float32 [h, w, channels], about [-1, 1]."""
        with without_torch_threads(self.device):
            signal = self._decode_backgrounds([self._view(index, region, 1.0)])[0]
            return to_signal(signal) if signal.dtype == torch.uint8 else signal

    def _view(
        self, index: int, region: Region | tuple[int, int, int, int] | None, scale: float
    ) -> View:
        if not -self.source.n_frames <= index < self.source.n_frames:
            raise RinrInputError(f"frame {index} of a pack of {self.source.n_frames} frames")
        frame = self.source.frame(index % self.source.n_frames)
        if isinstance(region, Box):
            raise RinrInputError(
                "region: a Box may end between pixels; give box.region(frame.width, frame.height)"
            )
        return View(frame, Grid.of_frame(frame.width, frame.height, region=region, scale=scale))

    def _reader(self, group: int) -> GroupReader:
        if group not in self._readers:
            self._readers[group] = GroupReader(
                self.source, group, self.device, resident=self._resident
            )
        return self._readers[group]

    def _background_family(self, group: int) -> BackgroundFamily:
        """The family of a group of backgrounds, which has checked the group."""
        if group not in self._backgrounds:
            info = self.source.groups[group]
            family = background_family(info.spec.family)
            family.check(info)
            self._backgrounds[group] = family
        return self._backgrounds[group]

    def _object_family(self, group: int) -> ObjectFamily:
        """The family of a group of objects, which has checked the group."""
        if group not in self._objects:
            info = self.source.groups[group]
            family = object_family(info.spec.family)
            family.check(info)
            self._objects[group] = family
        return self._objects[group]

    def _check_work(self, views: Sequence[View], pastes: Sequence[Sequence[_Paste]]) -> None:
        """Raise `RinrLimitError` for a view that takes more work than is allowed."""
        groups = self.source.groups
        for view, objects in zip(views, pastes, strict=True):
            group = view.frame.background.group
            work = self._background_family(group).background_work(groups[group], view.shape)
            for paste in objects:
                group = paste.view.inr.inr.group
                work += self._object_family(group).object_work(groups[group], paste.view.n_pixels)
            rows: dict[InrRef, list[ObjectView]] = defaultdict(list)
            for paste in objects:
                rows[paste.view.inr.inr].append(paste.view)
            for ref, its in rows.items():
                work += self._object_family(ref.group).row_work(groups[ref.group], its)
            self._limits.check("max_work", work, f"multiplications to decode {view.frame.name}")

    def _decode_backgrounds(self, views: Sequence[View]) -> list[Tensor]:
        """The background of every view, [h, w, channels]: a float32 signal, or uint8 pixels."""
        signals: list[Tensor] = [torch.empty(0)] * len(views)
        by_group = defaultdict(list)
        for i, view in enumerate(views):
            by_group[view.frame.background.group].append(i)
        for group, members in by_group.items():
            family, reader = self._background_family(group), self._reader(group)
            channels = family.channels(reader.info.spec)
            for i in members:
                _check_channels(channels, views[i].frame)
            decoded = family.decode_backgrounds(reader, [views[i] for i in members])
            for i, signal in zip(members, decoded, strict=True):
                _check_shape(family, signal, (*views[i].shape, channels))
                signals[i] = signal
        return signals

    def _paste_objects(self, pastes: Sequence[Sequence[_Paste]], signals: Sequence[Tensor]) -> None:
        """Decode the objects of all views group by group, and paste them view by view."""
        waiting: list[_Paste] = []
        values = 0
        for objects, signal in zip(pastes, signals, strict=True):
            background = signal.clone() if len(objects) > 1 else signal
            for paste in objects:
                paste.background, paste.result = background, signal
                n_params = self.source.groups[paste.view.inr.inr.group].n_params
                more = paste.view.n_pixels + n_params
                if waiting and values + more > _VALUES_OF_OBJECTS:
                    self._decode_and_paste(waiting)
                    waiting, values = [], 0
                waiting.append(paste)
                values += more
        self._decode_and_paste(waiting)

    def _decode_and_paste(self, pastes: Sequence[_Paste]) -> None:
        by_group: dict[int, list[int]] = defaultdict(list)
        for k, paste in enumerate(pastes):
            by_group[paste.view.inr.inr.group].append(k)
        outputs: list[Tensor] = [torch.empty(0)] * len(pastes)
        for group, members in by_group.items():
            family, reader = self._object_family(group), self._reader(group)
            channels = family.channels(reader.info.spec)
            for k in members:
                _check_channels(channels, pastes[k].view.frame)
            decoded = family.decode_objects(reader, [pastes[k].view for k in members])
            for k, output in zip(members, decoded, strict=True):
                _check_shape(family, output, (*pastes[k].view.shape, channels))
                outputs[k] = output
        for paste, output in zip(pastes, outputs, strict=True):
            part = paste.view.part
            below, inr = paste.background[part], paste.view.inr
            if below.dtype == torch.uint8:
                paste.result[part] = to_pixels(apply_object(to_signal(below), output, inr))
            else:
                paste.result[part] = apply_object(below, output, inr)
            paste.background = paste.result = torch.empty(0)  # which may be the last to hold them


@dataclass(slots=True)
class _Paste:
    """An object on a view's grid, the background that it reads and the signal that it writes."""

    view: ObjectView
    background: Tensor = field(default_factory=lambda: torch.empty(0))
    result: Tensor = field(default_factory=lambda: torch.empty(0))


def _pastes(view: View) -> Iterator[_Paste]:
    """The objects that touch the grid of a view, in the order of pasting."""
    for region, inr in paste_order(view.frame):
        part = view.grid.inside(region)
        if all(axis.start < axis.stop for axis in part):
            yield _Paste(ObjectView(view.frame, inr, region, view.grid, part))


def _as_pixels(signal: Tensor) -> Tensor:
    return signal if signal.dtype == torch.uint8 else to_pixels(signal)


def _indices(frames: Any) -> tuple[list[int], bool]:
    """Frame numbers as a list, and whether a single one was asked for."""
    try:
        return [operator.index(frames)], True
    except TypeError:
        return [operator.index(i) for i in frames], False


def _check_shape(family: Family, signal: Tensor, shape: tuple[int, int, int]) -> None:
    """Refuse what a family of another package must not return; torch would stretch it silently."""
    if tuple(signal.shape) != shape:
        raise RinrFormatError(
            f"the family {family.name!r} decoded a tensor of shape {list(signal.shape)}: want "
            f"{list(shape)}"
        )


def _check_channels(channels: int, frame: Frame) -> None:
    if channels != (1 if frame.mode == "L" else 3):
        raise RinrFormatError(
            f"{frame.name}: an INR of {channels} channels for a picture of mode {frame.mode}"
        )

"""Encoding: fit the backgrounds, then the objects on the decoded quantised backgrounds."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rinrcodec import __version__
from rinrcodec.boxes import Box, Region
from rinrcodec.compute.compose import apply_object, pixel_tensor, to_pixels, to_signal
from rinrcodec.compute.devices import memory_errors, resolve_device
from rinrcodec.compute.grids import Grid
from rinrcodec.decoder import Decoder
from rinrcodec.errors import RinrInputError
from rinrcodec.families import background_families_for, object_family
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import FitContext, ObjectEncoder, ObjectView, Reference
from rinrcodec.formats.checks import check_name
from rinrcodec.limits import DEFAULT_LIMITS
from rinrcodec.metrics import PEAK
from rinrcodec.pack import Cell, Frame, Group, InrRef, ObjectInr, Pack, select_frames
from rinrcodec.picture import Picture, alike
from rinrcodec.presets import Preset, get_preset
from rinrcodec.sources.images import load_picture, picture_from_array, picture_from_pil
from rinrcodec.targets import Target

if TYPE_CHECKING:
    from os import PathLike

    from PIL.Image import Image

    PictureLike = Picture | NDArray[np.uint8] | Image | str | PathLike[str]

__all__ = ["encode"]


def encode(
    images: Sequence[PictureLike],
    *,
    boxes: Sequence[Sequence[Box]] | None = None,
    preset: str | Preset = "balanced",
    background: str | None = None,
    objects: str | None = None,
    steps: int | None = None,
    gop: int | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    reuse: Pack | None = None,
    target: Target | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Pack:
    """Encode pictures to a pack.

    images: paths, Pillow images, `Picture`s, or uint8 arrays [H, W] (grey) or [H, W, 3] (RGB).
    boxes: the objects of every picture, in pixels; None takes those that the `Picture`s carry.
    background: the family of the backgrounds, of those in `rinrcodec.families`; None takes that of
        `rinrcodec.presets.default_background`. Some code a sequence together: pictures of one
        folder of their names, size and mode, in the given order. A `Preset` has its own.
    objects: the family of the objects on top; None takes the default. A `Preset` has its own.
    steps: fitting steps (for a sequence: epochs) in place of the preset's, for a quick look.
    gop: frames of a sequence that share a row at most, for a background that joins a few; with 1,
        every frame is read alone.
    reuse: a pack of the same pictures, whose backgrounds are taken as they are; only objects are
        fitted. A preset without objects has none to fit, and is refused.
    target: the quality or size wanted in place of the preset's, where the background can be fitted
        for it.
    on_progress: called with the share of the work done, from 0 to 1; from several threads, one at a
        time.

    A CPU fits one chunk of INRs on each core at a time, so a single picture keeps one core busy.
    The same pictures, preset and seed give the same pack, bit for bit, on one CPU machine. Raises
    `RinrInputError` for pictures or boxes that cannot be used.
    """
    if not isinstance(images, Sequence) or isinstance(images, str):
        raise RinrInputError(
            f"images is a {type(images).__name__}: want a list, [image] for a single one"
        )
    pictures = [_as_picture(image, f"{i:06d}") for i, image in enumerate(images)]
    if boxes is not None:
        if not isinstance(boxes, Sequence):
            raise RinrInputError(
                f"boxes={boxes!r}: want one list of rinrcodec.Box for every picture"
            )
        if len(boxes) != len(pictures):
            raise RinrInputError(f"{len(boxes)} lists of boxes for {len(pictures)} pictures")
        if not all(
            isinstance(boxes_of_picture, Sequence) and _are_boxes(boxes_of_picture)
            for boxes_of_picture in boxes
        ):
            raise RinrInputError("boxes: want one list of rinrcodec.Box for every picture")
        pictures = [
            replace(picture, boxes=tuple(boxes_of_picture))
            for picture, boxes_of_picture in zip(pictures, boxes, strict=True)
        ]
    _check_before(pictures, seed)
    backgrounds = None if reuse is None else _backgrounds_of(reuse, pictures)
    chosen = get_preset(preset, steps=steps, background=background, objects=objects, gop=gop)
    if reuse is not None and chosen.objects is None:
        raise RinrInputError(
            f"reuse with the preset {chosen.name!r}: it has no objects to fit, as its background "
            "keeps them sharp itself; choose another background (whose objects go on top of any "
            "pack), or no reuse"
        )
    _check_target(target, chosen)
    progress = _Progress(pictures, chosen, on_progress, backgrounds=backgrounds is None)
    with memory_errors():
        context = FitContext(seed, resolve_device(device), target or Target(), progress.counted)
        pack = _Encoding(pictures, chosen, context).run(backgrounds)
    if on_progress is not None:
        on_progress(1.0)
    return pack


@dataclass(frozen=True, slots=True)
class _Task:
    """An object to fit: the box of a picture, the reference, and the background below it."""

    box: int
    reference: Reference
    background: Tensor


@dataclass(frozen=True, slots=True)
class _Fitted:
    """An object that was fitted, in row `inr.inr.row` of the group that the fit gave."""

    task: _Task
    inr: ObjectInr


class _Encoding:
    """One call of `encode`: backgrounds first, objects against what they decode to."""

    def __init__(self, pictures: Sequence[Picture], preset: Preset, context: FitContext) -> None:
        self.pictures = pictures
        self.preset = preset
        self.context = context
        self.groups: list[Group] = []

    def run(self, backgrounds: Pack | None) -> Pack:
        if backgrounds is None:
            frames = self._fit_backgrounds()
        else:
            frames = backgrounds.frames
            self.groups.extend(backgrounds.stacks)
        info = {
            "encoder": f"rinrcodec {__version__}",
            "preset": self.preset.name,
            "seed": str(self.context.seed),
        }
        objects: dict[tuple[int, int], ObjectInr] = {}
        if self.preset.objects is not None:
            pack = Pack(frames, tuple(self.groups), info)
            objects = self._fit_objects(pack, self.preset.objects)
        frames = tuple(
            replace(frame, objects=tuple(objects.get((i, b)) for b in range(len(frame.boxes))))
            for i, frame in enumerate(frames)
        )
        return Pack(frames, tuple(self.groups), info)

    def _fit_backgrounds(self) -> tuple[Frame, ...]:
        frames: dict[int, Frame] = {}
        for fitted in self.preset.background.fit(self.pictures, self.context):
            for row, members in enumerate(fitted.members):
                ref = InrRef(len(self.groups), row)
                for i, time in members:
                    frames[i] = _frame(self.pictures[i], ref, time)
            self.groups.append(fitted.group)
        return tuple(frames[i] for i in range(len(self.pictures)))

    def _fit_objects(
        self, backgrounds: Pack, encoder: ObjectEncoder
    ) -> dict[tuple[int, int], ObjectInr]:
        tasks = self._object_tasks(Decoder(backgrounds, device=self.context.device))
        objects: dict[tuple[int, int], ObjectInr] = {}
        for group in encoder.fit([task.reference for task in tasks], self.context):
            fitted = [
                self._fitted(tasks[number], row, cell, group.gain)
                for row, members in enumerate(group.members)
                for number, cell in members
            ]
            kept = self._useful(fitted, group.group)
            rows = sorted({one.inr.inr.row for one in kept})
            if not kept:
                continue
            for one in kept:
                ref = InrRef(len(self.groups), rows.index(one.inr.inr.row))
                key = one.task.reference.picture, one.task.box
                objects[key] = replace(one.inr, inr=ref)
            self.groups.append(replace(group.group, rows=group.group.rows.take(rows)))
        return objects

    def _fitted(self, task: _Task, row: int, cell: Cell, gain: float | None) -> _Fitted:
        factor = task.reference.gain if gain is None else gain
        return _Fitted(task, ObjectInr(InrRef(0, row), self.preset.object_mode, factor, cell))

    def _object_tasks(self, decoder: Decoder) -> list[_Task]:
        """What every object has to reproduce inside its box."""
        tasks = []
        sequence_of = {i: n for n, members in enumerate(alike(self.pictures)) for i in members}
        for i, picture in enumerate(self.pictures):
            frame = decoder.source.frame(i)
            regions = [box.region(frame.width, frame.height) for box in frame.boxes]
            if not any(region.area for region in regions):
                continue
            around = Region.around(region for region in regions if region.area)
            signal = decoder.background_signal(i, around)
            pixels = pixel_tensor(picture)
            for b, region in enumerate(regions):
                if not region.area:
                    continue
                # A copy: a view would keep all between the boxes, in every frame of a sequence.
                background = signal[region.inside(around).slices].clone()
                wanted = to_signal(pixels[region.slices].to(self.context.device))
                if self._suffices(background, wanted):
                    continue
                gain = 1.0
                if self.preset.object_mode == "residual":
                    wanted = wanted - background
                    gain = max(float(wanted.abs().max()), 2.0**-20)
                    wanted = wanted / gain
                reference = Reference(i, sequence_of[i], region, wanted, gain)
                tasks.append(_Task(b, reference, background))
        return tasks

    def _suffices(self, background: Tensor, wanted: Tensor) -> bool:
        """Whether a background alone has the quality that is asked for inside a box."""
        asked = self.context.target.objects_psnr
        return asked is not None and _error(background, wanted) <= PEAK**2 * 10 ** (-asked / 10)

    def _useful(self, fitted: Sequence[_Fitted], group: Group) -> list[_Fitted]:
        """The objects that raise the PSNR inside the box by more than the preset asks.

        With a `min_gain` of minus infinity those are all, also where there is nothing to gain.
        """
        if self.preset.min_gain == -math.inf:
            return list(fitted)
        kept = []
        with torch.no_grad():
            for one, output in zip(fitted, self._outputs(fitted, group), strict=True):
                task = one.task
                inr = replace(one.inr, gain=task.reference.gain)
                wanted = apply_object(task.background, task.reference.signal, inr)
                before = _error(task.background, wanted)
                after = _error(apply_object(task.background, output, one.inr), wanted)
                if after < before * 10 ** (-self.preset.min_gain / 10):
                    kept.append(one)
        return kept

    def _outputs(self, fitted: Sequence[_Fitted], group: Group) -> list[Tensor]:
        """What the rows of a group decode to, each on the pixels of its box."""
        views = []
        for one in fitted:
            frame = _frame(self.pictures[one.task.reference.picture], InrRef(0, 0))
            height, width = one.task.reference.signal.shape[:2]
            region = Region(0, 0, width, height)
            part = (slice(0, height), slice(0, width))
            views.append(ObjectView(frame, one.inr, region, Grid.of_frame(width, height), part))
        reader = GroupReader(Pack((), (group,)), 0, self.context.device)
        return object_family(group.spec.family).decode_objects(reader, views)


class _Progress:
    """Turns steps of rows into one fraction of all the work, counted in multiplications."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        preset: Preset,
        on_progress: Callable[[float], None] | None,
        *,
        backgrounds: bool,
    ) -> None:
        self._done = 0.0
        self._report = on_progress
        self._lock = threading.Lock()
        self._total = 1.0
        if on_progress is None:
            return
        if backgrounds:
            self._total += preset.background.work(pictures)
        if preset.objects is not None:
            for picture in pictures:
                for box in picture.boxes:
                    area = box.region(picture.width, picture.height).area
                    self._total += preset.objects.work(area, picture.channels)

    def counted(self, work: float) -> Callable[[int, int], None]:
        """Return what a fit calls with (rows, steps), where a step of a row takes `work`."""

        def on_step(rows: int, steps: int) -> None:
            """May be called from several threads."""
            if self._report is None:
                return
            with self._lock:
                self._done += rows * steps * work
                self._report(min(1.0, self._done / self._total))

        return on_step


def _check_target(target: Target | None, preset: Preset) -> None:
    """Raise `RinrInputError` for a target that the background cannot be fitted for."""
    if target is None:
        return
    if not isinstance(target, Target):
        raise RinrInputError(f"target={target!r}: want a rinrcodec.Target, such as Target(psnr=30)")
    asked = set(target.given)
    able = background_families_for(asked)
    if preset.background.family not in able:
        raise RinrInputError(
            f"a target for the preset {preset.name!r}: its background is not fitted for "
            f"{', '.join(sorted(asked))}; want background={' or '.join(map(repr, able))}"
        )


def _check_before(pictures: Sequence[Picture], seed: int) -> None:
    """Refuse now what could not be saved after all the work."""
    if not pictures:
        raise RinrInputError("no pictures to encode")
    if not 0 <= seed < 2**31:
        raise RinrInputError(f"seed={seed}: want 0 to {2**31 - 1}")
    names = set()
    for picture in pictures:
        check_name(picture.name, DEFAULT_LIMITS)
        if picture.name in names:
            raise RinrInputError(
                f"two pictures have the name {picture.name!r}: a pack needs different ones; "
                "load_picture(path, name=...) gives a picture another name"
            )
        names.add(picture.name)


def _backgrounds_of(pack: Pack, pictures: Sequence[Picture]) -> Pack:
    """The pack without its object INRs, its frames with the boxes of the pictures."""
    stored = [(frame.name, frame.width, frame.height, frame.mode) for frame in pack.frames]
    wanted = [(p.name, p.width, p.height, p.mode) for p in pictures]
    if stored != wanted:
        raise RinrInputError(
            f"reuse: its {len(stored)} frames are not the {len(wanted)} pictures: want those "
            "of the same names, sizes and colours, in the same order"
        )
    frames = tuple(
        replace(frame, boxes=picture.boxes, objects=(None,) * len(picture.boxes))
        for frame, picture in zip(pack.frames, pictures, strict=True)
    )
    return select_frames(replace(pack, frames=frames), range(len(frames)))


def _as_picture(image: PictureLike, name: str) -> Picture:
    if isinstance(image, Picture):
        return image
    if isinstance(image, np.ndarray):
        return picture_from_array(image, name=name)
    if isinstance(image, (str, os.PathLike)):
        return load_picture(image)
    if not hasattr(image, "getexif"):
        raise RinrInputError(
            f"cannot encode a {type(image).__name__}: want a path, a Pillow image, a Picture or a "
            "uint8 array [H, W] or [H, W, 3]"
        )
    return picture_from_pil(image, name=name)


def _are_boxes(boxes: Sequence[object]) -> bool:
    return all(isinstance(box, Box) for box in boxes)


def _frame(picture: Picture, background: InrRef, time: float = 0.0) -> Frame:
    return Frame(
        name=picture.name,
        width=picture.width,
        height=picture.height,
        background=background,
        mode=picture.mode,
        boxes=picture.boxes,
        objects=(None,) * len(picture.boxes),
        time=time,
        source_size=picture.source_size,
        source_bytes=picture.source_bytes,
        metadata=picture.metadata,
    )


def _error(signal: Tensor, reference: Tensor) -> float:
    return float((to_pixels(signal).float() - (reference + 1) * 127.5).square().mean())

"""Encoding: fit the backgrounds, then the objects on the decoded quantised backgrounds."""

from __future__ import annotations

import math
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rinrcodec import __version__
from rinrcodec.boxes import Box, Region
from rinrcodec.compute.compose import apply_object, to_pixels
from rinrcodec.compute.devices import memory_errors, resolve_device
from rinrcodec.compute.grids import Grid
from rinrcodec.compute.quantize import dequantize
from rinrcodec.decoder import Decoder, evaluate
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.families import family_of, pixel_family, sequence_family
from rinrcodec.families.nerv.fit import fit_sequence
from rinrcodec.families.pyramid.rows import WORK as PYRAMID_WORK
from rinrcodec.families.pyramid.rows import fit_rows, pyramid_group
from rinrcodec.families.siren.fit import fit_group, to_signal
from rinrcodec.formats.checks import check_name
from rinrcodec.limits import DEFAULT_LIMITS
from rinrcodec.pack import (
    Frame,
    Group,
    InrRef,
    ObjectInr,
    Pack,
    Rows,
    Spec,
    join_rows,
    select_frames,
)
from rinrcodec.picture import Picture, alike
from rinrcodec.presets import Part, Preset, PyramidPart, SequencePart, Target, get_preset
from rinrcodec.sources.images import load_picture, picture_from_array, picture_from_pil

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
    background: str = "siren",
    steps: int | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    reuse: Pack | None = None,
    target: Target | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Pack:
    """Encode pictures to a pack.

    images: paths, Pillow images, `Picture`s, or uint8 arrays [H, W] (grey) or [H, W, 3] (RGB).
    boxes: the objects of every picture, in pixels; None takes those that the `Picture`s carry.
    background: "siren" fits a network for every frame, "nerv" one for every sequence: pictures of
        one folder (of their names), size and mode, in the given order; "pyramid" fits latents for
        every frame. A `Preset` has its own.
    steps: fitting steps (for a sequence: epochs) in place of the preset's, for a quick look.
    reuse: a pack of the same pictures, whose background INRs are taken as they are; only object
        INRs are fitted. A preset with a pyramid has none to fit, and is refused.
    target: for "pyramid", the quality or size wanted in place of the preset's lambda.
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
        if not all(isinstance(own, Sequence) and _are_boxes(own) for own in boxes):
            raise RinrInputError("boxes: want one list of rinrcodec.Box for every picture")
        pictures = [
            replace(picture, boxes=tuple(own)) for picture, own in zip(pictures, boxes, strict=True)
        ]
    _check_before(pictures, seed)
    backgrounds = None if reuse is None else _backgrounds_of(reuse, pictures)
    chosen = get_preset(preset, steps=steps, background=background)
    if reuse is not None and isinstance(chosen.background, PyramidPart):
        raise RinrInputError(
            f"reuse with the preset {chosen.name!r}: a pyramid keeps objects sharp itself and has "
            "no object INRs to fit; want background='siren' (whose object INRs go on top of any "
            "pack), or no reuse"
        )
    if target is not None and not isinstance(chosen.background, PyramidPart):
        raise RinrInputError(
            f"a target for the preset {chosen.name!r}: want background='pyramid', the one family "
            "that is fitted for a target"
        )
    progress = _Progress(pictures, chosen, on_progress, backgrounds=backgrounds is None)
    with memory_errors():
        place = resolve_device(device)
        encoding = _Encoding(pictures, chosen, target or Target(), seed, place, progress)
        pack = encoding.run(backgrounds)
    if on_progress is not None:
        on_progress(1.0)
    return pack


@dataclass(slots=True)
class _Task:
    """One INR to be fitted: for which picture and box (None: the background), and its target."""

    picture: int
    target: Tensor
    box: int | None = None
    background: Tensor = field(default_factory=lambda: torch.empty(0))
    gain: float = 1.0


class _Encoding:
    """One call of `encode`: backgrounds first, objects against what they decode to."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        preset: Preset,
        target: Target,
        seed: int,
        device: torch.device,
        progress: _Progress,
    ) -> None:
        self.pictures = pictures
        self.preset = preset
        self.target = target
        self.seed = seed
        self.device = device
        self.progress = progress
        self.stacks: list[Group] = []

    def run(self, backgrounds: Pack | None) -> Pack:
        if backgrounds is None:
            frames = self._fit_backgrounds()
        else:
            frames = backgrounds.frames
            self.stacks.extend(backgrounds.stacks)
        info = {
            "encoder": f"rinrcodec {__version__}",
            "preset": self.preset.name,
            "seed": str(self.seed),
        }
        # A pyramid has its objects in its latents, which count more inside the boxes.
        pyramids = isinstance(self.preset.background, PyramidPart)
        objects = {} if pyramids else self._fit_objects(Pack(frames, tuple(self.stacks), info))
        frames = tuple(
            replace(frame, objects=tuple(objects.get((i, b)) for b in range(len(frame.boxes))))
            for i, frame in enumerate(frames)
        )
        return Pack(frames, tuple(self.stacks), info)

    def _fit_backgrounds(self) -> tuple[Frame, ...]:
        part = self.preset.background
        if isinstance(part, SequencePart):
            return self._fit_sequences(part)
        if isinstance(part, PyramidPart):
            return self._fit_pyramids(part)
        tasks = [_Task(i, _pixels(picture)) for i, picture in enumerate(self.pictures)]
        refs: dict[int, InrRef] = {}
        for spec, members in _by_spec(tasks, part).items():
            fitted = self._fit(spec, members, part)
            refs.update({t.picture: InrRef(len(self.stacks), r) for r, t in enumerate(members)})
            self.stacks.append(fitted)
        return tuple(_frame(picture, refs[i]) for i, picture in enumerate(self.pictures))

    def _fit_sequences(self, part: SequencePart) -> tuple[Frame, ...]:
        frames: dict[int, Frame] = {}
        groups: dict[Spec, list[Rows]] = {}
        numbers: dict[Spec, int] = {}
        sequences = [
            (members, _sequence_spec(part, self.pictures[members[0]], len(members)))
            for members in _sequences(self.pictures, part)
        ]
        for members, spec in sequences:
            pictures = [self.pictures[i] for i in members]
            pixels = [_pixels(picture) for picture in pictures]
            times = [k / len(members) for k in range(len(members))]
            fitted = fit_sequence(
                spec,
                pixels,
                part.recipe,
                times=times,
                bits=part.bits,
                seed=self.seed,
                device=self.device,
                on_step=self.progress.of(sequence_family(spec).work(spec)),
            )
            rows = groups.setdefault(spec, [])
            ref = InrRef(numbers.setdefault(spec, len(numbers)), len(rows))
            rows.append(fitted.rows)
            for i, picture, time in zip(members, pictures, times, strict=True):
                frames[i] = replace(_frame(picture, ref), time=time)
        self.stacks += [Group(spec, part.bits, join_rows(rows)) for spec, rows in groups.items()]
        return tuple(frames[i] for i in range(len(self.pictures)))

    def _fit_pyramids(self, part: PyramidPart) -> tuple[Frame, ...]:
        rows = fit_rows(
            self.pictures,
            _pixels,
            part,
            target=self.target,
            seed=self.seed,
            device=self.device,
            counted=self.progress.of,
        )
        frames: dict[int, Frame] = {}
        groups: dict[Spec, list[bytes]] = {}
        for row in rows:
            coded = groups.setdefault(row.spec, [])
            ref = InrRef(list(groups).index(row.spec), len(coded))
            coded.append(row.coded)
            for place, i in enumerate(row.members):
                frames[i] = replace(_frame(self.pictures[i], ref), time=float(place))
        self.stacks += [pyramid_group(spec, coded) for spec, coded in groups.items()]
        return tuple(frames[i] for i in range(len(self.pictures)))

    def _fit_objects(self, backgrounds: Pack) -> dict[tuple[int, int], ObjectInr]:
        part = self.preset.objects
        tasks = self._object_tasks(Decoder(backgrounds, device=self.device))
        objects: dict[tuple[int, int], ObjectInr] = {}
        for spec, members in _by_spec(tasks, part).items():
            fitted = self._fit(spec, members, part)
            kept = self._useful(spec, members, fitted)
            if not kept:
                continue
            for row, k in enumerate(kept):
                task = members[k]
                assert task.box is not None
                inr = InrRef(len(self.stacks), row)
                objects[task.picture, task.box] = ObjectInr(inr, self.preset.object_mode, task.gain)
            self.stacks.append(replace(fitted, rows=fitted.rows.take(kept)))
        return objects

    def _object_tasks(self, decoder: Decoder) -> list[_Task]:
        """What every object INR has to output inside its box."""
        tasks = []
        for i, picture in enumerate(self.pictures):
            frame = decoder.source.frame(i)
            regions = [box.region(frame.width, frame.height) for box in frame.boxes]
            if not any(region.area for region in regions):
                continue
            around = Region.around(region for region in regions if region.area)
            signal = decoder.background_signal(i, around)
            pixels = _pixels(picture)
            for b, region in enumerate(regions):
                if not region.area:
                    continue
                # A copy: a view would keep all between the boxes, in every frame of a sequence.
                background = signal[region.inside(around).slices].clone()
                target = to_signal(pixels[region.slices].to(self.device))
                gain = 1.0
                if self.preset.object_mode == "residual":
                    target = target - background
                    gain = max(float(target.abs().max()), 2.0**-20)
                    target = target / gain
                tasks.append(_Task(i, target, b, background, gain))
        return tasks

    def _fit(self, spec: Spec, tasks: Sequence[_Task], part: Part) -> Group:
        shapes = [task.target.shape for task in tasks]
        work = [_work(part, height * width, channels) for height, width, channels in shapes]
        fitted = fit_group(
            spec,
            [task.target for task in tasks],
            part.recipe,
            bits=part.bits,
            seed=self.seed,
            device=self.device,
            on_step=self.progress.of(sum(work) / len(work)),
        )
        return Group(spec, part.bits, fitted.rows)

    def _useful(self, spec: Spec, tasks: Sequence[_Task], fitted: Group) -> list[int]:
        """The objects whose INR raises the PSNR inside the box by more than the preset asks.

        With a `min_gain` of minus infinity those are all, also where there is nothing to gain.
        """
        if self.preset.min_gain == -math.inf:
            return list(range(len(tasks)))
        sizes = family_of(spec).tensor_sizes(spec)
        weights = dequantize(fitted.rows, sizes, self.device)
        with torch.no_grad():
            coords = []
            for task in tasks:
                h, w = task.target.shape[:2]
                coords.append(Grid.of_frame(w, h).coords(Region(0, 0, w, h)))
            outputs = evaluate(spec, weights, coords)
            kept = []
            for k, (task, output) in enumerate(zip(tasks, outputs, strict=True)):
                found = ObjectInr(InrRef(0, 0), self.preset.object_mode, task.gain)
                shape = task.target.shape
                wanted = apply_object(task.background, task.target, found)
                with_object = apply_object(task.background, output.view(shape), found)
                before = _error(task.background, wanted)
                after = _error(with_object, wanted)
                if after < before * 10 ** (-self.preset.min_gain / 10):
                    kept.append(k)
        return kept


class _Progress:
    """Turns steps of INRs into one fraction of all the work, counted in multiplications."""

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
        for picture in pictures:
            height, width = picture.pixels.shape[:2]
            channels = picture.channels
            background = preset.background if backgrounds else None
            if isinstance(background, SequencePart):
                spec = _sequence_spec(background, picture, len(pictures))
                self._total += background.recipe.steps * sequence_family(spec).work(spec)
            elif isinstance(background, PyramidPart):
                self._total += background.recipe.steps * width * height * PYRAMID_WORK
            elif background is not None:
                self._total += background.recipe.steps * _work(background, width * height, channels)
            for box in () if isinstance(preset.background, PyramidPart) else picture.boxes:
                work = _work(preset.objects, box.region(width, height).area, channels)
                self._total += preset.objects.recipe.steps * work

    def of(self, work: float) -> Callable[[int, int], None]:
        """What a fit calls with (INRs, steps) where a step of an INR takes `work`."""

        def on_step(inrs: int, steps: int) -> None:
            """May be called from several threads."""
            if self._report is None:
                return
            with self._lock:
                self._done += inrs * steps * work
                self._report(min(1.0, self._done / self._total))

        return on_step


def _work(part: Part, area: int, channels: int) -> int:
    """Multiplications of one step of an INR for `area` pixels."""
    spec = part.spec(area, channels)
    return min(part.recipe.samples or area, area) * pixel_family(spec).work(spec)


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
    found = [(frame.name, frame.width, frame.height, frame.mode == "L") for frame in pack.frames]
    wanted = [(p.name, p.width, p.height, p.pixels.ndim == 2) for p in pictures]
    if found != wanted:
        raise RinrInputError(
            f"reuse: its {len(found)} frames are not the {len(wanted)} pictures: want those "
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


def _sequences(pictures: Sequence[Picture], part: SequencePart) -> list[list[int]]:
    """The numbers of the pictures of every sequence, those that are too long cut into chunks."""
    chunks = []
    for members in alike(pictures):
        first = pictures[members[0]]
        while members:
            count = part.chunk(len(members), first.width * first.height)
            chunks.append(members[:count])
            members = members[count:]
    return chunks


def _sequence_spec(part: SequencePart, picture: Picture, n_frames: int) -> Spec:
    """The network of a sequence of pictures like this one, which it must not be too large for."""
    channels = picture.channels
    spec = part.spec(picture.width, picture.height, n_frames, channels)
    try:
        sequence_family(spec)
    except RinrFormatError as error:
        raise RinrInputError(
            f"{picture.name}: a frame of {picture.width}x{picture.height} is too large for the "
            f"network of a sequence ({error}); the background siren takes frames of any size"
        ) from error
    return spec


def _by_spec(tasks: Sequence[_Task], part: Part) -> dict[Spec, list[_Task]]:
    members: dict[Spec, list[_Task]] = defaultdict(list)
    for task in tasks:
        height, width, channels = task.target.shape
        members[part.spec(height * width, channels)].append(task)
    return members


def _pixels(picture: Picture) -> Tensor:
    """uint8 [H, W, 1 or 3]."""
    pixels = torch.tensor(picture.pixels)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _frame(picture: Picture, background: InrRef) -> Frame:
    height, width = picture.pixels.shape[:2]
    return Frame(
        name=picture.name,
        width=width,
        height=height,
        background=background,
        mode=picture.mode,
        boxes=picture.boxes,
        objects=(None,) * len(picture.boxes),
        source_size=picture.source_size,
        source_bytes=picture.source_bytes,
        metadata=picture.metadata,
    )


def _error(signal: Tensor, wanted: Tensor) -> float:
    return float((to_pixels(signal).float() - (wanted + 1) * 127.5).square().mean())

"""One fit of a pack: the backgrounds first, then the objects on what they decode to."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rinrcodec import __version__
from rinrcodec.boxes import Region
from rinrcodec.compute.arrays import Array, as_float, as_tensor, copied, on_device
from rinrcodec.compute.compose import apply_object, pixel_array, to_pixels, to_signal
from rinrcodec.decoder import Decoder
from rinrcodec.decoding.checks import check_count
from rinrcodec.encoding.soften import softened
from rinrcodec.errors import RinrInputError
from rinrcodec.families import object_family
from rinrcodec.families.fitted import object_outputs
from rinrcodec.families.interface import FitContext, FittedRows, ObjectEncoder, Reference
from rinrcodec.metrics import PEAK
from rinrcodec.pack import Cell, Frame, Group, InrRef, ObjectInr, Pack, merge_packs
from rinrcodec.picture import Picture, alike
from rinrcodec.presets import Preset
from rinrcodec.printing import count

__all__ = ["Encoding", "Progress", "frame_of"]


@dataclass(frozen=True, slots=True)
class _Task:
    """An object to fit: the box of a picture, the reference, and the background below it."""

    box: int
    reference: Reference
    background: Array


@dataclass(frozen=True, slots=True)
class _Fitted:
    """An object that was fitted, in row `inr.inr.row` of the group that the fit gave."""

    task: _Task
    inr: ObjectInr


class Encoding:
    """One call of `encode`: backgrounds first, objects against what they decode to."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        preset: Preset,
        context: FitContext,
        info: Mapping[str, str],
    ) -> None:
        self.pictures = pictures
        self.preset = preset
        self.context = context
        self.info = info
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
            **self.info,
        }
        objects: dict[tuple[int, int], ObjectInr] = {}
        if self.preset.objects is not None:
            pack = Pack(frames, tuple(self.groups), info)
            objects = self._fit_objects(pack, self.preset.objects)
        frames = tuple(
            replace(frame, objects=tuple(objects.get((i, b)) for b in range(len(frame.boxes))))
            for i, frame in enumerate(frames)
        )
        # One group for each spec, also where backgrounds and objects have the same.
        return merge_packs([Pack(frames, tuple(self.groups), info)])

    def _fit_backgrounds(self) -> tuple[Frame, ...]:
        frames: dict[int, Frame] = {}
        pictures = [softened(picture, self.preset.soften) for picture in self.pictures]
        groups = list(self.preset.background.fit(pictures, self.context))
        _check_fitted(self.preset.background.family, groups, self.pictures)
        for fitted in groups:
            for row, members in enumerate(fitted.members):
                ref = InrRef(len(self.groups), row)
                for i, time in members:
                    frames[i] = frame_of(self.pictures[i], ref, time)
            self.groups.append(fitted.group)
        return tuple(frames[i] for i in range(len(self.pictures)))

    def _fit_objects(
        self, backgrounds: Pack, encoder: ObjectEncoder
    ) -> dict[tuple[int, int], ObjectInr]:
        tasks = self._object_tasks(Decoder(backgrounds, device=self.context.gpu or "cpu"))
        objects: dict[tuple[int, int], ObjectInr] = {}
        references = [task.reference for task in tasks]
        if encoder.needs_torch:
            references = [replace(one, signal=as_tensor(one.signal)) for one in references]
        for group in encoder.fit(references, self.context):
            fitted = [
                self._fitted(tasks[number], row, cell, group.gain)
                for row, members in enumerate(group.members)
                for number, cell in members
            ]
            kept = self._useful(fitted, group.group)
            rows = sorted({one.inr.inr.row for one in kept})
            new_row = {row: k for k, row in enumerate(rows)}
            if not kept:
                continue
            for one in kept:
                ref = InrRef(len(self.groups), new_row[one.inr.inr.row])
                key = one.task.reference.picture, one.task.box
                objects[key] = replace(one.inr, inr=ref)
            self.groups.append(replace(group.group, rows=group.group.rows.take(rows)))
        return objects

    def _fitted(self, task: _Task, row: int, cell: Cell, gain: float | None) -> _Fitted:
        factor = task.reference.gain if gain is None else gain
        return _Fitted(task, ObjectInr(InrRef(0, row), self.preset.object_mode, factor, cell))

    def _object_tasks(self, decoder: Decoder) -> list[_Task]:
        """Return the targets of all objects: the pixels inside each box."""
        tasks = []
        sequence_of = {i: n for n, members in enumerate(alike(self.pictures)) for i in members}
        for i, picture in enumerate(self.pictures):
            frame = decoder.source.frame(i)
            regions = [box.region(frame.width, frame.height) for box in frame.boxes]
            if not any(region.area for region in regions):
                continue
            around = Region.around(region for region in regions if region.area)
            signal = decoder.background_signal(i, around)
            pixels = pixel_array(picture)
            for b, region in enumerate(regions):
                if not region.area:
                    continue
                # A copy: a view would keep all between the boxes, in every frame of a sequence.
                background = copied(signal[region.inside(around).slices])
                wanted = to_signal(on_device(pixels[region.slices], self.context.gpu))
                if self._suffices(background, wanted):
                    continue
                gain = 1.0
                if self.preset.object_mode == "residual":
                    wanted = wanted - background
                    gain = max(float(abs(wanted).max()), 2.0**-20)
                    wanted = wanted / gain
                reference = Reference(i, sequence_of[i], region, wanted, gain)
                tasks.append(_Task(b, reference, background))
        return tasks

    def _suffices(self, background: Array, wanted: Array) -> bool:
        """Return whether a background alone has the requested quality inside a box."""
        asked = self.context.target.objects_psnr
        return asked is not None and _error(background, wanted) <= PEAK**2 * 10 ** (-asked / 10)

    def _useful(self, fitted: Sequence[_Fitted], group: Group) -> list[_Fitted]:
        """Return the objects that raise the PSNR inside the box by more than the preset requires.

        With a `min_gain` of minus infinity those are all, also where there is nothing to gain.
        """
        if self.preset.min_gain == -math.inf:
            return list(fitted)
        kept = []
        objects = [(one.inr, one.task.background.shape[:2]) for one in fitted]
        outputs = object_outputs(group, objects, self.context.gpu)
        check_count(object_family(group.spec.family), "object", outputs, len(objects))
        for one, output in zip(fitted, outputs, strict=True):
            task = one.task
            inr = replace(one.inr, gain=task.reference.gain)
            wanted = apply_object(task.background, task.reference.signal, inr)
            before = _error(task.background, wanted)
            after = _error(apply_object(task.background, output, one.inr), wanted)
            if after < before * 10 ** (-self.preset.min_gain / 10):
                kept.append(one)
        return kept


class Progress:
    """Turns steps of rows into one fraction of all the work, counted in multiplications."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        preset: Preset,
        on_progress: Callable[[float], None] | None,
        *,
        backgrounds: bool,
        tries: int = 1,
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
        self._total *= tries

    def counted(self, work: float) -> Callable[[int, int], None]:
        """Return what a fit calls with (rows, steps), where a step of a row takes `work`."""

        def on_step(rows: int, steps: int) -> None:
            """Report one step; several threads may call this."""
            if self._report is None:
                return
            with self._lock:
                self._done += rows * steps * work
                self._report(min(1.0, self._done / self._total))

        return on_step


def frame_of(picture: Picture, background: InrRef, time: float = 0.0) -> Frame:
    """Return the frame of a picture, without objects."""
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
        labelled=picture.labelled,
        attributes=picture.attributes,
    )


def _check_fitted(name: str, groups: Sequence[FittedRows], pictures: Sequence[Picture]) -> None:
    """Refuse what an encoder of another package must not return: frames would be wrong or lost."""
    times: Counter[int] = Counter()
    for fitted in groups:
        info, members = fitted.group.info, fitted.members
        if info.spec.family != name:
            raise RinrInputError(
                f"the encoder of {name!r} returned a group of the family {info.spec.family!r}"
            )
        if len(members) != info.n_rows:
            raise RinrInputError(
                f"the family {name!r} gave the members of {count(len(members), 'row')}, for a "
                f"group of {count(info.n_rows, 'row')}"
            )
        times.update(i for row in members for i, _ in row)
    for i, picture in enumerate(pictures):
        if times[i] != 1:
            where = f"{times[i]:,} rows" if times[i] else "no row"
            raise RinrInputError(
                f"the family {name!r} put picture {i} ({picture.name!r}) in {where}: `fit` must "
                "put every picture in exactly one"
            )
    if len(times) > len(pictures):
        raise RinrInputError(
            f"the family {name!r} put picture {max(times)} in a row: there are {len(pictures):,}"
        )


def _error(signal: Array, reference: Array) -> float:
    return float(((as_float(to_pixels(signal)) - (reference + 1) * 127.5) ** 2).mean())

"""Encoding av1 objects: which residuals share an atlas, and how coarsely it is coded.

1. objects that overlap from frame to frame of a sequence are its *tracks*
2. the tracks of up to `gop` frames are coded twice: side by side in one atlas, and as a row of
   atlases, one for each frame, in which a track keeps its cell
3. where the row takes fewer bytes, it stays; all other objects share atlases, as many as fit, in
   the order of their pictures
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Region
from rinrcodec.compute.arrays import as_array
from rinrcodec.compute.parallel import parallel_map
from rinrcodec.families.av1.atlas import filled, packed, tracks
from rinrcodec.families.av1.decode import row_pixels
from rinrcodec.families.av1.decode_objects import NEUTRAL
from rinrcodec.families.av1.fit import least_level, quality_of
from rinrcodec.families.av1.layout import MOST_ATLAS_PIXELS, row_spec
from rinrcodec.families.av1.settings import Av1ObjectSettings, pixel_work
from rinrcodec.families.av1.stream import encode_stills
from rinrcodec.families.interface import FitContext, FittedObjects, Reference
from rinrcodec.metrics import LARGEST_DB, PEAK
from rinrcodec.pack import Cell, Group, Spec
from rinrcodec.targets import Tune

__all__ = ["fit_objects"]

_SHARED_PIXELS = 2**17  # of objects that share an atlas
_MOST_FOLLOWED = 256  # objects of a frame: each is compared with all of the frame before
_QUICK_SPEED = 9
_START = 30  # the level to ask for first


@dataclass(frozen=True, slots=True, eq=False)
class _Object:
    """The residual of a reference in whole steps of a pixel, around 128: int16 [h, w, channels]."""

    number: int
    reference: Reference
    samples: NDArray[np.int16]

    @property
    def size(self) -> tuple[int, int]:
        """Its width and height."""
        return self.samples.shape[1], self.samples.shape[0]

    @property
    def area(self) -> int:
        return self.size[0] * self.size[1]


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Atlases of a row, and where each object is."""

    pictures: list[NDArray[np.uint8]]
    objects: Sequence[_Object]
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """A coded layout, and the mean over its frames of the PSNR inside their boxes, in dB."""

    layout: _Layout
    coded: bytes
    psnr: float

    @property
    def spec(self) -> Spec:
        return _spec(self.layout)


def fit_objects(
    references: Sequence[Reference], settings: Av1ObjectSettings, context: FitContext
) -> Iterator[FittedObjects]:
    """Encode all objects on all cores of the CPU, and group the rows by their specs."""
    objects = [_object(number, reference) for number, reference in enumerate(references)]

    def along_tracks(window: _Window) -> _Row | None:
        return _following(window, settings, context)

    def side_by_side(layout: _Layout) -> _Row:
        return _best(layout, settings, context, None)

    windows = list(_windows(objects, settings))
    rows = [row for row in parallel_map(along_tracks, windows, None) if row is not None]
    done = {one.number for row in rows for one in row.layout.objects}
    rest = [one for one in objects if one.number not in done]
    layouts = [
        layout
        for channels in (1, 3)
        for part in _parts([o for o in rest if o.samples.shape[2] == channels], settings)
        for layout in _side_by_side(part)
    ]
    rows += parallel_map(side_by_side, layouts, None)
    for row in rows:
        area = sum(one.area for one in row.layout.objects)
        context.counted(area * pixel_work(settings.speed))(1, 1)
    by_spec: dict[Spec, list[_Row]] = defaultdict(list)
    for row in rows:
        by_spec[row.spec].append(row)
    for spec, its in by_spec.items():
        group = Group.of_bytes(spec, [row.coded for row in its])
        members = [
            [(o.number, cell) for o, cell in zip(row.layout.objects, row.layout.cells, strict=True)]
            for row in its
        ]
        yield FittedObjects(group, members, gain=1.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """Objects of a few frames of a sequence, and the track of each."""

    objects: Sequence[_Object]
    tracks: Sequence[int]


def _object(number: int, reference: Reference) -> _Object:
    steps = as_array(reference.signal) * reference.gain * 127.5
    samples = np.clip(np.rint(steps), -(2**14), 2**14).astype(np.int16) + np.int16(NEUTRAL)
    return _Object(number, reference, samples)


def _windows(objects: Sequence[_Object], settings: Av1ObjectSettings) -> Iterator[_Window]:
    """Yield the objects in two or more of up to `gop` frames of a sequence."""
    by_sequence: dict[int, list[_Object]] = defaultdict(list)
    for one in objects:
        by_sequence[one.reference.sequence].append(one)
    for members in by_sequence.values():
        frames = [list(its) for _, its in groupby(members, key=lambda o: o.reference.picture)]
        for start in range(0, len(frames), settings.gop):
            window = frames[start : start + settings.gop]
            if max(map(len, window)) > _MOST_FOLLOWED:
                continue
            regions = [[one.reference.region for one in frame] for frame in window]
            numbers = list(chain.from_iterable(tracks(regions)))
            lengths = Counter(numbers)
            pairs = zip(chain.from_iterable(window), numbers, strict=True)
            moving = [(one, track) for one, track in pairs if lengths[track] > 1]
            if moving:
                yield _Window([one for one, _ in moving], [track for _, track in moving])


def _parts(objects: Sequence[_Object], settings: Av1ObjectSettings) -> Iterator[list[_Object]]:
    """Cut objects into those that share an atlas, in order."""
    part: list[_Object] = []
    pixels = 0
    pictures: set[int] = set()
    for one in objects:
        pictures.add(one.reference.picture)
        if part and (pixels + one.area > _SHARED_PIXELS or len(pictures) > settings.frames):
            yield part
            part, pixels, pictures = [], 0, {one.reference.picture}
        part.append(one)
        pixels += one.area
    if part:
        yield part


def _following(window: _Window, settings: Av1ObjectSettings, context: FitContext) -> _Row | None:
    """Build a row of atlases where tracks keep their cells; None if it takes more bytes."""
    layout = _along_tracks(window)
    if layout is None:
        return None
    layouts = [one for part in _parts(window.objects, settings) for one in _side_by_side(part)]
    rivals = [_best(one, settings, context, None) for one in layouts]
    least = min(row.psnr for row in rivals)
    row = _best(layout, settings, context, least)
    shorter = len(row.coded) < sum(len(rival.coded) for rival in rivals)
    return row if row.psnr >= least and shorter else None


def _side_by_side(objects: Sequence[_Object]) -> list[_Layout]:
    """Place all objects in one atlas, or in several if it would be too large."""
    size, corners = packed([one.size for one in objects])
    if len(objects) > 1 and size[0] * size[1] > MOST_ATLAS_PIXELS:
        half = len(objects) // 2
        return _side_by_side(objects[:half]) + _side_by_side(objects[half:])
    cells = [Cell(0, x, y) for x, y in corners]
    return [_Layout([_atlas(size, objects, cells)], objects, cells)]


def _along_tracks(window: _Window) -> _Layout | None:
    """Build an atlas for every frame, with one cell for each track; None if it is too large."""
    objects, numbers = window.objects, window.tracks
    sizes: dict[int, tuple[int, int]] = {}
    for one, track in zip(objects, numbers, strict=True):
        width, height = sizes.get(track, (0, 0))
        sizes[track] = max(width, one.size[0]), max(height, one.size[1])
    size, corners = packed(list(sizes.values()))
    if size[0] * size[1] > MOST_ATLAS_PIXELS:
        return None
    corner_of = dict(zip(sizes, corners, strict=True))
    times = {p: t for t, p in enumerate(dict.fromkeys(o.reference.picture for o in objects))}
    cells = [
        Cell(times[one.reference.picture], *corner_of[track])
        for one, track in zip(objects, numbers, strict=True)
    ]
    pictures: list[NDArray[np.uint8]] = []
    for time in times.values():
        here = [
            (one, cell, sizes[track])
            for one, cell, track in zip(objects, cells, numbers, strict=True)
            if cell.time == time
        ]
        pictures.append(
            filled(
                size,
                [(Region(cell.x, cell.y, *room), _clipped(one)) for one, cell, room in here],
                pictures[-1] if pictures else _neutral(objects),
            )
        )
    return _Layout(pictures, objects, cells)


def _atlas(
    size: tuple[int, int], objects: Sequence[_Object], cells: Sequence[Cell]
) -> NDArray[np.uint8]:
    filling = [
        (Region(cell.x, cell.y, *one.size), _clipped(one))
        for one, cell in zip(objects, cells, strict=True)
    ]
    return filled(size, filling, _neutral(objects))


def _neutral(objects: Sequence[_Object]) -> NDArray[np.uint8]:
    return np.full((1, 1, objects[0].samples.shape[2]), NEUTRAL, np.uint8)


def _clipped(one: _Object) -> NDArray[np.uint8]:
    return np.clip(one.samples, 0, 255).astype(np.uint8)


def _best(
    layout: _Layout, settings: Av1ObjectSettings, context: FitContext, least: float | None
) -> _Row:
    """Encode the layout at the requested quality, or with at least a given PSNR."""
    target = context.target
    tune = target.tuned_for
    if least is None and target.objects_psnr is None:
        asked = target.objects_quality
        quality = settings.quality if asked is None else round(asked)
        return _coded(layout, quality, settings.speed, tune)
    wanted = target.objects_psnr if least is None else least
    assert wanted is not None
    rows: dict[int, _Row] = {}

    def reached(level: int) -> float:
        rows[level] = _coded(layout, quality_of(level), settings.speed, tune)
        return rows[level].psnr

    start = least_level(
        lambda level: _coded(layout, quality_of(level), _QUICK_SPEED, tune).psnr, wanted, _START
    )
    level = least_level(reached, wanted, start)
    if level not in rows:
        reached(level)
    return rows[level]


def _coded(layout: _Layout, quality: int, speed: int, tune: Tune) -> _Row:
    pictures = [
        picture[..., 0] if picture.shape[2] == 1 else picture for picture in layout.pictures
    ]
    coded = encode_stills(pictures, quality=quality, speed=speed, tune=tune)
    height, width = pictures[0].shape[:2]
    decoded = row_pixels(_spec(layout), coded, (width, height))
    errors: dict[int, float] = defaultdict(float)
    values: Counter[int] = Counter()
    for one, cell in zip(layout.objects, layout.cells, strict=True):
        part = Region(cell.x, cell.y, *one.size).slices
        difference = one.samples.astype(np.float64) - decoded[cell.time][part]
        errors[one.reference.picture] += float(np.square(difference).sum())
        values[one.reference.picture] += one.samples.size
    reached = [_decibel(errors[picture] / values[picture]) for picture in errors]
    return _Row(layout, coded, sum(reached) / len(reached))


def _decibel(error: float) -> float:
    return min(10 * math.log10(PEAK**2 / error), LARGEST_DB) if error else LARGEST_DB


def _spec(layout: _Layout) -> Spec:
    return row_spec(1, "400", 8) if layout.pictures[0].shape[2] == 1 else row_spec(3, "444", 8)

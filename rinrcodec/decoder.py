"""Decoding: group -> dequantise -> one batched forward per group -> paste -> round to uint8 RGB."""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, SupportsIndex, overload

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from rinrcodec.boxes import Region
from rinrcodec.compute.compose import apply_object, as_rgb, paste_order, stack_if_equal, to_pixels
from rinrcodec.compute.devices import chunks_by_cost, memory_errors, resolve_device
from rinrcodec.compute.grids import Grid
from rinrcodec.compute.parallel import parallel_map, without_torch_threads
from rinrcodec.compute.quantize import dequantize
from rinrcodec.errors import RinrFormatError, RinrInputError
from rinrcodec.families import (
    check_group,
    family_of,
    is_pyramid,
    is_sequence,
    pixel_family,
    sequence_family,
)
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.latents import DecodedFrames, decode_row
from rinrcodec.formats.checks import naming
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Frame, ObjectInr, PackSource, Spec

__all__ = ["Decoder", "decode", "evaluate"]

_WORTH_THREADS = 1 << 28  # pixels x parameters: below about 10 ms, threads cost more
_VALUES_OF_OBJECTS = 1 << 24  # pixels and weights at once, however many boxes overlap
_ROWS = 128
# Of a sequence on a GPU: a few frames, fewer where a layer of them would take over 1 GB.
_FRAMES_AT_ONCE = 8
_VALUES_AT_ONCE = 1 << 28
_TILE_PIXELS = {"cpu": 4_096, "cuda": 1 << 18}


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
        self._resident: dict[int, Tensor] | None = {} if resident else None
        self._coded_rows: dict[int, dict[int, bytes]] = {}

    @torch.no_grad()
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
        with memory_errors(), without_torch_threads(self.device):
            views = [self._view(index, region, scale) for index in indices]
            placed = [list(view.placed()) if objects else [] for view in views]
            self._check_work(views, placed)
            signals = self._backgrounds(views)
            self._paste_objects(placed, signals)
            images = [as_rgb(to_pixels(signal)) for signal in signals]
            return images[0] if alone else stack_if_equal(images)

    @torch.no_grad()
    def background_signal(self, index: int, region: Region) -> Tensor:
        """What the background INR outputs, unrounded: float32 [h, w, channels], about [-1, 1]."""
        with without_torch_threads(self.device):
            return self._backgrounds([self._view(index, region, 1.0)])[0]

    def _view(
        self, index: int, region: Region | tuple[int, int, int, int] | None, scale: float
    ) -> _View:
        if not -self.source.n_frames <= index < self.source.n_frames:
            raise RinrInputError(f"frame {index} of a pack of {self.source.n_frames} frames")
        frame = self.source.frame(index % self.source.n_frames)
        return _View(frame, Grid.of_frame(frame.width, frame.height, region=region, scale=scale))

    def _weights(self, group: int, rows: Sequence[int]) -> Tensor:
        if self._resident is None:
            return self._read(group, rows)
        if group not in self._resident:
            self._resident[group] = self._read(group, range(self.source.groups[group].n_rows))
        index = torch.tensor(list(rows), device=self.device)
        return self._resident[group].index_select(0, index)

    def _read(self, group: int, rows: Sequence[int]) -> Tensor:
        info = self.source.groups[group]
        sizes = check_group(info).tensor_sizes(info.spec)
        return dequantize(self.source.read_rows(group, rows), sizes, self.device)

    def _backgrounds(self, views: Sequence[_View]) -> list[Tensor]:
        """The background signal of every view: float32 [h, w, channels]."""
        signals: list[Tensor] = [torch.empty(0)] * len(views)
        alike = defaultdict(list)
        for i, view in enumerate(views):
            key = (view.frame.background.group, view.frame.width, view.frame.height, view.shape)
            alike[key].append(i)
        for (group, width, height, shape), members in alike.items():
            spec = self.source.groups[group].spec
            for i in members:
                _check_channels(spec, views[i].frame)
            if is_sequence(spec) or is_pyramid(spec):
                frames_of = self._sequence_frames if is_sequence(spec) else self._pyramid_frames
                found = frames_of(group, [views[i] for i in members])
                for i, signal in zip(members, found, strict=True):
                    signals[i] = signal
                continue
            weights = self._weights(group, [views[i].frame.background.row for i in members])
            coords = views[members[0]].grid.coords(Region(0, 0, width, height))
            outputs = evaluate(spec, weights, [coords] * len(members), shared=True)
            for i, output in zip(members, outputs, strict=True):
                signals[i] = output.view(*shape, -1)
        return signals

    def _sequence_frames(self, group: int, views: Sequence[_View]) -> list[Tensor]:
        """The background signal of views whose frames belong to sequences of one spec."""
        spec = self.source.groups[group].spec
        rows = sorted({view.frame.background.row for view in views})
        weights = dict(zip(rows, self._weights(group, rows), strict=True))
        signals: list[Tensor] = [torch.empty(0)] * len(views)
        batches = []
        for row in rows:
            members = [i for i, view in enumerate(views) if view.frame.background.row == row]
            size = frames_at_once(spec, self.device)
            batches += [(row, members[k : k + size]) for k in range(0, len(members), size)]

        @torch.no_grad()
        def forward(batch: tuple[int, list[int]]) -> None:
            row, members = batch
            frames = [views[i].frame for i in members]
            for i, signal in zip(members, sequence_frames(spec, weights[row], frames), strict=True):
                signals[i] = _on_grid(signal, views[i].grid)

        parallel_map(forward, batches, self.device)
        return signals

    def _pyramid_frames(self, group: int, views: Sequence[_View]) -> list[Tensor]:
        """The background signal of views whose frames are latents of one spec and size."""
        info = self.source.groups[group]
        check_group(info)
        members = defaultdict(list)
        for i, view in enumerate(views):
            members[view.frame.background.row].append(i)
        coded = self._coded(group, list(members))
        signals: list[Tensor] = [torch.empty(0)] * len(views)

        @torch.no_grad()
        def decode_frames(row: int) -> None:
            own = [views[i] for i in members[row]]
            frame = own[0].frame
            size = (frame.width, frame.height)
            numbers = [_number_in_row(view.frame) for view in own]
            with naming(frame.name):
                found = decode_row(info.spec, coded[row], size, numbers, self.device)
            for k, i in enumerate(members[row]):
                signals[i] = _on_grid(_pyramid_signal(info.spec, found, k), views[i].grid)

        parallel_map(decode_frames, list(members), self.device)
        return signals

    def _coded(self, group: int, rows: Sequence[int]) -> dict[int, bytes]:
        """The coded bytes of some rows; read once and kept where weights are resident."""
        kept = {} if self._resident is None else self._coded_rows.setdefault(group, {})
        missing = [row for row in rows if row not in kept]
        if missing:
            kept |= dict(zip(missing, self.source.read_rows(group, missing).coded, strict=True))
        return kept

    def _paste_objects(
        self, placed: Sequence[Sequence[_Placed]], signals: Sequence[Tensor]
    ) -> None:
        """Evaluate the object INRs of all views group by group, and paste them view by view."""
        waiting: list[_Placed] = []
        values = 0
        for own, signal in zip(placed, signals, strict=True):
            background = signal.clone() if len(own) > 1 else signal
            for item in own:
                item.background, item.target = background, signal
                more = item.pixels + self.source.groups[item.found.inr.group].n_params
                if waiting and values + more > _VALUES_OF_OBJECTS:
                    self._evaluate_and_paste(waiting)
                    waiting, values = [], 0
                waiting.append(item)
                values += more
        self._evaluate_and_paste(waiting)

    def _check_work(self, views: Sequence[_View], placed: Sequence[Sequence[_Placed]]) -> None:
        """Raise `RinrLimitError` for a view that takes more work than is allowed.

        Latents, of which a pixel has a fixed number, are not counted.
        """
        groups = self.source.groups

        @cache
        def work_of(group: int) -> int:
            return pixel_family(groups[group].spec).work(groups[group].spec)

        for view, own in zip(views, placed, strict=True):
            group = view.frame.background.group
            spec, work = groups[group].spec, 0
            if is_sequence(spec):
                work = sequence_family(spec).work(spec) + groups[group].n_params
            elif not is_pyramid(spec):
                work = max(math.prod(view.shape), _ROWS) * work_of(group)
            work += sum(max(item.pixels, _ROWS) * work_of(item.found.inr.group) for item in own)
            self._limits.check("max_work", work, f"multiplications to decode {view.frame.name}")

    def _evaluate_and_paste(self, placed: Sequence[_Placed]) -> None:
        by_group: dict[int, list[int]] = defaultdict(list)
        for k, item in enumerate(placed):
            by_group[item.found.inr.group].append(k)
        outputs: list[Tensor] = [torch.empty(0)] * len(placed)
        for group, members in by_group.items():
            spec = self.source.groups[group].spec
            pixel_family(spec)  # refuses the rest, which have no weights to be read
            weights = self._weights(group, [placed[k].found.inr.row for k in members])
            for k in members:
                _check_channels(spec, placed[k].view.frame)
            found = evaluate(spec, weights, [placed[k].coords() for k in members])
            for k, output in zip(members, found, strict=True):
                outputs[k] = output
        for item, output in zip(placed, outputs, strict=True):
            part = item.background[item.part]
            item.target[item.part] = apply_object(part, output.view(part.shape), item.found)
            item.background = item.target = torch.empty(0)  # which may be the last to hold them


@dataclass(frozen=True, slots=True)
class _View:
    """A frame and the grid on which it is decoded."""

    frame: Frame
    grid: Grid

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.grid.y), len(self.grid.x)

    def placed(self) -> Iterator[_Placed]:
        """The object INRs that touch the grid, in the order of pasting."""
        for region, found in paste_order(self.frame):
            part = self.grid.inside(region)
            if all(axis.start < axis.stop for axis in part):
                yield _Placed(self, found, region, part)


@dataclass(slots=True)
class _Placed:
    """An object INR on a view's grid: the part it covers, what it reads and writes."""

    view: _View
    found: ObjectInr
    region: Region
    part: tuple[slice, slice]
    background: Tensor = field(default_factory=lambda: torch.empty(0))
    target: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def pixels(self) -> int:
        return math.prod(axis.stop - axis.start for axis in self.part)

    def coords(self) -> Tensor:
        return self.view.grid.coords(self.region, self.part)


def _indices(frames: Any) -> tuple[list[int], bool]:
    """Frame numbers as a list, and whether a single one was asked for."""
    try:
        return [operator.index(frames)], True
    except TypeError:
        return [operator.index(i) for i in frames], False


def _check_channels(spec: Spec, frame: Frame) -> None:
    channels = family_of(spec).channels(spec)
    if channels != (1 if frame.mode == "L" else 3):
        raise RinrFormatError(
            f"{frame.name}: an INR of {channels} channels for a picture of mode {frame.mode}"
        )


def frames_at_once(spec: Spec, device: torch.device) -> int:
    """How many frames of a sequence are computed together; the same in every call."""
    if device.type == "cpu":
        return 1
    return min(_FRAMES_AT_ONCE, max(1, _VALUES_AT_ONCE // sequence_family(spec).largest(spec)))


def sequence_frames(spec: Spec, weights: Tensor, frames: Sequence[Frame]) -> list[Tensor]:
    """The background signal of frames of one sequence: float32 [h, w, channels] each.

    weights: [params] on the device to use. On a CPU frames are computed one by one, and on a GPU
    in batches of one size, since products of another shape may round another way.
    """
    family = sequence_family(spec)
    width, height = family.size(spec)
    for frame in frames:
        if frame.width > width or frame.height > height:
            raise RinrFormatError(
                f"{frame.name}: a frame of {frame.width}x{frame.height} from a network that gives "
                f"{width}x{height}"
            )
    size = frames_at_once(spec, weights.device)
    signals: list[Tensor] = []
    for start in range(0, len(frames), size):
        times = [frame.time for frame in frames[start : start + size]]
        times += times[-1:] * (size - len(times))
        inputs = torch.tensor(times, dtype=torch.float64, device=weights.device)
        signals += family.forward(spec, weights, inputs).permute(0, 2, 3, 1)
    return [
        signal[: frame.height, : frame.width]
        for signal, frame in zip(signals, frames, strict=False)
    ]


def _number_in_row(frame: Frame) -> int:
    """Which frame of a row of latents a frame is."""
    if not float(frame.time).is_integer():
        raise RinrFormatError(
            f"{frame.name}: the time {frame.time} in a row of latents: want a whole number, which "
            "says which of the row's frames it is"
        )
    return int(frame.time)


def _pyramid_signal(spec: Spec, found: DecodedFrames, number: int) -> Tensor:
    """The signal [h, w, channels] of one of the decoded frames."""
    own = slice(number, number + 1)
    latents = [[grid[own] for grid in grids] for grids in found.latents]
    signal = pyramid.synthesize(found.weights, latents, found.steps[own], pyramid.channels(spec))
    # Weights that no fit has made can add infinities of both signs.
    return signal[0].permute(1, 2, 0).nan_to_num_(nan=-1.0)


def _on_grid(signal: Tensor, grid: Grid) -> Tensor:
    """The signal [h, w, channels] of a frame on a grid of it, averaged where that is coarser."""
    part = signal[grid.region.slices]
    shape = (len(grid.y), len(grid.x))
    if shape == part.shape[:2]:
        return part.contiguous()
    resized = interpolate(part.permute(2, 0, 1)[None], shape, mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).contiguous()


def evaluate(
    spec: Spec, weights: Tensor, coords: Sequence[Tensor], *, shared: bool = False
) -> list[Tensor]:
    """Outputs of n INRs of one spec: float32 [pixels, channels] each.

    weights: [n, params] on the device to use; coords: float32 [pixels, 2] each, on the host;
    `shared` says that they are all the same. Pixels are cut into tiles; tiles of about equal size,
    of one INR or of several, are computed together, padded to the largest of them.
    """
    family = pixel_family(spec)
    device = weights.device
    most = _TILE_PIXELS[device.type]
    if shared:
        coords = [coords[0].to(device)] * len(coords)
    # Channel by channel in memory, as families give them and images want them.
    outputs = [weights.new_empty(family.channels(spec), len(own)).T for own in coords]
    tiles = sorted(
        _Tile(min(most, len(own) - start), start, inr)
        for inr, own in enumerate(coords)
        for start in range(0, len(own), most)
    )
    widest = family.widest(spec)
    rows = [-(-tile.pixels // _ROWS) * _ROWS for tile in tiles]
    chunks = list(chunks_by_cost(rows, widest, 4 * widest, device))

    @torch.no_grad()
    def forward(chunk: tuple[int, int]) -> None:
        members = tiles[slice(*chunk)]
        one_place = shared and members[0].start == members[-1].start
        read = members[:1] if one_place else members
        inputs = [coords[tile.inr][tile.inside] for tile in read]
        padded = torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True)
        # Products of few rows take another path in torch, which rounds another way.
        padded = torch.nn.functional.pad(padded, (0, 0, 0, -padded.shape[1] % _ROWS)).to(device)
        found = family.forward(spec, weights[[tile.inr for tile in members]], padded)
        for tile, values in zip(members, found, strict=True):
            outputs[tile.inr][tile.inside] = values[: tile.pixels]

    work = sum(map(len, coords)) * weights.shape[1]
    parallel_map(forward, chunks, device, threads=None if work > _WORTH_THREADS else 1)
    return outputs


class _Tile(NamedTuple):
    """The pixels [start, start + pixels) of one INR."""

    pixels: int
    start: int
    inr: int

    @property
    def inside(self) -> slice:
        return slice(self.start, self.start + self.pixels)

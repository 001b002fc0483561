"""Evaluating SIRENs: pixels are cut into tiles, and tiles of several networks share one product."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rinrcodec.boxes import Region
from rinrcodec.compute.devices import chunks_by_cost
from rinrcodec.compute.grids import Positions
from rinrcodec.compute.parallel import cores, parallel_map
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import ObjectView, View
from rinrcodec.families.siren import network
from rinrcodec.pack import Spec

__all__ = ["background_signals", "evaluate", "object_signals"]

_WORTH_THREADS = 1 << 28  # pixels x parameters: below about 10 ms, threads cost more
_MULTIPLE = 128  # tiles are padded to a multiple of so many pixels
_TILE_PIXELS = {"cpu": 4_096, "cuda": 1 << 18}
_TILE_VALUES = {"cpu": 1 << 20, "cuda": 1 << 26}  # of a tile's widest layer
_GROUPED_PARAMS = 1 << 18  # of networks whose tiles are computed together
_THREAD_PARAMS = 1 << 25  # of all threads together


def background_signals(group: GroupReader, views: Sequence[View]) -> list[Tensor]:
    """Decode frames of one group: float32 [h, w, channels] each."""
    spec = group.info.spec
    signals: list[Tensor] = [torch.empty(0)] * len(views)
    alike = defaultdict(list)
    for i, view in enumerate(views):
        alike[view.frame.width, view.frame.height, view.shape].append(i)
    for (width, height, shape), members in alike.items():
        rows = [views[i].frame.background.row for i in members]
        weights = group.weights(rows, network.tensor_sizes(spec))
        coords = views[members[0]].grid.positions(Region(0, 0, width, height))
        outputs = evaluate(spec, weights, [coords] * len(members), shared=True)
        for i, output in zip(members, outputs, strict=True):
            signals[i] = output.view(*shape, -1)
    return signals


def object_signals(group: GroupReader, views: Sequence[ObjectView]) -> list[Tensor]:
    """Decode objects of one group: float32 [h, w, channels] each."""
    spec = group.info.spec
    rows = [view.inr.inr.row for view in views]
    weights = group.weights(rows, network.tensor_sizes(spec))
    coords = [view.grid.positions(view.region, view.part) for view in views]
    outputs = evaluate(spec, weights, coords)
    return [output.view(*view.shape, -1) for view, output in zip(views, outputs, strict=True)]


def evaluate(
    spec: Spec,
    weights: Tensor,
    coords: Sequence[Tensor | Positions],
    *,
    shared: bool = False,
) -> list[Tensor]:
    """Evaluate n INRs of one spec: float32 [pixels, channels] each.

    weights: [n, params] on the device to use; coords: float32 [pixels, 2] each, on the host;
    `shared` says that they are all the same. Pixels are cut into tiles; tiles of about equal size,
    of one INR or of several, are computed together, padded to the largest of them.
    """
    device = weights.device
    widest = network.widest(spec)
    # Of wide networks, fewer pixels are in memory at once.
    fewer = _TILE_VALUES[device.type] // widest // _MULTIPLE * _MULTIPLE
    most = min(_TILE_PIXELS[device.type], max(_MULTIPLE, fewer))
    if shared:
        same: Any = coords[0].to(device)
        coords = [same] * len(coords)
    # Channel by channel in memory, as families give them and images want them.
    outputs = [weights.new_empty(network.channels(spec), len(pixels)).T for pixels in coords]
    tiles = sorted(
        _Tile(min(most, len(pixels) - start), start, inr)
        for inr, pixels in enumerate(coords)
        for start in range(0, len(pixels), most)
    )
    sizes = [-(-tile.pixels // _MULTIPLE) * _MULTIPLE for tile in tiles]
    n_params = weights.shape[1]
    # Tiles of several networks take copies of their weights.
    grouped = n_params <= _GROUPED_PARAMS
    chunks = list(chunks_by_cost(sizes, widest, 4 * widest, device, grouped=grouped))

    @torch.no_grad()
    def forward(chunk: tuple[int, int]) -> None:
        members = tiles[slice(*chunk)]
        same_pixels = shared and members[0].start == members[-1].start
        read = members[:1] if same_pixels else members
        inputs = [coords[tile.inr][tile.inside] for tile in read]
        padded = torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True)
        # Products of few rows take another path in torch, which rounds another way.
        padded = torch.nn.functional.pad(padded, (0, 0, 0, -padded.shape[1] % _MULTIPLE)).to(device)
        outputs_of_tiles = network.forward(spec, _rows(weights, members), padded)
        for tile, values in zip(members, outputs_of_tiles, strict=True):
            outputs[tile.inr][tile.inside] = values[: tile.pixels]

    # Each thread has a copy of a layer.
    threads = min(cores(), max(1, _THREAD_PARAMS // n_params))
    if sum(map(len, coords)) * n_params <= _WORTH_THREADS:
        threads = 1
    parallel_map(forward, chunks, device, threads=threads)
    return outputs


def _rows(weights: Tensor, tiles: Sequence[_Tile]) -> Tensor:
    """Return the weights [tiles, params] of some tiles; a view if all are of one network."""
    first, last = tiles[0].inr, tiles[-1].inr
    if len(tiles) == 1 or (weights.shape[0] == 1 and first == last):
        return weights[first : first + 1].expand(len(tiles), -1)
    return weights[[tile.inr for tile in tiles]]


class _Tile(NamedTuple):
    """The pixels [start, start + pixels) of one INR."""

    pixels: int
    start: int
    inr: int

    @property
    def inside(self) -> slice:
        return slice(self.start, self.start + self.pixels)

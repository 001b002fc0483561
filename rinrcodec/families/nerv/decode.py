"""Decoding sequences: frame by frame on a CPU, in batches of one size on a GPU."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from rinrcodec.compute.grids import resample
from rinrcodec.compute.parallel import parallel_map
from rinrcodec.errors import RinrFormatError
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import View
from rinrcodec.families.nerv import network
from rinrcodec.pack import Frame, Spec

__all__ = ["background_signals", "check_frame_sizes", "frames_at_once", "sequence_frames"]

# On a GPU: a few frames, fewer where a layer of them would take over half a gigabyte.
_FRAMES_AT_ONCE = 8
_VALUES_AT_ONCE = 1 << 27


def background_signals(group: GroupReader, views: Sequence[View]) -> list[Tensor]:
    """Decode frames of one group: float32 [h, w, channels] each."""
    spec = group.info.spec
    members = defaultdict(list)
    for i, view in enumerate(views):
        members[view.frame.background.row].append(i)
    rows = sorted(members)
    weights = dict(zip(rows, group.weights(rows, network.tensor_sizes(spec)), strict=True))
    size = frames_at_once(spec, group.device)
    batches = [
        (row, members[row][k : k + size]) for row in rows for k in range(0, len(members[row]), size)
    ]
    signals: list[Tensor] = [torch.empty(0)] * len(views)

    @torch.no_grad()
    def decode(batch: tuple[int, list[int]]) -> None:
        row, numbers = batch
        frames = [views[i].frame for i in numbers]
        for i, signal in zip(numbers, sequence_frames(spec, weights[row], frames), strict=True):
            signals[i] = resample(signal, views[i].grid)

    parallel_map(decode, batches, group.device)
    return signals


def frames_at_once(spec: Spec, device: torch.device) -> int:
    """Return how many frames of a sequence are computed together; the same in every call."""
    if device.type == "cpu":
        return 1
    return min(_FRAMES_AT_ONCE, max(1, _VALUES_AT_ONCE // network.largest(spec)))


def check_frame_sizes(spec: Spec, frames: Sequence[Frame]) -> None:
    """Raise `RinrFormatError` where a frame is larger than what the network gives."""
    width, height = network.size(spec)
    for frame in frames:
        if frame.width > width or frame.height > height:
            raise RinrFormatError(
                f"{frame.name}: a frame of {frame.width}x{frame.height} from a network that gives "
                f"{width}x{height}"
            )


def sequence_frames(spec: Spec, weights: Tensor, frames: Sequence[Frame]) -> list[Tensor]:
    """Compute the background of frames of one sequence: float32 [h, w, channels] each.

    weights: [params] on the device to use. On a CPU frames are computed one by one, and on a GPU
    in batches of one size, since products of another shape may round another way.
    """
    check_frame_sizes(spec, frames)
    size = frames_at_once(spec, weights.device)
    signals: list[Tensor] = []
    for start in range(0, len(frames), size):
        times = [frame.time for frame in frames[start : start + size]]
        times += times[-1:] * (size - len(times))
        inputs = torch.tensor(times, dtype=torch.float64, device=weights.device)
        signals += network.forward(spec, weights, inputs).permute(0, 2, 3, 1)
    return [
        signal[: frame.height, : frame.width]
        for signal, frame in zip(signals, frames, strict=False)
    ]

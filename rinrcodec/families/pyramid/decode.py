"""Decoding pyramids: the latents of a row, then the synthesis of the frames that are asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rinrcodec.compute.grids import resample
from rinrcodec.compute.parallel import parallel_map
from rinrcodec.errors import RinrFormatError
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import View
from rinrcodec.families.pyramid import network
from rinrcodec.families.pyramid.latents import DecodedFrames, decode_row, is_predicted
from rinrcodec.families.pyramid.limits import MOST_PREDICTED
from rinrcodec.formats.checks import naming
from rinrcodec.pack import Frame, Spec

__all__ = ["background_signals", "check_frames"]

_LEAST_PIXELS = 2**15


def background_signals(group: GroupReader, views: Sequence[View]) -> list[Tensor]:
    """Decode frames of one group: float32 [h, w, channels] each, one row to a core."""
    spec = group.info.spec
    members = defaultdict(list)
    for i, view in enumerate(views):
        # By size, too: in a hostile file, frames of one row may have several.
        members[view.frame.background.row, view.frame.width, view.frame.height].append(i)
    coded = group.coded([row for row, _, _ in members])
    signals: list[Tensor] = [torch.empty(0)] * len(views)

    @torch.no_grad()
    def decode(key: tuple[int, int, int]) -> None:
        row, *size = key
        frames = [views[i].frame for i in members[key]]
        numbers = [_number_in_row(frame) for frame in frames]
        with naming(frames[0].name):
            decoded = decode_row(spec, coded[row], (size[0], size[1]), numbers, group.device)
        for k, i in enumerate(members[key]):
            signals[i] = resample(_signal(spec, decoded, k), views[i].grid)

    parallel_map(decode, list(members), group.device)
    return signals


def check_frames(
    spec: Spec, coded: bytes, frames: Sequence[Frame], spend: Callable[[int], object]
) -> None:
    """Decode the latents of frames of a row, for `verify`, and drop them.

    Args:
        spec: The spec of the row, which was checked.
        coded: Its coded bytes.
        frames: Frames of that row; a damaged file may give them several sizes.
        spend: Called with the pixels of a frame before it is decoded.

    Raises:
        RinrFormatError: A frame cannot be decoded.
    """
    chained = is_predicted(coded)
    wanted: dict[tuple[int, ...], Frame] = {}
    for frame in sorted(frames, key=_number_in_row):
        # Where frames are predicted, the last one of a size takes all before it.
        key = (frame.width, frame.height)
        wanted[key if chained else (*key, _number_in_row(frame))] = frame
    for frame in wanted.values():
        number = _number_in_row(frame)
        with naming(frame.name):
            for _ in range(min(max(number, 0), MOST_PREDICTED) + 1 if chained else 1):
                # A small frame takes as long as one of so many pixels.
                spend(max(_LEAST_PIXELS, frame.width * frame.height))
            decode_row(spec, coded, (frame.width, frame.height), [number], torch.device("cpu"))


def _number_in_row(frame: Frame) -> int:
    """Return the number of a frame within its row of latents."""
    if not float(frame.time).is_integer():
        raise RinrFormatError(
            f"{frame.name}: the time {frame.time} in a row of latents: expected a whole number, "
            "which "
            "says which of the row's frames it is"
        )
    return int(frame.time)


def _signal(spec: Spec, decoded: DecodedFrames, number: int) -> Tensor:
    """Return the signal [h, w, channels] of one of the decoded frames."""
    frame = slice(number, number + 1)
    latents = [[grid[frame] for grid in grids] for grids in decoded.latents]
    out = network.channels(spec)
    signal = network.synthesize(decoded.weights, latents, decoded.steps[frame], out)
    # Weights that no fit has made can add infinities of both signs.
    return signal[0].permute(1, 2, 0).nan_to_num_(nan=-1.0)

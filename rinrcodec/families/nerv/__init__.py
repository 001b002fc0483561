"""`nerv`: one convolutional network for every sequence, asked for frames at times (NeRV)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rinrcodec.families.interface import BackgroundFamily, Cost, View
from rinrcodec.pack import Frame, GroupInfo, Spec

if TYPE_CHECKING:
    from torch import Tensor

    from rinrcodec.families.group_reader import GroupReader
    from rinrcodec.families.nerv.encode import NervBackgrounds

__all__ = ["Nerv"]

# Reading a weight, and its codes, its scale, its value and a layer's copy of it.
_PARAM_WORK, _PARAM_BYTES = 256, 20


class Nerv(BackgroundFamily):
    """One network for the frames of a sequence: those of one folder, size and mode, in order."""

    name = "nerv"
    summary = "a network for every sequence"
    help = (
        "--background nerv fits one network per sequence. A sequence is a video, or the frames of "
        "one size and mode in one folder (SRC or below), in the order of their names."
    )
    steps = "epochs"
    joins_frames = True
    resizable = True

    def check(self, info: GroupInfo) -> None:
        from rinrcodec.families.checks import check_sizes
        from rinrcodec.families.nerv import network

        network.check(info.spec)
        check_sizes(info, network.tensor_sizes(info.spec))

    def channels(self, spec: Spec) -> int:
        return int(spec["out"])

    def background_presets(self) -> Mapping[str, NervBackgrounds]:
        from rinrcodec.families.nerv.encode import BACKGROUNDS

        return BACKGROUNDS

    def background_cost(self, info: GroupInfo, view: View) -> Cost:
        """Return what the whole frame takes, and a grid of it: the network gives no part alone."""
        from rinrcodec.compute.grids import resample_bytes
        from rinrcodec.families.nerv import network

        work = network.work(info.spec) + _PARAM_WORK * info.n_params
        memory = network.peak_bytes(info.spec) + _PARAM_BYTES * info.n_params
        return Cost(work, memory + resample_bytes(view.grid))

    def check_frames(
        self,
        info: GroupInfo,
        coded: bytes,
        frames: Sequence[Frame],
        spend: Callable[[int], object],
    ) -> None:
        del coded, spend
        from rinrcodec.families.nerv.decode import check_frame_sizes

        check_frame_sizes(info.spec, frames)

    def decode_backgrounds(self, group: GroupReader, views: Sequence[View]) -> list[Tensor]:
        from rinrcodec.families.nerv.decode import background_signals

        return background_signals(group, views)

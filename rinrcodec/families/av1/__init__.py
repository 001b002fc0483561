"""`av1`: AV1 streams of one frame, or of a few frames of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rinrcodec.families.interface import BackgroundFamily, View
from rinrcodec.pack import GroupInfo, Spec

if TYPE_CHECKING:
    from torch import Tensor

    from rinrcodec.families.av1.encode import Av1Backgrounds
    from rinrcodec.families.group_reader import GroupReader

__all__ = ["Av1"]


class Av1(BackgroundFamily):
    """The AV1 temporal units of the frames of a row, without a container around them."""

    name = "av1"
    summary = "an AV1 stream for every frame or group of frames"
    help = (
        "With --background av1 a frame becomes a few kilobytes of AV1, for the quality that you "
        "ask for with --quality or --target-psnr. Frames of a video or folder, as of nerv, share a "
        "stream where that takes fewer bytes."
    )
    coded_rows = "AV1 temporal units"
    fits_networks = False
    steps = "objects only"
    targets = frozenset({"psnr", "quality"})
    joins_frames = True
    gop = 16

    def check(self, info: GroupInfo) -> None:
        from rinrcodec.families.av1.layout import check

        check(info)

    def channels(self, spec: Spec) -> int:
        return int(spec["out"])

    def background_presets(self) -> Mapping[str, Av1Backgrounds]:
        from rinrcodec.families.av1.encode import BACKGROUNDS

        return BACKGROUNDS

    def background_work(self, info: GroupInfo, shape: tuple[int, int]) -> int:
        """Return 0: a row has a bounded number of frames, and `max_pixels` bounds their pixels."""
        del info, shape
        return 0

    def decode_backgrounds(self, group: GroupReader, views: Sequence[View]) -> list[Tensor]:
        from rinrcodec.families.av1.decode import background_signals

        return background_signals(group, views)

"""`av1`: AV1 streams of one frame, or of a few frames of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rinrcodec.families.av1.settings import OBJECTS_QUALITY, QUALITIES
from rinrcodec.families.interface import BackgroundFamily, Cost, ObjectFamily, ObjectView, View
from rinrcodec.pack import Frame, GroupInfo, Spec

if TYPE_CHECKING:
    from rinrcodec.compute.arrays import Array
    from rinrcodec.families.av1.encode import Av1Backgrounds, Av1Objects
    from rinrcodec.families.group_reader import GroupReader

__all__ = ["Av1"]

# About how many multiplications take as long as decoding a pixel; a frame, and an object, however
# small they are.
_PIXEL_WORK, _FRAME_WORK, _OBJECT_WORK = 600, 2**24, 2**22
# The pixels of a frame and their sums; those of an object, as float32, and its signal.
_PIXEL_BYTES, _OBJECT_BYTES = 8, 48


class Av1(BackgroundFamily, ObjectFamily):
    """The AV1 temporal units of the pictures of a row, without a container around them.

    A row of backgrounds has frames. A row of objects has atlases, pictures in which residuals are
    side by side.
    """

    name = "av1"
    summary = "an AV1 stream for every frame or group of frames"
    help = (
        "With --background av1, the default, a frame becomes a few kilobytes of AV1. Ask for "
        "a quality or size with one of --quality, --target-psnr and --target-bytes. Frames of a "
        "video or folder share a stream where that takes fewer bytes (docs/av1.md)."
    )
    coded_rows = "AV1 temporal units"
    fits_networks = False
    needs_torch = False
    steps = "objects only"
    targets = frozenset({"psnr", "quality", "tune"})
    object_targets = frozenset({"objects_psnr", "objects_quality"})
    joins_frames = True
    gop = 16
    shrinks = (2, 4)
    chained = True
    resumes = True
    quality = QUALITIES[1]
    objects_quality = OBJECTS_QUALITY

    def check(self, info: GroupInfo) -> None:
        from rinrcodec.families.av1.layout import check

        check(info)

    def channels(self, spec: Spec) -> int:
        return int(spec["out"])

    def background_presets(self) -> Mapping[str, Av1Backgrounds]:
        from rinrcodec.families.av1.encode import BACKGROUNDS

        return BACKGROUNDS

    def object_presets(self) -> Mapping[str, Av1Objects]:
        from rinrcodec.families.av1.encode import OBJECTS

        return OBJECTS

    def background_cost(self, info: GroupInfo, view: View) -> Cost:
        """Return what the frame takes, and those before it in its row."""
        from rinrcodec.compute.grids import resample_bytes
        from rinrcodec.families.av1.layout import MOST_FRAMES, coded_size, stream_bytes
        from rinrcodec.families.checks import frames_until

        n_frames = frames_until(view.frame.time, MOST_FRAMES)
        width, height = coded_size(info.spec, (view.frame.width, view.frame.height))
        coded, pixels = width * height, view.frame.width * view.frame.height
        return Cost(
            # Enlarging counts as decoding, although it takes less time.
            n_frames * (_PIXEL_WORK * coded + _FRAME_WORK) + _PIXEL_WORK * (pixels - coded),
            stream_bytes(info.spec, coded, n_frames)
            + _PIXEL_BYTES * pixels
            + resample_bytes(view.grid),
        )

    def object_cost(self, info: GroupInfo, view: ObjectView) -> Cost:
        del info
        # The samples of the whole object are read, also where a part of it is asked for.
        pixels = view.region.area + view.n_pixels
        return Cost(_PIXEL_WORK * pixels + _OBJECT_WORK, _OBJECT_BYTES * pixels)

    def row_cost(self, info: GroupInfo, views: Sequence[ObjectView]) -> Cost:
        from rinrcodec.families.av1.layout import MOST_FRAMES, most_atlas_pixels, stream_bytes

        n_atlases = min(1 + max(view.inr.cell.time for view in views), MOST_FRAMES)
        pixels = most_atlas_pixels(view.region for view in views)
        return Cost(
            n_atlases * (_PIXEL_WORK * pixels + _FRAME_WORK),
            stream_bytes(info.spec, pixels, n_atlases),
        )

    def check_frames(
        self,
        info: GroupInfo,
        coded: bytes,
        frames: Sequence[Frame],
        spend: Callable[[int], object],
    ) -> None:
        from rinrcodec.families.av1.check import check_frames

        check_frames(info.spec, coded, frames, lambda pixels: spend(_PIXEL_WORK * pixels))

    def check_objects(
        self,
        info: GroupInfo,
        coded: bytes,
        views: Sequence[ObjectView],
        spend: Callable[[int], object],
    ) -> None:
        from rinrcodec.families.av1.check import check_objects

        check_objects(info.spec, coded, views, lambda pixels: spend(_PIXEL_WORK * pixels))

    def decode_backgrounds(self, group: GroupReader, views: Sequence[View]) -> list[Array]:
        from rinrcodec.families.av1.decode import background_signals

        return background_signals(group, views)

    def decode_objects(self, group: GroupReader, views: Sequence[ObjectView]) -> list[Array]:
        from rinrcodec.families.av1.decode_objects import object_signals

        return object_signals(group, views)

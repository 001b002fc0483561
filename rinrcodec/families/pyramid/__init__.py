"""`pyramid`: entropy-coded latents and small networks for one frame or a few (COOL-CHIC class)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from rinrcodec.errors import RinrFormatError
from rinrcodec.families.interface import BackgroundFamily, Cost, View
from rinrcodec.pack import Frame, GroupInfo, Spec

if TYPE_CHECKING:
    from torch import Tensor

    from rinrcodec.families.group_reader import GroupReader
    from rinrcodec.families.pyramid.encode import PyramidBackgrounds

__all__ = ["Pyramid"]

# Of a latent and of a pixel of the synthesis, measured; of a frame however small it is.
_LATENT_WORK, _PIXEL_WORK, _ROW_WORK = 11_000, 14_000, 2**29
_LATENT_BYTES, _PIXEL_BYTES = 24, 76
# About how many multiplications take as long as decoding the latents of a pixel.
_CHECK_WORK = 20_000


class Pyramid(BackgroundFamily):
    """Latents of a frame, coded with networks that the frames of a row share."""

    name = "pyramid"
    summary = "coded latents"
    help = (
        "With --background pyramid a frame becomes coded latents, for the quality or the size that "
        "you ask for with one of --lambda, --target-psnr and --target-bytes; objects are kept "
        "sharper."
    )
    coded_rows = "entropy-coded latents"
    targets = frozenset({"lmbda", "psnr", "n_bytes", "objects_psnr"})
    takes_objects = False
    chained = True

    def check(self, info: GroupInfo) -> None:
        from rinrcodec.families.checks import check_sizes
        from rinrcodec.families.pyramid import network

        network.check(info.spec)
        check_sizes(info, ())
        if not info.coded:
            raise RinrFormatError(f"a group of the spec {info.spec.to_json()} has no coded bytes")

    def channels(self, spec: Spec) -> int:
        return int(spec["out"])

    def background_presets(self) -> Mapping[str, PyramidBackgrounds]:
        from rinrcodec.families.pyramid.encode import BACKGROUNDS

        return BACKGROUNDS

    def background_cost(self, info: GroupInfo, view: View) -> Cost:
        """Return what the whole frame takes, and those that it may be predicted from."""
        del info
        from rinrcodec.compute.grids import resample_bytes
        from rinrcodec.families.checks import frames_until
        from rinrcodec.families.pyramid import network
        from rinrcodec.families.pyramid.limits import MOST_PREDICTED

        frame = view.frame
        pixels = frame.width * frame.height
        sizes = network.grid_sizes(frame.width, frame.height)
        latents = sum(height * width for grids in sizes for height, width in grids)
        n_frames = frames_until(frame.time, MOST_PREDICTED)
        return Cost(
            n_frames * (latents * _LATENT_WORK + _ROW_WORK) + pixels * _PIXEL_WORK,
            latents * _LATENT_BYTES + pixels * _PIXEL_BYTES + resample_bytes(view.grid),
        )

    def check_frames(
        self,
        info: GroupInfo,
        coded: bytes,
        frames: Sequence[Frame],
        spend: Callable[[int], object],
    ) -> None:
        from rinrcodec.families.pyramid.decode import check_frames

        check_frames(info.spec, coded, frames, lambda pixels: spend(_CHECK_WORK * pixels))

    def decode_backgrounds(self, group: GroupReader, views: Sequence[View]) -> list[Tensor]:
        from rinrcodec.families.pyramid.decode import background_signals

        return background_signals(group, views)

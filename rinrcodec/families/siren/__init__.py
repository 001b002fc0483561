"""`siren`: a small MLP with sine activations for every frame or object (Rapid-INR)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rinrcodec.families.interface import BackgroundFamily, Cost, ObjectFamily, ObjectView, View
from rinrcodec.pack import GroupInfo, Spec

if TYPE_CHECKING:
    from torch import Tensor

    from rinrcodec.families.group_reader import GroupReader
    from rinrcodec.families.siren.encode import SirenBackgrounds, SirenObjects

__all__ = ["Siren"]

# A product of fewer pixels takes as long as one of so many.
_LEAST_PIXELS = 128
# What a network takes however few pixels it has: calls, and reading its weights.
_CALL_WORK = 2**21
_PARAM_WORK = 256
# The output and its pixels, twice; the codes of a weight, its scale, its value and another copy.
_PIXEL_BYTES, _PARAM_BYTES = 18, 20
_OBJECT_BYTES = 40  # of a pixel: its output, and the sums that paste it


class Siren(BackgroundFamily, ObjectFamily):
    """One network per frame or object, asked at any position and scale."""

    name = "siren"
    summary = "a network for every frame"
    resizable = True

    def check(self, info: GroupInfo) -> None:
        from rinrcodec.families.checks import check_sizes
        from rinrcodec.families.siren import network

        network.check(info.spec)
        check_sizes(info, network.tensor_sizes(info.spec))

    def channels(self, spec: Spec) -> int:
        return int(spec["out"])

    def background_presets(self) -> Mapping[str, SirenBackgrounds]:
        from rinrcodec.families.siren.encode import BACKGROUNDS

        return BACKGROUNDS

    def object_presets(self) -> Mapping[str, SirenObjects]:
        from rinrcodec.families.siren.encode import OBJECTS

        return OBJECTS

    def background_cost(self, info: GroupInfo, view: View) -> Cost:
        height, width = view.shape
        return self._cost(info, height * width)

    def object_cost(self, info: GroupInfo, view: ObjectView) -> Cost:
        return self._cost(info, view.n_pixels, pixel_bytes=_OBJECT_BYTES)

    def _cost(self, info: GroupInfo, n_pixels: int, *, pixel_bytes: int = _PIXEL_BYTES) -> Cost:
        from rinrcodec.families.siren import network

        work = max(n_pixels, _LEAST_PIXELS) * network.work(info.spec)
        return Cost(
            work + _CALL_WORK + _PARAM_WORK * info.n_params,
            pixel_bytes * n_pixels + _PARAM_BYTES * info.n_params,
        )

    def decode_backgrounds(self, group: GroupReader, views: Sequence[View]) -> list[Tensor]:
        from rinrcodec.families.siren.evaluate import background_signals

        return background_signals(group, views)

    def decode_objects(self, group: GroupReader, views: Sequence[ObjectView]) -> list[Tensor]:
        from rinrcodec.families.siren.evaluate import object_signals

        return object_signals(group, views)

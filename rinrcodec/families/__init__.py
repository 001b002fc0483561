"""How INRs are built: one module per family, all with the functions of `Family`.

A new family is one new module here and one line in `_PIXELS`, `_SEQUENCES` or `_PYRAMIDS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

import torch
from torch import Tensor

from rinrcodec.errors import RinrFormatError
from rinrcodec.pack import GroupInfo, Spec

__all__ = [
    "Family",
    "PixelFamily",
    "SequenceFamily",
    "check_group",
    "family_of",
    "is_pyramid",
    "is_sequence",
    "parameter_count",
    "pixel_family",
    "sequence_family",
]

_PIXELS = {"siren": "rinrcodec.families.siren.network"}
_SEQUENCES = {"nerv": "rinrcodec.families.nerv.network"}
# Rows of entropy-coded latents, one or a few whole frames each.
_PYRAMIDS = {"pyramid": "rinrcodec.families.pyramid.network"}


class Family(Protocol):
    """What every family tells of its INRs.

    Weights of n INRs of a spec are one float32 tensor [n, params]: the tensors of `tensor_sizes`
    side by side, each with one quantisation scale.
    """

    def check(self, spec: Spec) -> None:
        """Raise `RinrFormatError` when the spec is not one that this family can build."""

    def tensor_sizes(self, spec: Spec) -> tuple[int, ...]:
        """How many parameters each tensor of one INR has, in the order of storage."""

    def channels(self, spec: Spec) -> int:
        """Output values per pixel: 3 for RGB, 1 for grey."""

    def init(self, spec: Spec, n: int, generator: torch.Generator) -> Tensor:
        """Fresh weights for n INRs, float32 [n, params], on the generator's device."""


class PixelFamily(Family, Protocol):
    """One INR per frame or object, asked at positions; `siren` is the example to read."""

    def widest(self, spec: Spec) -> int:
        """The most values per pixel that any layer holds: bounds chunks on a CPU."""

    def work(self, spec: Spec) -> int:
        """About how many multiplications one pixel takes, or what takes as long."""

    def kept(self, spec: Spec) -> int:
        """Values per pixel alive at once in a fitting step: bounds chunks on a GPU."""

    def canonical(self, spec: Spec, weights: Tensor) -> Tensor:
        """Weights of the same outputs with the smallest magnitudes, which quantise best."""

    def sensitive(self, spec: Spec) -> int:
        """How many parameters, the first ones, are rounded first, for the others to adapt to."""

    def forward(self, spec: Spec, weights: Tensor, coords: Tensor) -> Tensor:
        """Outputs [n, pixels, channels] at coords [n or 1, pixels, 2]; has a weight gradient."""


class SequenceFamily(Family, Protocol):
    """One INR per sequence, asked for whole frames at times; `nerv` is the example to read."""

    def size(self, spec: Spec) -> tuple[int, int]:
        """Width and height of what it outputs: a frame is its upper left part."""

    def largest(self, spec: Spec) -> int:
        """The most values of one frame that any layer holds: bounds batches on a GPU."""

    def work(self, spec: Spec) -> int:
        """About how many multiplications one frame takes."""

    def forward(self, spec: Spec, weights: Tensor, times: Tensor) -> Tensor:
        """Frames [n, channels, height, width] of one INR [params] at times [n]."""


def family_of(spec: Spec) -> Family:
    """The family that builds `spec`, which it has checked; `RinrFormatError` if there is none."""
    modules = _PIXELS | _SEQUENCES | _PYRAMIDS
    module = modules.get(spec.family)
    if module is None:
        known = ", ".join(sorted(modules))
        raise RinrFormatError(
            f"unknown INR family {spec.family!r}: this version knows {known}; a newer rinrcodec may"
        )
    family = cast(Family, import_module(module))
    family.check(spec)
    return family


def is_sequence(spec: Spec) -> bool:
    """Whether one INR of this spec stands for the frames of a sequence."""
    return spec.family in _SEQUENCES


def is_pyramid(spec: Spec) -> bool:
    """Whether rows of this spec are entropy-coded latents."""
    return spec.family in _PYRAMIDS


def pixel_family(spec: Spec) -> PixelFamily:
    """As `family_of`, for an INR that is asked at positions."""
    if is_sequence(spec) or is_pyramid(spec):
        raise RinrFormatError(f"an INR of the family {spec.family!r} stands for whole frames only")
    return cast(PixelFamily, family_of(spec))


def sequence_family(spec: Spec) -> SequenceFamily:
    """As `family_of`, for an INR of a sequence."""
    if not is_sequence(spec):
        raise RinrFormatError(f"an INR of the family {spec.family!r} knows no time")
    return cast(SequenceFamily, family_of(spec))


def parameter_count(spec: Spec) -> int:
    """Parameters of one INR."""
    return sum(family_of(spec).tensor_sizes(spec))


def check_group(info: GroupInfo) -> Family:
    """The family of a group, after making sure that the rows fit the spec."""
    family = family_of(info.spec)
    sizes = family.tensor_sizes(info.spec)
    if (info.n_params, info.n_scales) != (sum(sizes), len(sizes)):
        raise RinrFormatError(
            f"the spec {info.spec.to_json()} has {sum(sizes)} parameters in {len(sizes)} tensors, "
            f"the group says {info.n_params} in {info.n_scales}"
        )
    if is_pyramid(info.spec) and not info.coded:
        raise RinrFormatError(f"a group of the spec {info.spec.to_json()} has no coded bytes")
    return family

"""How INRs are built: one module per family, all with the functions of `Family`.

A new family is one new module here and one line in `_MODULES`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

import torch
from torch import Tensor

from rinrcodec.errors import RinrFormatError
from rinrcodec.model import GroupInfo, Spec

__all__ = ["Family", "check_group", "family_of", "parameter_count"]

_MODULES = {"siren": "rinrcodec.families.siren"}


class Family(Protocol):
    """What the fitting engine and the decoder ask of a family. `siren` is the example to read.

    Weights of n INRs of a spec are one float32 tensor [n, params]: the tensors of `tensor_sizes`
    side by side, each with one quantisation scale.
    """

    def check(self, spec: Spec) -> None:
        """Raise `RinrFormatError` when the spec is not one that this family can build."""

    def tensor_sizes(self, spec: Spec) -> tuple[int, ...]:
        """How many parameters each tensor of one INR has, in the order of storage."""

    def channels(self, spec: Spec) -> int:
        """Output values per pixel: 3 for RGB, 1 for grey."""

    def widest(self, spec: Spec) -> int:
        """The most values per pixel that any layer holds: bounds chunks on a CPU."""

    def kept(self, spec: Spec) -> int:
        """Values per pixel alive at once in a fitting step: bounds chunks on a GPU."""

    def canonical(self, spec: Spec, weights: Tensor) -> Tensor:
        """Weights of the same outputs with the smallest magnitudes, which quantise best."""

    def sensitive(self, spec: Spec) -> int:
        """How many parameters, the first ones, are rounded first, for the others to adapt to."""

    def init(self, spec: Spec, n: int, generator: torch.Generator) -> Tensor:
        """Fresh weights for n INRs, float32 [n, params], on the generator's device."""

    def forward(self, spec: Spec, weights: Tensor, coords: Tensor) -> Tensor:
        """Outputs [n, pixels, channels] at coords [n or 1, pixels, 2]; has a weight gradient."""


def family_of(spec: Spec) -> Family:
    """The family that builds `spec`, which it has checked; `RinrFormatError` if there is none."""
    module = _MODULES.get(spec.family)
    if module is None:
        known = ", ".join(sorted(_MODULES))
        raise RinrFormatError(
            f"unknown INR family {spec.family!r}: this version knows {known}; a newer rinrcodec may"
        )
    family = cast(Family, import_module(module))
    family.check(spec)
    return family


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
    return family

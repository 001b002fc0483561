"""Checks of the decoder: of a group before decoding, and of the result of a family."""

from __future__ import annotations

from collections.abc import Sequence

from rinrcodec.compute.arrays import Array
from rinrcodec.compute.devices import require_torch
from rinrcodec.errors import RinrFormatError
from rinrcodec.families.interface import Family
from rinrcodec.pack import Frame, GroupInfo
from rinrcodec.printing import count

__all__ = ["check_channels", "check_count", "check_group", "check_shape"]


def check_group(family: Family, info: GroupInfo) -> None:
    """Let a family check a group, once it has what it computes with."""
    if family.needs_torch:
        require_torch(f"decoding {family.name}")
    family.check(info)


def check_count(family: Family, what: str, decoded: Sequence[Array], n: int) -> None:
    """Refuse a family of another package that gives more or fewer signals than asked for."""
    if len(decoded) != n:
        raise RinrFormatError(
            f"the family {family.name!r} decoded {count(len(decoded), what)}: expected {n}"
        )


def check_shape(family: Family, signal: Array, shape: tuple[int, int, int]) -> None:
    """Refuse what a family of another package must not return: it would be stretched silently."""
    if tuple(signal.shape) != shape:
        raise RinrFormatError(
            f"the family {family.name!r} decoded a tensor of shape {list(signal.shape)}: expected "
            f"{list(shape)}"
        )


def check_channels(channels: int, frame: Frame) -> None:
    """Refuse networks of other channels than the frame has."""
    if channels != (1 if frame.mode == "L" else 3):
        raise RinrFormatError(
            f"{frame.name}: an INR of {channels} channels for a picture of mode {frame.mode}"
        )

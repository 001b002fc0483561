"""Checks of a group that several families share."""

from __future__ import annotations

from collections.abc import Sequence

from rinrcodec.errors import RinrFormatError
from rinrcodec.pack import GroupInfo

__all__ = ["check_sizes", "frames_until"]


def check_sizes(info: GroupInfo, sizes: Sequence[int]) -> None:
    """Check that the rows of a group have tensors of these sizes.

    Args:
        info: The group.
        sizes: How many parameters each tensor of the spec has, each of which has one scale.

    Raises:
        RinrFormatError: The group has other counts of parameters or scales.
    """
    if (info.n_params, info.n_scales) != (sum(sizes), len(sizes)):
        raise RinrFormatError(
            f"the spec {info.spec.to_json()} has {sum(sizes)} parameters in {len(sizes)} tensors, "
            f"the group says {info.n_params} in {info.n_scales}"
        )


def frames_until(time: float, most: int) -> int:
    """Return how many frames of a row are decoded for that of a time; `most` for a wrong time.

    Costs are counted before times are checked.
    """
    return int(time) + 1 if 0 <= time < most else most

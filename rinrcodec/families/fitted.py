"""Decode objects that were just fitted, for encoders to compare with the target."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from rinrcodec.boxes import Region
from rinrcodec.compute.arrays import Array, as_array
from rinrcodec.compute.grids import Grid
from rinrcodec.families import object_family
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import ObjectView
from rinrcodec.pack import Frame, Group, InrRef, ObjectInr, Pack

if TYPE_CHECKING:
    import torch

__all__ = ["object_outputs"]


def object_outputs(
    group: Group, objects: Sequence[tuple[ObjectInr, Sequence[int]]], gpu: torch.device | None
) -> list[Array]:
    """Decode objects of a group that is in no pack yet.

    Args:
        group: Their rows.
        objects: The objects, each with the height and width of its region.
        gpu: Where to decode, to tensors; None for the CPU, which gives arrays.

    Returns:
        For each object float32 [h, w, channels], without its gain.
    """
    views = []
    for inr, (height, width) in objects:
        frame = Frame("", width, height, InrRef(0, 0))
        region, part = Region(0, 0, width, height), (slice(0, height), slice(0, width))
        views.append(ObjectView(frame, inr, region, Grid.of_frame(width, height), part))
    reader = GroupReader(Pack((), (group,)), 0, gpu)
    family = object_family(group.spec.family)
    with _no_grad() if family.needs_torch else nullcontext():
        outputs = family.decode_objects(reader, views)
    return [as_array(output) for output in outputs] if gpu is None else list(outputs)


def _no_grad() -> AbstractContextManager[None]:
    import torch

    return torch.no_grad()

"""What objects that were just fitted decode to. Encoders compare it with what was wanted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rinrcodec.boxes import Region
from rinrcodec.compute.grids import Grid
from rinrcodec.families import object_family
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import ObjectView
from rinrcodec.pack import Frame, Group, InrRef, ObjectInr, Pack

__all__ = ["object_outputs"]


@torch.no_grad()
def object_outputs(
    group: Group, objects: Sequence[tuple[ObjectInr, Sequence[int]]], device: torch.device
) -> list[Tensor]:
    """Decode objects of a group that is in no pack yet.

    Args:
        group: Their rows.
        objects: The objects, each with the height and width of its region.
        device: Where to decode.

    Returns:
        For each object float32 [h, w, channels], without its gain.
    """
    views = []
    for inr, (height, width) in objects:
        frame = Frame("", width, height, InrRef(0, 0))
        region, part = Region(0, 0, width, height), (slice(0, height), slice(0, width))
        views.append(ObjectView(frame, inr, region, Grid.of_frame(width, height), part))
    reader = GroupReader(Pack((), (group,)), 0, device)
    return object_family(group.spec.family).decode_objects(reader, views)

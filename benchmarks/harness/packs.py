"""Packs for measuring speed, which does not depend on what the weights are: nothing is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from harness.frames import frame_part, object_part
from rinrcodec.boxes import Box
from rinrcodec.compute.quantize import quantize, tensor_scales
from rinrcodec.families.siren import network
from rinrcodec.families.siren.encode import SirenBackgrounds, SirenObjects
from rinrcodec.pack import Frame, Group, InrRef, ObjectInr, Pack, Spec
from rinrcodec.picture import Picture
from rinrcodec.presets import Preset


def box_area(box: Box, picture: Picture) -> int:
    """Count the pixels of the picture that a box touches."""
    return box.region(picture.width, picture.height).area


def fresh_pack(pictures: Sequence[Picture], preset: Preset, *, seed: int) -> Pack:
    """Return the pictures as `encode` would store them, with the weights at the start of a fit."""
    background, objects_part = frame_part(preset), object_part(preset)
    n_rows: dict[tuple[Spec, int], int] = {}

    def placed(part: SirenBackgrounds | SirenObjects, area: int, picture: Picture) -> InrRef:
        key = (part.spec(area, 3 if picture.pixels.ndim == 3 else 1), part.bits)
        row = n_rows.setdefault(key, 0)
        n_rows[key] += 1
        return InrRef(list(n_rows).index(key), row)

    frames = []
    for number, picture in enumerate(pictures):
        objects: list[ObjectInr | None] = []
        for box in picture.boxes:
            area = box_area(box, picture)
            objects.append(ObjectInr(placed(objects_part, area, picture)) if area else None)
        frames.append(
            Frame(
                f"{number:06d}",
                picture.width,
                picture.height,
                placed(background, picture.width * picture.height, picture),
                mode="RGB" if picture.pixels.ndim == 3 else "L",
                boxes=picture.boxes,
                objects=tuple(objects),
            )
        )
    generator = torch.Generator().manual_seed(seed)
    stacks = []
    for (spec, bits), n in n_rows.items():
        sizes = network.tensor_sizes(spec)
        weights = network.init(spec, n, generator)
        rows = quantize(weights, tensor_scales(weights, sizes, bits), sizes, bits)
        stacks.append(Group(spec, bits, rows))
    return Pack(tuple(frames), tuple(stacks))


def ungrouped(pack: Pack) -> Pack:
    """Return the same frames, with every INR in a group of its own."""
    alone: list[Group] = []
    moved: dict[InrRef, InrRef] = {}
    for number, group in enumerate(pack.stacks):
        for row in range(group.info.n_rows):
            moved[InrRef(number, row)] = InrRef(len(alone), 0)
            alone.append(replace(group, rows=group.rows.take([row])))
    frames = tuple(
        replace(
            frame,
            background=moved[frame.background],
            objects=tuple(
                residual and replace(residual, inr=moved[residual.inr])
                for residual in frame.objects
            ),
        )
        for frame in pack.frames
    )
    return Pack(frames, tuple(alone))

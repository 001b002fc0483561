"""Families as another package would bring them: a flat colour per frame, and one per object.

Nothing of rinrcodec knows their names. A row of `flat` has one weight per channel, of 8 bits; a row
of `flatter` has coded bytes, one per channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from rinrcodec.compute.compose import pixel_tensor, to_signal
from rinrcodec.errors import RinrFormatError
from rinrcodec.families import register
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.interface import (
    BackgroundEncoder,
    BackgroundFamily,
    Cost,
    FitContext,
    FittedObjects,
    FittedRows,
    ObjectEncoder,
    ObjectFamily,
    ObjectView,
    Reference,
    View,
)
from rinrcodec.pack import WHOLE, Group, GroupInfo, Rows, Spec
from rinrcodec.picture import Picture

__all__ = ["Flat", "Flatter"]


@dataclass(frozen=True, slots=True)
class FlatBackgrounds(BackgroundEncoder):
    steps: int = 1

    family: ClassVar[str] = "flat"

    def with_steps(self, steps: int) -> FlatBackgrounds:
        return replace(self, steps=steps)

    def work(self, pictures: Sequence[Picture]) -> float:
        return float(len(pictures))

    def fit(self, pictures: Sequence[Picture], context: FitContext) -> list[FittedRows]:
        done = context.counted(1.0)
        groups = []
        for channels in (1, 3):
            members = [i for i, picture in enumerate(pictures) if picture.channels == channels]
            if not members:
                continue
            means = [to_signal(pixel_tensor(pictures[i])).mean((0, 1)) for i in members]
            codes = (torch.stack(means) * 127).round().to(torch.int8).numpy()
            scales = np.full((len(members), 1), 2.0**-7, np.float32)
            group = Group(Spec.of("flat", out=channels), 8, Rows(codes, scales))
            groups.append(FittedRows(group, [[(i, 0.0)] for i in members]))
            done(len(members), 1)
        return groups


class Flat(BackgroundFamily):
    name = "flat"
    summary = "a colour for every frame"

    def check(self, info: GroupInfo) -> None:
        if info.spec["out"] not in (1, 3) or info.n_params != info.spec["out"]:
            raise RinrFormatError(f"flat wants a weight for every channel, got {info.n_params}")

    def channels(self, spec: Spec) -> int:
        return int(spec["out"])

    def background_presets(self) -> Mapping[str, FlatBackgrounds]:
        return {"fast": FlatBackgrounds(), "balanced": FlatBackgrounds(2)}

    def background_cost(self, info: GroupInfo, view: View) -> Cost:
        values = info.n_params * view.shape[0] * view.shape[1]
        return Cost(work=values, memory=6 * values)

    def decode_backgrounds(self, group: GroupReader, views: Sequence[View]) -> list[Tensor]:
        rows = [view.frame.background.row for view in views]
        colours = group.weights(rows, [group.info.n_params])
        return [
            colour.expand(*view.shape, -1).clone()
            for colour, view in zip(colours, views, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class FlatterObjects(ObjectEncoder):
    family: ClassVar[str] = "flatter"

    def with_steps(self, steps: int) -> FlatterObjects:
        del steps
        return self

    def work(self, area: int, channels: int) -> float:
        return float(area * channels)

    def fit(self, references: Sequence[Reference], context: FitContext) -> Iterator[FittedObjects]:
        del context
        signals = [reference.signal for reference in references]
        for channels in (1, 3):
            members = [i for i, one in enumerate(signals) if one.shape[2] == channels]
            if not members:
                continue
            coded = tuple(
                bytes(int(value) for value in (signals[i].mean((0, 1)) * 100 + 128).round())
                for i in members
            )
            group = Group.of_bytes(Spec.of("flatter", out=channels), coded)
            yield FittedObjects(group, [[(i, WHOLE)] for i in members])


class Flatter(ObjectFamily):
    name = "flatter"

    def check(self, info: GroupInfo) -> None:
        if not info.coded:
            raise RinrFormatError("a group of flatter has no coded bytes")

    def channels(self, spec: Spec) -> int:
        return int(spec["out"])

    def object_presets(self) -> Mapping[str, FlatterObjects]:
        return {"fast": FlatterObjects(), "balanced": FlatterObjects()}

    def object_cost(self, info: GroupInfo, view: ObjectView) -> Cost:
        del info
        return Cost(work=view.n_pixels, memory=12 * view.n_pixels)

    def decode_objects(self, group: GroupReader, views: Sequence[ObjectView]) -> list[Tensor]:
        coded = group.coded([view.inr.inr.row for view in views])
        colours = [
            (torch.tensor(list(coded[view.inr.inr.row]), dtype=torch.float32) - 128) / 100
            for view in views
        ]
        return [
            colour.to(group.device).expand(*view.shape, -1)
            for colour, view in zip(colours, views, strict=True)
        ]


register(Flat())
register(Flatter())

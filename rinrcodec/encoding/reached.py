"""Whether a pack has the quality and size that were asked for, measured on its decoded frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rinrcodec.decoder import Decoder
from rinrcodec.families import background_family
from rinrcodec.formats import pack_bytes
from rinrcodec.metrics import LARGEST_DB, frame_quality
from rinrcodec.pack import InrRef, Pack
from rinrcodec.picture import Picture, limits_of
from rinrcodec.targets import Miss, Target

if TYPE_CHECKING:
    import torch

__all__ = ["misses"]

_TOLERANCE = 0.1  # dB: what a table shows as the target
_ROOM = 1.01  # times the bytes: networks are fitted for a size that is not known exactly


def misses(
    pack: Pack, pictures: Sequence[Picture], target: Target, device: str | torch.device
) -> tuple[Miss, ...]:
    """Compare a pack with its target.

    Args:
        pack: Frames as they were encoded.
        pictures: The picture of each.
        target: What was asked for. A price of bits and a quality without a unit cannot be missed.
        device: Where to decode.
    """
    found = []
    if target.n_bytes is not None:
        size = len(pack_bytes(pack, limits=limits_of(pictures))) / pack.n_frames
        if size > _ROOM * target.n_bytes:
            name = pack.frames[0].name
            found.append(Miss("n_bytes", target.n_bytes, size, pack.n_frames, name))
    if target.psnr is not None:
        found += _missed_psnr(pack, pictures, target, device)
    if target.objects_psnr is not None:
        found += _missed_objects(pack, pictures, target.objects_psnr, device)
    return tuple(found)


def _missed_psnr(
    pack: Pack, pictures: Sequence[Picture], target: Target, device: str | torch.device
) -> Iterator[Miss]:
    """Yield the frames of rows whose mean is below the target."""
    assert target.psnr is not None
    decoder = Decoder(pack, device=device, limits=limits_of(pictures))
    by_row: dict[InrRef, list[tuple[float, int]]] = defaultdict(list)
    for i, picture in enumerate(pictures):
        decoded = _in_mode(decoder.pixels(i, objects=False), picture)
        quality = frame_quality(picture.pixels, decoded, picture.boxes)
        background = pack.frames[i].background
        family = background_family(pack.stacks[background.group].spec.family)
        outside = not family.takes_objects and target.objects_psnr is not None
        value = quality.background if outside else quality.frame
        if value is not None:
            by_row[background].append((min(value, LARGEST_DB), i))
    yield from _below("psnr", target.psnr, by_row.values(), pack)


def _missed_objects(
    pack: Pack, pictures: Sequence[Picture], wanted: float, device: str | torch.device
) -> Iterator[Miss]:
    """Yield the frames below the target, where their mean is below it.

    Rows of objects hold parts of frames, so there is one mean for all frames.
    """
    decoder = Decoder(pack, device=device, limits=limits_of(pictures))
    values: list[tuple[float, int]] = []
    for i, picture in enumerate(pictures):
        decoded = _in_mode(decoder.pixels(i), picture)
        value = frame_quality(picture.pixels, decoded, picture.boxes).objects
        if value is not None:
            values.append((min(value, LARGEST_DB), i))
    yield from _below("objects_psnr", wanted, [values] if values else [], pack)


def _in_mode(pixels: NDArray[np.uint8], picture: Picture) -> NDArray[np.uint8]:
    return pixels[..., 0] if picture.mode == "L" else pixels


def _below(
    field: str, wanted: float, groups: Iterable[list[tuple[float, int]]], pack: Pack
) -> Iterator[Miss]:
    missed = [
        member
        for members in groups
        if sum(value for value, _ in members) / len(members) < wanted - _TOLERANCE
        for member in members
        if member[0] < wanted
    ]
    if missed:
        value, i = min(missed)
        yield Miss(field, wanted, value, len(missed), pack.frames[i].name)

"""Encoding for a size of the whole file: rows, boxes, names, metadata and container."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rinrcodec.encoding.fit import Encoding, frame_of
from rinrcodec.families.interface import FitContext
from rinrcodec.formats import pack_bytes
from rinrcodec.pack import Group, InrRef, Pack, Spec
from rinrcodec.picture import Picture, limits_of
from rinrcodec.presets import Preset

__all__ = ["TRIES", "encode_for_size", "without_overhead"]

TRIES = 6  # how often a pack is encoded, about
_BEST = 100  # quality
_DOUBLES = 15  # steps of quality that about double the bytes
_GUESSES = 4  # before what is left is halved


def encode_for_size(
    pictures: Sequence[Picture], preset: Preset, context: FitContext, info: Mapping[str, str]
) -> Pack:
    """Find the highest quality at which a file of n frames has at most n times the target's bytes.

    Unless the target has a quality for objects, theirs follows that of the backgrounds: on lines
    through the default qualities, to 100 for both, and down to backgrounds of quality 0. If these
    are still too large, the quality of objects goes down to 0, too. If even that is too large, it
    is the result.

    Args:
        pictures: The pictures.
        preset: Settings of a family of backgrounds that can be asked for a quality.
        context: Its target has `n_bytes`.
        info: As of `encode_pictures`.
    """
    target = context.target
    assert target.n_bytes is not None
    most = target.n_bytes * len(pictures)
    free = target.objects_quality is None and target.objects_psnr is None
    objects = free and preset.objects is not None and preset.objects.asks_for_quality
    usual = preset.background.default_qualities
    # Below 0, only the quality of objects goes down.
    lowest = -_of_objects(0, usual) if objects and any(one.boxes for one in pictures) else 0

    def encoded(quality: int) -> tuple[Pack, int]:
        asked = replace(target, n_bytes=None, quality=max(quality, 0))
        if objects:
            asked = replace(asked, objects_quality=_of_objects(quality, usual))
        pack = Encoding(pictures, preset, replace(context, target=asked), info).run(None)
        return pack, len(pack_bytes(pack, limits=limits_of(pictures)))

    low, high, quality = lowest - 1, _BEST + 1, usual[0]
    sizes: dict[int, int] = {}
    best: Pack | None = None
    for guess in range(_BEST):
        pack, size = encoded(quality)
        sizes[quality] = size
        if size <= most or quality == lowest:
            best, low = pack, quality
        else:
            high = quality
        if high - low <= 1 or (quality == lowest and size > most):
            break
        if guess >= _GUESSES:
            quality = (low + high) // 2
        elif low in sizes and high in sizes:
            steps = math.log(most / sizes[low]) / math.log(sizes[high] / sizes[low])
            quality = low + math.floor((high - low) * steps)
        else:
            quality += math.floor(_DOUBLES * math.log2(most / size))
        quality = min(max(quality, low + 1), high - 1)
    assert best is not None
    return best


def _of_objects(quality: int, usual: tuple[int, int]) -> int:
    """Return the quality of objects for one of backgrounds, which is below 0 if only theirs falls.

    usual: the default qualities of both.
    """
    backgrounds, objects = usual
    # Better objects on worse backgrounds keep their distance; the others keep their share.
    worst = max(0, objects - backgrounds)
    if quality < 0:
        return worst + quality
    if quality <= backgrounds:
        return worst + round((objects - worst) * quality / backgrounds)
    return objects + round((_BEST - objects) * (quality - backgrounds) / (_BEST - backgrounds))


def without_overhead(
    pictures: Sequence[Picture], context: FitContext, info: Mapping[str, str]
) -> FitContext:
    """Take from a target of bytes what a file needs besides its rows.

    Args:
        pictures: The pictures.
        context: As of `BackgroundEncoder.fit`.
        info: As of `encode_pictures`.

    Returns:
        The context with a target of the bytes of rows, at least 1; unchanged where it asks for
        no bytes.
    """
    if context.target.n_bytes is None:
        return context
    empty = Group.of_bytes(Spec.of("none"), [b""])
    frames = tuple(frame_of(picture, InrRef(0, 0)) for picture in pictures)
    overhead = len(pack_bytes(Pack(frames, (empty,), info), limits=limits_of(pictures))) / len(
        pictures
    )
    n_bytes = max(1, math.floor(context.target.n_bytes - overhead))
    return replace(context, target=replace(context.target, n_bytes=n_bytes))

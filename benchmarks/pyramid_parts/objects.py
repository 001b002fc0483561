"""`pyramid` with sharp objects: its bytes against those of AVIF with crops pasted in."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rinrcodec
from harness.frames import load_frames
from harness.ledger import JsonRow, Ledger
from harness.reports import markdown_table
from pyramid_parts.points import (
    ANCHOR,
    change,
    finite_psnr,
    our_coding,
    paragraphs,
    percent,
)
from rinrcodec.boxes import Box, Region
from rinrcodec.evaluation.baselines import (
    CROP_HEADER_BYTES,
    QUALITIES,
    Coded,
    QualityScan,
    available_codecs,
)
from rinrcodec.evaluation.rates import bytes_at
from rinrcodec.metrics import frame_bytes, frame_quality, mean_db
from rinrcodec.picture import Picture

# So many qualities below one, AVIF has a file that is smaller.
QUALITY_STEPS = 4


@dataclass(frozen=True)
class EqualComposite:
    """An AVIF frame with crops that is nowhere worse than asked; `crops` are codec and bytes.

    A crop's bytes count its `CROP_HEADER_BYTES`. exact_base_bytes: what the frame would have if it
    were no better than asked, between the sizes of two qualities.
    """

    base_bytes: int
    exact_base_bytes: float
    crops: tuple[tuple[str, int], ...]
    pixels: NDArray[np.uint8]

    @property
    def n_bytes(self) -> int:
        return self.base_bytes + sum(size for _, size in self.crops)

    @property
    def exact_bytes(self) -> float:
        return self.exact_base_bytes + self.n_bytes - self.base_bytes


def equal_composite(
    frame: QualityScan, boxes: Sequence[Box], *, background: float | None, objects: Sequence[float]
) -> EqualComposite:
    """Return the smallest composite whose background and boxes reach what is asked, in dB.

    objects: for every box. The frame is the smallest whose background is good enough; boxes that it
    does not make good enough get the smallest crop that does, from the largest to the smallest,
    each measured on what was pasted before. Where the smallest frame that needs no crop at all
    takes fewer bytes, it is taken.
    """
    height, width = frame.pixels.shape[:2]
    wanted = [
        (region, least)
        for box, least in zip(boxes, objects, strict=True)
        if (region := box.region(width, height)).area
    ]
    wanted.sort(key=lambda item: item[0].area, reverse=True)

    def background_of(coded: Coded) -> float:
        background_psnr = mean_db([frame_quality(frame.pixels, coded.pixels, boxes).background])
        return math.inf if background_psnr is None else background_psnr

    def reaches(coded: Coded) -> bool:
        return background is None or background_of(coded) >= background

    def reaches_all(coded: Coded) -> bool:
        enough = (_psnr(frame.pixels, coded.pixels, region) >= least for region, least in wanted)
        return reaches(coded) and all(enough)

    base = frame.smallest(reaches)
    pixels = base.pixels.copy()
    crops = []
    for region, least in wanted:
        if _psnr(frame.pixels, pixels, region) >= least:
            continue
        crop = _smallest_crop(frame, region, least)
        pixels[region.slices] = crop.pixels
        crops.append((crop.codec, CROP_HEADER_BYTES + crop.n_bytes))
    exact = None
    if background is not None:
        below = range(max(QUALITIES[0], base.quality - QUALITY_STEPS), base.quality)
        near = [*(frame.at_quality(quality) for quality in below), base]
        exact = bytes_at([(item.n_bytes, background_of(item)) for item in near], background)
    exact_bytes = base.n_bytes if exact is None else exact
    pasted = EqualComposite(base.n_bytes, exact_bytes, tuple(crops), pixels)
    alone = frame.smallest(reaches_all)
    if alone.n_bytes < pasted.n_bytes and reaches_all(alone):
        return EqualComposite(alone.n_bytes, alone.n_bytes, (), alone.pixels)
    return pasted


def _smallest_crop(frame: QualityScan, region: Region, least: float) -> Coded:
    reference = frame.pixels[region.slices]

    def reaches(coded: Coded) -> bool:
        return finite_psnr(reference, coded.pixels) >= least

    codecs = [codec for codec in available_codecs() if codec != "jpeg"]
    candidates = [frame.part(codec, region).smallest(reaches) for codec in codecs]
    return min(candidates, key=lambda coded: (not reaches(coded), coded.n_bytes))


def _psnr(reference: NDArray[np.uint8], pixels: NDArray[np.uint8], region: Region) -> float:
    return finite_psnr(reference[region.slices], pixels[region.slices])


def our_row(pictures: Sequence[Picture], options: argparse.Namespace) -> JsonRow:
    """Return one pack of ours: its bytes, and what every frame costs and reaches."""
    background, objects = options.psnr
    coding = our_coding(pictures, rinrcodec.Target(psnr=background, objects_psnr=objects), options)
    sizes = frame_bytes(coding.pack, coding.n_bytes)
    frames = []
    for picture, decoded, size in zip(pictures, coding.decoded, sizes, strict=True):
        quality = frame_quality(picture.pixels, decoded, picture.boxes)
        regions = [box.region(picture.width, picture.height) for box in picture.boxes]
        frames.append(
            {
                "frame": picture.name,
                "bytes": size,
                "background_psnr": mean_db([quality.background]),
                "object_psnr": mean_db([quality.objects]),
                "boxes_psnr": [
                    _psnr(picture.pixels, decoded, region) if region.area else None
                    for region in regions
                ],
            }
        )
    return {"bytes": coding.n_bytes, "frames": frames}


def their_row(picture: Picture, ours: Mapping[str, Any]) -> JsonRow:
    """Return the composite of a frame that is as good as ours."""
    composite = equal_composite(
        QualityScan(ANCHOR, picture.pixels),
        picture.boxes,
        background=ours["background_psnr"],
        objects=[0.0 if value is None else value for value in ours["boxes_psnr"]],
    )
    quality = frame_quality(picture.pixels, composite.pixels, picture.boxes)
    return {
        "bytes": composite.n_bytes,
        "exact_bytes": composite.exact_bytes,
        "frame_bytes": composite.base_bytes,
        "crops": composite.crops,
        "background_psnr": mean_db([quality.background]),
        "object_psnr": mean_db([quality.objects]),
    }


def objects(options: argparse.Namespace, ledger: Ledger) -> None:
    """Write the report pyramid_objects: background and objects at a quality each."""
    what, pictures = load_frames(options.frames, evenly=True)
    ours = ledger.row("ours", lambda: our_row(pictures, options))
    print(f"ours: {ours['bytes'] / len(pictures):,.0f} bytes a frame", flush=True)
    theirs = [
        ledger.row(f"composite {our['frame']}", partial(their_row, picture, our))
        for picture, our in zip(pictures, ours["frames"], strict=True)
    ]
    total = sum(row["bytes"] for row in theirs)
    rate = change(ours["bytes"], total)
    exact_rate = change(ours["bytes"], sum(row["exact_bytes"] for row in theirs))
    lines = [_line(our, other) for our, other in zip(ours["frames"], theirs, strict=True)]
    means = [
        {"frame": "mean", "bytes": statistics.mean(row["bytes"] for row in rows)}
        | {key: mean_db(row[key] for row in rows) for key in ("background_psnr", "object_psnr")}
        for rows in (ours["frames"], theirs)
    ]
    crops = [crop for row in theirs for crop in row["crops"]]
    mean_crops = f"{len(crops) / len(pictures):.1f} a frame"
    background, inside = options.psnr
    body = paragraphs(
        f"On {what}, all in one pack. We are asked for {background:g} dB outside the boxes and "
        f"{inside:g} dB inside. The composite is, for every frame, the smallest AVIF whose "
        "background is as good as ours, and for every box in which that is worse than ours the "
        f"smallest AVIF or WebP crop that is as good, {CROP_HEADER_BYTES} bytes of header each; or "
        "the smallest AVIF that needs no crop, where that takes fewer bytes. Bytes are those of "
        "whole files; of our pack a frame has its own weights and an equal part of the rest. A "
        "crop's codec precedes its bytes.",
        f"**Our pack has {ours['bytes']:,} bytes, the composites {total:,}: {percent(rate)}.** "
        "AVIF's qualities are coarse, so that its frames are a little better than ours; with sizes "
        f"between those of two qualities, as if they were as good, it is {percent(exact_rate)}.",
        markdown_table(
            [
                "frame",
                "bytes",
                "background / objects",
                "composite",
                "more",
                "its background / objects",
                "its frame",
                "its crops",
            ],
            [*lines, _line(means[0], means[1], crops=mean_crops)],
        ),
    )
    data = {
        "frames": what,
        "change_percent": rate,
        "exact_change_percent": exact_rate,
        "ours": ours,
        "composites": theirs,
    }
    ledger.finish(title="`pyramid` with sharp objects", body=body, data=data)


def _line(our: Mapping[str, Any], their: Mapping[str, Any], *, crops: str = "") -> tuple[str, ...]:
    def pair(row: Mapping[str, Any]) -> str:
        values = (row["background_psnr"], row["object_psnr"])
        return " / ".join("-" if value is None else f"{value:.2f}" for value in values)

    return (
        our["frame"],
        f"{our['bytes']:,.0f}",
        pair(our),
        f"{their['bytes']:,.0f}",
        percent(change(our["bytes"], their["bytes"])),
        pair(their),
        f"{their['frame_bytes']:,}" if "frame_bytes" in their else "",
        crops or ", ".join(f"{codec} {size:,}" for codec, size in their["crops"]) or "none",
    )

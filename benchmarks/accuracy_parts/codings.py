"""The codings that are compared: a codec at a quality, as plain data that can code pictures.

Every coding gives, for each picture, its bytes in whole files and the pixels that come back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import rinrcodec
from harness.video import encode_video
from rinrcodec.boxes import Box
from rinrcodec.compute.compose import to_array
from rinrcodec.evaluation.baselines import CROP_HEADER_BYTES, decode_picture, encode_picture
from rinrcodec.formats import pack_bytes, read_pack
from rinrcodec.metrics import frame_bytes
from rinrcodec.pack import Metadata, Pack
from rinrcodec.picture import Picture
from rinrcodec.storage.atomic import write_whole

__all__ = [
    "Coded",
    "Coding",
    "Composite",
    "HalfSize",
    "Movie",
    "Network",
    "Original",
    "Ours",
    "Still",
    "chosen_boxes",
]

Pixels = NDArray[np.uint8]
Coded = tuple[float, Pixels]
DILATION = 0.25  # of a box's sides, on each side


@dataclass(frozen=True)
class Coding(ABC):
    """The base of all of them."""

    @property
    def key(self) -> str:
        """A name for files."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        words = [f"{name}={value}" for name, value in values.items() if value is not None]
        return "-".join([type(self).__name__.lower(), *words])

    @property
    def label(self) -> str:
        """The qualities, for a table."""
        return ""

    @abstractmethod
    def code(
        self, pictures: Sequence[Picture], found: Sequence[Sequence[Box]], work: Path
    ) -> list[Coded]:
        """Code the pictures of one pack.

        Args:
            pictures: The pictures, of different names.
            found: What the detector finds in each.
            work: The start of names of files that may be kept for other codings of these pictures.
        """


@dataclass(frozen=True)
class Original(Coding):
    """The pictures as they come, and the bytes of their JPEG files."""

    def code(self, pictures: Sequence[Picture], found: Any, work: Path) -> list[Coded]:
        del found, work
        return [(picture.source_bytes, picture.pixels) for picture in pictures]


@dataclass(frozen=True)
class Still(Coding):
    """A file of Pillow for each picture.

    tune: of AVIF; None for the default, and for other codecs.
    """

    codec: str
    quality: int
    tune: str | None = None

    @property
    def label(self) -> str:
        return f"{self.quality}"

    def code(self, pictures: Sequence[Picture], found: Any, work: Path) -> list[Coded]:
        del found
        return [self.kept(picture.pixels, work, n) for n, picture in enumerate(pictures)]

    def kept(self, pixels: Pixels, work: Path, number: int) -> Coded:
        """Code a picture, or take the file that another coding has kept."""
        path = work.with_name(f"{work.name}-{self.key}-{number}.{self.codec}")
        if not path.is_file():
            write_whole(path, self.file(pixels))
        return self.shown(path.read_bytes(), pixels)

    def file(self, pixels: Pixels) -> bytes:
        """Return the file of a picture."""
        return encode_picture(self.codec, pixels, self.quality, avif_tune=self.tune)

    def shown(self, data: bytes, pixels: Pixels) -> Coded:
        """Return the size of a file, and what it decodes to."""
        return len(data), decode_picture(data, "L" if pixels.ndim == 2 else "RGB")


@dataclass(frozen=True)
class HalfSize(Still):
    """The same of the picture at half the size; the receiver enlarges it."""

    def file(self, pixels: Pixels) -> bytes:
        height, width = pixels.shape[:2]
        return super().file(_resized(pixels, (width + 1) // 2, (height + 1) // 2))

    def shown(self, data: bytes, pixels: Pixels) -> Coded:
        size, decoded = super().shown(data, pixels)
        return size, _resized(decoded, pixels.shape[1], pixels.shape[0])


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image)


@dataclass(frozen=True)
class Composite(Coding):
    """An AVIF file of the frame, and an AVIF crop of every box, pasted in.

    tune: of both; None for Pillow's default.
    """

    quality: int
    crops: int
    tune: str | None = None

    @property
    def label(self) -> str:
        return f"{self.quality} / {self.crops}"

    def code(
        self, pictures: Sequence[Picture], found: Sequence[Sequence[Box]], work: Path
    ) -> list[Coded]:
        frame, crop = (Still("avif", quality, self.tune) for quality in (self.quality, self.crops))
        result = []
        for number, (picture, boxes) in enumerate(zip(pictures, found, strict=True)):
            size, pixels = frame.kept(picture.pixels, work, number)
            pixels = pixels.copy()
            regions = {box.region(picture.width, picture.height) for box in boxes}
            for region in sorted(regions, key=lambda one: -one.area):
                part = np.ascontiguousarray(picture.pixels[region.slices])
                n_bytes, pixels[region.slices] = crop.shown(crop.file(part), part)
                size += n_bytes + CROP_HEADER_BYTES
            result.append((size, pixels))
        return result


@dataclass(frozen=True)
class Ours(Coding):
    """A pack of all pictures, whose bytes that belong to no frame are shared equally.

    quality, objects: of backgrounds and objects; without `objects`, boxes are not in the pack
        either.
    boxes: as of `chosen_boxes`.
    soften: how much frames are blurred outside of the boxes, which are then in the pack. There are
        no objects.
    shrink: by which the sides of backgrounds are divided.
    """

    quality: int
    objects: int | None = None
    boxes: str = "found"
    gop: int = 1
    soften: float | None = None
    shrink: int | None = None

    @property
    def label(self) -> str:
        return f"{self.quality}" if self.objects is None else f"{self.quality} / {self.objects}"

    def code(
        self, pictures: Sequence[Picture], found: Sequence[Sequence[Box]], work: Path
    ) -> list[Coded]:
        boxed = [
            replace(bare(p), boxes=chosen_boxes(self.boxes, p, boxes))
            for p, boxes in zip(pictures, found, strict=True)
        ]
        if self.soften is not None:
            return shares(self._encoded(boxed, quality=self.quality), boxed)
        plain = [bare(picture) for picture in pictures]
        base = self._background(plain, work)
        if self.objects is None:
            return shares(base, plain)
        return shares(self._encoded(boxed, reuse=base, objects_quality=self.objects), boxed)

    def _background(self, pictures: Sequence[Picture], work: Path) -> Pack:
        key = replace(self, objects=None, boxes="found").key
        path = work.with_name(f"{work.name}-{key}.rinr")
        if not path.is_file():
            write_whole(path, pack_bytes(self._encoded(pictures, quality=self.quality)))
        return read_pack(path)

    def _encoded(
        self, pictures: Sequence[Picture], reuse: Pack | None = None, **qualities: int
    ) -> Pack:
        return rinrcodec.encode(
            pictures,
            preset="fast",
            background="av1",
            objects="none" if reuse is None else "av1",
            gop=self.gop,
            shrink=self.shrink if reuse is None else None,
            soften=self.soften,
            target=rinrcodec.Target(tune="accuracy", **qualities),
            reuse=reuse,
            device="cpu",
            on_progress=None,
        )


@dataclass(frozen=True)
class Network(Coding):
    """A pack of one of the families that fit networks, with the boxes that were found.

    objects: as of `rinrcodec.encode`.
    """

    family: str
    preset: str
    objects: str | None = None
    steps: int | None = None

    @property
    def label(self) -> str:
        return self.preset

    def code(
        self, pictures: Sequence[Picture], found: Sequence[Sequence[Box]], work: Path
    ) -> list[Coded]:
        del work
        boxed = [
            replace(bare(p), boxes=tuple(boxes)) for p, boxes in zip(pictures, found, strict=True)
        ]
        pack = rinrcodec.encode(
            boxed,
            preset=self.preset,
            background=self.family,
            objects=self.objects,
            steps=self.steps,
            device="cpu",
            on_progress=None,
        )
        return shares(pack, boxed)


@dataclass(frozen=True)
class Movie(Coding):
    """x265 with a key frame every so many frames; bytes are those of the packets."""

    crf: int
    key_frame: int

    @property
    def label(self) -> str:
        return f"crf {self.crf}"

    def code(self, pictures: Sequence[Picture], found: Any, work: Path) -> list[Coded]:
        del found, work
        video = encode_video(pictures, crf=self.crf, key_frame=self.key_frame)
        shown = list(video.decode())
        return [(video.n_bytes / len(shown), pixels) for pixels in shown]


def bare(picture: Picture) -> Picture:
    """Return the picture without labels, and without its colour profile (no other codec has it)."""
    return replace(picture, boxes=(), metadata=Metadata())


def shares(pack: Pack, pictures: Sequence[Picture]) -> list[Coded]:
    """Return each frame's bytes, with an equal share of what belongs to none, and its pixels."""
    sizes = frame_bytes(pack, len(pack_bytes(pack)))
    shown = [to_array(rinrcodec.decode(pack, i), p.mode) for i, p in enumerate(pictures)]
    return list(zip(sizes, shown, strict=True))


def chosen_boxes(kind: str, picture: Picture, found: Sequence[Box]) -> tuple[Box, ...]:
    """Return the boxes to encode with: those found, or others that show whether places leak.

    Args:
        kind: "found"; "dilated": a quarter of the sides larger on each side; "decoys": boxes of the
            same sizes at random places instead; "both": those as well.
        picture: The picture.
        found: What the detector finds in it.
    """
    if kind == "found":
        return tuple(found)
    if kind == "dilated":
        return tuple(_dilated(box, picture) for box in found)
    draw = np.random.default_rng([len(found), picture.width, picture.height])
    decoys = [
        replace(
            box,
            x=float(draw.integers(0, picture.width - int(box.w) + 1)),
            y=float(draw.integers(0, picture.height - int(box.h) + 1)),
        )
        for box in found
    ]
    return tuple(decoys) if kind == "decoys" else (*found, *decoys)


def _dilated(box: Box, picture: Picture) -> Box:
    left, top = max(0.0, box.x - DILATION * box.w), max(0.0, box.y - DILATION * box.h)
    right = min(float(picture.width), box.x + (1 + DILATION) * box.w)
    bottom = min(float(picture.height), box.y + (1 + DILATION) * box.h)
    x, y = round(left), round(top)
    return replace(
        box, x=float(x), y=float(y), w=float(round(right) - x), h=float(round(bottom) - y)
    )

"""COCO files in memory, and their way through a pack without a fit of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from rinrcodec.encoder import encode
from rinrcodec.formats import pack_bytes, read_pack
from rinrcodec.labels.coco_file import CocoFile, load_coco
from rinrcodec.labels.coco_writer import CocoWriter
from rinrcodec.labels.info import info_of
from rinrcodec.labels.model import Labels
from rinrcodec.pack import Frame, Pack
from rinrcodec.presets import get_preset

WIDTH, HEIGHT = 40, 30
SIZE = (WIDTH, HEIGHT)


@cache
def template() -> Pack:
    """A pack of one frame, whose labels tests replace."""
    preset = get_preset("fast", steps=1, background="siren", objects="siren")
    return encode([np.zeros((HEIGHT, WIDTH, 3), np.uint8)], preset=preset, device="cpu")


def stored(names: Sequence[str], labels: Sequence[Labels], info: Mapping[str, str]) -> Pack:
    """A pack with these labels, written and read."""
    (frame,) = template().frames
    frames = tuple(
        replace(
            frame,
            name=name,
            boxes=one.boxes,
            objects=(None,) * len(one.boxes),
            labelled=one.complete,
            attributes=one.attributes,
        )
        for name, one in zip(names, labels, strict=True)
    )
    return read_pack(BytesIO(pack_bytes(Pack(frames, template().stacks, info))))


def load(content: Any) -> CocoFile:
    return load_coco(json.dumps(content).encode(), "c.json")


def parsed(content: Any, size: tuple[int, int] | None = SIZE) -> list[Labels]:
    """The labels of all pictures of a COCO file."""
    coco = load(content)
    reader = coco.reader()
    return [reader.parse(one.data(one.file_name), size=size, where="c") for one in coco.pictures]


def info_from(coco: CocoFile) -> dict[str, str]:
    return info_of(coco.names, coco.task, coco.kpt_shape) | {"coco": coco.info}


def written(path: Path, packs: Sequence[Pack]) -> tuple[dict[str, Any], list[str]]:
    """The COCO file of packs, and the warnings of its writer."""
    with CocoWriter(path) as writer:
        for pack in packs:
            for frame in pack.frames:
                writer.add(frame, frame.name, pack.info)
        writer.finish()
    return json.loads(path.read_bytes()), writer.warnings


def data_set(
    annotations: Sequence[Mapping[str, Any]], *, category: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A COCO file of one picture."""
    image = {"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    return {
        "images": [image],
        "annotations": [{"id": i + 1, "image_id": 1, **one} for i, one in enumerate(annotations)],
        "categories": [{"id": 3, "name": "car", **(category or {})}],
    }


def frame_of(pack: Pack) -> Frame:
    (frame,) = pack.frames
    return frame

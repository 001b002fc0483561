"""Packs for the tests of `rinrcodec view`: tiny, made without a fit, different in every mode."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from house_rules import ROOT
from PIL import Image

from rinrcodec.files import save
from rinrcodec.formats import read_pack
from rinrcodec.pack import Frame, Group, InrRef, Pack, Rows, Spec, merge_packs

__all__ = [
    "EVIL",
    "folder_of",
    "many",
    "pack_file",
    "saved",
    "small_pack",
    "with_broken_frame",
]

EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>\x1b[2J'


def small_pack(*, classes: tuple[str, ...] = ("car", "person")) -> Pack:
    """Three frames `0.png` to `2.png`, of 20 x 12 to 20 x 14 pixels, with two boxes each."""
    pack = read_pack(ROOT / "tests/formats/vectors/v1/decodable.rinr")
    return replace(pack, info=MappingProxyType({"names": json.dumps(classes)}))


def saved(pack: Pack, path: Path) -> Path:
    """Save a pack, and return its path."""
    save(pack, path)
    return path


@pytest.fixture
def pack_file(tmp_path: Path) -> Path:
    """The file of a small pack."""
    return saved(small_pack(), tmp_path / "a.rinr")


def many(pack: Pack, n_frames: int) -> Pack:
    """The frames of a pack again and again, under new names."""
    frames = tuple(
        replace(pack.frames[i % len(pack.frames)], name=f"{i:05d}.png") for i in range(n_frames)
    )
    return replace(pack, frames=frames)


def with_broken_frame(pack: Pack) -> Pack:
    """The frames of a pack, and a last one that nothing here decodes."""
    rows = Rows(np.zeros((1, 3), np.int8), np.ones((1, 1), np.float32))
    frame = Frame("broken.png", 64, 48, InrRef(0, 0))
    broken = Pack((frame,), (Group(Spec.of("nosuch", x=1), 8, rows),))
    return merge_packs([pack, broken])


def folder_of(pack: Pack, folder: Path) -> Path:
    """A folder of pictures that may be the sources of a small pack."""
    folder.mkdir()
    for i, frame in enumerate(pack.frames):
        size = (frame.height, frame.width, 3)
        pixels = np.random.default_rng(i).integers(0, 256, size, np.uint8)
        Image.fromarray(pixels).save(folder / frame.name)
    return folder

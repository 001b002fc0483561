"""Packs for the tests of `rinrcodec view`: tiny, made without a fit, different in every mode."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from house_rules import ROOT
from PIL import Image

from rinrcodec.cli.views.viewer.gallery import Gallery
from rinrcodec.cli.views.viewer.server import ViewServer
from rinrcodec.datasets.viewing.album import Album
from rinrcodec.datasets.viewing.sources import SourcePictures
from rinrcodec.files import save
from rinrcodec.formats import read_pack
from rinrcodec.pack import Frame, Group, InrRef, Pack, Rows, Spec, merge_packs

__all__ = [
    "EVIL",
    "folder_of",
    "many",
    "pack_file",
    "saved",
    "serving",
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


@pytest.fixture
def serving() -> Iterator[Callable[..., ViewServer]]:
    """Serve packs, by their paths, in threads that end with the test."""
    with ExitStack() as stack:

        def start(*paths: Path, source: Path | None = None) -> ViewServer:
            gallery = Gallery(Album(paths), None if source is None else SourcePictures(source))
            stack.callback(gallery.close)
            server = stack.enter_context(ViewServer(gallery))
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return server

        yield start


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

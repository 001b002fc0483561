"""Decoding takes no more work than `Limits.max_work` allows, for any file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from siren_specs import siren_spec

import rinrcodec
from rinrcodec import Box, Decoder, RinrLimitError
from rinrcodec.families.group_reader import GroupReader
from rinrcodec.families.nerv import network as nerv
from rinrcodec.families.siren import network as siren
from rinrcodec.families.siren.encode import SirenBackgrounds
from rinrcodec.formats import pack_bytes
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.pack import Frame, Group, InrRef, ObjectInr, Pack, PackSource, Rows, Spec
from rinrcodec.plugins.torch_data import RinrDataset
from rinrcodec.plugins.torch_loader import RinrLoader
from rinrcodec.presets import PRESETS, get_preset

SMALL = siren_spec(2, 8)
TINY = siren_spec(1, 1)
LARGE = siren_spec(15, 1024)
NERV = Spec.of(
    "nerv", grid_width=4, grid_height=4, features=4, stem=8, levels=4, base=1.25, out=3,
    strides="4,2", widths="16,16",
)  # fmt: skip


def group(spec: Spec) -> Group:
    network = siren if spec.family == "siren" else nerv
    sizes = network.tensor_sizes(spec)
    rows = Rows(np.zeros((1, sum(sizes)), np.int8), np.ones((1, len(sizes)), np.float32))
    return Group(spec, 8, rows)


def boxes(spec: Spec, n: int, size: int) -> Pack:
    """A large frame with that many objects of one INR."""
    objects = (ObjectInr(InrRef(1, 0)),) * n
    box = Box(0, 0, 0, size, size)
    frame = Frame("x", 8192, 8192, InrRef(0, 0), boxes=(box,) * n, objects=objects)
    return Pack((frame,), (group(TINY), group(spec)))


HOURS = {
    "pixels": lambda: Pack((Frame("x", 8192, 8192, InrRef(0, 0)),), (group(LARGE),)),
    "objects": lambda: boxes(SMALL, 2000, 8192),
    "objects that hardly multiply": lambda: boxes(TINY, 26_000, 8192),
    "objects of hardly a pixel": lambda: boxes(LARGE, 20_000, 1),
}


@pytest.mark.parametrize("name", HOURS)
def test_a_small_file_cannot_ask_for_hours(name: str) -> None:
    data = pack_bytes(HOURS[name]())
    assert len(data) < 20_000
    file = rinrcodec.open(data)
    for name, ask in (("x", lambda: file.decode(0)), ("frame 0", file.verify)):
        limit = rf"multiplications to decode {name}: [\d,]+ is over the limit max_work = "
        with pytest.raises(RinrLimitError, match=limit):
            ask()


@pytest.mark.slow
def test_objects_of_one_row_share_its_weights_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 boxes with the same million weights, a few have them in memory at a time."""
    spec = siren_spec(4, 512)
    objects = (ObjectInr(InrRef(1, 0)),) * 300
    frame = Frame("x", 30, 20, InrRef(0, 0), boxes=(Box(0, 1, 1, 1, 1),) * 300, objects=objects)
    read = []
    weights_of = GroupReader.weights

    def counting(self: GroupReader, rows: Sequence[int], sizes: Sequence[int]) -> torch.Tensor:
        weights = weights_of(self, rows, sizes)
        read.append(weights.numel())
        return weights

    monkeypatch.setattr(GroupReader, "weights", counting)
    rinrcodec.decode(Pack((frame,), (group(TINY), group(spec))), 0)
    assert sum(read) > 2e8
    assert max(read) <= 2**24


def pixels() -> tuple[Pack, int, int]:
    """A frame, and the work of its background and of its object."""
    boxes = (Box(0, 1, 1, 30, 20), Box(1, 0, 0, 1, 1))
    objects = (ObjectInr(InrRef(0, 0)), None)
    frame = Frame("x", 50, 40, InrRef(0, 0), boxes=boxes, objects=objects)
    return Pack((frame,), (group(SMALL),)), small_work(50 * 40), small_work(30 * 20)


def small_work(n_pixels: int) -> int:
    """The work of `SMALL` on so many pixels, and what a network takes at least."""
    n_params = sum(siren.tensor_sizes(SMALL))
    return n_pixels * siren.work(SMALL) + 2**21 + 256 * n_params


def takes(source: PackSource, work: int, **options: Any) -> bool:
    """Whether a decode takes exactly so much work."""
    rinrcodec.decode(source, 0, limits=Limits(max_work=work), **options)
    with pytest.raises(RinrLimitError, match=f"decode x: {work:,} is over the limit"):
        rinrcodec.decode(source, 0, limits=Limits(max_work=work - 1), **options)
    return True


def test_work_is_that_of_what_is_decoded() -> None:
    pack, background, objects = pixels()
    assert takes(pack, background + objects)
    assert takes(pack, background, objects=False)
    assert takes(pack, small_work(50 * 40 // 4) + small_work(30 * 20 // 4), scale=0.5)
    assert takes(pack, small_work(50 * 40 * 4) + small_work(30 * 20 * 4), scale=2.0)
    # 20x20 pixels, of which 10x10 are in the box: fewer than are computed together.
    assert takes(pack, small_work(400) + small_work(128), region=(21, 11, 20, 20))


def test_a_frame_of_a_sequence_counts_whole() -> None:
    made = group(NERV)
    pack = Pack((Frame("x", 30, 20, InrRef(0, 0)),), (made,))
    work = nerv.work(NERV) + 256 * made.rows.codes.shape[1]
    assert takes(pack, work)
    assert takes(pack, work, region=(0, 0, 2, 2))


def test_limits_of_a_file_or_data_set_are_those_of_its_decoder(tmp_path: Path) -> None:
    pack, background, objects = pixels()
    work = background + objects
    path = tmp_path / "x.rinr"
    rinrcodec.save(pack, path)
    for limits, fits in ((Limits(max_work=work), True), (Limits(max_work=work - 1), False)):
        dataset = RinrDataset(path, limits=limits)
        calls = [
            lambda limits=limits: rinrcodec.open(path, limits=limits).decode(0),
            lambda limits=limits: Decoder(pack, limits=limits).decode(0),
            lambda dataset=dataset: dataset[0],
            lambda dataset=dataset: next(iter(RinrLoader(dataset))),
            lambda dataset=dataset: next(iter(RinrLoader(dataset, resident=True))),
        ]
        for call in calls:
            if fits:
                call()
            else:
                with pytest.raises(RinrLimitError, match="max_work"):
                    call()


@pytest.mark.parametrize("name", PRESETS)
def test_the_largest_pictures_are_far_within_the_default(name: str) -> None:
    part = get_preset(name, background="siren").background
    assert isinstance(part, SirenBackgrounds)
    spec = part.spec(8192 * 8192, 3)
    assert 8192 * 8192 * siren.work(spec) < DEFAULT_LIMITS.max_work / 3

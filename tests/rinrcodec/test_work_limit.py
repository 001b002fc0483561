"""Decoding takes no more work than `Limits.max_work` allows, whatever a file asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rinrcodec
from rinrcodec import Box, Decoder, RinrLimitError
from rinrcodec.families import family_of, parameter_count, sequence_family
from rinrcodec.formats import pack_bytes
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.model import Frame, Group, InrRef, ObjectInr, Pack, Rows, Spec
from rinrcodec.plugins.torch_data import RinrDataset
from rinrcodec.plugins.torch_loader import RinrLoader
from rinrcodec.presets import PRESETS, Part, get_preset

SMALL = Spec.of("siren", depth=2, width=8, out=3, w0=30.0, w0_first=30.0)
LARGE = Spec.of("siren", depth=15, width=1024, out=3, w0=30.0, w0_first=30.0)
NERV = Spec.of(
    "nerv", grid_width=64, grid_height=64, features=4, stem=8, levels=4, base=1.25, out=3,
    strides="2,1,1,1,1,1", widths="512,512,512,512,512,512",
)  # fmt: skip
WHOLE = Box(0, 0, 0, 8192, 8192)


def group(spec: Spec) -> Group:
    sizes = family_of(spec).tensor_sizes(spec)
    rows = Rows(np.zeros((1, sum(sizes)), np.int8), np.ones((1, len(sizes)), np.float32))
    return Group(spec, 8, rows)


def hours_of_pixels() -> Pack:
    return Pack((Frame("x", 8192, 8192, InrRef(0, 0)),), (group(LARGE),))


def hours_of_objects() -> Pack:
    objects = (ObjectInr(InrRef(0, 0)),) * 2000
    frame = Frame("x", 8192, 8192, InrRef(0, 0), boxes=(WHOLE,) * 2000, objects=objects)
    return Pack((frame,), (group(SMALL),))


@pytest.mark.parametrize("make", [hours_of_pixels, hours_of_objects])
def test_a_small_file_cannot_ask_for_hours(make) -> None:
    data = pack_bytes(make())
    assert len(data) < 20_000
    file = rinrcodec.open(data)
    file.verify()
    with pytest.raises(
        RinrLimitError, match=r"multiplications to decode x: [\d,]+ is over the limit max_work = "
    ):
        file.decode(0)


def sequence() -> tuple[Pack, int]:
    made = group(NERV)
    work = sequence_family(NERV).work(NERV) + made.rows.codes.shape[1]
    return Pack((Frame("x", 5, 4, InrRef(0, 0)),), (made,)), work


def pixels() -> tuple[Pack, int]:
    boxes = (Box(0, 1, 1, 3, 2), Box(1, 0, 0, 1, 1))
    frame = Frame("x", 5, 4, InrRef(0, 0), boxes=boxes, objects=(ObjectInr(InrRef(0, 0)), None))
    made = group(SMALL)
    return Pack((frame,), (made,)), (5 * 4 + 3 * 2) * made.rows.codes.shape[1]


def test_work_is_that_of_background_and_objects() -> None:
    pack, work = pixels()
    assert rinrcodec.decode(pack, 0, limits=Limits(max_work=work)).shape == (3, 4, 5)
    with pytest.raises(RinrLimitError, match=f"{work:,} is over the limit"):
        rinrcodec.decode(pack, 0, limits=Limits(max_work=work - 1))


def test_of_a_sequence_it_is_that_of_whole_outputs() -> None:
    """Of which a small frame is a part: 5x4 pixels take what 128x128 do."""
    pack, work = sequence()
    assert work > 128 * 128 * 512 * 512 * 9
    with pytest.raises(RinrLimitError, match=f"{work:,} is over the limit"):
        rinrcodec.decode(pack, 0, limits=Limits(max_work=work - 1))


def test_limits_of_a_file_or_data_set_are_those_of_its_decoder(tmp_path: Path) -> None:
    pack, work = pixels()
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
    part = get_preset(name).background
    assert isinstance(part, Part)
    work = 8192 * 8192 * parameter_count(part.spec(8192 * 8192, 3))
    assert work < DEFAULT_LIMITS.max_work / 4

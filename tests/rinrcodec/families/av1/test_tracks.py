"""Objects of sequences: rows of atlases along a track, in any order and on any threads."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from av1_frames import decoded, encode
from av1_objects import (
    BOXES,
    COARSE,
    atlases,
    check,
    objects_of,
    pictures_of,
    walking,
)
from PIL import Image

import rinrcodec
from rinrcodec import Box, Target
from rinrcodec.formats import pack_bytes
from rinrcodec.metrics import frame_quality
from rinrcodec.pack import Group, Pack
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset


@pytest.fixture(scope="module")
def walk() -> tuple[list[Picture], Pack]:
    pictures = walking(8)
    return pictures, encode(pictures, target=Target(psnr=27, objects_psnr=36))


def test_a_track_is_a_row_of_atlases(walk: tuple[list[Picture], Pack]) -> None:
    pictures, pack = walk
    check(pack, pictures)
    objects = [objects_of(frame)[0] for frame in pack.frames]
    assert len({one.inr for one in objects}) == 1
    assert [one.cell.time for one in objects] == list(range(8))
    assert {(one.cell.x, one.cell.y) for one in objects} == {(0, 0)}
    assert len(atlases(pack, objects[0])) == 8


def test_a_row_of_atlases_takes_fewer_bytes_than_one_atlas(
    walk: tuple[list[Picture], Pack],
) -> None:
    pictures, pack = walk
    # Pictures of folders of their own have no tracks.
    apart = [replace(one, name=f"f{k}/{k}") for k, one in enumerate(pictures)]
    ground = replace(
        pack,
        frames=tuple(
            replace(frame, name=one.name) for frame, one in zip(pack.frames, apart, strict=True)
        ),
    )
    other = encode(apart, reuse=ground, target=Target(objects_psnr=36))
    assert {one.cell.time for frame in other.frames for one in objects_of(frame)} == {0}
    assert sum(map(len, pack.stacks[-1].rows.coded)) < sum(map(len, other.stacks[-1].rows.coded))


def test_an_object_that_changes_takes_one_atlas() -> None:
    rng = np.random.default_rng(0)
    pictures = [
        replace(one, pixels=one.pixels.copy(), boxes=(Box(0, 30, 20, 24, 24),))
        for one in walking(4, size=0)
    ]
    for picture in pictures:
        picture.pixels[20:44, 30:54] = rng.integers(0, 256, (24, 24, 1))
    pack = encode(pictures, target=Target(quality=5, objects_quality=40))
    check(pack, pictures)
    assert {one.cell.time for frame in pack.frames for one in objects_of(frame)} == {0}


def test_frames_of_a_track_in_any_order(walk: tuple[list[Picture], Pack]) -> None:
    _, pack = walk
    data = pack_bytes(pack)
    wanted = [decoded(pack, i) for i in range(8)]
    orders = [list(range(8)), list(range(8))[::-1], [3, 7, 0, 0, 5, 4, 6, 1, 2, 3]]
    for order in orders:
        with rinrcodec.open(io.BytesIO(data)) as file:
            for i in order:
                assert np.array_equal(file[i].permute(1, 2, 0).numpy(), wanted[i])
    with rinrcodec.open(io.BytesIO(data)) as file:
        batch = file.decode([6, 1, 7, 2, 2])
        assert isinstance(batch, torch.Tensor)
        for i, pixels in zip([6, 1, 7, 2, 2], batch, strict=True):
            assert np.array_equal(pixels.permute(1, 2, 0).numpy(), wanted[i])


def test_threads_that_share_a_row(walk: tuple[list[Picture], Pack]) -> None:
    _, pack = walk
    wanted = [decoded(pack, i) for i in range(8)]
    order = [int(i) for i in np.random.default_rng(0).integers(0, 8, 40)]
    with rinrcodec.open(io.BytesIO(pack_bytes(pack))) as file, ThreadPoolExecutor(4) as threads:
        for i, pixels in zip(order, threads.map(lambda i: file[i], order), strict=True):
            assert np.array_equal(pixels.permute(1, 2, 0).numpy(), wanted[i])


def test_a_track_with_gaps_and_a_second_object() -> None:
    pictures = [
        replace(one, boxes=(() if k == 2 else (*one.boxes, *BOXES[:1] * (k > 2))))
        for k, one in enumerate(walking(6))
    ]
    pack = encode(pictures, target=COARSE)
    check(pack, pictures)
    assert pack.frames[2].objects == ()


def test_one_frame_at_a_time_with_gop_1() -> None:
    pictures = walking(4)
    pack = encode(pictures, gop=1, target=COARSE)
    check(pack, pictures)
    assert {one.cell.time for frame in pack.frames for one in objects_of(frame)} == {0}


def test_files_of_one_frame_hold_no_objects_of_others(tmp_path: Path) -> None:
    pictures = walking(3)
    preset = get_preset("fast").alone()
    pack = rinrcodec.encode(pictures, preset=preset, target=COARSE)
    rows = [objects_of(frame)[0].inr for frame in pack.frames]
    assert len(set(rows)) == 3
    source = tmp_path / "in"
    source.mkdir()
    for picture in pictures:
        stem = source / Path(picture.name).name
        Image.fromarray(picture.pixels).save(stem.with_suffix(".png"))
        (box,) = picture.boxes
        values = (box.x + box.w / 2) / 96, (box.y + box.h / 2) / 64, box.w / 96, box.h / 64
        stem.with_suffix(".txt").write_text("0 " + " ".join(f"{v:.9f}" for v in values) + "\n")
    packs = {}
    for jobs in (1, 2):
        out = tmp_path / f"out{jobs}"
        rinrcodec.compress(
            source, out, layout="files", preset="fast", target=COARSE, jobs=jobs, shard_size=1
        )
        packs[jobs] = {path.name: path.read_bytes() for path in sorted(out.rglob("*.rinr"))}
    assert packs[1] == packs[2]
    assert len(packs[1]) == 3
    for data, picture in zip(packs[1].values(), pictures, strict=True):
        with rinrcodec.open(io.BytesIO(data)) as file:
            (one,) = objects_of(file.frame(0))
            assert one.cell.time == 0
            assert [group.n_rows for group in file.groups] in ([1, 1], [2])
            size = atlases(Pack((), (*_stacks(file),)), one)[0].shape
            region = file.frame(0).boxes[0].region(96, 64)
            assert size == (region.height, region.width, 3)
            quality = frame_quality(picture.pixels, file[0].permute(1, 2, 0).numpy(), picture.boxes)
            assert quality.objects is not None
            assert quality.objects > 30


def _stacks(file: Any) -> list[Any]:
    return [
        Group(info.spec, info.bits, file.read_rows(k, range(info.n_rows)))
        for k, info in enumerate(file.groups)
    ]


def test_the_same_bytes_on_any_number_of_threads() -> None:
    pictures = [*walking(5), *pictures_of([BOXES, BOXES[1:]])]
    before = torch.get_num_threads()
    packs = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            packs.append(pack_bytes(encode(pictures, target=COARSE)))
    finally:
        torch.set_num_threads(before)
    assert packs[0] == packs[1]


def test_crowds_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every object of a frame is compared with all of the one before: thousands take minutes."""
    from rinrcodec.families.av1 import fit_objects as module

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a crowd was followed")

    monkeypatch.setattr(module, "tracks", refuse)
    monkeypatch.setattr(module, "_MOST_FOLLOWED", 2)
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    boxes = [Box(0, 4.0 * k, 3, 4, 5) for k in range(3)]
    target = Target(quality=5, objects_quality=60)
    pack = rinrcodec.encode([pixels, pixels], boxes=[boxes, boxes], preset="fast", target=target)
    assert all(inr is not None for frame in pack.frames for inr in frame.objects)

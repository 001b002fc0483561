"""What a pack misses of its target: in Python, of data sets, in Pillow."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from encoding_pictures import BOXES, pictures, textured
from PIL import Image

import rinrcodec
from rinrcodec import Target
from rinrcodec.datasets.summary import joined_misses
from rinrcodec.encoder import encode_pictures
from rinrcodec.encoding.reached import misses
from rinrcodec.errors import RinrInputError
from rinrcodec.formats import pack_bytes
from rinrcodec.pack import Pack, select_frames
from rinrcodec.presets import get_preset
from rinrcodec.targets import Miss, TargetWarning

rinrcodec.register_pillow()

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def coarse() -> Pack:
    target = Target(quality=0, objects_quality=10)
    return rinrcodec.encode(pictures(3), preset="fast", target=target)


def missed(pack: Pack, **target: Any) -> tuple[Miss, ...]:
    return misses(pack, pictures(3), Target(**target), CPU)


def test_without_a_target_there_is_no_miss(coarse: Pack) -> None:
    assert missed(coarse) == ()
    assert missed(coarse, quality=100, objects_quality=100) == ()


def test_every_target_that_is_missed_is_named(coarse: Pack) -> None:
    psnr, objects = missed(coarse, psnr=50, objects_psnr=48)
    assert (psnr.field, psnr.wanted, psnr.frames) == ("psnr", 50, 3)
    assert (objects.field, objects.wanted, objects.frames) == ("objects_psnr", 48, 3)
    assert 10 < psnr.reached < 50
    assert 10 < objects.reached < 48
    assert psnr.name in {one.name for one in pictures(3)}
    (size,) = missed(coarse, n_bytes=10)
    assert (size.field, size.frames) == ("n_bytes", 3)
    assert size.reached > 10


def test_a_target_just_above_is_missed_and_just_below_is_not(coarse: Pack) -> None:
    for field in ("psnr", "objects_psnr"):
        reached = [
            one.reached for k in range(3) for one in [_miss_of(coarse, field, k)] if one is not None
        ]
        assert len(reached) == 3
        assert missed(coarse, **{field: min(reached)}) == ()
        (miss,) = missed(coarse, **{field: max(reached) + 0.2})
        assert miss.reached == pytest.approx(min(reached))


def _miss_of(pack: Pack, field: str, k: int) -> Miss | None:
    """What one frame reaches, as the miss of a target that none reaches."""
    found = misses(select_frames(pack, [k]), [pictures(3)[k]], Target(**{field: 60.0}), CPU)
    return found[0] if found else None


@pytest.mark.parametrize("n_boxes", [0, 2])
def test_no_miss_where_targets_are_reached(n_boxes: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for target in (Target(psnr=27, objects_psnr=32), Target(n_bytes=3000)):
            images = pictures(2, boxes=BOXES[:n_boxes])
            _, found = encode_pictures(images, get_preset("fast"), target=target)
            assert found == ()


def test_encode_warns_of_every_miss() -> None:
    with pytest.warns(TargetWarning) as caught:
        rinrcodec.encode([textured()], preset="fast", target=Target(psnr=60))
    (one,) = caught
    text = str(one.message)
    assert text.startswith("1 frame misses the target psnr of 60 dB: ")
    assert re.search(r"the worst, 000000, has [\d.]+ dB without its objects; ask for less", text)
    assert one.filename == __file__


def test_the_text_of_a_miss() -> None:
    one = Miss("psnr", 35.5, 34.126, 1, "a.png")
    assert one.text() == (
        "1 frame misses the target psnr of 35.5 dB: the worst, a.png, has 34.13 dB without its "
        "objects; ask for less, or use a slower preset"
    )
    inside = Miss("objects_psnr", 40, 31, 2, "b.png").text("--objects-psnr")
    assert "--objects-psnr of 40 dB: the worst, b.png, has 31.00 dB in its boxes" in inside
    many = Miss("n_bytes", 2000, 2345.6, 1234, "b.png")
    assert many.text("--target-bytes") == (
        "1,234 frames take 2,346 bytes on average, more than the target --target-bytes of 2,000; "
        "allow more bytes, or encode smaller pictures"
    )
    assert replace(many, frames=1).text().startswith("1 frame takes 2,346 bytes, more than")
    assert Miss("psnr", 35, 30, 1, "").worse(Miss("psnr", 35, 31, 9, ""))
    assert not Miss("n_bytes", 10, 11, 1, "").worse(Miss("n_bytes", 10, 12, 1, ""))


def test_misses_of_several_packs_are_joined() -> None:
    missed = [
        *(Miss("n_bytes", 10, 11, 3, "a"), Miss("psnr", 35, 31, 9, "b")),
        *(Miss("n_bytes", 10, 15, 1, "c"), Miss("psnr", 35, 30, 1, "d")),
    ]
    assert joined_misses(map(asdict, missed)) == (
        Miss("n_bytes", 10, 12, 4, "a"),
        Miss("psnr", 35, 30, 10, "d"),
    )


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"psnr": 30, "quality": 10}, "psnr and quality"),
        ({"n_bytes": 30, "quality": 10}, "n_bytes and quality"),
        ({"lmbda": 0.1, "psnr": 30, "n_bytes": 9}, "lmbda and psnr and n_bytes"),
        ({"objects_psnr": 30, "objects_quality": 10}, "objects_psnr and objects_quality"),
        ({"quality": 101}, "quality=101: expected a whole number from 0 to 100"),
        ({"objects_quality": -1}, "objects_quality=-1"),
        ({"psnr": float("nan")}, "psnr=nan"),
        ({"n_bytes": 0}, "n_bytes=0"),
        ({"quality": "high"}, "quality='high'"),
        ({"quality": 30.5}, "quality=30.5: expected a whole number"),
        ({"objects_quality": True}, "objects_quality=True"),
    ],
)
def test_targets_that_contradict_themselves_are_refused(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(RinrInputError, match=match):
        Target(**fields)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for k in range(2):
        Image.fromarray(textured(48, 32, seed=k)).save(folder / f"{k}.png")
        (folder / f"{k}.txt").write_text("0 0.5 0.5 0.25 0.25\n", encoding="utf-8")
    return folder


def test_a_data_set_that_misses_its_target(frames: Path, tmp_path: Path) -> None:
    target = Target(psnr=60, objects_psnr=60)
    result = rinrcodec.compress(
        frames, tmp_path / "out", preset="fast", target=target, shard_size=1
    )
    assert {one.field: one.frames for one in result.missed} == {"psnr": 2, "objects_psnr": 2}
    assert result.failures == ()
    assert result.as_json()["missed"][0].keys() == {"field", "wanted", "reached", "frames", "name"}
    low = Target(psnr=20, objects_psnr=25)
    assert rinrcodec.compress(frames, tmp_path / "low", preset="fast", target=low).missed == ()


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"quality": 30}, Target(quality=30)),
        ({"quality": 30, "objects_quality": 80}, Target(quality=30, objects_quality=80)),
        ({"target_psnr": 29.0, "objects_psnr": 36}, Target(psnr=29, objects_psnr=36)),
        ({"target_bytes": 2500}, Target(n_bytes=2500)),
        ({"target": Target(quality=12)}, Target(quality=12)),
    ],
)
def test_pillow_asks_for_quality(options: dict[str, Any], target: Target) -> None:
    buffer = io.BytesIO()
    image = Image.fromarray(textured())
    image.save(buffer, "RINR", preset="fast", boxes=list(BOXES), **options)
    wanted = rinrcodec.encode([image], boxes=[BOXES], preset="fast", target=target)
    assert buffer.getvalue() == pack_bytes(wanted)


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 30, "target_psnr": 30},
        {"target_bytes": 900, "target_psnr": 30},
        {"objects_quality": 30, "objects_psnr": 30},
        {"quality": 30, "target": Target(quality=30)},
        {"quality": 101},
        {"quality": 30, "background": "siren"},
        {"gop": 0},
    ],
)
def test_pillow_refuses_contradictions(options: dict[str, Any]) -> None:
    with pytest.raises(RinrInputError):
        Image.fromarray(textured(16, 8)).save(io.BytesIO(), "RINR", preset="fast", **options)


def test_pillow_warns_of_a_miss_and_takes_gop() -> None:
    images = [Image.fromarray(textured(seed=0))] * 4
    rows = {}
    for gop in (1, 4):
        buffer = io.BytesIO()
        images[0].save(
            buffer, "RINR", preset="fast", save_all=True, append_images=images[1:], gop=gop
        )
        with rinrcodec.open(buffer) as file:
            rows[gop] = len({file.frame(k).background for k in range(4)})
    assert rows == {1: 4, 4: 1}
    with pytest.warns(TargetWarning, match="target psnr of 60 dB"):
        images[0].save(io.BytesIO(), "RINR", preset="fast", target_psnr=60)

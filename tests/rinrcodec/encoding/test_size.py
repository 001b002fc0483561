"""Encoding for a size: the whole file holds it, at the highest quality that does."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from encoding_pictures import pictures, textured

import rinrcodec
from rinrcodec import Target
from rinrcodec.encoding import size as module
from rinrcodec.encoding.fit import Encoding
from rinrcodec.formats import pack_bytes
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture
from rinrcodec.targets import TargetWarning


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Target]:
    """The targets of all fits from now on."""
    targets: list[Target] = []
    run = Encoding.run

    def noted(self: Encoding, backgrounds: Pack | None) -> Pack:
        targets.append(self.context.target)
        return run(self, backgrounds)

    monkeypatch.setattr(Encoding, "run", noted)
    return targets


def encode(images: Any, **target: Any) -> Pack:
    return rinrcodec.encode(images, preset="fast", target=Target(**target))


@pytest.mark.parametrize(("n", "metadata"), [(1, 0), (3, 700)])
def test_a_whole_file_has_the_size(n: int, metadata: int, asked: list[Target]) -> None:
    images = pictures(n, metadata=metadata)
    most = n * (2500 + metadata)
    pack = encode(images, n_bytes=2500 + metadata)
    reached = len(pack_bytes(pack))
    assert 0.8 * most < reached <= most
    # The quality that was found is that of one of the tries; one more takes too many bytes.
    tried = sorted(target.quality for target in asked if target.quality is not None)
    sizes = {quality: _size_at(images, quality, pack) for quality in tried}
    found = max(quality for quality in tried if sizes[quality] <= most)
    assert sizes[found] == reached
    assert _size_at(images, found + 1, pack) > most
    assert pack.info["target"] == f"n_bytes={2500 + metadata}"


def _size_at(images: list[Picture], quality: int, like: Pack) -> int:
    """The size of a file that says the same of its making."""
    of_objects = quality + 20 if quality < 20 else round(40 + (quality - 20) * 60 / 80)
    pack = encode(images, quality=quality, objects_quality=of_objects)
    return len(pack_bytes(replace(pack, info=like.info)))


@pytest.mark.parametrize("n_bytes", [1600, 2200, 6000, 12_000])
def test_the_number_of_tries_is_bounded(n_bytes: int, asked: list[Target]) -> None:
    pack = encode(pictures(1), n_bytes=n_bytes)
    assert len(pack_bytes(pack)) <= n_bytes
    assert len(asked) <= 4 + 8  # guesses, then halves of up to 131 qualities
    qualities = [(target.quality, target.objects_quality) for target in asked]
    assert len(set(qualities)) == len(qualities)
    assert all(target.n_bytes is None for target in asked)


@pytest.mark.parametrize(
    ("shrink", "usual", "steep"), [(1, (20, 40), 0.75), (2, (40, 40), 1.0), (4, (65, 40), 60 / 35)]
)
def test_qualities_of_objects_follow_those_of_backgrounds(
    shrink: int, usual: tuple[int, int], steep: float, asked: list[Target]
) -> None:
    images = pictures(2)
    for n_bytes in (600, 1400, 2000, 4000, 20_000):
        with contextlib.suppress(TargetWarning):
            rinrcodec.encode(images, preset="fast", shrink=shrink, target=Target(n_bytes=n_bytes))
    pairs = sorted({(one.quality, one.objects_quality) for one in asked})
    assert usual in pairs
    assert pairs[-1] == (100, 100)
    for quality, objects in pairs:
        assert quality is not None
        assert objects is not None
        if quality == 0:
            assert 0 <= objects <= max(0, usual[1] - usual[0])
        elif quality > usual[0]:
            assert objects == round(usual[1] + steep * (quality - usual[0]))
        else:
            worst = max(0, usual[1] - usual[0])
            assert objects == worst + round((usual[1] - worst) * quality / usual[0])
    assert [objects for _, objects in pairs] == sorted(objects for _, objects in pairs)


def test_objects_get_more_quality_than_backgrounds(asked: list[Target]) -> None:
    encode(pictures(1), n_bytes=2500)
    for target in asked:
        assert target.quality is not None
        assert target.objects_quality is not None
        assert target.quality <= target.objects_quality <= 100


@pytest.mark.parametrize("given", [{"objects_quality": 20}, {"objects_psnr": 30.0}])
def test_given_options_of_objects_are_kept(given: dict[str, Any], asked: list[Target]) -> None:
    pack = encode(pictures(1), n_bytes=3000, **given)
    assert len(pack_bytes(pack)) <= 3000
    for target in asked:
        assert {name: getattr(target, name) for name in given} == given


def test_a_size_that_is_too_small_gives_the_lowest_quality(asked: list[Target]) -> None:
    images = pictures(2)
    with pytest.warns(TargetWarning, match=r"2 frames take .* bytes on average, more than .* 20;"):
        pack = encode(images, n_bytes=20)
    assert (asked[-1].quality, asked[-1].objects_quality) == (0, 0)
    assert len(asked) <= 8
    lowest = encode(images, quality=0, objects_quality=0)
    assert pack_bytes(pack) == pack_bytes(replace(lowest, info=pack.info))


def test_objects_get_less_where_the_lowest_background_leaves_too_few_bytes(
    asked: list[Target],
) -> None:
    images = pictures(2)
    sizes = [
        len(pack_bytes(encode(images, quality=0, objects_quality=quality))) for quality in (0, 30)
    ]
    most = sum(sizes) // 4  # of each of the two frames
    assert sizes[0] < 2 * most < sizes[1]
    asked.clear()
    pack = encode(images, n_bytes=most)  # no warning
    assert len(pack_bytes(pack)) <= 2 * most
    tried = {target.objects_quality for target in asked if target.quality == 0}
    assert any(quality is not None and 0 < quality < 30 for quality in tried)


def test_without_boxes_nothing_below_quality_0_is_tried(asked: list[Target]) -> None:
    with pytest.warns(TargetWarning):
        encode([textured(48, 32)], n_bytes=20)
    assert len(asked) == len({target.quality for target in asked})


def test_a_size_that_is_never_reached_gives_the_highest_quality(asked: list[Target]) -> None:
    pack = encode([textured(16, 8)], n_bytes=2**30)
    assert asked[-1].quality == 100
    assert len(asked) <= 4
    assert len(pack_bytes(pack)) < 2**30


def test_a_size_is_reached_without_objects(asked: list[Target]) -> None:
    pack = rinrcodec.encode(pictures(1), preset="fast", objects="none", target=Target(n_bytes=1500))
    assert len(pack_bytes(pack)) <= 1500
    assert all(target.objects_quality is None for target in asked)
    assert all(frame.objects == (None,) * 2 for frame in pack.frames)


def test_progress_never_passes_its_end() -> None:
    shares: list[float] = []
    rinrcodec.encode(
        pictures(1), preset="fast", target=Target(n_bytes=2000), on_progress=shares.append
    )
    assert shares[-1] == 1
    assert shares == sorted(shares)
    assert module.TRIES > 1

"""The sample of `compress --dry-run`: as large as memory allows, in the batches of `compress`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rinrcodec.evaluation.estimate as module
from rinrcodec.datasets.compress import prepare
from rinrcodec.datasets.options import CompressOptions
from rinrcodec.sources.source import Series


@pytest.mark.parametrize(
    ("family", "n_frames", "events", "places", "is_short"),
    [
        ("av1", 4, ["read", "read", "read", "encode 3", "read", "encode 1"], [20 / 4], False),
        ("av1", 20, ["read", "read", "read", "encode 3", "read", "read", "encode 2"], [4], True),
        (
            "av1",
            128,
            (["read", "read", "read", "encode 3"] * 5 + ["read", "encode 1"]) * 2,
            [60 / 16] * 2,
            False,
        ),
        ("siren", 3, ["read", "encode 1"] * 2, [10], False),
    ],
)
def test_one_batch_is_encoded_before_the_next_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    n_frames: int,
    events: list[str],
    places: list[float],
    is_short: bool,
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for i in range(n_frames):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(source / f"{i:03d}.png")
    options = CompressOptions(
        preset="fast", background=family, objects=None, steps=None, gop=None, target=None,
        layout="pack", shard_size=50, device="cpu", seed=0, jobs=None, executor="local",
        ray_address=None, resume=False, overwrite=False, labels="none",
    )  # fmt: skip
    seen: list[str] = []
    read = Series.read

    def reading(self: Series, *args: Any, **given: Any) -> Iterator[Any]:
        for item in read(self, *args, **given):
            seen.append("read")
            yield item

    def encode(pictures: list[Any], *_: object, **__: object) -> tuple[None, list[Any]]:
        seen.append(f"encode {len(pictures)}")
        return None, []

    background = type(options.recipe().background)
    monkeypatch.setattr(Series, "read", reading)
    monkeypatch.setattr(module, "encode_pictures", encode)
    monkeypatch.setattr(module, "pack_bytes", lambda *_, **__: bytes(10))
    monkeypatch.setattr("rinrcodec.datasets.batches.BATCH_PIXELS", 64)
    monkeypatch.setattr(background, "chunk", lambda _, left, __: min(left, 3))
    plan, _, devices = prepare(source, tmp_path / "out", options)
    found = module.estimate(plan, tmp_path / "out", options, devices)
    assert seen == events
    assert (found.frames, found.sample_frames) == (n_frames, events.count("read"))
    assert (list(found.sample_places), found.is_short) == (places, is_short)
    assert found.sample_bytes == 10 * (len(seen) - seen.count("read"))

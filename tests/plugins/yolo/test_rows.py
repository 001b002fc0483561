"""Rows of several frames, as `av1` has them: how many frames YOLO's ways of reading decode."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rinrcodec.plugins import _frames

from .conftest import HOST, build

pytestmark = [*HOST, pytest.mark.usefixtures("_no_open_rows")]
# The clips have ten rows of six frames.
ONCE = dict.fromkeys(range(6), 10)


@pytest.fixture
def _no_open_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_frames, "_open_rows", _frames._OpenRows())


@pytest.mark.parametrize("rect", [False, True])
def test_validation_decodes_every_frame_once(
    clips: Path, clip_frames: Any, reads: list[int], rect: bool
) -> None:
    dataset = build(clips, imgsz=48, rect=rect)
    for index, frame in enumerate(clip_frames):
        pixels, _, _ = dataset.load_image(index)
        assert np.array_equal(pixels[..., ::-1], frame.permute(1, 2, 0).numpy())
    assert Counter(reads) == ONCE


def test_the_threads_that_fill_the_cache_decode_every_frame_once(
    clips: Path, clip_frames: Any, reads: list[int]
) -> None:
    dataset = build(clips, imgsz=48, cache="ram", deterministic=False)
    assert Counter(reads) == ONCE
    for index in np.random.default_rng(0).permutation(60):
        pixels, _, _ = dataset.load_image(index)
        assert np.array_equal(pixels[..., ::-1], clip_frames[index].permute(1, 2, 0).numpy())
    assert Counter(reads) == ONCE


def test_prediction_decodes_every_frame_once(
    clips: Path, clip_frames: Any, reads: list[int]
) -> None:
    from rinrcodec.plugins._yolo_source import PackLoader

    images = [image for _, batch, _ in PackLoader(clips, batch=4) for image in batch]
    assert len(images) == 60
    assert np.array_equal(images[31][..., ::-1], clip_frames[31].permute(1, 2, 0).numpy())
    assert Counter(reads) == ONCE


def test_a_full_shuffle_decodes_the_frames_before(
    clips: Path, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What training without a cache costs, which docs/yolo.md gives for longer rows."""
    monkeypatch.setattr(_frames, "_OPEN_ROWS", 1)
    dataset = build(clips, imgsz=48)
    for index in np.random.default_rng(0).permutation(60):
        dataset.load_image(index)
    assert 2 * 60 < len(reads) < 3.5 * 60  # (1 + 2 + ... + 6) / 6 is 3.5

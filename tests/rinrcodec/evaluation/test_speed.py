"""Times are those of the best round, and large frames are decoded a few at a time."""

from __future__ import annotations

import numpy as np
import pytest

import rinrcodec
from rinrcodec.evaluation import speed
from rinrcodec.evaluation.speed import ROUNDS, Speed, best_seconds, decode_timed, mean_speed
from rinrcodec.files import RinrFile
from rinrcodec.sources.images import picture_from_array


def test_a_codec_is_timed_by_the_best_of_its_rounds(monkeypatch):
    """A round in which another process had the core does not count."""
    clock = iter([0.0, 9.0, 18.0, 20.0, 21.0, 22.5, 30.0, 32.0, 33.0])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    best = speed.time_codec("jpeg", np.zeros((8, 8, 3), np.uint8), 50)
    assert (best.encode, best.decode) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("first", "later", "best", "rounds"),
    [(2.0, [1.0, 3.0], 1.0, 2), (4.0, [3.0], 3.0, 1), (2.0, [4.0], 2.0, 1), (5.1, [], 5.1, 0)],
)
def test_cheap_work_is_repeated(monkeypatch, first, later, best, rounds):
    clock = iter([time for seconds in later for time in (0.0, seconds)])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    calls = []
    assert best_seconds(lambda: calls.append(None), first) == best
    assert len(calls) == rounds


def test_the_mean_of_speeds():
    assert mean_speed(iter([Speed(1.0, 2.0), Speed(3.0, 6.0)])) == Speed(2.0, 4.0)
    with pytest.raises(ZeroDivisionError):
        mean_speed([])


def test_large_frames_are_decoded_a_few_at_a_time(make_picture, tmp_path, monkeypatch):
    arrays = [make_picture(32, 24, i) for i in range(3)]
    arrays[1] = np.ascontiguousarray(arrays[1][..., 0])
    pictures = [picture_from_array(pixels, name=str(i)) for i, pixels in enumerate(arrays)]
    path = tmp_path / "pack.rinr"
    rinrcodec.save(rinrcodec.encode(pictures, preset="fast", steps=2, device="cpu"), path)
    whole, seconds = decode_timed(path, pictures, range(3), "cpu")
    assert [pixels.shape for pixels in whole] == [pixels.shape for pixels in arrays]
    assert seconds > 0
    calls, decode = [], RinrFile.pixels

    def spy(file, frames, **options):
        calls.append(list(frames))
        return decode(file, frames, **options)

    monkeypatch.setattr(RinrFile, "pixels", spy)
    monkeypatch.setattr("rinrcodec.datasets.batches.BATCH_PIXELS", 32 * 24)
    again, _ = decode_timed(path, pictures, range(3), "cpu")
    assert calls == [[0], [1], [2]] * ROUNDS
    for one, two in zip(whole, again, strict=True):
        assert np.array_equal(one, two)

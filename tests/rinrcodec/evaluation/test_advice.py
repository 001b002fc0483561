"""The advice follows from the figures: each test invents some for which another codec is best."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.advice import Band, advise, beats, codec_of, transfer
from rinrcodec.evaluation.fog import equal_devices, serverless, through_fog
from rinrcodec.evaluation.rows import CodedFrame, Recipe, Row
from rinrcodec.evaluation.speed import Speed
from rinrcodec.metrics import Quality

DEVICES = equal_devices(10, n_bytes=69e6, n_frames=1000)
FRAME_BYTES = 69_000
PIXELS = np.zeros((1, 1), np.uint8)


def option(name, frame, background, objects, *, encode=0.2, alpha=0.1, at_fog=False, decode=0.01):
    coded = CodedFrame(alpha * FRAME_BYTES, Quality(frame, background, objects), PIXELS)
    recipe = Recipe(name, "as they are" if name == "source files" else "")
    return Row(recipe, (coded,), Speed(encode, decode), at_fog=at_fog)


SOURCE = option("source files", math.inf, math.inf, None, alpha=1.0, encode=0.0, decode=0.003)


JPEG = option("JPEG", 26.1, 26.1, 22.9, encode=0.02)
AVIF = option("AVIF", 29.6, 29.6, 27.5)
COMPOSITE = option("AVIF with crops", 28.2, 28.2, 48.7)


def ours(background, objects, *, encode=0.05):
    return option("rinrcodec", background, background, objects, encode=encode, at_fog=True)


def advice(*options, bandwidth=2e6, **more):
    return advise(options, DEVICES, bandwidth=bandwidth, source=SOURCE, **more)


def test_the_composite_wins_where_its_objects_are_the_sharpest():
    advised = advice(ours(26.2, 31.0), JPEG, AVIF, COMPOSITE)
    assert advised.row.name == "AVIF with crops"
    assert advised.headline == "At 2 MB/s, use AVIF with crops."
    text = " ".join(advised.reasons)
    assert (
        "AVIF with crops has 48.7 dB inside the boxes at 6.9 kB a frame; rinrcodec 31.0 dB" in text
    )
    assert "Where the background counts as much, AVIF is better: 29.6 dB" in text
    assert "rinrcodec is beaten inside and outside the boxes by AVIF with crops." in text


def test_avif_wins_over_all():
    advised = advice(ours(26.2, 27.0), JPEG, AVIF)
    assert advised.row.name == "AVIF"
    text = " ".join(advised.reasons)
    assert "counts as much" not in text
    assert "rinrcodec is beaten inside and outside the boxes by AVIF." in text


def test_ours_wins_where_it_is_best_and_fitted_soon_enough():
    advised = advice(ours(30.0, 33.0), JPEG, AVIF)
    assert advised.row.name == "rinrcodec"
    text = " ".join(advised.reasons)
    assert (
        "rinrcodec has 33.0 dB inside the boxes at 6.9 kB a frame; AVIF 27.5 dB at 6.9 kB, " in text
    )
    assert "beaten" not in text


def test_the_advice_names_a_worse_background():
    advised = advice(ours(26.2, 31.0), JPEG, AVIF)
    assert advised.row.name == "rinrcodec"
    text = " ".join(advised.reasons)
    assert "AVIF is better: 29.6 dB outside the boxes, rinrcodec 26.2 dB." in text


def test_ours_is_not_advised_where_fitting_outlasts_the_saving():
    advised = advice(ours(30.0, 33.0, encode=12.0), JPEG, AVIF)
    assert advised.row.name == "AVIF"
    assert [band.row.name for band in advised.bands] == ["rinrcodec", "AVIF", "source files"]
    below = advised.bands[0].below
    assert f"rinrcodec takes longer than it saves: it pays below {below / 1e6:.3g} MB/s" in (
        " ".join(advised.reasons)
    )
    assert (
        advice(ours(30.0, 33.0, encode=12.0), AVIF, bandwidth=below * 0.99).row.name == "rinrcodec"
    )
    assert advice(ours(30.0, 33.0, encode=12.0), AVIF, bandwidth=below * 1.01).row.name == "AVIF"


def test_a_poorer_codec_is_no_advice_because_it_encodes_faster():
    advised = advice(JPEG, AVIF)
    assert [band.row.name for band in advised.bands] == ["AVIF", "source files"]


def test_the_bands_end_where_sending_the_source_is_as_soon():
    advised = advice(ours(26.2, 27.0), AVIF)
    direct = serverless(DEVICES, codec_of(SOURCE, SOURCE))
    way = serverless(DEVICES, codec_of(AVIF, SOURCE))
    (band, rest) = advised.bands
    assert (band.row.name, rest) == ("AVIF", Band(SOURCE, math.inf))
    assert way.seconds(band.below) == pytest.approx(direct.seconds(band.below))
    fast = advice(ours(26.2, 27.0), AVIF, bandwidth=band.below * 1.01)
    assert fast.row is SOURCE
    assert fast.headline.endswith("send the source files as they are.")
    assert "AVIF and the source files as they are take about the same" in " ".join(fast.reasons)


@pytest.mark.parametrize(
    ("factor", "equal"), [(0.45, False), (0.55, True), (1.0, True), (1.9, True), (2.1, False)]
)
def test_near_the_break_even_the_advice_says_that_times_are_close(factor, equal):
    """Times of a busy machine would give other advice there, so a sentence says so."""
    below = advice(AVIF).bands[0].below
    advised = advice(AVIF, JPEG, bandwidth=below * factor)
    assert advised.row is (AVIF if factor < 1 else SOURCE)
    text = " ".join(advised.reasons)
    sentence = (
        f"At {below * factor / 1e6:.3g} MB/s, AVIF and the source files as they are take about the "
        f"same time: AVIF pays below about {below / 1e6:.3g} MB/s"
    )
    assert (sentence in text) == equal
    assert ("AVIF takes longer than it saves" in text) == (factor > 1 and not equal)


def test_a_codec_worse_than_the_advised_one_is_not_weighed_against_the_source():
    worse = option("worse", 20.0, 20.0, 20.0, alpha=0.05, encode=12.0)
    below = advice(worse).bands[0].below
    advised = advice(AVIF, worse, bandwidth=below)
    assert advised.row is AVIF
    assert "about the same time" not in " ".join(advised.reasons)


def test_files_no_smaller_than_the_source_are_never_the_advice():
    advised = advice(option("AVIF", 50, 50, 50, alpha=1.2))
    assert advised.row is SOURCE
    assert advised.bands == (Band(SOURCE, math.inf),)
    assert (
        "AVIF at 82.8 kB a frame moves no less than the source files, of 69 kB." in advised.reasons
    )


def test_a_codec_that_costs_no_time_pays_at_any_bandwidth():
    free = option("free", 30.0, None, None, alpha=0.5, encode=0.0, decode=0.0)
    advised = advise([free], DEVICES, bandwidth=1e12, source=SOURCE)
    assert advised.row.name == "free"
    assert advised.bands == (Band(free, math.inf),)
    assert "That holds at any bandwidth: free." in advised.reasons


def test_without_boxes_the_frame_counts():
    plain = [option("AVIF", 29.6, 29.6, None), option("rinrcodec", 26.2, 26.2, None, at_fog=True)]
    advised = advice(*plain)
    assert advised.row.name == "AVIF"
    assert "AVIF has 29.6 dB over the frame" in advised.reasons[0]
    assert "boxes" not in " ".join(advised.reasons)


def test_equal_codecs_do_not_beat_each_other():
    twins = [option("a", 30, 30, 30), option("b", 30, 30, 30)]
    assert not beats(twins[0], twins[1])
    assert advice(*twins).row.name == "a"
    assert beats(option("c", math.inf, math.inf, math.inf), twins[0])


def test_on_a_broadcast_medium_a_fog_is_never_advised():
    advised = advice(ours(40.0, 40.0), AVIF, broadcast=True)
    assert advised.row.name == "AVIF"
    assert "rinrcodec at 6.9 kB a frame moves no less than the source files, of 69 kB." in (
        advised.reasons
    )


def test_only_ours_goes_through_the_fog():
    mine = ours(30, 30)
    assert transfer(mine, SOURCE, DEVICES) == through_fog(DEVICES, codec_of(mine, SOURCE))
    assert transfer(AVIF, SOURCE, DEVICES) == serverless(DEVICES, codec_of(AVIF, SOURCE))


def test_a_larger_recipe_is_never_advised():
    large = option("large", 60, 60, 60, alpha=0.2)
    assert not beats(large, AVIF)
    assert beats(replace_bytes(large, 1.05), AVIF)
    advised = advice(large, AVIF, JPEG, most_bytes=AVIF.n_bytes)
    assert advised.row is AVIF
    assert "Not compared, because of more bytes: large (13.8 kB)." in advised.reasons
    small = option("small", 40, 40, 40, alpha=0.05)
    assert advice(small, AVIF, most_bytes=AVIF.n_bytes).row is small


def replace_bytes(row, share):
    """The row with as many bytes as AVIF, times a share."""
    frame = replace(row.frames[0], n_bytes=AVIF.n_bytes * share)
    return Row(row.recipe, (frame,), row.speed)


def test_wrong_arguments_are_refused():
    with pytest.raises(RinrInputError, match="no codecs to choose from"):
        advice()
    for bandwidth in (0, -1, math.nan, math.inf):
        with pytest.raises(RinrInputError, match="bandwidth is"):
            advice(AVIF, bandwidth=bandwidth)

"""The advice follows from the figures: each test makes up those of which another codec is best."""

from __future__ import annotations

import math

import pytest

from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.advice import Band, Option, advise
from rinrcodec.evaluation.fog import Codec, equal_devices, serverless, through_fog

DEVICES = equal_devices(10, n_bytes=69e6, n_frames=1000)
SOURCE = Codec("source files", 1.0, decode_seconds=0.003)


def option(name, frame, background, objects, *, encode=0.2, alpha=0.1, at_fog=False):
    codec = Codec(name, alpha, encode_seconds=encode, decode_seconds=0.01)
    return Option(codec, frame, background, objects, at_fog)


JPEG = option("JPEG", 26.1, 26.1, 22.9, encode=0.02)
AVIF = option("AVIF", 29.6, 29.6, 27.5)
COMPOSITE = option("AVIF with crops", 28.2, 28.2, 48.7)


def ours(background, objects, *, encode=0.05):
    return option("rinrcodec", background, background, objects, encode=encode, at_fog=True)


def advice(*options, bandwidth=2e6, **more):
    return advise(options, DEVICES, bandwidth=bandwidth, source=SOURCE, **more)


def test_the_composite_wins_where_its_objects_are_the_sharpest():
    advised = advice(ours(26.2, 31.0), JPEG, AVIF, COMPOSITE)
    assert advised.use == "AVIF with crops"
    assert advised.headline == "At 2 MB/s, use AVIF with crops."
    text = " ".join(advised.reasons)
    assert "AVIF with crops has 48.7 dB inside the boxes; rinrcodec 31.0 dB" in text
    assert "Where the background counts as much, AVIF is better: 29.6 dB" in text
    assert "rinrcodec is beaten inside and outside the boxes by AVIF with crops." in text


def test_avif_wins_over_all():
    advised = advice(ours(26.2, 27.0), JPEG, AVIF)
    assert advised.use == "AVIF"
    text = " ".join(advised.reasons)
    assert "counts as much" not in text
    assert "rinrcodec is beaten inside and outside the boxes by AVIF." in text


def test_ours_wins_where_it_is_best_and_fitted_soon_enough():
    advised = advice(ours(30.0, 33.0), JPEG, AVIF)
    assert advised.use == "rinrcodec"
    text = " ".join(advised.reasons)
    assert "rinrcodec has 33.0 dB inside the boxes; AVIF 27.5 dB, JPEG 22.9 dB." in text
    assert "beaten" not in text


def test_sharper_objects_on_a_worse_background_are_said_to_be_that():
    advised = advice(ours(26.2, 31.0), JPEG, AVIF)
    assert advised.use == "rinrcodec"
    text = " ".join(advised.reasons)
    assert "AVIF is better: 29.6 dB outside the boxes, rinrcodec 26.2 dB." in text


def test_ours_gives_way_where_fitting_takes_longer_than_it_saves():
    advised = advice(ours(30.0, 33.0, encode=12.0), JPEG, AVIF)
    assert advised.use == "AVIF"
    assert [band.name for band in advised.bands] == ["rinrcodec", "AVIF", None]
    below = advised.bands[0].below
    assert f"rinrcodec takes longer than it saves: it pays below {below / 1e6:.3g} MB/s" in (
        " ".join(advised.reasons)
    )
    assert advice(ours(30.0, 33.0, encode=12.0), AVIF, bandwidth=below * 0.99).use == "rinrcodec"
    assert advice(ours(30.0, 33.0, encode=12.0), AVIF, bandwidth=below * 1.01).use == "AVIF"


def test_a_poorer_codec_is_no_advice_because_it_encodes_faster():
    advised = advice(JPEG, AVIF)
    assert [band.name for band in advised.bands] == ["AVIF", None]


def test_the_bands_end_where_sending_the_source_is_as_soon():
    advised = advice(ours(26.2, 27.0), AVIF)
    direct = serverless(DEVICES, SOURCE)
    way = serverless(DEVICES, AVIF.codec)
    (band, rest) = advised.bands
    assert (band.name, rest) == ("AVIF", Band(None, math.inf))
    assert way.seconds(band.below) == pytest.approx(direct.seconds(band.below))
    fast = advice(ours(26.2, 27.0), AVIF, bandwidth=band.below * 1.01)
    assert fast.use is None
    assert fast.headline.endswith("send the source files as they are.")
    assert "AVIF takes longer than it saves" in " ".join(fast.reasons)


def test_files_no_smaller_than_the_source_are_never_the_advice():
    advised = advice(option("AVIF", 50, 50, 50, alpha=1.2))
    assert advised.use is None
    assert advised.bands == (Band(None, math.inf),)
    assert "AVIF at these bytes moves no less than the source files do." in advised.reasons


def test_a_codec_that_costs_no_time_pays_at_any_bandwidth():
    free = Option(Codec("free", 0.5), 30.0)
    advised = advise([free], DEVICES, bandwidth=1e12, source=SOURCE)
    assert advised.use == "free"
    assert advised.bands == (Band("free", math.inf),)
    assert "That holds at any bandwidth: free." in advised.reasons


def test_without_boxes_the_frame_counts():
    plain = [option("AVIF", 29.6, 29.6, None), option("rinrcodec", 26.2, 26.2, None, at_fog=True)]
    advised = advice(*plain)
    assert advised.use == "AVIF"
    assert "AVIF has 29.6 dB over the frame" in advised.reasons[0]
    assert "boxes" not in " ".join(advised.reasons)


def test_equal_codecs_do_not_beat_each_other():
    twins = [option("a", 30, 30, 30), option("b", 30, 30, 30)]
    assert not twins[0].beats(twins[1])
    assert advice(*twins).use == "a"
    assert option("c", math.inf, math.inf, math.inf).beats(twins[0])


def test_on_a_broadcast_medium_what_needs_a_fog_is_never_sooner():
    advised = advice(ours(40.0, 40.0), AVIF, broadcast=True)
    assert advised.use == "AVIF"
    assert "rinrcodec at these bytes moves no less than the source files do." in advised.reasons


def test_only_ours_goes_through_the_fog():
    mine = ours(30, 30)
    assert mine.transfer(DEVICES) == through_fog(DEVICES, mine.codec)
    assert AVIF.transfer(DEVICES) == serverless(DEVICES, AVIF.codec)


def test_bad_input():
    with pytest.raises(RinrInputError, match="no codecs to choose from"):
        advice()
    for bandwidth in (0, -1, math.nan, math.inf):
        with pytest.raises(RinrInputError, match="bandwidth is"):
            advice(AVIF, bandwidth=bandwidth)

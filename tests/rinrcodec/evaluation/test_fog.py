"""The communication model: the published figure, its limits, and the break-even points."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.fog import (
    JPEG,
    Codec,
    Device,
    Transfer,
    break_even_alpha,
    break_even_rounds,
    equal_devices,
    pays_below,
    serverless,
    through_fog,
    train_at_fog,
)

PUBLISHED = Codec("rinrcodec", 1 / 12.09)
TEN = equal_devices(10, n_bytes=69e6, n_frames=1000)


def reduction(devices, codec, **options):
    direct = serverless(devices, **options).n_bytes
    return direct / through_fog(devices, codec, **options).n_bytes


def test_ten_devices_give_the_published_reduction():
    assert [device.n_receivers for device in TEN] == [9] * 10
    assert reduction(TEN, PUBLISHED) == pytest.approx(5.16, abs=0.005)
    assert serverless(TEN).n_bytes == 69e6 * 90
    assert through_fog(TEN, PUBLISHED).n_bytes == pytest.approx(69e6 * (10 + 90 / 12.09))


@given(
    receivers=st.integers(1, 50),
    alpha=st.floats(0.001, 2),
    sizes=st.lists(st.floats(1, 1e9), min_size=1, max_size=5),
)
def test_the_reduction_follows_the_formula_for_any_sizes(receivers, alpha, sizes):
    devices = [Device(size, receivers) for size in sizes]
    want = receivers / (1 + alpha * receivers)
    assert reduction(devices, Codec("any", alpha)) == pytest.approx(want)
    assert break_even_alpha(devices) == pytest.approx(1 - 1 / receivers)


def test_a_single_device_only_pays_for_the_fog():
    (alone,) = equal_devices(1, n_bytes=100)
    assert alone.n_receivers == 0
    assert serverless([alone]).n_bytes == 0
    assert through_fog([alone], PUBLISHED).n_bytes == 100
    assert break_even_alpha([alone]) == 0


def test_one_receiver_never_gains_from_a_fog():
    pair = equal_devices(2, n_bytes=100)
    assert break_even_alpha(pair) == 0
    assert reduction(pair, Codec("almost nothing", 1e-6)) < 1


def test_a_codec_no_smaller_than_jpeg_makes_the_fog_a_detour():
    for count in (2, 10, 1000):
        devices = equal_devices(count, n_bytes=100)
        assert reduction(devices, JPEG) < 1
        assert reduction(devices, Codec("larger", 1.3)) < 1


def test_at_the_break_even_alpha_both_move_as_much():
    devices = [Device(100, 3), Device(50, 1), Device(25, 9)]
    alpha = break_even_alpha(devices)
    assert 0 < alpha < 1
    assert reduction(devices, Codec("even", alpha)) == pytest.approx(1)
    assert reduction(devices, Codec("smaller", alpha * 0.99)) > 1
    assert reduction(devices, Codec("larger", alpha * 1.01)) < 1


@given(count=st.integers(1, 50), alpha=st.floats(0.001, 2))
def test_with_a_broadcast_medium_the_fog_saves_nothing(count, alpha):
    devices = equal_devices(count, n_bytes=100)
    direct = serverless(devices, broadcast=True).n_bytes
    assert through_fog(devices, Codec("any", alpha), broadcast=True).n_bytes > direct
    assert break_even_alpha(devices, broadcast=True) == 0
    if count > 1:
        assert direct == 100 * count  # each frame goes out once, however many listen


@given(receivers=st.integers(1, 50), alpha=st.floats(0.001, 2))
def test_a_codec_that_a_device_can_run_itself_never_needs_the_fog(receivers, alpha):
    devices = [Device(1000, receivers)] * 3
    codec = Codec("avif", alpha)
    assert serverless(devices, codec).n_bytes < through_fog(devices, codec).n_bytes


def test_training_at_the_fog_moves_the_frames_once_and_the_model_every_round():
    moved = train_at_fog(TEN, rounds=3, model_bytes=98.8e6)
    assert moved.n_bytes == pytest.approx(690e6 + 3 * 98.8e6 * 10)
    moved = train_at_fog(TEN, rounds=3, model_bytes=98.8e6, broadcast=True)
    assert moved.n_bytes == pytest.approx(690e6 + 3 * 98.8e6)


def test_fewer_rounds_than_the_break_even_move_less():
    way = through_fog(TEN, PUBLISHED)
    model = 5e6
    rounds = break_even_rounds(TEN, way, model_bytes=model)
    assert rounds == pytest.approx(way.n_bytes / 50e6 - 13.8)  # alpha sum D r / (M N)
    before, after = math.floor(rounds), math.ceil(rounds)
    assert 0 < before < after
    assert train_at_fog(TEN, rounds=before, model_bytes=model).n_bytes < way.n_bytes
    assert train_at_fog(TEN, rounds=after, model_bytes=model).n_bytes > way.n_bytes


def test_no_round_is_worth_it_where_the_frames_alone_are_more():
    devices = equal_devices(2, n_bytes=100)
    small = serverless(devices, Codec("avif", 0.1))
    assert break_even_rounds(devices, small, model_bytes=1) == 0


def test_time_is_that_of_the_bytes_the_fit_and_the_decoding():
    codec = Codec("rinrcodec", 0.1, encode_seconds=2.0, decode_seconds=0.1)
    devices = equal_devices(5, n_bytes=1e6, n_frames=10)
    way = through_fog(devices, codec)
    # The fog encodes 50 frames; a receiver decodes the 40 of the four others.
    assert way.busy_seconds == pytest.approx(50 * 2.0 + 40 * 0.1)
    assert way.seconds(2e6) == pytest.approx(way.n_bytes / 2e6 + 104)
    # Devices encode their own 10 frames at the same time.
    assert serverless(devices, codec).busy_seconds == pytest.approx(10 * 2.0 + 40 * 0.1)
    assert serverless(devices).busy_seconds == 0


def test_one_camera_with_many_receivers_that_hold_nothing():
    codec = Codec("rinrcodec", 0.1, decode_seconds=1.0)
    assert through_fog([Device(1e6, 20, 7)], codec).busy_seconds == pytest.approx(7)


def test_below_its_break_even_bandwidth_the_fog_is_sooner():
    codec = Codec("rinrcodec", 0.1, encode_seconds=0.5, decode_seconds=0.01)
    fog, direct = through_fog(TEN, codec), serverless(TEN)
    bandwidth = pays_below(fog, direct)
    assert fog.seconds(bandwidth) == pytest.approx(direct.seconds(bandwidth))
    assert fog.seconds(bandwidth * 0.9) < direct.seconds(bandwidth * 0.9)
    assert fog.seconds(bandwidth * 1.1) > direct.seconds(bandwidth * 1.1)


def test_the_break_even_bandwidth_where_there_is_none():
    few, many = Transfer("a", "a", 10, 1.0), Transfer("b", "b", 20, 1.0)
    assert pays_below(few, many) == math.inf
    assert pays_below(many, few) == 0
    assert pays_below(few, few) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: equal_devices(0, n_bytes=1), "devices is 0: expected 1 device or more"),
        (lambda: equal_devices(2, n_bytes=0), "n_bytes is 0: expected bytes above 0"),
        (lambda: Device(math.nan, 1), "n_bytes is nan"),
        (lambda: Device(math.inf, 1), "n_bytes is inf"),
        (lambda: Device(1, -1), "n_receivers is -1"),
        (lambda: Device(1, 1, -1), "n_frames is -1"),
        (lambda: Codec("x", 0), "alpha of x is 0: expected a share of the JPEG bytes above 0"),
        (lambda: Codec("x", -0.1), "alpha of x is -0.1"),
        (lambda: Codec("x", 1, encode_seconds=-1), "encode_seconds is -1"),
        (lambda: Codec("x", 1, decode_seconds=math.nan), "decode_seconds is nan"),
        (
            lambda: Transfer("a", "a", 1).seconds(0),
            "bandwidth is 0: expected bytes a second above 0",
        ),
        (lambda: Transfer("a", "a", 1).seconds(-2), "bandwidth is -2"),
        (lambda: train_at_fog(TEN, rounds=0, model_bytes=1), "rounds is 0"),
        (lambda: train_at_fog(TEN, rounds=1, model_bytes=0), "model_bytes is 0"),
        (lambda: serverless([]), "no devices"),
        (lambda: through_fog([], JPEG), "no devices"),
        (lambda: break_even_alpha([]), "no devices"),
    ],
)
def test_bad_numbers_are_named(wrong, message):
    with pytest.raises(RinrInputError, match=message):
        wrong()

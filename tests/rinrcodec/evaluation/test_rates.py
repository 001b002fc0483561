"""BD-rate by hand, its inverse, and curves that cannot be compared."""

from __future__ import annotations

import doctest
import math
import sys

import pytest

from rinrcodec.errors import MissingExtraError, RinrInputError
from rinrcodec.evaluation import rates
from rinrcodec.evaluation.rates import bd_rate, bytes_at, rate_curve

CURVE = [(1000, 28.0), (1700, 30.5), (3100, 33.0), (6400, 35.0)]
OTHER = [(1100, 28.5), (1500, 29.5), (3900, 33.5), (9000, 36.5)]


def test_equal_curves_have_rate_zero_in_any_order_of_points():
    assert bd_rate(CURVE, CURVE) == 0
    assert bd_rate(CURVE[::-1], OTHER) == bd_rate(CURVE, OTHER)


@pytest.mark.parametrize("share", [0.9, 1.25])
def test_bytes_times_a_share_are_that_share_of_the_rate(share):
    scaled = [(share * size, quality) for size, quality in CURVE]
    assert bd_rate(scaled, CURVE) == pytest.approx(100 * (share - 1))
    # Back again, the percentage is of the other: 10 % fewer is 11.1 % more.
    assert bd_rate(CURVE, scaled) == pytest.approx(100 * (1 / share - 1))


@pytest.mark.parametrize(
    ("quality", "expected"), [(30.0, 100), (31.0, 200), (32.0, 400), (29.9, None), (32.1, None)]
)
def test_bytes_are_those_between_the_points_that_none_beats(quality, expected):
    points = [(401, 31.0), (400, 32.0), (100, 30.0)]  # the first is beaten
    assert bytes_at(points, quality) == (expected and pytest.approx(expected))


def test_no_points_have_no_bytes():
    assert bytes_at([], 30.0) is None


def test_the_rates_both_ways_are_inverse():
    there, back = bd_rate(CURVE, OTHER), bd_rate(OTHER, CURVE)
    assert there != pytest.approx(-back, abs=0.1)
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


def test_lines_over_the_range_that_both_have():
    """By hand: between 30 and 40 dB, log2 of the ratio goes from 0 to 1, and is 1/2 on average."""
    ours = [(1000, 30.0), (8000, 40.0)]  # log2 of the bytes rises by 3 in 10 dB
    anchor = [(500, 25.0), (1000, 30.0), (2000, 35.0), (4000, 40.0), (8000, 45.0)]  # by 1 in 5 dB
    assert bd_rate(ours, anchor) == pytest.approx(100 * (2**0.5 - 1))


def test_a_curve_of_three_points_has_the_rate_computed_by_hand():
    """Three points: the slopes of PCHIP, and the integral of its two cubics, on paper.

    With y = ln(bytes): widths 1 and 1, slopes 1 and 3; in the middle the harmonic mean 3/2; at the
    ends (3 * 1 - 3) / 2 = 0 and (3 * 3 - 1) / 2 = 4. A Hermite cubic of width 1 has the integral
    (y0 + y1) / 2 + (d0 - d1) / 12: 1/2 - 1/8 and 5/2 - 5/24, over 2 dB 4/3 on average.
    """
    ours = [(1.0, 30.0), (math.e, 31.0), (math.e**4, 32.0)]
    flat = [(1.0, 29.0), (1 + 1e-9, 33.0)]
    assert bd_rate(ours, flat) == pytest.approx(100 * math.expm1(4 / 3))


def test_a_rate_curve_drops_points_that_others_beat():
    points = [(300, 32.0), (100, 28.0), (200, 27.5), (200, 30.0), (310, 32.0), (100, 26.0)]
    assert rate_curve(points) == [(100, 28.0), (200, 30.0), (300, 32.0)]
    assert rate_curve([]) == []
    with pytest.raises(RinrInputError, match=r"28\.00 dB at 100 bytes to 27\.50 dB"):
        bd_rate(points[1:3], CURVE)


@pytest.mark.parametrize(
    ("ours", "anchor", "message"),
    [
        ([], CURVE, "'ours' has 0 points: expected two or more"),
        (CURVE, CURVE[:1], "'anchor' has 1 points"),
        (CURVE, [(1000, 30.0), (2000, 30.0)], "'anchor' goes from 30.00 dB at 1,000 bytes"),
        (CURVE, [(1000, 30.0), (1000, 31.0)], "expected PSNR to increase with bytes"),
        (CURVE, [(1000, 40.0), (2000, 42.0)], "28.00 to 35.00 dB and 40.00 to 42.00 dB"),
        (CURVE, [(1000, 35.0), (2000, 42.0)], "share no range of PSNR"),
        ([(0, 30.0), (1000, 31.0)], CURVE, "positive bytes"),
        ([(500, 30.0), (1000, math.inf)], CURVE, "finite"),
    ],
)
def test_curves_that_cannot_be_compared_are_refused(ours, anchor, message):
    with pytest.raises(RinrInputError, match=message):
        bd_rate(ours, anchor)


# Computed with a cubic written by hand, without SciPy.
@pytest.mark.parametrize(
    ("ours", "anchor", "percent"),
    [
        (CURVE, OTHER, -7.966280672551372),
        (OTHER, CURVE, 8.655828245089152),
        (CURVE[:3], OTHER[1:], -9.419565267466488),
        (CURVE[::3], OTHER, 4.901969002784024),
    ],
)
def test_values_did_not_change_with_scipy(ours, anchor, percent):
    assert bd_rate(ours, anchor) == pytest.approx(percent, rel=1e-9, abs=1e-9)


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.interpolate", None)
    with pytest.raises(MissingExtraError, match="scipy is not installed; run: pip install"):
        bd_rate(CURVE, OTHER)
    assert rate_curve(CURVE) == CURVE


def test_the_examples_run():
    result = doctest.testmod(rates)
    assert result.failed == 0
    assert result.attempted == 5

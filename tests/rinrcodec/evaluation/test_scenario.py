"""A scenario lists every way to send the data, and its JSON says what each costs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rinrcodec.errors import RinrInputError
from rinrcodec.evaluation.fog import (
    Codec,
    break_even_alpha,
    equal_devices,
    pays_below,
    serverless,
    through_fog,
    train_at_fog,
)
from rinrcodec.evaluation.scenario import Scenario, scenario_as_json

PUBLISHED = Codec("rinrcodec", 1 / 12.09)
TEN = equal_devices(10, n_bytes=69e6, n_frames=1000)


def test_a_scenario_lists_every_way_and_tells_codecs_by_their_names():
    avif = Codec("avif", 0.08)
    scenario = Scenario(TEN, PUBLISHED, (avif,), rounds=2, model_bytes=1e6)
    assert scenario.transfers() == [
        serverless(TEN),
        through_fog(TEN, PUBLISHED),
        through_fog(TEN, avif),
        serverless(TEN, avif),
        train_at_fog(TEN, rounds=2, model_bytes=1e6),
    ]
    for others in ((avif, avif), (Codec("jpeg", 0.5),), (Codec("rinrcodec", 0.5),)):
        with pytest.raises(RinrInputError, match="two codecs are called"):
            Scenario(TEN, PUBLISHED, others)


def test_devices_can_encode_what_needs_no_fog():
    scenario = Scenario(TEN, PUBLISHED, (Codec("avif", 0.08),), at_fog=False)
    ways = [(way.way, way.codec) for way in scenario.transfers()]
    at_fog = [(way.way, way.codec) for way in replace(scenario, at_fog=True).transfers()]
    own = serverless(TEN, PUBLISHED)
    assert ways == [*at_fog[:2], (own.way, own.codec), *at_fog[2:]]
    assert scenario.transfers()[2] == own


def test_json_has_the_figures_of_every_way():
    slow = Codec("rinrcodec", 0.1, encode_seconds=2.0)
    scenario = Scenario(TEN, slow, (Codec("avif", 0.08),), rounds=3, model_bytes=1e6)
    values = json.loads(json.dumps(scenario_as_json(scenario, 2e6), allow_nan=False))
    assert values["medium"] == "unicast"
    assert values["devices"] == [{"bytes": 69e6, "frames": 1000, "receivers": 9}] * 10
    assert [codec["name"] for codec in values["codecs"]] == ["rinrcodec", "avif"]
    for way, shown in zip(scenario.transfers(), values["transfers"], strict=True):
        assert (shown["way"], shown["codec"]) == (way.way, way.codec)
        assert shown["bytes"] == way.n_bytes
        assert shown["seconds"] == way.seconds(2e6)
    assert values["transfers"][0]["times_less"] == 1
    assert values["break_even"]["alpha"] == break_even_alpha(TEN)
    assert values["break_even"]["bandwidth"] == pays_below(scenario.fog(), scenario.direct())


def test_json_has_no_infinity_where_the_fog_is_sooner_at_any_bandwidth():
    values = scenario_as_json(Scenario(TEN, PUBLISHED), 2e6)
    assert values["break_even"]["bandwidth"] is None
    json.dumps(values, allow_nan=False)


def test_with_no_receivers_there_is_nothing_to_compare_with():
    lonely = equal_devices(1, n_bytes=69e6, n_frames=1000)
    values = scenario_as_json(Scenario(lonely, PUBLISHED), 2e6)
    assert values["transfers"][0]["times_less"] is None
    assert values["transfers"][1]["times_less"] == 0

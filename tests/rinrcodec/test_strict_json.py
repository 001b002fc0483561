"""JSON with one meaning for every reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.errors import RinrFormatError
from rinrcodec.labels.info import classes_of, kpt_shape_of
from rinrcodec.pack import Spec
from rinrcodec.strict_json import parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": {"a": 2, "a": 2}}', "the key 'a' is given twice"),
        ("[NaN]", "NaN is no number"),
        ("-Infinity", "-Infinity is no number"),
        ("1e999", "1e999 is too large"),
        ("9" * 5000, "digits"),
        ("[" * 65 + "]" * 65, "more than 64 lists and objects"),
        ("[" * 200_000, "more than 64 lists and objects"),
        ('{"a":' * 65 + "1" + "}" * 65, "more than 64 lists and objects"),
        ("{", "Expecting"),
        (b"\xff\xfe", "Expecting"),
        (b"\x80", "codec"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_malformed_json_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        parse_json(text)
    assert len(str(error.value)) < 250


def test_the_depth_of_json_is_bounded() -> None:
    assert parse_json("[" * 64 + "]" * 64) is not None
    assert parse_json("1", most_depth=0) == 1
    assert parse_json('{"a": 1}', most_depth=1) == {"a": 1}
    with pytest.raises(ValueError, match="more than 1 lists"):
        parse_json('{"a": [1]}', most_depth=1)


@pytest.mark.parametrize(
    "text",
    [
        '{"family": "siren", "family": "nerv"}',
        '{"family": "siren", "w0": 1e999}',
        '{"family": "siren", "w0": NaN}',
        '{"family": "siren", "w0": [[1]]}',
        "[" * 1000,
    ],
    ids=lambda text: text[:24],
)
def test_specs_of_groups(text: str) -> None:
    with pytest.raises(RinrFormatError, match="a group's spec"):
        Spec.from_json(text)


def test_entries_of_a_pack() -> None:
    for names in ('[["a"]]', '{"a": 1, "a": 2}', "[" * 9999, json.dumps(["a"] * 65_537)):
        with pytest.raises(RinrFormatError):
            classes_of({"names": names})
    for shape in ("[1e999, 3]", "[[17], 3]", "[17, NaN]"):
        with pytest.raises(RinrFormatError):
            kpt_shape_of({"kpt_shape": shape})

"""Sealed JSON: what was written is read, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.storage.sealed import seal, unseal

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=9
)


@given(
    st.dictionaries(st.text().filter(lambda key: key != "sha256"), VALUES, min_size=1),
    st.sampled_from([None, 1, 2]),
)
def test_a_sealed_value_is_read_back(value: dict[str, Any], indent: int | None) -> None:
    data = seal(value, indent=indent)
    assert unseal(data) == value
    assert json.loads(data).keys() == {*value, "sha256"}


@given(st.data())
def test_every_change_is_found(data: st.DataObject) -> None:
    whole = seal({"a": [1, 2.5, "text"], "b": {"c": None}}, indent=1)
    place = data.draw(st.integers(0, len(whole) - 3))  # after it, there are "}" and a line end
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(whole)
    changed[place] ^= 1 << bit
    try:
        found = unseal(bytes(changed))
    except ValueError:
        pass
    else:  # one white space became another
        assert found == unseal(whole)
        assert place >= whole.rindex(b",")
    with pytest.raises(ValueError, match="its end is missing"):
        unseal(whole[:place])


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"sha256": ""}', b"\xff" * 99])
def test_unsealed_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="its end is missing"):
        unseal(data)


def test_sealed_json_that_nests_too_deeply_is_refused() -> None:
    import hashlib

    body = b'{"a": ' + b"[" * 100_000
    digest = hashlib.sha256(body).hexdigest().encode()
    with pytest.raises(ValueError, match=r"nested too deeply|Expecting|delimiter"):
        unseal(body + b', "sha256": "' + digest + b'"}')

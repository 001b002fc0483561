"""JSON objects that say their own SHA-256, so that damage to them is found before they are used.

The manifest of an output and the files of a work folder are written with it. They may be forged,
too, so their readers check every field with `checked`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["checked", "seal", "unseal"]

_END = re.compile(rb',\s*"sha256": "([0-9a-f]{64})"\s*\}\s*\Z')
_END_BYTES = 128


def seal(value: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    """Write a JSON object whose last entry, "sha256", is that of all bytes before it.

    >>> seal({"a": 1})[:9]
    b'{"a": 1, '
    """
    # ASCII: file names may hold bytes that are no Unicode, which only an escape can carry.
    body = json.dumps(value, indent=indent, allow_nan=True)[:-1].rstrip().encode()
    space = b" " if indent is None else b"\n" + b" " * indent
    digest = hashlib.sha256(body).hexdigest().encode()
    return body + b"," + space + b'"sha256": "' + digest + b'"' + space.rstrip(b" ") + b"}\n"


def unseal(data: bytes) -> dict[str, Any]:
    """Read a JSON object that `seal` wrote, without its seal.

    Raises:
        ValueError: it is no JSON object, or not the one that was written.

    >>> unseal(seal({"a": 1}))
    {'a': 1}
    """
    found = _END.search(data, max(0, len(data) - _END_BYTES))
    if found is None:
        raise ValueError("its end is missing, or it has no SHA-256")
    if hashlib.sha256(memoryview(data)[: found.start()]).hexdigest().encode() != found[1]:
        raise ValueError("its content does not have the SHA-256 at its end")
    try:
        value = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    value.pop("sha256", None)
    return value


def checked(data: Any, **kinds: type) -> dict[str, Any]:
    """Return a JSON object if it has these keys alone, with values of these types.

    Numbers must be below 2**63, and none may be negative.

    Raises:
        ValueError: it is another; the message says what differs.

    >>> checked({"frames": 3}, frames=int)
    {'frames': 3}
    """
    if not isinstance(data, dict) or data.keys() != kinds.keys():
        raise ValueError(f"expected the keys {', '.join(kinds)}, found {str(data)[:60]!r}")
    for key, kind in kinds.items():
        value = data[key]
        if type(value) is not kind or (type(value) is int and not 0 <= value < 2**63):
            raise ValueError(f"{key} is {str(value)[:60]!r}")
    return data

"""JSON of which every reader makes the same: one value for a key, finite numbers, bounded depth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from rinrcodec.text_limits import MOST_JSON_DEPTH

__all__ = ["check_nesting", "parse_json", "unique_keys"]

_SHOWN = 60
_FLAT = (str, int, float, type(None))


def parse_json(text: str | bytes, *, most_depth: int = MOST_JSON_DEPTH) -> Any:
    """Return the value of a JSON text.

    Args:
        text: The text, or its bytes.
        most_depth: How many lists and objects may be inside each other.

    Raises:
        ValueError: It is no JSON, gives a key twice, is deeper than that, or has a number that is
            infinite, NaN, or of more than 4,300 digits.

    Example:
        >>> parse_json('{"a": [1, 2.5]}')
        {'a': [1, 2.5]}
        >>> parse_json('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ValueError: the key 'a' is given twice
    """
    try:
        value = json.loads(
            text, object_pairs_hook=unique_keys, parse_constant=_refuse, parse_float=_finite
        )
    except RecursionError:
        raise _too_deep(most_depth) from None
    check_nesting(value, most_depth=most_depth)
    return value


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object of its pairs; raise `ValueError` for a key that is given twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:_SHOWN]!r} is given twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:_SHOWN]} is too large a number")
    return number


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def check_nesting(value: Any, *, most_depth: int, most_digits: int | None = None) -> None:
    """Raise `ValueError` for a value that is nested too deeply, or has too long an integer.

    Args:
        value: Of JSON; any mapping is an object, and a tuple is a list.
        most_depth: How many lists and objects may be inside each other.
        most_digits: Of an integer; None allows any number of them.
    """
    bound = None if most_digits is None else 10**most_digits
    level = [value]
    for _ in range(most_depth + 1):
        if bound and any(isinstance(one, int) and abs(one) >= bound for one in level):
            raise ValueError(f"an integer of more than {most_digits} digits")
        # Most values of a long text are texts and numbers, of which nothing else is asked.
        inside = [one for one in level if not isinstance(one, _FLAT)]
        level = []
        for one in inside:
            if isinstance(one, Mapping):
                level.extend(one.values())
            elif isinstance(one, (list, tuple)):
                level.extend(one)
        if not inside:
            return
    raise _too_deep(most_depth)


def _too_deep(most: int) -> ValueError:
    return ValueError(f"more than {most} lists and objects inside each other")

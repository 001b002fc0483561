"""Every public name says what it takes, and shows an example. `make lint` checks their form."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rinrcodec

# PRESETS is a table. Nothing is looked up here: collecting tests must not import Ultralytics.
NAMES = [name for name in rinrcodec.__all__ if name != "PRESETS"]


def faults(name: str, item: Any, *, example: bool) -> Iterator[str]:
    """What the docstring of a function or class lacks."""
    text = inspect.getdoc(item) or ""
    taken = [one for one in inspect.signature(item).parameters if one not in ("self", "cls")]
    if not text:
        yield f"{name}: no docstring"
    if taken and not ("Args:" in text or "Attributes:" in text):
        yield f"{name}: no Args for {', '.join(taken)}"
    if "Args:" in text:
        listed = text.split("Args:")[1]
        yield from (
            f"{name}: no {one}"
            for one in taken
            if not re.search(rf"^ +\*{{0,2}}{one}:", listed, re.M)
        )
    if example and ">>>" not in text:
        yield f"{name}: no example"


def methods(item: type) -> Iterator[tuple[str, Any]]:
    for name, value in vars(item).items():
        if not name.startswith("_"):
            function = value.fget if isinstance(value, property) else value
            function = getattr(function, "__func__", function)
            if inspect.isfunction(function):
                yield name, function


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_described_in_full(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ultralytics writes its settings when it is imported.
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    item = getattr(rinrcodec, name)
    if inspect.isclass(item) and issubclass(item, BaseException):
        assert inspect.getdoc(item)
        return
    found = list(faults(name, item, example=True))
    if inspect.isclass(item):
        for method, function in methods(item):
            found += faults(f"{name}.{method}", function, example=False)
    assert found == []


def test_a_poor_docstring_is_found() -> None:
    def poor(first: int, second: int) -> None:
        """Do it.

        Args:
            first: The first.
        """

    def none() -> None: ...

    assert list(faults("poor", poor, example=True)) == ["poor: no second", "poor: no example"]
    assert list(faults("none", none, example=False)) == ["none: no docstring"]

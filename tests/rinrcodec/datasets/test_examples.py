"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest

import rinrcodec

NAMES = [
    "CompressInterrupted",
    "Progress",
    "SeriesSummary",
    "compress",
    "decompress",
    "verify",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs(name: str) -> None:
    value = getattr(rinrcodec, name)
    module = importlib.import_module(value.__module__)
    (example,) = doctest.DocTestFinder(recurse=False).find(value, name, module=module)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("name", ["compress", "decompress", "verify"])
def test_options_are_keyword_only_and_documented(name: str) -> None:
    function = getattr(rinrcodec, name)
    parameters = inspect.signature(function).parameters.values()
    options = [one for one in parameters if one.kind is one.KEYWORD_ONLY]
    assert options
    for one in options:
        assert one.default is not one.empty
        assert f"        {one.name}: " in function.__doc__

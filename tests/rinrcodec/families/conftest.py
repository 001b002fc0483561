"""Families of another package; modules beside this one can be imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rinrcodec import families

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have `flat` and `flatter` registered for one test."""
    monkeypatch.setattr(families, "_loaded", dict(families._loaded))
    monkeypatch.delitem(sys.modules, "toy_families", raising=False)
    import toy_families  # noqa: F401

    yield
    monkeypatch.delitem(sys.modules, "toy_families", raising=False)

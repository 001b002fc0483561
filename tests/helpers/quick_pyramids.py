"""Fits of the family `pyramid` in less time, for tests of everything around them."""

from __future__ import annotations

from typing import Any

import pytest


def round_few(patch: pytest.MonkeyPatch) -> None:
    """Let fits store one in nine tensors: rounding all of them takes longer than a few steps."""
    from rinrcodec.families.pyramid import fit
    from rinrcodec.families.pyramid.rounding import choose_changes

    def choose(start: Any, weights: Any, names: list[str], *others: Any) -> Any:
        return choose_changes(start, weights, names[::9], *others)

    patch.setattr(fit, "choose_changes", choose)

"""Tiny data sets, and options that make their fits quick."""

from __future__ import annotations

from typing import Any

from tiny_sets import (
    LABELS,
    contents,
    dataset,
    folder,
    one_thread,
    picture,
    put,
    ray,
    video,
    write,
)

__all__ = [
    "LABELS",
    "QUICK",
    "contents",
    "dataset",
    "folder",
    "one_thread",
    "picture",
    "put",
    "ray",
    "video",
    "write",
]

# Few steps: these tests ask whether everything comes back, not how well.
QUICK: dict[str, Any] = {"preset": "fast", "steps": 8, "device": "cpu"}

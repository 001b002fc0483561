"""Tiny data sets, and options that make their fits quick."""

from __future__ import annotations

from typing import Any

from run_states import (
    FIT,
    ONE,
    TWO,
    expected_of,
    flip,
    forged,
    half,
    out,
    packs_of,
    unfinished,
    victim,
)
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
from view_packs import pack_file

__all__ = [
    "FIT",
    "LABELS",
    "ONE",
    "QUICK",
    "TWO",
    "contents",
    "dataset",
    "expected_of",
    "flip",
    "folder",
    "forged",
    "half",
    "one_thread",
    "out",
    "pack_file",
    "packs_of",
    "picture",
    "put",
    "ray",
    "unfinished",
    "victim",
    "video",
    "write",
]

# Few steps: these tests ask whether everything comes back, not how well.
QUICK: dict[str, Any] = {"preset": "fast", "steps": 8, "device": "cpu"}

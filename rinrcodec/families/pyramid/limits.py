"""How many frames a row of the format holds (formats/SPEC.md)."""

from __future__ import annotations

__all__ = ["MOST_FRAMES", "MOST_PREDICTED"]

MOST_FRAMES = 64
MOST_PREDICTED = 8  # where each is predicted from the one before

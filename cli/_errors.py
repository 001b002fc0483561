"""Errors as the command line says them."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["plain", "reason"]

# The hint of `Limits.check`, which only a program can follow.
_LIMITS_HINT = re.compile(r"; pass limits=Limits\(\w+=\.\.\.\)[^;]*")


def plain(message: str) -> str:
    """A message without the advice that only a program can follow."""
    return _LIMITS_HINT.sub("", message)


def reason(path: Path, error: Exception) -> str:
    """Why a file cannot be read, beginning with its name."""
    if isinstance(error, OSError):
        return f"{path}: {error.strerror or error}"
    return plain(str(error))

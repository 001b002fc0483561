"""Yaml files as `compress` and `decompress` write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

__all__ = ["yaml_text"]


def yaml_text(value: Mapping[str, Any]) -> str:
    """Yaml with its keys in the given order."""
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True)

"""How messages of the library name options: `overwrite=True` in Python is `--overwrite` here.

Messages have keywords of Python in backticks. What commands print passes through `as_options`.
"""

from __future__ import annotations

import re

__all__ = ["as_options"]

_KEYWORDS = (
    *("depth_range", "device", "executor", "format", "formats", "fps", "frames", "jobs", "labels"),
    *("layout", "max_pixels", "out", "overwrite", "ray_address", "region", "resume", "scale"),
    *("shard_size", "soften", "strict", "task"),
)
_KEYWORD = re.compile(rf"`({'|'.join(_KEYWORDS)})(?:=([^`]*))?`")


def as_options(message: str) -> str:
    """Return a message with the options of commands in place of keywords in backticks.

    Example:
        >>> as_options("a.png already there; `overwrite=True` replaces it")
        'a.png already there; --overwrite replaces it'
        >>> as_options("give another `out`, or `depth_range=(1, 9)` and `labels='none'`")
        'give another -o, or --depth-range 1:9 and --labels none'
    """
    return _KEYWORD.sub(_option, message)


def _option(found: re.Match[str]) -> str:
    name, value = found.groups()
    option = "-o" if name == "out" else f"--{name.replace('_', '-')}"
    if value in (None, "True"):
        return option
    if value.startswith("("):
        return f"{option} {value.strip('()').replace(', ', ':')}"
    return f"{option} {value.strip(chr(39))}"

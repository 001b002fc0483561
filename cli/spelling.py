"""How messages of the library name options: `overwrite=True` in Python is `--overwrite` here.

Messages have keywords of Python in backticks. What commands print passes through `as_options`.
"""

from __future__ import annotations

import re

__all__ = ["TARGET_FIELDS", "as_options"]

# Option -> its field of `rinrcodec.Target`.
TARGET_FIELDS = {
    "--lambda": "lmbda",
    "--target-psnr": "psnr",
    "--target-bytes": "n_bytes",
    "--objects-psnr": "objects_psnr",
    "--quality": "quality",
    "--objects-quality": "objects_quality",
    "--tune": "tune",
}

_KEYWORDS = (
    *(
        "background",
        "depth_range",
        "device",
        "executor",
        "format",
        "formats",
        "fps",
        "frames",
        "gop",
        "jobs",
    ),
    *("labels", "layout", "max_pixels", "objects", "out", "overwrite", "preset", "ray_address"),
    *("region", "resume", "scale", "seed", "shard_size", "shrink"),
    *("soften", "steps", "strict", "task"),
)
_OF_TARGET = {f"target.{field}": option for option, field in TARGET_FIELDS.items()}
_KEYWORD = re.compile(rf"`({'|'.join([*_KEYWORDS, *map(re.escape, _OF_TARGET)])})(?:=([^`]*))?`")


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
    option = _OF_TARGET.get(name) or f"--{name.replace('_', '-')}"
    option = "-o" if name == "out" else option
    if value in (None, "True"):
        return option
    if value.startswith("("):
        return f"{option} {value.strip('()').replace(', ', ':')}"
    return f"{option} {value.strip(chr(39))}"

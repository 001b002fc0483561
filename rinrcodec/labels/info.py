"""The entries of a pack's info about its labels: classes, task, keypoints.

`compress` writes it; `RinrFile`, `decompress` and the plugins read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rinrcodec.errors import RinrFormatError
from rinrcodec.labels.model import TASKS, Task, as_kpt_shape
from rinrcodec.strict_json import parse_json
from rinrcodec.text_limits import MOST_CLASSES

__all__ = ["classes_of", "info_of", "kpt_shape_of", "task_of"]


def info_of(
    names: Mapping[int, str], task: Task = "detect", kpt_shape: tuple[int, int] | None = None
) -> dict[str, str]:
    """Return the entries of `Pack.info`; the usual values need none.

    Example:
        >>> info_of({0: "car"}, "segment")
        {'names': '["car"]', 'task': 'segment'}
    """
    info = {}
    if names:
        listed = [names.get(i, f"class_{i}") for i in range(max(names) + 1)]
        info["names"] = _json(listed)
    if task != "detect":
        info["task"] = task
    if kpt_shape:
        info["kpt_shape"] = _json(list(kpt_shape))
    return info


def classes_of(info: Mapping[str, str]) -> dict[int, str]:
    """Return the names of the classes by their ids; empty where there are none.

    Raises:
        RinrFormatError: The entry is no list of names.
    """
    names = _load(info, "names")
    if names is None:
        return {}
    if not isinstance(names, list) or not all(map(_is_text, names)):
        raise RinrFormatError(f"its class names are not a list of strings: {info['names'][:80]}")
    if len(names) > MOST_CLASSES:
        raise RinrFormatError(f"it names {len(names):,} classes, at most {MOST_CLASSES:,}")
    return dict(enumerate(names))


def task_of(info: Mapping[str, str]) -> Task:
    """Return the task of the labels.

    Raises:
        RinrFormatError: The entry is no task.
    """
    task = info.get("task", "detect")
    for known in TASKS:
        if task == known:
            return known
    raise RinrFormatError(f"its task is {task[:40]!r}, expected one of {', '.join(TASKS)}")


def kpt_shape_of(info: Mapping[str, str]) -> tuple[int, int] | None:
    """Return the number of keypoints of a box and of values for each; None for other tasks.

    Raises:
        RinrFormatError: The entry is no such pair.
    """
    shape = _load(info, "kpt_shape")
    if shape is None:
        return None
    if (known := as_kpt_shape(shape)) is not None:
        return known
    raise RinrFormatError(f"its kpt_shape is {info['kpt_shape'][:40]}, expected such as [17, 3]")


def _is_text(value: object) -> bool:
    """Return whether a value can be printed; half of a surrogate pair cannot."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _load(info: Mapping[str, str], key: str) -> Any:
    if key not in info:
        return None
    try:
        return parse_json(info[key], most_depth=1)
    except ValueError as error:
        raise RinrFormatError(f"its {key} is not JSON: {info[key][:80]!r}") from error

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

__all__ = [
    "classes_of",
    "differing_class",
    "info_of",
    "kpt_shape_of",
    "names_by_id",
    "task_of",
]

_MOST_DIGITS = 10  # of a class id


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


def differing_class(one: Mapping[int, str], other: Mapping[int, str]) -> int | None:
    """Return the first class id that has two different names; None if there is none.

    Ids that only one of them has are fine. `class_3` is no name: it fills a gap for class 3.

    Example:
        >>> differing_class({0: "car", 1: "dog"}, {0: "car", 1: "cat"})
        1
        >>> differing_class({0: "car"}, {0: "car", 1: "cat"}) is None
        True
    """
    for class_id in sorted(one.keys() & other.keys()):
        names = {one[class_id], other[class_id]}
        if len(names) > 1 and f"class_{class_id}" not in names:
            return class_id
    return None


def names_by_id(names: object) -> dict[int, str]:
    """Return the names of a list or a map, as data yamls and manifests hold them.

    What is no text, such as the `no` that YAML reads as a boolean, is left out.

    Example:
        >>> names_by_id(["car", False]), names_by_id({"1": "dog"}), names_by_id("car")
        ({0: 'car'}, {1: 'dog'}, {})
    """
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        return {}
    texts = [(str(key), name) for key, name in names.items() if isinstance(name, str)]
    return {int(key): name for key, name in texts if key.isdecimal() and len(key) < _MOST_DIGITS}


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

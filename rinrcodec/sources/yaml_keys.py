"""The keys of a data yaml besides its splits: class names, and what is unknown or misspelled.

Used by `data_yaml`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from rinrcodec.errors import RinrInputError
from rinrcodec.labels.model import as_kpt_shape
from rinrcodec.text_limits import MOST_CLASS_NAME, MOST_CLASSES

__all__ = [
    "NO_NAMES",
    "SPLITS",
    "class_names",
    "keypoint_shape",
    "misspelled",
    "other_keys",
    "renamed_splits",
    "shown",
]

SPLITS = ("train", "val", "test")
# The warning about a yaml that names no classes; labels of other formats may name them.
NO_NAMES = "neither names nor nc: YOLO refuses that; name the classes"
_MOST_SHOWN = 60  # characters of a value in a message
_REWRITTEN = {"path", "names", "validation", *SPLITS}
# Keys that are close to a split's name and mean something else.
_NOT_MISSPELLED = {"nc", "date", "task", "text", "type", "data", "kpt_names"}
_OTHER_WORDS = {"valid": "val", "training": "train", "testing": "test", "dev": "val"}


def renamed_splits(path: Path, data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the keys with `validation` as `val`, as YOLO takes it, and warnings.

    Example:
        >>> renamed_splits(Path("d.yaml"), {"validation": "b"})
        ({'val': 'b'}, [])
    """
    keys = dict(data)
    validation = keys.pop("validation", None)
    if not validation:
        return keys, []
    if not keys.get("val"):
        return {**keys, "val": validation}, []
    used = shown(keys["val"])
    return keys, [f"{path}: val and validation are both given; val is used: {used}"]


def other_keys(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that a yaml of other paths keeps: all but path, splits and names."""
    return {key: value for key, value in data.items() if key not in _REWRITTEN}


def misspelled(path: Path, data: Mapping[str, Any]) -> dict[str, str]:
    """Return a warning for each key that is close to `train`, `val`, `test` or `names`."""
    warnings = {}
    wanted = [key for key in (*SPLITS, "names") if not data.get(key)]
    for key, value in data.items():
        if key in _REWRITTEN or key in _NOT_MISSPELLED or not isinstance(value, (str, list, dict)):
            continue
        word = str(key).lower().strip(" :")
        close = [_OTHER_WORDS[word]] if word in _OTHER_WORDS else []
        close += difflib.get_close_matches(word, wanted, n=1, cutoff=0.7)
        if close and close[0] in wanted and (close[0] == "names" or not isinstance(value, dict)):
            warnings[key] = (
                f"{path}: unknown key {shown(key)}: it is not used; did you mean {close[0]!r}?"
            )
    return warnings


def shown(value: object) -> str:
    """Return a value of a yaml for a message, in at most 60 characters.

    Lists are not looked into, unless they are short ones of numbers: they may hold too much.

    Example:
        >>> shown({}), shown("a"), shown([1, 2]), shown([[1], [2]])
        ('a map', "'a'", '[1, 2]', 'a list')
    """
    if isinstance(value, (dict, set)):
        return "a map" if isinstance(value, dict) else "a set"
    if isinstance(value, (list, tuple)):
        short = len(value) < 5 and all(isinstance(item, (int, float)) for item in value)
        if not short:
            return "a list" if isinstance(value, list) else "a pair"
    if isinstance(value, date):
        return str(value)
    return repr(value)[:_MOST_SHOWN]


def class_names(
    path: Path, data: Mapping[str, Any], words: object
) -> tuple[dict[int, str], list[str]]:
    """Return the class names by class id, and warnings.

    Args:
        path: the data yaml, for messages.
        data: its keys.
        words: the value of `names` with every word as text, as it is in the file.

    Raises:
        RinrInputError: `names` is neither a list nor a map from class ids, or an id is invalid.
    """
    names, warnings = data.get("names"), []
    count = _whole(data.get("nc"))
    if names is None:
        known = count is not None and 0 <= count <= MOST_CLASSES
        if data.get("nc") is not None and not known:
            found_nc = shown(data["nc"])
            raise RinrInputError(
                f"{path}: nc: {found_nc}; expected a whole number from 0 to {MOST_CLASSES}"
            )
        if count is None:
            return {}, [f"{path}: {NO_NAMES}"]
        return {i: f"class_{i}" for i in range(count)}, []
    if isinstance(names, list):
        names = dict(enumerate(names))
        words = dict(enumerate(words)) if isinstance(words, list) else {}
    if not isinstance(names, dict):
        raise RinrInputError(_names_error(path, f"found {shown(names)}"))
    texts = list(words.values()) if isinstance(words, dict) else []
    # With merged maps (<<), there are other keys.
    if len(texts) != len(names) or not all(isinstance(text, str) for text in texts):
        texts = [str(value) for value in names.values()]
    found: dict[int, str] = {}
    for (key, value), text in zip(names.items(), texts, strict=True):
        class_id = _whole(key)
        if class_id is None or not 0 <= class_id < MOST_CLASSES:
            raise RinrInputError(_names_error(path, f"found the class id {shown(key)}"))
        if class_id in found:
            raise RinrInputError(f"{path}: names: class id {class_id} is given twice")
        if isinstance(value, (list, dict, tuple, set)):
            raise RinrInputError(
                f"{path}: names: class {class_id} is {shown(value)}; expected a name"
            )
        if len(str(text)) > MOST_CLASS_NAME:
            raise RinrInputError(
                f"{path}: names: the name of class {class_id} has {len(str(text)):,} characters, "
                f"at most {MOST_CLASS_NAME:,}"
            )
        if value is None:
            found[class_id] = f"class_{class_id}"
            warnings.append(f"{path}: names: class {class_id} has no name; it is class_{class_id}")
            continue
        found[class_id] = str(text)
        if str(value) != str(text):
            warnings.append(
                f"{path}: names: class {class_id}: YAML reads {text:.60} as {shown(value)}; the "
                f'name is kept as "{text:.60}". Put it in quotes'
            )
    warnings += _count_warnings(path, found, data.get("nc"), count)
    return dict(sorted(found.items())), warnings


def keypoint_shape(path: Path, data: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return `kpt_shape`: the number of keypoints, and of the numbers of each (2 or 3).

    Raises:
        RinrInputError: it is something else.
    """
    shape = data.get("kpt_shape")
    if shape is None:
        return None
    known = as_kpt_shape(shape)
    if known is None:
        raise RinrInputError(
            f"{path}: kpt_shape: {shown(shape)}; expected [number of keypoints, 2 or 3], such as "
            "[17, 3]"
        )
    return known


def _names_error(path: Path, found: str) -> str:
    return (
        f"{path}: names: {found}; expected a list of class names, or a map from class id (0 to "
        f"{MOST_CLASSES - 1}) to name"
    )


def _count_warnings(
    path: Path, found: Mapping[int, str], given: object, count: int | None
) -> list[str]:
    warnings = []
    if given is not None and count != len(found):
        warnings.append(
            f"{path}: nc is {shown(given)}, and names has {len(found)} names: YOLO refuses that"
        )
    if found and (gaps := [i for i in range(max(found)) if i not in found]):
        some = ", ".join(map(str, gaps[:5])) + (", ..." if len(gaps) > 5 else "")
        warnings.append(
            f"{path}: names: no name for class {some}; YOLO expects ids from 0 without gaps"
        )
    return warnings


def _whole(value: object) -> int | None:
    """Return a whole number, also one that is given as text or as a float such as 2.0."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return int(value) if float(value) == int(value) else None
    except (ValueError, OverflowError):
        return None

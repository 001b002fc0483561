"""Which label belongs to which picture, where labels name pictures in their own way.

The sources of COCO and Pascal VOC call this. A wrong match is worse than none: what is not certain
is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Matches", "match", "steps_of"]

_DRIVE_OR_URL = re.compile(r"^(?:[a-zA-Z]:(?=/)|[a-zA-Z][a-zA-Z0-9+.-]*://)")


@dataclass(frozen=True, slots=True)
class Matches:
    """The number of the label of each picture, and pictures that might have the same one."""

    labels: dict[int, int]
    ambiguous: list[int]


def match(pictures: Sequence[tuple[str, str]], labels: Sequence[str]) -> Matches:
    """Match names by their last steps.

    A label belongs to a picture if its name ends the picture's path, or ends with its name.

    Args:
        pictures: The name of each picture in its source, and its whole path.
        labels: The name that each label gives for its picture; no two alike.

    Example:
        >>> match([("a.jpg", "/ds/val/a.jpg"), ("b.jpg", "/ds/val/b.jpg")], ["val/b.jpg"]).labels
        {1: 0}
    """
    wanted = [steps_of(name) for name in labels]
    by_last: dict[str, list[int]] = {}
    for i, steps in enumerate(wanted):
        if steps:
            by_last.setdefault(steps[-1], []).append(i)
    found: dict[int, int] = {}
    ambiguous: set[int] = set()
    claims: dict[int, list[tuple[bool, int, int]]] = {}
    for number, (name, path) in enumerate(pictures):
        own, whole = steps_of(name), steps_of(path)
        fits = []
        for i in by_last.get(own[-1], ()):
            common = _common(wanted[i], whole)
            if common == len(wanted[i]) or common >= len(own):
                fits.append((wanted[i] == own, common, i))
        fits.sort(reverse=True)
        if len(fits) > 1 and fits[0][:2] == fits[1][:2]:
            ambiguous.add(number)
        elif fits:
            exact, common, label = fits[0]
            claims.setdefault(label, []).append((exact, common, number))
    for label, rivals in claims.items():
        rivals.sort(key=lambda rival: rival[:2], reverse=True)
        if len(rivals) > 1 and rivals[0][:2] == rivals[1][:2]:
            ambiguous.update(number for _, _, number in rivals)
        else:
            found[rivals[0][2]] = label
    return Matches(found, sorted(ambiguous))


def steps_of(name: str) -> list[str]:
    """Split a path or URL into steps, without "." and with ".." resolved.

    Works for the separators of any tool.
    """
    steps: list[str] = []
    for step in _DRIVE_OR_URL.sub("", name.replace("\\", "/")).split("/"):
        if step == "..":
            del steps[-1:]
        elif step not in ("", "."):
            steps.append(step)
    return steps


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Count how many of the last steps are the same."""
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count

"""What a long call says while it runs: how far it is, and notes for people.

`compress`, `decompress` and `verify` take the callbacks; the command line draws and prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Hint", "OnMessage", "OnProgress", "Progress", "ignore"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a call is.

    Attributes:
        stage: "fitting", "decoding" or "verifying".
        done: how many of `total` frames (of `verify`: files) are done; fractions count, and it
            never falls.
        total: how many there are.
        label: what is worked on, such as the name of a split; empty where there is no such name.

    Example:
        >>> from rinrcodec import Progress
        >>> Progress("fitting", 2.5, 10).done
        2.5
    """

    stage: str
    done: float
    total: float
    label: str = ""


class Hint(str):
    """A message to show in any case, also where other messages are dropped.

    It says how to resume after the error that is about to be raised, or that the output is not
    protected from a second run.
    """

    __slots__ = ()


OnProgress = Callable[[Progress], object]
OnMessage = Callable[[str], object]


def ignore(_: object) -> None:
    """Drop a report: the callback where the caller gave none."""

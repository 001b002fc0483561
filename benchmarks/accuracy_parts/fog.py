"""Bytes through the fog of the paper with every codec, at equal accuracy. accuracy.py calls this.

Devices hold JPEG files. The paper sends them to a fog node once, which sends smaller files on; its
5.16 times fewer bytes are those of networks in place of JPEG files. Here every codec takes the
place of the networks, with the bytes at which the detector is as accurate as in JPEG files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from accuracy_parts.arms import OBJECTS
from accuracy_parts.curves import Interval, Table
from harness.reports import markdown_table
from rinrcodec.evaluation.fog import (
    PUBLISHED_ALPHA,
    Codec,
    equal_devices,
    serverless,
    through_fog,
)
from rinrcodec.evaluation.rates import rate_curve

__all__ = ["Cell", "FogSet", "Level", "fog_body", "fog_data", "fog_set", "levels_of"]

DEVICES = equal_devices(10, n_bytes=1)
LESS = 0.9  # of the accuracy in original files
# Of the first table: so many of the highest accuracies.
ANSWERED = 3
INTRO = """Ten devices hold JPEG files that the nine others need, as in the paper. Every factor says
how many times fewer bytes are sent than with the original files from device to device. *Through the
fog*: the original files go to a fog node once, and files of the codec from there to nine devices.
This factor is below 9, however small the files are. *Encoded by the devices*: each device sends
files of the codec to the nine others, without a fog.

Every row of this table, and every column of the next ones, is an accuracy of the detector: in the
original files, in JPEG files of lower qualities, and 10 % less than in the original files. Each
codec has the bytes at which the detector is as accurate, interpolated between its measured
qualities. [Accuracy over bytes](accuracy.md) has the points and the settings of the codecs. A dash:
the detector is less accurate at all of them. With *over* and *under*, it is more accurate at all of
them. The bytes are then those of the lowest.

Brackets: 95 % bootstrap interval, over sets of pictures drawn from these with replacement. "N %
without": in so many of these sets, the codec has no points around the accuracy. If these are more
than 2.5 % on one side, the interval is open there. "At most" or "at least" then names the other
bound, if there is one.

Only bytes are counted: no time or energy to encode, no lost packets ([when a fog saves
nothing](../fog.md)). The paper does not publish the accuracy that belongs to its 5.16 times as a
number, and trains on the decoded frames. Here a detector that is trained on original files looks at
them."""


@dataclass(frozen=True)
class Level:
    """An accuracy to reach: a share of that in the files of a coding."""

    name: str
    coding: str
    share: float = 1.0


@dataclass(frozen=True)
class Cell:
    """The bytes of a codec at an accuracy.

    original: the bytes of an original file. more: how many percent more these are; of unknown rate
    where the codec has no points around the accuracy. smallest: the bytes of its smallest point, if
    even that is more accurate.
    """

    original: float
    more: Interval
    smallest: float | None = None

    @property
    def size(self) -> float | None:
        """The bytes, or those of the smallest point."""
        rate = self.more.rate
        return self.smallest if rate is None else self.original / _times_less(rate)

    def factor(self, less: Callable[[float], float]) -> float | None:
        """Return how many times fewer bytes are sent; `less` takes a percentage like `more`."""
        return None if self.size is None else less(100 * (self.original / self.size - 1))

    def text(self, less: Callable[[float], float]) -> str:
        """Return the factor as a table has it."""
        if self.smallest is not None:
            return f"over {self.factor(less):.2f}"
        return self.more.text(lambda more: f"{less(more):.2f}", "")

    def size_text(self) -> str:
        """Return the bytes as a table has them."""
        if self.size is None:
            return "-"
        return f"{'' if self.smallest is None else 'under '}{self.size:,.0f}"


@dataclass(frozen=True)
class FogSet:
    """The codecs on a set of pictures.

    words: what the pictures are. figure: the name of the accuracy. original: the bytes of a file as
    it comes. levels: the accuracies to reach, by name. rows: by codec and level.
    """

    words: str
    figure: str
    original: float
    levels: Mapping[str, float]
    rows: Mapping[str, Mapping[str, Cell]]


def _times_less(more: float) -> float:
    """Return how many times fewer bytes a codec takes, if the original has `more` percent more."""
    return 1 + more / 100


def _times_less_through_fog(more: float) -> float:
    """Return the same for all that is sent, if the fog encodes."""
    codec = Codec("codec", 1 / _times_less(more))
    return serverless(DEVICES).n_bytes / through_fog(DEVICES, codec).n_bytes


def levels_of(original: str, jpegs: Mapping[str, str]) -> list[Level]:
    """Return the accuracies to reach, from the highest.

    Args:
        original: The coding of the original files.
        jpegs: The codings of smaller JPEG files, by their names.
    """
    levels = [Level("original", original), Level("original, less 10 %", original, LESS)]
    return levels + [Level(name, coding) for name, coding in jpegs.items()]


def fog_set(
    table: Table,
    *,
    words: str,
    figure: str,
    levels: Sequence[Level],
    codecs: Mapping[str, Sequence[str]],
) -> FogSet:
    """Compare the bytes of codecs with those of the original files, at equal accuracy.

    Args:
        table: With all codings.
        words: What the pictures are.
        figure: The name of the accuracy.
        levels: The accuracies to reach, the first of them in the original files.
        codecs: The codings of every codec.
    """
    original = levels[0].coding
    size = table.points([original])[0][0]
    reached = {one.name: one.share * table.points([one.coding])[0][1] for one in levels}

    def cell(keys: Sequence[str], level: Level) -> Cell:
        more = table.saving(original, keys, at=level.coding, share=level.share)
        smallest, least = rate_curve(table.points(keys))[0]
        lower = more.rate is None and reached[level.name] < least
        return Cell(size, more, smallest if lower else None)

    rows = {name: {one.name: cell(keys, one) for one in levels} for name, keys in codecs.items()}
    return FogSet(words, figure, size, reached, rows)


def fog_body(sets: Sequence[FogSet]) -> str:
    """Return the sets as Markdown: the answer as a table, then all tables."""
    return "\n\n".join([_answer(sets), INTRO, *map(_section, sets)])


def _answer(sets: Sequence[FogSet]) -> str:
    """Return the published factor, that of packs with objects, and that of JPEG."""
    published = _times_less_through_fog(100 * (1 / PUBLISHED_ALPHA - 1))

    def text(shown: FogSet, codec: str, level: str, less: Callable[[float], float]) -> str:
        return shown.rows[codec][level].text(less) if codec in shown.rows else "-"

    rows = [
        [
            f"{shown.words}, {shown.figure} {accuracy:.3f}, as in: {level}",
            f"{published:.2f}",
            text(shown, OBJECTS, level, _times_less_through_fog),
            text(shown, OBJECTS, level, _times_less),
            text(shown, "JPEG", level, _times_less),
        ]
        for shown in sets
        for level, accuracy in list(shown.levels.items())[:ANSWERED]
    ]
    header = [
        "times fewer bytes than original files, at equal accuracy",
        "published, through the fog",
    ]
    header += [f"{OBJECTS}, {way}" for way in ("through the fog", "encoded by the devices")]
    header.append("JPEG, encoded by the devices")
    return markdown_table(header, rows)


def _section(shown: FogSet) -> str:
    """Return all tables of a set."""
    header = [f"{level}: {accuracy:.3f}" for level, accuracy in shown.levels.items()]

    def table(first: str, text: Callable[[Cell], str]) -> str:
        rows = [[codec, *map(text, its.values())] for codec, its in shown.rows.items()]
        return markdown_table([first, *header], rows)

    return "\n\n".join(
        [
            f"## {shown.words}",
            f"Columns are {shown.figure}. The original files have {shown.original:,.0f} bytes.",
            table("bytes a picture", Cell.size_text),
            table("through the fog", lambda cell: cell.text(_times_less_through_fog)),
            table("encoded by the devices", lambda cell: cell.text(_times_less)),
        ]
    )


def fog_data(sets: Sequence[FogSet]) -> list[dict[str, Any]]:
    """Return the sets ready for JSON, with both factors of every codec and accuracy."""

    def row(cell: Cell) -> dict[str, Any]:
        return {
            "bytes": cell.size,
            "is_bound": cell.smallest is not None,
            "through_fog": cell.factor(_times_less_through_fog),
            "by_devices": cell.factor(_times_less),
            "more_percent": asdict(cell.more),
        }

    return [
        {
            "words": one.words,
            "figure": one.figure,
            "original_bytes": one.original,
            "levels": dict(one.levels),
            "rows": {
                codec: {level: row(cell) for level, cell in its.items()}
                for codec, its in one.rows.items()
            },
        }
        for one in sets
    ]

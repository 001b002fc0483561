"""Rows of a report: each a recipe, with what it gives for some frames.

The table, the plots, the advice and the JSON of a report all read the same rows, so that none of
them can show another recipe under the same name.
"""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rinrcodec.evaluation.accuracy import Accuracy
from rinrcodec.evaluation.speed import Speed
from rinrcodec.metrics import Quality, frame_quality, mean_quality
from rinrcodec.picture import Picture
from rinrcodec.printing import printable

__all__ = ["SOURCE", "CodedFrame", "Point", "Recipe", "Row", "shell_line"]

# The place of the source in a command: no word of a command line contains a zero byte.
SOURCE = "\0source"


def shell_line(words: Sequence[str]) -> str:
    r"""Return words as one line that a shell takes, also where names have odd characters.

    Example:
        >>> print(shell_line(["cp", "a b.png", "x\ty"]))
        cp 'a b.png' $'x\x09y'
    """
    return " ".join(map(_shell_word, words))


def _shell_word(word: str) -> str:
    if printable(word) == word:
        return shlex.quote(word)
    # Line breaks, control characters, and bytes that are no text.
    safe = (
        chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\x{b:02x}" for b in os.fsencode(word)
    )
    return f"$'{''.join(safe)}'"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to code frames.

    Attributes:
        name: different for all rows of a report, such as "AVIF".
        settings: the settings in a few words, such as "quality 43".
        words: the command that codes a source, with `SOURCE` in place of the source.
    """

    name: str
    settings: str = ""
    words: tuple[str, ...] = ()

    def command(self, source: str) -> str:
        """Return the command for a source, ready to paste into a shell."""
        # A name that begins with a dash would be an option.
        shown = f"./{source}" if source.startswith("-") else source
        return shell_line([shown if word == SOURCE else word for word in self.words])


@dataclass(frozen=True, slots=True, eq=False)
class CodedFrame:
    """A frame in a recipe: its bytes, its PSNR in dB, and its pixels after decoding."""

    n_bytes: float
    quality: Quality
    pixels: NDArray[np.uint8]

    @classmethod
    def of(cls, picture: Picture, n_bytes: float, pixels: NDArray[np.uint8]) -> CodedFrame:
        """Compare decoded pixels with their picture."""
        return cls(n_bytes, frame_quality(picture.pixels, pixels, picture.boxes), pixels)


@dataclass(frozen=True, slots=True)
class Point:
    """The mean bytes and dB of frames in one setting of a codec."""

    n_bytes: float
    quality: Quality

    @classmethod
    def of(cls, frames: Sequence[CodedFrame]) -> Point:
        """Return the means of frames, at least one."""
        n_bytes = math.fsum(frame.n_bytes for frame in frames) / len(frames)
        return cls(n_bytes, mean_quality([frame.quality for frame in frames]))

    @property
    def inside(self) -> float:
        """The PSNR of the objects, or of the frame where there are none."""
        objects = self.quality.objects
        return self.quality.frame if objects is None else objects

    @property
    def outside(self) -> float:
        """The PSNR outside the boxes, or of the frame where there is nothing outside."""
        background = self.quality.background
        return self.quality.frame if background is None else background


@dataclass(frozen=True, eq=False)
class Row:
    """A recipe with the frames that it gave.

    Attributes:
        recipe: how the frames were coded.
        frames: at least one, in the order of the pictures.
        speed: seconds of a frame to encode and decode, here.
        is_ours: it is a pack of this package.
        at_fog: devices leave the encoding to a fog node.
        line: the same codec with other settings, for the background of a plot.
        accuracy: what a detector finds in the frames, where one was given.
    """

    recipe: Recipe
    frames: tuple[CodedFrame, ...]
    speed: Speed
    is_ours: bool = False
    at_fog: bool = False
    line: tuple[Point, ...] = ()
    accuracy: Accuracy | None = None

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return self.recipe.name

    @cached_property
    def point(self) -> Point:
        """The means of the frames, and so the place of the row in a plot."""
        return Point.of(self.frames)

    @property
    def n_bytes(self) -> float:
        """The mean bytes of a frame."""
        return self.point.n_bytes

    @property
    def quality(self) -> Quality:
        """The mean dB of the frames."""
        return self.point.quality

    @cached_property
    def bpp(self) -> float:
        """The mean bits a pixel of the frames."""
        bits = [8 * one.n_bytes / math.prod(one.pixels.shape[:2]) for one in self.frames]
        return math.fsum(bits) / len(bits)

    @property
    def inside(self) -> float:
        """The PSNR of the objects, or of the frame where there are none."""
        return self.point.inside

    @property
    def outside(self) -> float:
        """The PSNR outside the boxes, or of the frame where there is nothing outside."""
        return self.point.outside

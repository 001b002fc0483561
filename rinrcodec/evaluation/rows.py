"""Rows of a report: each a recipe, with what it gives for some frames.

The table, the plots, the advice and the JSON of a report all read the same rows, so that none of
them can show another recipe under the same name.
"""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rinrcodec.datasets.names import fit_name
from rinrcodec.evaluation.accuracy import Accuracy
from rinrcodec.evaluation.speed import Speed
from rinrcodec.metrics import Quality, frame_quality, mean_quality
from rinrcodec.picture import Picture
from rinrcodec.printing import printable
from rinrcodec.targets import Tune

__all__ = ["AND", "SOURCE", "CodedFrame", "Point", "Recipe", "Row", "output", "shell_line"]

# Placeholders in the words of a recipe: no word of a command line has a zero byte.
SOURCE = "\0source"
AND = "\0and"  # between two commands
_OUTPUT = "\0output"


def output(ending: str) -> str:
    """Return a word that `Recipe.command` replaces by a new name: NAME-packs for "-packs".

    NAME is that of the source. Words may follow it: output("-copy") + "/1".
    """
    return f"{_OUTPUT}{ending}"


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
        words: the command that codes a source. `SOURCE` means the source, `AND` for "&&", and
            what `output` returns for the output.
    """

    name: str
    settings: str = ""
    words: tuple[str, ...] = ()

    def command(self, source: str) -> str:
        """Return the command for a source, ready to paste into a shell.

        The output is named after the source. Nothing has that name yet.
        """
        commands: list[list[str]] = [[]]
        for word in self.words:
            if word == AND:
                commands.append([])
            elif word == SOURCE:
                commands[-1].append(_no_option(source))
            elif word.startswith(_OUTPUT):
                commands[-1].append(_no_option(_new_name(source, word.removeprefix(_OUTPUT))))
            else:
                commands[-1].append(word)
        return " && ".join(map(shell_line, commands))


def _no_option(name: str) -> str:
    """Prefix a name that begins with a dash, so that it is not read as an option."""
    return f"./{name}" if name.startswith("-") else name


def _new_name(source: str, ending: str) -> str:
    """Return the name of an output that does not exist yet, such as `frames-packs`.

    It is in the current folder, or next to the source where the current folder is inside of it.
    """
    path = Path(source)
    # `.` and `..` are no names; the name of a link is.
    whole = path.resolve() if path.name in ("", "..") else path.absolute()
    is_folder = whole.is_dir()
    stem = whole.name if is_folder else whole.stem
    folder = whole.parent if is_folder and Path.cwd().is_relative_to(whole.resolve()) else Path()
    ending, slash, below = ending.partition("/")
    ending, dot, suffix = ending.partition(".")
    for number in count(1):
        again = f"-{number}" if number > 1 else ""
        name = str(folder / fit_name(f"{stem or 'pictures'}{ending}{again}{dot}{suffix}"))
        if not os.path.lexists(name):
            break
    return f"{name}{slash}{below}"


@dataclass(frozen=True, slots=True, eq=False)
class CodedFrame:
    """A frame in a recipe: its bytes, its PSNR in dB, and its pixels after decoding.

    Where nobody looks at the pixels, they are zeros of the same shape: see `without_pixels`.
    """

    n_bytes: float
    quality: Quality
    pixels: NDArray[np.uint8]

    @classmethod
    def of(cls, picture: Picture, n_bytes: float, pixels: NDArray[np.uint8]) -> CodedFrame:
        """Compare decoded pixels with their picture."""
        return cls(n_bytes, frame_quality(picture.pixels, pixels, picture.boxes), pixels)

    def without_pixels(self) -> CodedFrame:
        """Return the frame with zeros for pixels, which take no memory."""
        return replace(self, pixels=np.broadcast_to(np.uint8(0), self.pixels.shape))


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
        tune: what bytes are spent on, where the recipe says it.
        line: the same codec with other settings, for the background of a plot.
        accuracy: what a detector finds in the frames, where one was given.
    """

    recipe: Recipe
    frames: tuple[CodedFrame, ...]
    speed: Speed
    is_ours: bool = False
    at_fog: bool = False
    tune: Tune | None = None
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

"""Settings of av1 backgrounds: effort, quality, and how sequences are cut. Plain data, no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rinrcodec.errors import RinrInputError
from rinrcodec.families.av1.layout import MOST_FRAMES, SHRINKS

__all__ = ["OBJECTS_QUALITY", "QUALITIES", "Av1ObjectSettings", "Av1Settings", "pixel_work"]

_TOGETHER = 16  # frames that are encoded together where groups are smaller
# Where the target does not say any: chosen on one half of the photos of COCO, by the accuracy of a
# detector. Smaller pictures need a higher quality for the same accuracy.
QUALITIES = {1: 20, 2: 40, 4: 65}  # by `shrink`
OBJECTS_QUALITY = 40
_WORK = 200_000  # about how many multiplications a pixel takes at speed 0; half of it per speed


@dataclass(frozen=True, slots=True)
class Av1Settings:
    """AV1 for every frame, or for groups of frames of a sequence where that takes fewer bytes.

    speed: of libaom, which codes single frames: 0, the slowest, to 10.
    preset: of SVT-AV1, which codes groups of frames: 0, the slowest, to 13.
    quality: 0 to 100, as of AVIF files, where the target does not say any; None takes `QUALITIES`.
    gop: frames of a group at most; 1 codes every frame alone.
    shrink: divisor of the width and height of frames before encoding.
    most_pixels: of all frames of a group, which are in memory at once.
    """

    speed: int
    preset: int
    quality: int | None = None
    gop: int = 16
    shrink: int = 1
    most_pixels: int = 2**25

    def __post_init__(self) -> None:
        if not isinstance(self.gop, int) or not 1 <= self.gop <= MOST_FRAMES:
            raise RinrInputError(f"gop={self.gop!r}: expected 1 to {MOST_FRAMES} frames of a group")
        if type(self.shrink) is not int or self.shrink not in SHRINKS:
            raise RinrInputError(f"shrink={self.shrink!r}: expected one of {SHRINKS}")

    @property
    def default_quality(self) -> int:
        """The quality where the target does not say any."""
        return QUALITIES[self.shrink] if self.quality is None else self.quality

    def work_of(self, area: int) -> float:
        """Return about how many multiplications libaom takes for a frame of `area` pixels."""
        return pixel_work(self.speed) * area / self.shrink**2

    def group_size(self, n_frames: int, area: int) -> int:
        """Return how many of `n_frames` frames of `area` pixels each the first group takes."""
        most = max(1, min(self.gop, self.most_pixels // area))
        return math.ceil(n_frames / math.ceil(n_frames / most))

    def chunk(self, n_frames: int, area: int) -> int:
        """Return how many frames to encode together: one group, or several small ones."""
        size = self.group_size(n_frames, area)
        most = max(1, self.most_pixels // area)
        return min(n_frames, size * max(1, min(_TOGETHER, most) // size))


@dataclass(frozen=True, slots=True)
class Av1ObjectSettings:
    """Atlases of residuals.

    speed: of libaom: 0, the slowest, to 10.
    quality: 0 to 100, as of AVIF files, where the target does not say any.
    frames: that share an atlas at most.
    gop: frames at most of a row of atlases, in which objects keep their cells.
    """

    speed: int
    quality: int = OBJECTS_QUALITY
    frames: int = 64
    gop: int = 16


def pixel_work(speed: int) -> float:
    """Return about how many multiplications libaom takes for a pixel at a speed."""
    return _WORK * 0.5**speed

"""Settings of a pyramid: how rows are made up, and what is asked of them. Plain data, no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rinrcodec.errors import RinrInputError
from rinrcodec.families.fitting import Recipe
from rinrcodec.families.pyramid.limits import MOST_FRAMES, MOST_PREDICTED
from rinrcodec.pack import Spec

__all__ = ["STEP_WORK", "PyramidSettings"]

STEP_WORK = 1_000  # about how many multiplications a pixel takes in a step


@dataclass(frozen=True, slots=True)
class PyramidSettings:
    """A pyramid of latents for every frame.

    lmbda: of a target that names nothing else.
    object_weight: how much more an error counts inside a box.
    together: frames of a row at most, which share networks; fewer where they have over
        `most_pixels` pixels. As many as the command line encodes at once.
    shared_below: bytes of a frame's latents, in a trial: where they are more, every frame has a
        row, and so networks, of its own, unless it is predicted.
    most_predicted: frames of a row at most where each is predicted from the one before: to see one
        of them, those before it are decoded.
    at_once: pixels whose gradients are in memory at once, of predicted frames and on a GPU: they
        take about a kilobyte each.
    The recipe's learning rate is that of networks, and of latents in sixteenths of a step.
    """

    recipe: Recipe
    lmbda: float = 1e-3
    object_weight: float = 4.0
    together: int = 16
    shared_below: int = 8_000
    most_predicted: int = MOST_PREDICTED
    most_pixels: int = 2**23
    at_once: int = 2**21
    start: str = "a"

    def __post_init__(self) -> None:
        # Found out after a long fit otherwise, by a decoder.
        for name, most in (("together", MOST_FRAMES), ("most_predicted", MOST_PREDICTED)):
            if not 1 <= getattr(self, name) <= most:
                raise RinrInputError(
                    f"{name}={getattr(self, name)}: expected 1 to {most} frames of a row"
                )

    def predicted(self, area: int) -> int:
        """Return the most frames of `area` pixels that a row has where they are predicted."""
        return max(1, min(self.most_predicted, self.at_once // area))

    def rows(self, n_frames: int, area: int) -> int:
        """Return how many rows, of about equal length, frames of `area` pixels take."""
        return math.ceil(n_frames / max(1, min(self.together, self.most_pixels // area)))

    def spec(self, channels: int) -> Spec:
        """Return the networks; `channels` is 3 for RGB, 1 for grey."""
        return Spec.of("pyramid", out=channels, start=self.start)

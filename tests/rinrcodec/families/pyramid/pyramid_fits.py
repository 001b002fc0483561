"""Small fits of the pyramid family, for its tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data

from rinrcodec.boxes import Region
from rinrcodec.families.fitting import Recipe
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.encode import PyramidBackgrounds
from rinrcodec.families.pyramid.fit import _Fit, fit_pyramid
from rinrcodec.families.pyramid.latents import decode_row
from rinrcodec.targets import Target

Pixels = NDArray[np.uint8]
CPU = torch.device("cpu")
STEPS = 20
SETTINGS = PyramidBackgrounds(Recipe(STEPS, 1e-2, None, warmup=0))
WIDTH, HEIGHT = 64, 48


def face() -> Pixels:
    """The face of skimage's astronaut, 64x48."""
    pixels: Pixels = data.astronaut()[40 : 40 + 2 * HEIGHT : 2, 160 : 160 + 2 * WIDTH : 2]
    return np.ascontiguousarray(pixels)


def fit(
    frames: list[Pixels],
    *,
    target: Target | None = None,
    settings: PyramidBackgrounds = SETTINGS,
    regions: tuple[Region, ...] = (),
    predicted: bool = False,
    seed: int = 0,
    threads: int = 1,
) -> bytes:
    return fit_pyramid(
        settings.spec(3),
        [torch.tensor(frame) for frame in frames],
        [regions] * len(frames),
        settings,
        target=target or Target(),
        predicted=predicted,
        seed=seed,
        device=CPU,
        threads=threads,
    )


def a_fit(
    frames: list[Pixels], *, target: Target | None = None, predicted: bool = False, steps: int = 0
) -> _Fit:
    """A fit after some of its soft steps."""
    tensors = [torch.tensor(frame) for frame in frames]
    none: list[list[Region]] = [[]] * len(frames)
    fitted = _Fit(SETTINGS.spec(3), tensors, none, SETTINGS, target or Target(), predicted, 0, CPU)
    for _ in range(steps):
        fitted.soft_step(0.3)
    return fitted


def shortened(steps: int) -> PyramidBackgrounds:
    return replace(SETTINGS, recipe=replace(SETTINGS.recipe, steps=steps))


def decoded(row: bytes, frame: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Pixels:
    frames = decode_row(SETTINGS.spec(3), row, size, [frame], CPU)
    with torch.no_grad():
        signal = pyramid.synthesize(frames.weights, frames.latents, frames.steps, 3)[0]
    pixels: Pixels = ((signal + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return pixels

"""The start of the family `pyramid`: networks fitted to many pictures at once, as a file.

Crops of the colour photographs that come with scikit-image, and some grey textures that are tinted,
are fitted together: latents of their own for each, one set of networks for all, each crop at a
lambda of its own. A stage begins with the networks of the one before and with new crops.

The result depends on the machine's floating point in its last bits, and every bit of it is part of
the file format: a start that was released is never made again, a better one gets a name of its own.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from torch import Tensor

from rinrcodec.compute.compose import to_signal
from rinrcodec.families.pyramid import network as pyramid
from rinrcodec.families.pyramid.fit import LATENT_BETAS, LATENT_GAIN
from rinrcodec.families.pyramid.soap import Soap
from rinrcodec.families.pyramid.soft_round import noisy, soft_schedule
from rinrcodec.pack import Spec

PHOTOGRAPHS = (
    *("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg") * 3,
    *("hubble_deep_field.jpg", "motorcycle_left.png", "motorcycle_right.png") * 2,
    "ihc.png",
    "retina.jpg",
)
TEXTURES = ("grass.png", "brick.png", "gravel.png", "camera.png")
LAMBDAS = (2e-4, 6e-3)
RATE = 1e-2
TOGETHER = 4  # crops whose graph is in memory at once: caches are small


def crops(size: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return square crops [n, size, size, 3], most of them of pictures made smaller."""
    folder = Path(data.__file__).parent
    pieces = []
    for name in (*PHOTOGRAPHS, *TEXTURES):
        with Image.open(folder / name) as opened:
            image = opened.convert("RGB")
        scale = max(generator.uniform(0.45, 1.0), size / min(image.size))
        shape = [max(size, round(side * min(1.0, scale))) for side in image.size]
        image = image.resize((shape[0], shape[1]), Image.Resampling.LANCZOS)
        left, top = (int(generator.integers(0, side - size + 1)) for side in image.size)
        pixels = np.asarray(image.crop((left, top, left + size, top + size)), np.float64)
        if name in TEXTURES:
            pixels = pixels * generator.uniform(0.8, 1.1, 3)
        pieces.append(pixels.clip(0, 255).astype(np.uint8))
    return np.stack(pieces)


def stage(
    weights: dict[str, Tensor],
    usual: Tensor | None,
    pictures: NDArray[np.uint8],
    steps: int,
    generator: np.random.Generator,
) -> Tensor:
    """Fit `weights`, in place, to pictures; how log steps follow from log lambda: [2, 2, LEVELS].

    usual: what the stage before has returned.
    """
    wanted = to_signal(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    n, _, height, width = wanted.shape
    logs = generator.permutation(np.linspace(math.log(LAMBDAS[0]), math.log(LAMBDAS[1]), n))
    lambdas = torch.from_numpy(logs).float().exp()
    noise = torch.Generator().manual_seed(int(generator.integers(2**31)))
    latents = [
        [torch.zeros(n, *size, requires_grad=True) for size in sizes]
        for sizes in pyramid.grid_sizes(width, height)
    ]
    log_steps = torch.full((n, 2, pyramid.LEVELS), math.log(0.2))
    log_steps += 0.5 * (lambdas / 1e-3).log()[:, None, None]
    if usual is not None:
        log_steps = usual[0] + usual[1] * lambdas.log()[:, None, None]
    log_steps.requires_grad_()
    flat = [grid for grids in latents for grid in grids]
    adam = torch.optim.Adam(
        [{"params": flat, "betas": LATENT_BETAS}, {"params": [log_steps], "betas": (0.9, 0.99)}],
        lr=RATE,
        eps=1e-12,
    )
    soap = Soap([weight.requires_grad_() for weight in weights.values()])
    begin = time.perf_counter()
    for step in range(steps):
        rate, temperature, spread = soft_schedule(step / steps)
        for group in adam.param_groups:
            group["lr"] = RATE * rate
        total = 0.0
        for first in range(0, n, TOGETHER):
            some = slice(first, first + TOGETHER)
            seen = [
                [noisy(grid[some] * LATENT_GAIN, temperature, spread, noise) for grid in grids]
                for grids in latents
            ]
            signal = pyramid.synthesize(weights, seen, log_steps[some].exp(), 3)
            error = (signal - wanted[some]).square().mean((1, 2, 3)) / 4
            bits = pyramid.latent_bits(weights, seen) / (height * width)
            # Neither the crops of much rate nor those of much error are to decide alone.
            cost = (error + lambdas[some] * bits) * (1e-3 / lambdas[some]).sqrt()
            loss = cost.sum() / n
            loss.backward()
            total += loss.item()
        adam.step()
        adam.zero_grad(set_to_none=True)
        soap.step(RATE * rate)
        if (step + 1) % 50 == 0 or step + 1 == steps:
            seconds = time.perf_counter() - begin
            print(f"step {step + 1:5}  {seconds:6.0f} s  loss {total * 1e3:.4f}", flush=True)
    inputs = torch.stack([torch.ones(n), lambdas.log()], 1)
    solution: Tensor = torch.linalg.lstsq(inputs, log_steps.detach().flatten(1)).solution
    return solution.view(2, 2, pyramid.LEVELS)


def to_arrays(weights: dict[str, Tensor], usual: Tensor) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a start's file: weights as integers of their units, and `steps`."""
    arrays: dict[str, NDArray[np.generic]] = {"steps": usual.numpy().astype(np.float32)}
    for name, weight in weights.items():
        codes = (weight.detach() / pyramid.unit_of(name)).round().clamp(-32767, 32767)
        arrays[name] = codes.numpy().astype(np.int16)
    return arrays


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    parser.add_argument("--steps", type=int, nargs="+", default=[500, 700, 650], help="of a stage")
    parser.add_argument("--size", type=int, default=192, help="of a crop, in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--continued", metavar="START", help="begin with the start of that name")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    usual = None
    if options.continued:
        spec = Spec.of("pyramid", out=3, start=options.continued)
        weights = pyramid.start_weights(spec)
        fixed = pyramid.usual_steps(spec, 1.0)
        usual = torch.stack([fixed, pyramid.usual_steps(spec, math.e) - fixed])
    else:
        weights = pyramid.fresh_weights(torch.Generator().manual_seed(options.seed))
    for number, steps in enumerate(options.steps):
        print(f"stage {number + 1} of {len(options.steps)}")
        generator = np.random.default_rng([options.seed, number])
        usual = stage(weights, usual, crops(options.size, generator), steps, generator)
    assert usual is not None
    np.savez_compressed(options.out, **to_arrays(weights, usual))  # type: ignore[arg-type]
    print(f"written: {options.out}")


if __name__ == "__main__":
    main()

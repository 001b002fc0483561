"""How fast SIRENs are fitted: our recipe against the published one, and grouped against one by one.

The reference is the recipe of Rapid-INR and Residual-INR: a SIREN of 10 layers of 28, every pixel
in every step, Adam at 2e-4 under a cosine of 10,000 steps, looked at after --reference-steps. Ours
is the background of the preset, fitted from scratch with more and more steps until it is as good,
quantised to its 8 bits; the reference keeps 16 bits, which is as good as floats.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import frame_part, load_frames, object_part
from harness.reports import markdown_table, write_report
from harness.timing import synchronize, timed
from rinrcodec.compute.compose import to_array
from rinrcodec.compute.devices import resolve_device
from rinrcodec.families.siren.encode import SirenBackgrounds, SirenObjects
from rinrcodec.families.siren.fit import fit_group
from rinrcodec.metrics import mean_db, psnr
from rinrcodec.pack import Frame, Group, InrRef, Pack
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset

STEPS = (500, 1_000, 2_500, 5_000)
OBJECTS = 32
OBJECT_SIDES = (8, 32)  # at most 31 x 31 pixels


@dataclass(frozen=True)
class Fit:
    """One fit of all frames: `seconds` and `psnr` are means over the frames."""

    recipe: str
    steps: int
    seconds: float
    psnr: float


def fit_frames(
    name: str,
    part: SirenBackgrounds,
    pictures: Sequence[Picture],
    *,
    bits: int,
    seed: int,
    device: str,
) -> Fit:
    """Fit the backgrounds of some frames of one size and decode them again."""
    originals = [torch.tensor(picture.pixels) for picture in pictures]
    height, width, channels = originals[0].shape
    spec = part.spec(height * width, channels)
    synchronize(device)
    start = time.perf_counter()
    fitted = fit_group(
        spec, originals, part.recipe, bits=bits, seed=seed, device=resolve_device(device)
    )
    synchronize(device)
    seconds = time.perf_counter() - start
    frames = tuple(Frame(p.name, p.width, p.height, InrRef(0, i)) for i, p in enumerate(pictures))
    pack = Pack(frames, (Group(spec, bits, fitted.rows),))
    values = []
    for index, picture in enumerate(pictures):
        pixels = to_array(rinrcodec.decode(pack, index, device=device))
        values.append(psnr(picture.pixels, pixels))
    return Fit(name, part.recipe.steps, seconds / len(pictures), mean_db(values) or 0.0)


def time_to_reference(
    reference: Fit, preset: str, pictures: Sequence[Picture], *, seed: int, device: str
) -> list[Fit]:
    """Fit our background with more and more steps, up to the first as good as the reference."""
    fits: list[Fit] = []
    for steps in STEPS:
        part = frame_part(preset, steps=steps)
        fits.append(fit_frames(preset, part, pictures, bits=part.bits, seed=seed, device=device))
        if fits[-1].psnr >= reference.psnr:
            break
    return fits


def object_crops(pictures: Sequence[Picture], *, seed: int) -> list[Tensor]:
    """Cut 64 to 961 pixels from random parts of the frames, uint8 [h, w, 3] each."""
    rng = np.random.default_rng(seed)
    crops = []
    for number in range(OBJECTS):
        pixels = pictures[number % len(pictures)].pixels
        h, w = (int(side) for side in rng.integers(*OBJECT_SIDES, size=2))
        y, x = (int(rng.integers(0, n - s)) for n, s in zip(pixels.shape[:2], (h, w), strict=True))
        crops.append(torch.tensor(pixels[y : y + h, x : x + w]))
    return crops


def grouped_times(
    part: SirenBackgrounds | SirenObjects, originals: Sequence[Tensor], *, seed: int, device: str
) -> tuple[float, float]:
    """Return seconds to fit the crops together and one by one, both with one spec."""
    spec = part.spec(max(t.shape[0] * t.shape[1] for t in originals), originals[0].shape[2])

    def fit(grouped: bool) -> None:
        fit_group(
            spec,
            originals,
            part.recipe,
            bits=part.bits,
            seed=seed,
            device=resolve_device(device),
            grouped=grouped,
        )

    together = timed(lambda: fit(True), device=device, repeats=2)
    return together, timed(lambda: fit(False), device=device, repeats=2)


def main() -> None:
    parser = common_parser(__doc__, frames=1)
    parser.add_argument("--preset", default="balanced", help="whose background is compared")
    parser.add_argument("--reference-steps", type=int, default=2_000, help="0: no reference")
    parser.add_argument("--group-steps", type=int, default=50, help="steps of the grouped fits")
    options = parser.parse_args()
    setup(options)
    what, pictures = load_frames(options.frames)
    pictures = [p for p in pictures if p.pixels.shape == pictures[0].pixels.shape]
    settings = {"seed": options.seed, "device": options.device}
    parts: list[str] = []
    data: dict[str, object] = {"frames": what}

    if options.reference_steps:
        paper = frame_part("paper")
        recipe = replace(paper.recipe, steps=options.reference_steps, schedule=paper.recipe.steps)
        reference = fit_frames(
            "reference", replace(paper, recipe=recipe), pictures, bits=16, **settings
        )
        ours = time_to_reference(reference, options.preset, pictures, **settings)
        data["time_to_reference"] = [vars(fit) for fit in (reference, *ours)]
        rows = [
            (fit.recipe, f"{fit.steps:,}", f"{fit.seconds:.2f}", f"{fit.psnr:.2f}")
            for fit in (reference, *ours)
        ]
        verdict = (
            f"The preset `{options.preset}` is as good as the reference after "
            f"{ours[-1].seconds:.2f} s a frame, "
            f"{reference.seconds / ours[-1].seconds:.0f} times sooner."
            if ours[-1].psnr >= reference.psnr
            else f"The preset `{options.preset}` did not get as good as the reference."
        )
        table = markdown_table(["recipe", "steps", "seconds a frame", "PSNR, dB"], rows)
        parts += ["## Against the published recipe", table, verdict]

    preset = get_preset(
        options.preset, steps=options.group_steps, background="siren", objects="siren"
    )
    cases: dict[str, tuple[SirenBackgrounds | SirenObjects, list[Tensor]]] = {
        f"{OBJECTS} objects of at most 961 pixels": (
            object_part(preset),
            object_crops(pictures, seed=options.seed),
        ),
        f"{len(pictures)} backgrounds": (
            frame_part(preset),
            [torch.tensor(p.pixels) for p in pictures],
        ),
    }
    rows = []
    grouped = []
    for case, (part, originals) in cases.items():
        together, alone = grouped_times(part, originals, **settings)
        grouped.append({"case": case, "grouped_s": together, "one_by_one_s": alone})
        rows.append((case, f"{together:.2f}", f"{alone:.2f}", f"{alone / together:.2f}x"))
    data["grouped"] = grouped
    header = [f"{options.group_steps} steps", "grouped, s", "one by one, s", "gain"]
    parts += ["## Grouped against one by one", markdown_table(header, rows)]
    write_report(
        "encode_siren",
        options,
        title="Fitting SIRENs",
        body="\n\n".join([f"On {what}.", *parts]),
        data=data,
    )


if __name__ == "__main__":
    main()

"""How fast packs are decoded: grouped against one by one, and where the time goes.

Speed does not depend on what the weights are, so they are fitted for one step; sizes, specs and
boxes are real. Weights are read from a file on disk in every run.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import _common as common
import torch
from encode_siren import OBJECTS, object_targets
from torch import Tensor

import rinrcodec
from rinrcodec.coords import Grid
from rinrcodec.decoder import Decoder, evaluate
from rinrcodec.devices import resolve_device
from rinrcodec.families import family_of
from rinrcodec.fit import fit_group
from rinrcodec.images import Picture
from rinrcodec.model import PackSource
from rinrcodec.presets import Preset, get_preset
from rinrcodec.quantize import dequantize


def quick_preset(name: str) -> Preset:
    """The networks of a preset, one step of fitting, and every object INR kept."""
    return replace(get_preset(name, steps=1), min_gain=-math.inf)


def object_times(
    pictures: Sequence[Picture], preset: Preset, *, seed: int, device: str
) -> tuple[float, float]:
    """Seconds to evaluate object INRs of one spec together and one by one."""
    targets = object_targets(pictures, seed=seed)
    part = preset.objects
    spec = part.spec(max(t.shape[0] * t.shape[1] for t in targets), 3)
    target_device = resolve_device(device)
    fitted = fit_group(spec, targets, part.recipe, bits=part.bits, seed=seed, device=target_device)
    weights = dequantize(fitted.rows, family_of(spec).tensor_sizes(spec), target_device)
    coords = [_coords(t) for t in targets]

    @torch.no_grad()
    def together() -> None:
        evaluate(spec, weights, coords)

    @torch.no_grad()
    def alone() -> None:
        for index, own in enumerate(coords):
            evaluate(spec, weights[index : index + 1], [own])

    return (
        common.timed(together, device=device, repeats=20),
        common.timed(alone, device=device, repeats=20),
    )


def _coords(target: Tensor) -> Tensor:
    height, width = target.shape[:2]
    everything = slice(None)
    return Grid.of_frame(width, height).coords(everything, everything, 0, 0, width, height)


def frame_times(source: PackSource, *, device: str, repeats: int) -> dict[str, float]:
    """Seconds for all frames of a pack, decoded in several ways."""
    every = list(range(source.n_frames))
    resident = Decoder(source, device=device, resident=True)

    def one_by_one() -> None:
        for index in every:
            rinrcodec.decode(source, index, device=device)

    ways = {
        "grouped": lambda: rinrcodec.decode(source, every, device=device),
        "grouped, weights resident": lambda: resident.decode(every),
        "grouped, backgrounds only": lambda: rinrcodec.decode(
            source, every, device=device, objects=False
        ),
        "one by one": one_by_one,
    }
    return {name: common.timed(w, device=device, repeats=repeats) for name, w in ways.items()}


def stage_times(source: PackSource, *, device: str, repeats: int) -> dict[str, float]:
    """Seconds to read all weights of a pack, and to dequantise them on the device."""
    target_device = resolve_device(device)
    groups = [
        (number, range(info.n_rows), family_of(info.spec).tensor_sizes(info.spec))
        for number, info in enumerate(source.groups)
    ]

    def read() -> None:
        for number, rows, _ in groups:
            source.read_rows(number, rows)

    loaded = [(source.read_rows(number, rows), sizes) for number, rows, sizes in groups]

    def dequantize_all() -> None:
        for rows, sizes in loaded:
            dequantize(rows, sizes, target_device)

    stages = {"reading": read, "dequantising": dequantize_all}
    return {name: common.timed(w, device=device, repeats=repeats) for name, w in stages.items()}


def main() -> None:
    parser = common.parser(__doc__, frames=8)
    parser.add_argument("--preset", default="balanced", help="whose networks are decoded")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the best counts")
    options = parser.parse_args()
    common.setup(options)
    what, pictures = common.load_frames(options.frames)
    preset = quick_preset(options.preset)
    together, alone = object_times(pictures, preset, seed=options.seed, device=options.device)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.rinr"
        pack = rinrcodec.encode(pictures, preset=preset, seed=options.seed, device=options.device)
        rinrcodec.save(pack, path)
        with rinrcodec.open(path) as file:
            times = frame_times(file.reader, device=options.device, repeats=options.repeats)
            stages = stage_times(file.reader, device=options.device, repeats=options.repeats)
    count = len(pictures)
    objects = common.markdown_table(
        [f"{OBJECTS} object INRs of at most 961 pixels", "ms altogether", "gain"],
        [
            ("one by one", f"{1e3 * alone:.2f}", ""),
            ("grouped", f"{1e3 * together:.2f}", f"{alone / together:.2f}x"),
        ],
    )
    frames = common.markdown_table(
        [f"{count} frames with their objects", "ms a frame", "frames/s"],
        [
            (name, f"{1e3 * seconds / count:.2f}", f"{count / seconds:.0f}")
            for name, seconds in {**times, **stages}.items()
        ],
    )
    body = [f"On {what}, networks of the preset `{options.preset}`.", objects, frames]
    common.write_report(
        "decode_siren",
        options,
        title="Decoding SIRENs",
        body="\n\n".join(body),
        data={
            "frames": what,
            "objects": {"grouped_s": together, "one_by_one_s": alone},
            "frames_s": times,
            "stages_s": stages,
        },
    )


if __name__ == "__main__":
    main()

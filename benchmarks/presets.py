"""What every preset costs and gives: seconds, bytes, PSNR, and what quantisation takes from it.

Frames are encoded into one pack, saved, and decoded from the file. The loss is against fits of the
same recipe that never see quantisation. The frames are not those on which the presets were tuned.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import frame_part, load_frames, object_part
from harness.reports import markdown_table, write_report
from harness.timing import synchronize
from rinrcodec.boxes import Region
from rinrcodec.compute.arrays import as_tensor
from rinrcodec.compute.compose import to_array, to_pixels, to_signal
from rinrcodec.compute.devices import resolve_device
from rinrcodec.compute.grids import Grid
from rinrcodec.compute.quantize import dequantize
from rinrcodec.decoder import Decoder
from rinrcodec.families.siren import network
from rinrcodec.families.siren.encode import SirenBackgrounds, SirenObjects
from rinrcodec.families.siren.evaluate import evaluate
from rinrcodec.families.siren.fit import fit_group
from rinrcodec.formats import pack_bytes
from rinrcodec.metrics import frame_quality, mean_db, mean_quality, psnr
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture
from rinrcodec.presets import get_preset


def outputs_of(
    part: SirenBackgrounds | SirenObjects, originals: Sequence[Tensor], *, seed: int, device: str
) -> list[Tensor]:
    """Return outputs of INRs fitted to pictures of one spec: quantised, and wholly in float.

    Two items per picture, each [h, w, channels]: first all quantised ones, then all float ones.
    """
    height, width, channels = originals[0].shape
    spec = part.spec(height * width, channels)
    resolved = resolve_device(device)
    fitted = fit_group(spec, originals, part.recipe, bits=part.bits, seed=seed, device=resolved)
    never = replace(part.recipe, quantized=0.0)
    in_float = fit_group(spec, originals, never, bits=16, seed=seed, device=resolved)
    coords = []
    for original in originals:
        h, w = original.shape[:2]
        coords.append(Grid.of_frame(w, h).coords(Region(0, 0, w, h)))
    rounded = dequantize(fitted.rows, network.tensor_sizes(spec), resolved)
    results = []
    for weights in (rounded, in_float.weights):
        outputs = evaluate(spec, weights, coords)
        results += [o.view(t.shape) for o, t in zip(outputs, originals, strict=True)]
    return results


def background_loss(
    part: SirenBackgrounds, pictures: Sequence[Picture], *, seed: int, device: str
) -> tuple[float, float]:
    """Return the mean PSNR of the frames, quantised and in float."""
    originals = [torch.tensor(p.pixels) for p in pictures]
    outputs = outputs_of(part, originals, seed=seed, device=device)
    values = [
        psnr(p.pixels, to_pixels(o).cpu().numpy())
        for p, o in zip([*pictures, *pictures], outputs, strict=True)
    ]
    return mean_db(values[: len(pictures)]) or 0.0, mean_db(values[len(pictures) :]) or 0.0


def object_loss(
    part: SirenObjects, pack: Pack, pictures: Sequence[Picture], *, seed: int, device: str
) -> tuple[float, float]:
    """Return mean PSNR inside the boxes with quantised and float object INRs, on one background."""
    decoder = Decoder(pack, device=device)
    rounded: list[float] = []
    floats: list[float] = []
    for index, picture in enumerate(pictures):
        for box in picture.boxes:
            region = box.region(picture.width, picture.height)
            if not region.area:
                continue
            background = as_tensor(decoder.background_signal(index, region))
            source = picture.pixels[region.slices]
            residual = to_signal(torch.tensor(source).to(decoder.device)) - background
            gain = float(residual.abs().max())
            outputs = outputs_of(part, [residual / gain], seed=seed, device=device)
            for values, output in zip((rounded, floats), outputs, strict=True):
                pixels = to_pixels(background + output * gain).cpu().numpy()
                values.append(psnr(source, pixels))
    return mean_db(rounded) or 0.0, mean_db(floats) or 0.0


def main() -> None:
    parser = common_parser(__doc__, frames=6)
    parser.add_argument("--one-in", type=int, default=70, help="take one of so many train frames")
    parser.add_argument("--presets", nargs="+", default=["fast", "balanced", "best"])
    parser.add_argument("--steps", type=int, help="fit this many steps in place of the presets'")
    options = parser.parse_args()
    setup(options)
    what, pictures = load_frames(options.frames, split="train", one_in=options.one_in)
    pictures = [p for p in pictures if p.pixels.shape == pictures[0].pixels.shape]
    settings = {"seed": options.seed, "device": options.device}
    made, lost, rows = [], [], []
    for name in options.presets:
        preset = get_preset(name, steps=options.steps, background="siren", objects="siren")
        synchronize(options.device)
        start = time.perf_counter()
        pack = rinrcodec.encode(pictures, preset=preset, **settings)
        synchronize(options.device)
        seconds = (time.perf_counter() - start) / len(pictures)
        packed = pack_bytes(pack)
        n_bytes = len(packed) / len(pictures)
        with rinrcodec.open(packed) as file:
            with_objects, without = (
                mean_quality(
                    [
                        frame_quality(
                            picture.pixels,
                            to_array(file.decode(i, device=options.device, objects=objects)),
                            picture.boxes,
                        )
                        for i, picture in enumerate(pictures)
                    ]
                )
                for objects in (True, False)
            )
        frames = frame_part(preset)
        background = background_loss(frames, pictures, **settings)
        objects_part = object_part(preset)
        inside = object_loss(objects_part, pack, pictures, **settings)
        row = {
            "preset": name,
            "seconds_a_frame": seconds,
            "bytes_a_frame": n_bytes,
            "frame": with_objects.frame,
            "objects": with_objects.objects,
            "objects_without_inr": without.objects,
            "background_quantised": background[0],
            "background_float": background[1],
            "objects_quantised": inside[0],
            "objects_float": inside[1],
        }
        rows.append(row)
        gain = (with_objects.objects or 0.0) - (without.objects or 0.0)
        made.append(
            (
                name,
                f"{seconds:.1f}",
                f"{n_bytes:,.0f}",
                f"{with_objects.frame:.2f}",
                f"{with_objects.objects:.2f}",
                f"{gain:+.2f}",
            )
        )
        lost.append(
            (
                name,
                f"{frames.bits}",
                f"{background[0] - background[1]:+.3f}",
                f"{objects_part.bits}",
                f"{inside[0] - inside[1]:+.3f}",
            )
        )
    header = ["preset", "s a frame", "bytes a frame", "frame, dB", "objects, dB", "by object INRs"]
    loss_header = ["preset", "background bits", "change, dB", "object bits", "change, dB"]
    body = "\n\n".join(
        [
            f"On {what}, in one pack, fitted on {options.device}. PSNR of the decoded file; *by "
            "object INRs* is what they add inside the boxes to the background alone.",
            markdown_table(header, made),
            "## What quantisation takes",
            "PSNR from the stored integers, minus that of a fit of the same recipe and seed that "
            "never sees quantisation, in float.",
            markdown_table(loss_header, lost),
        ]
    )
    data = {"frames": what, "presets": rows}
    write_report("presets", options, title="Presets", body=body, data=data)


if __name__ == "__main__":
    main()

"""Objects as `av1` residuals against the composite: an AVIF frame and crops of its boxes.

    python benchmarks/av1_objects.py --frames 64

Both sides are measured at several qualities, and their bytes are interpolated at a mean PSNR of the
backgrounds (whole frames, without objects) and of the objects. Ours are whole packs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rinrcodec
from harness.arguments import common_parser, setup
from harness.frames import load_frames
from harness.reports import markdown_table, write_report
from rinrcodec.compute.compose import to_array
from rinrcodec.evaluation.baselines import CROP_HEADER_BYTES, decode_picture, encode_picture
from rinrcodec.evaluation.rates import bytes_at
from rinrcodec.families.av1.stream import encode_still
from rinrcodec.formats import pack_bytes
from rinrcodec.metrics import psnr
from rinrcodec.pack import Pack
from rinrcodec.picture import Picture

Point = tuple[float, float]  # bytes a frame, mean PSNR in dB
Pixels = NDArray[np.uint8]


def at(points: Sequence[Point], wanted: float) -> float:
    """Return bytes at a PSNR, between the two points around it; exit if there are none."""
    found = bytes_at(points, wanted)
    if found is None:
        errors = [error for _, error in points]
        raise SystemExit(
            f"error: {wanted} dB is outside of the {min(errors):.1f} to {max(errors):.1f} dB "
            "that were measured; give other qualities"
        )
    return found


def coded_file(pixels: Pixels, codec: str, quality: int) -> tuple[int, Pixels]:
    """Return the bytes of a file of Pillow, and what it decodes to."""
    data = encode_picture(codec, pixels, quality)
    return len(data), decode_picture(data, "L" if pixels.ndim == 2 else "RGB")


def bare_row(pixels: Pixels, quality: int) -> tuple[int, Pixels]:
    """Return the bytes of an AV1 stream without a file around it, and what it decodes to."""
    from rinrcodec.families.av1.decode import row_pixels
    from rinrcodec.families.av1.layout import row_spec

    row = encode_still(pixels, quality=quality, speed=6)
    spec = row_spec(1, "400", 8) if pixels.ndim == 2 else row_spec(3, "444", 8)
    height, width = pixels.shape[:2]
    decoded = row_pixels(spec, row, (width, height))[0].reshape(pixels.shape)
    return len(row), decoded


def curve(
    pictures: Sequence[Pixels],
    code: Callable[[Pixels, int], tuple[int, Pixels]],
    qualities: Sequence[int],
    n_frames: int,
) -> list[Point]:
    """Return mean bytes a frame, and the mean PSNR of the pictures, at every quality."""
    points = []
    for quality in qualities:
        coded = [code(pixels, quality) for pixels in pictures]
        errors = [psnr(a, b) for a, (_, b) in zip(pictures, coded, strict=True)]
        points.append((sum(size for size, _ in coded) / n_frames, float(np.mean(errors))))
    return points


def crops_of(pictures: Sequence[Picture], frames: Sequence[Pixels]) -> list[Pixels]:
    """Return the pixels of all boxes, in the order of the pictures."""
    crops = []
    for picture, pixels in zip(pictures, frames, strict=True):
        regions = (box.region(picture.width, picture.height) for box in picture.boxes)
        crops += [np.ascontiguousarray(pixels[r.slices]) for r in regions if r.area]
    return crops


def decoded(pack: Pack, pictures: Sequence[Picture]) -> list[Pixels]:
    return [to_array(rinrcodec.decode(pack, i), p.mode) for i, p in enumerate(pictures)]


def ours(pictures: Sequence[Picture], preset: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the curve of backgrounds, and that of objects on top of them at the wanted PSNR."""

    def encode(**arguments: Any) -> Pack:
        asked = {"background": "av1", "gop": options.gop, "seed": options.seed}
        return rinrcodec.encode(
            pictures, preset=preset, device=options.device, **asked, **arguments
        )

    began = time.perf_counter()
    backgrounds: list[tuple[float, float, Pack]] = []
    for quality in options.backgrounds:
        pack = encode(objects="none", target=rinrcodec.Target(quality=quality, tune="psnr"))
        errors = [psnr(p.pixels, d) for p, d in zip(pictures, decoded(pack, pictures), strict=True)]
        backgrounds.append((len(pack_bytes(pack)) / len(pictures), float(np.mean(errors)), pack))
    seconds = (time.perf_counter() - began) / len(options.backgrounds) / len(pictures)
    points = [(size, error) for size, error, _ in backgrounds]
    size, _, base = min(backgrounds, key=lambda one: abs(one[1] - options.background_psnr))
    originals = crops_of(pictures, [picture.pixels for picture in pictures])
    on_top = []
    began = time.perf_counter()
    for quality in options.objects:
        target = rinrcodec.Target(objects_quality=quality, tune="psnr")
        pack = encode(objects="av1", target=target, reuse=base)
        crops = crops_of(pictures, decoded(pack, pictures))
        errors = [psnr(a, b) for a, b in zip(originals, crops, strict=True)]
        on_top.append((len(pack_bytes(pack)) / len(pictures) - size, float(np.mean(errors))))
    object_seconds = (time.perf_counter() - began) / len(options.objects) / len(pictures)
    return {
        "background": points,
        "objects": on_top,
        "seconds": seconds,
        "object_seconds": object_seconds,
    }


def sizes(background: float, objects: float) -> list[str]:
    """Return the bytes of both and their sum, as a table has them."""
    return [f"{size:,.0f}" for size in (background, objects, background + objects)]


def measured_points(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> str:
    """Return a table of what the curves of ours are made of."""
    table = []
    for row in rows:
        for what, qualities, points in (
            ("backgrounds", options.backgrounds, row["background"]),
            ("objects", options.objects, row["objects"]),
        ):
            for quality, (size, error) in zip(qualities, points, strict=True):
                table.append([row["preset"], what, quality, f"{size:,.0f}", f"{error:.1f}"])
    return markdown_table(["preset", "of", "quality", "bytes a frame", "dB"], table)


def main() -> None:
    parser = common_parser(__doc__, frames=64)
    parser.add_argument("--split", default="val", choices=["val", "train"], help="of DAC-SDC")
    parser.add_argument("--presets", nargs="+", default=["fast", "balanced", "best"])
    parser.add_argument("--backgrounds", type=int, nargs="+", default=[20, 26, 34])
    parser.add_argument("--objects", type=int, nargs="+", default=[46, 56, 66, 76])
    parser.add_argument("--background-psnr", type=float, default=30.0, metavar="DB")
    parser.add_argument("--object-psnr", type=float, default=36.0, metavar="DB")
    parser.add_argument("--gop", type=int, default=1, help="frames that share a row")
    options = parser.parse_args()
    setup(options)
    what, pictures = load_frames(options.frames, split=options.split, evenly=True)
    pixels = [picture.pixels for picture in pictures]
    crops = crops_of(pictures, pixels)
    wanted, wanted_objects = options.background_psnr, options.object_psnr

    files = curve(pixels, lambda p, q: coded_file(p, "avif", q), options.backgrounds, len(pixels))
    rivals = {}
    for codec, code in {
        "AVIF": lambda p, q: coded_file(p, "avif", q),
        "WebP": lambda p, q: coded_file(p, "webp", q),
        "bare AV1": bare_row,
    }.items():
        qualities = [40, 55, 65, 75, 85, 92] if codec == "WebP" else options.objects
        rivals[codec] = curve(crops, code, qualities, len(pixels))
    headers = CROP_HEADER_BYTES * len(crops) / len(pixels)
    of_crops = {codec: at(points, wanted_objects) + headers for codec, points in rivals.items()}
    best = min(of_crops["AVIF"], of_crops["WebP"])
    frame = at(files, wanted)
    composite = frame + best
    table = [
        ["composite: AVIF file, AVIF or WebP crops", *sizes(frame, best), "", "", ""],
        ["AVIF file, bare AV1 crops", *sizes(frame, of_crops["bare AV1"]), "", "", ""],
    ]
    rows = []
    for preset in options.presets:
        row = ours(pictures, preset, options)
        background, objects = at(row["background"], wanted), at(row["objects"], wanted_objects)
        saved = f"{100 * ((background + objects) / composite - 1):+.1f} %"
        times = f"{row['seconds']:.2f}", f"{row['object_seconds']:.2f}"
        table.append([f"av1, {preset}", *sizes(background, objects), saved, *times])
        rows.append({"preset": preset, **row})
        print(*table[-1], sep=" | ", flush=True)
    n_pixels = np.mean([crop.shape[0] * crop.shape[1] for crop in crops])
    intro = (
        f"{what}, with {len(crops)} objects of {n_pixels:,.0f} pixels on average. Bytes are means "
        f"over the frames, at a mean PSNR of {wanted:g} dB of the backgrounds and of "
        f"{wanted_objects:g} dB of the objects. They are interpolated between measured qualities. "
        "The composite is an AVIF file of the frame (speed 6, 4:4:4, tune=psnr) and a crop of "
        f"every box, with {CROP_HEADER_BYTES} bytes more for its position. A crop is AVIF with the "
        "same settings or WebP (method 6), the smaller of the two. Ours are whole packs: rows, "
        f"boxes, cells, names and container. Frames in a row of backgrounds: at most {options.gop}."
    )
    header = ["what", "background, bytes", "objects, bytes", "together", "against the composite"]
    header += ["s a frame, background", "objects"]
    write_report(
        "av1_objects",
        options,
        title="Objects as AV1 residuals against the composite",
        body="\n\n".join(
            [
                intro,
                markdown_table(header, table),
                "## Measured points",
                "Bytes of objects are those on top of the backgrounds whose PSNR is nearest to the "
                "wanted one.",
                measured_points(rows, options),
            ]
        ),
        data={"frames": what, "files": files, "crops": rivals, "rows": rows},
    )


if __name__ == "__main__":
    main()

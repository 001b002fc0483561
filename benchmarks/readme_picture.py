"""The picture of the README, from the pack that `rinrcodec demo` wrote.

rinrcodec demo -o demo-out
python benchmarks/readme_picture.py demo-out/demo.rinr docs/images/comparison.png
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image

import rinrcodec
from rinrcodec.cli.views.comparison_picture import Shown, draw_comparison
from rinrcodec.compute.compose import to_array
from rinrcodec.sources.samples import sample_pictures

COLUMNS = (
    "source",
    "with objects",
    "object: source",
    "object: background",
    "object: decoded",
)
ROWS = ("astronaut", "coffee")
DPI = 70


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pack", type=Path, help="demo.rinr, as the demo wrote it")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    options = parser.parse_args()
    rows = []
    with rinrcodec.open(options.pack) as file:
        for index, source in enumerate(sample_pictures()):
            name = Path(source.name).stem
            background, result = (
                to_array(file.decode(index, objects=objects)) for objects in (False, True)
            )
            if name in ROWS:
                rows.append(Shown(name, source.pixels, background, result, source.boxes))
    drawn = io.BytesIO()
    draw_comparison(drawn, rows, columns=COLUMNS, dpi=DPI)
    # 256 dithered colours are less than half the bytes, and look the same at this size.
    image = Image.open(drawn).convert("RGB")
    colours = image.quantize(256, Image.Quantize.FASTOCTREE)
    dithered = image.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG)
    dithered.save(options.picture, optimize=True)


if __name__ == "__main__":
    main()

"""The picture of the README, from the pack that `rinrcodec demo` wrote.

rinrcodec demo -o demo-out
python docs/images/make_comparison.py demo-out/demo.rinr docs/images/comparison.png
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image

from rinrcodec.cli.views.comparison_picture import draw_comparison
from rinrcodec.evaluation.side_by_side import side_by_side
from rinrcodec.formats import read_pack
from rinrcodec.sources.samples import sample_pictures

COLUMNS = (
    "source",
    "with objects",
    "rival",
    "object: source",
    "object: decoded",
    "object: rival",
)
ROWS = ("astronaut", "coffee")
DPI = 66


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pack", type=Path, help="demo.rinr, as the demo wrote it")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    options = parser.parse_args()
    shown = side_by_side(read_pack(options.pack), sample_pictures())
    rows = [one for one in shown if Path(one.picture.name).stem in ROWS]
    drawn = io.BytesIO()
    draw_comparison(drawn, rows, columns=COLUMNS, dpi=DPI)
    # 256 dithered colours are less than half the bytes, and look the same at this size.
    image = Image.open(drawn).convert("RGB")
    colours = image.quantize(256, Image.Quantize.FASTOCTREE)
    dithered = image.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG)
    dithered.save(options.picture, optimize=True)


if __name__ == "__main__":
    main()

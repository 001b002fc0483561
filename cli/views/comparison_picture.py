"""The side-by-side picture: source, background alone, with objects, AVIF, and errors.

Importing this module raises `MissingExtraError` without matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.errors import MissingExtraError
from rinrcodec.evaluation.comparison import method_label
from rinrcodec.evaluation.rows import CodedFrame
from rinrcodec.evaluation.side_by_side import SideBySide
from rinrcodec.metrics import psnr

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
except ImportError as error:
    raise MissingExtraError("matplotlib", "demo") from error

__all__ = ["COLUMNS", "draw_comparison"]

# Room around an enlarged object, as a share of its longer side.
CROP_MARGIN = 0.15
# The brightest error, so that a few pixels at hard edges do not darken all the rest.
ERROR_PERCENTILE = 99.5
PANEL_INCHES = 3.0


Panel = tuple[NDArray[Any], str]


def draw_comparison(
    path: Path | BinaryIO,
    pictures: Sequence[SideBySide],
    *,
    columns: Sequence[str] | None = None,
    dpi: int = 100,
) -> None:
    """Draw one row of panels per picture and save it as PNG.

    `columns` are keys of `COLUMNS` (all by default). All error maps share one scale.
    """
    names = list(COLUMNS if columns is None else columns)
    brightest = max(
        float(np.percentile(_error(picture, picture.background), ERROR_PERCENTILE))
        for picture in pictures
    )
    # Every panel keeps its picture's shape, so a column is as wide as the widest of them.
    widths = [1.0 if name.startswith("object") else _widest(pictures) for name in names]
    height = (PANEL_INCHES + 0.3) * len(pictures) + 0.6
    figure = Figure((PANEL_INCHES * sum(widths), height), layout="constrained")
    FigureCanvasAgg(figure)
    grid: Any = figure.subplots(
        len(pictures), len(names), squeeze=False, gridspec_kw={"width_ratios": widths}
    )
    errors = None
    for number, picture in enumerate(pictures):
        for axis, name in zip(grid[number], names, strict=True):
            pixels, label = COLUMNS[name](picture)
            if pixels.ndim == 2:
                errors = axis.imshow(pixels, cmap="magma", vmin=0, vmax=brightest)
            else:
                axis.imshow(pixels, interpolation="nearest")
            if not name.startswith("object"):
                _outline(axis, picture.picture.boxes)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_xlabel(label, fontsize=13)
            if number == 0:
                title = name.replace("rival", method_label(picture.rival[0]))
                axis.set_title(title, fontsize=15, fontweight="bold")
        grid[number, 0].set_ylabel(Path(picture.picture.name).stem, fontsize=13)
    if errors is not None:
        last = max(index for index, name in enumerate(names) if name.startswith("error"))
        bar = figure.colorbar(errors, ax=grid[:, last], shrink=0.6)
        bar.set_label("absolute error of a pixel, of 255", fontsize=12)
    figure.savefig(path, dpi=dpi, format="png")


def _widest(pictures: Sequence[SideBySide]) -> float:
    return max(
        float(picture.picture.pixels.shape[1] / picture.picture.pixels.shape[0])
        for picture in pictures
    )


def _outline(axis: Any, boxes: Sequence[Box]) -> None:
    for box in boxes:
        corner = (box.x - 0.5, box.y - 0.5)
        axis.add_patch(
            Rectangle(corner, box.w, box.h, fill=False, edgecolor="white", linewidth=2.4)
        )
        axis.add_patch(Rectangle(corner, box.w, box.h, fill=False, edgecolor="red", linewidth=1.2))


def _error(picture: SideBySide, version: CodedFrame) -> NDArray[np.float64]:
    difference = np.abs(np.subtract(picture.picture.pixels, version.pixels, dtype=np.int16))
    return np.asarray(difference.mean(axis=2))


def _crop(pixels: NDArray[np.uint8], picture: SideBySide) -> NDArray[np.uint8]:
    """Crop a square around the first box, as far as the frame reaches."""
    height, width = pixels.shape[:2]
    box = picture.picture.boxes[0].region(width, height)
    side = round(max(box.width, box.height) * (1 + 2 * CROP_MARGIN))
    x0 = min(max(0, (box.x + box.right - side) // 2), max(0, width - side))
    y0 = min(max(0, (box.y + box.bottom - side) // 2), max(0, height - side))
    return pixels[y0 : y0 + side, x0 : x0 + side]


def _source(picture: SideBySide) -> Panel:
    return picture.picture.pixels, f"{_size(picture.picture.source_bytes)}\nboxes in red"


def _whole(version: CodedFrame) -> Panel:
    """Return the panel of the picture, with its bytes and dB."""
    quality = version.quality
    below = f"objects {_db(quality.objects)}, background {_db(quality.background)}"
    return version.pixels, f"{_size(version.n_bytes)}\n{below}"


def _source_object(picture: SideBySide) -> Panel:
    crop = _crop(picture.picture.pixels, picture)
    return crop, f"{_size(picture.picture.source_bytes)}\nenlarged"


def _object(picture: SideBySide, version: CodedFrame) -> Panel:
    """Return the panel of the first object, with the picture's bytes and the dB in the box."""
    height, width = version.pixels.shape[:2]
    area = picture.picture.boxes[0].region(width, height).slices
    inside = psnr(picture.picture.pixels[area], version.pixels[area])
    return _crop(version.pixels, picture), f"{_size(version.n_bytes)}\n{_db(inside)} in the box"


def _db(value: float | None) -> str:
    if value is None:
        return "-"
    return "exact" if math.isinf(value) else f"{value:.1f} dB"


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 1000:.1f} kB" if n_bytes else ""


# Title of a column -> its pixels (two dimensions for an error map) and the words below it. The
# title has the name of the other codec in place of "rival".
COLUMNS: Mapping[str, Callable[[SideBySide], Panel]] = {
    "source": _source,
    "background": lambda picture: _whole(picture.background),
    "with objects": lambda picture: _whole(picture.decoded),
    "rival": lambda picture: _whole(picture.rival[1]),
    "error with objects": lambda picture: (_error(picture, picture.decoded), ""),
    "error of rival": lambda picture: (_error(picture, picture.rival[1]), ""),
    "object: source": _source_object,
    "object: background": lambda picture: _object(picture, picture.background),
    "object: decoded": lambda picture: _object(picture, picture.decoded),
    "object: rival": lambda picture: _object(picture, picture.rival[1]),
}

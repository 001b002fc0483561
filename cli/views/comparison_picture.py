"""The side-by-side picture: source, background alone, with objects, and their errors.

Importing this module raises `MissingExtraError` without matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.errors import MissingExtraError
from rinrcodec.metrics import frame_quality, psnr

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
except ImportError as error:
    raise MissingExtraError("matplotlib", "demo") from error

__all__ = ["COLUMNS", "Shown", "draw_comparison"]

# Room around an enlarged object, as a share of its longer side.
CROP_MARGIN = 0.15
# The brightest error, so that a few pixels at hard edges do not darken all the rest.
ERROR_PERCENTILE = 99.5
PANEL_INCHES = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A picture to show; all pixels are uint8 [H, W, 3] of one shape."""

    name: str
    source: NDArray[np.uint8]
    background: NDArray[np.uint8]
    decoded: NDArray[np.uint8]
    boxes: tuple[Box, ...]


def draw_comparison(
    path: Path | BinaryIO,
    pictures: Sequence[Shown],
    *,
    columns: Sequence[str] | None = None,
    dpi: int = 100,
) -> None:
    """Draw one row of panels per picture and save it as PNG.

    `columns` are keys of `COLUMNS` (all by default). All error maps share one scale.
    """
    names = list(COLUMNS if columns is None else columns)
    brightest = max(
        float(np.percentile(_error(picture.source, picture.background), ERROR_PERCENTILE))
        for picture in pictures
    )
    # Every panel keeps its picture's shape, so a column is as wide as the widest of them.
    widths = [1.0 if name.startswith("object") else _widest(pictures) for name in names]
    height = PANEL_INCHES * len(pictures) + 0.6
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
                _outline(axis, picture.boxes)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_xlabel(label, fontsize=13)
            if number == 0:
                axis.set_title(name, fontsize=15, fontweight="bold")
        grid[number, 0].set_ylabel(picture.name, fontsize=13)
    if errors is not None:
        last = max(index for index, name in enumerate(names) if name.startswith("error"))
        bar = figure.colorbar(errors, ax=grid[:, last], shrink=0.6)
        bar.set_label("absolute error of a pixel, of 255", fontsize=12)
    figure.savefig(path, dpi=dpi, format="png")


def _widest(pictures: Sequence[Shown]) -> float:
    return max(float(picture.source.shape[1] / picture.source.shape[0]) for picture in pictures)


def _outline(axis: Any, boxes: Sequence[Box]) -> None:
    for box in boxes:
        corner = (box.x - 0.5, box.y - 0.5)
        axis.add_patch(
            Rectangle(corner, box.w, box.h, fill=False, edgecolor="white", linewidth=2.4)
        )
        axis.add_patch(Rectangle(corner, box.w, box.h, fill=False, edgecolor="red", linewidth=1.2))


def _error(source: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> NDArray[np.float64]:
    difference = np.abs(np.subtract(source, decoded, dtype=np.int16))
    return np.asarray(difference.mean(axis=2))


def _crop(pixels: NDArray[np.uint8], picture: Shown) -> NDArray[np.uint8]:
    """A square around the first box, as far as the frame reaches."""
    height, width = pixels.shape[:2]
    box = picture.boxes[0].region(width, height)
    side = round(max(box.width, box.height) * (1 + 2 * CROP_MARGIN))
    x0 = min(max(0, (box.x + box.right - side) // 2), max(0, width - side))
    y0 = min(max(0, (box.y + box.bottom - side) // 2), max(0, height - side))
    return pixels[y0 : y0 + side, x0 : x0 + side]


def _parts(picture: Shown, decoded: NDArray[np.uint8]) -> str:
    quality = frame_quality(picture.source, decoded, picture.boxes)
    return f"background {_db(quality.background)}, objects {_db(quality.objects)}"


def _inside(picture: Shown, decoded: NDArray[np.uint8]) -> str:
    height, width = picture.source.shape[:2]
    area = picture.boxes[0].region(width, height).slices
    return f"{_db(psnr(picture.source[area], decoded[area]))} in the box"


def _db(value: float | None) -> str:
    if value is None:
        return "-"
    return "exact" if math.isinf(value) else f"{value:.1f} dB"


Panel = tuple[NDArray[Any], str]
# Title of a column -> its pixels (two dimensions for an error map) and the words below it.
COLUMNS: Mapping[str, Callable[[Shown], Panel]] = {
    "source": lambda picture: (picture.source, "boxes in red"),
    "background": lambda picture: (picture.background, _parts(picture, picture.background)),
    "with objects": lambda picture: (picture.decoded, _parts(picture, picture.decoded)),
    "error, background": lambda picture: (_error(picture.source, picture.background), ""),
    "error with objects": lambda picture: (_error(picture.source, picture.decoded), ""),
    "object: source": lambda picture: (_crop(picture.source, picture), "enlarged"),
    "object: background": lambda picture: (
        _crop(picture.background, picture),
        _inside(picture, picture.background),
    ),
    "object: decoded": lambda picture: (
        _crop(picture.decoded, picture),
        _inside(picture, picture.decoded),
    ),
}

"""The ladder as bars, after the paper's figures: quality of the objects, size of a frame.

Importing this module raises `MissingExtraError` without matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rinrcodec.cli.views.ladder_page import shown
from rinrcodec.errors import MissingExtraError
from rinrcodec.evaluation.rungs import INR_RUNGS, Rung
from rinrcodec.metrics import mean_db
from rinrcodec.storage.replacing import replacing

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError("matplotlib", "demo") from error

__all__ = ["PLOTS", "draw_ladder"]

# Rungs of INRs and of other codecs, in both shades.
_INR, _OTHER = ("#2f5f9e", "#a9c3e4"), ("#6e6e6e", "#cccccc")
_PANEL_INCHES = (7.4, 4.2)
_LABEL_SIZE = 8


def draw_ladder(folder: Path, rungs: Sequence[Rung], *, prefix: str = "ladder") -> list[str]:
    """Draw all plots into a folder that exists; returns their file names."""
    names = []
    for kind, draw in PLOTS.items():
        names.append(f"{prefix}_{kind}.png")
        with replacing(folder / names[-1]) as temporary:
            draw(temporary, rungs)
    return names


def _draw_quality(path: Path, rungs: Sequence[Rung]) -> None:
    figure, panels = _panels(rungs)
    for axis, family in panels:
        panel = [rung for rung in shown(rungs) if rung.family in ("", family)]
        objects = [mean_db([rung.quality.objects]) or 0.0 for rung in panel]
        backgrounds = [mean_db([rung.quality.background]) or 0.0 for rung in panel]
        _bars(axis, panel, [objects, backgrounds])
        axis.set_ylabel("PSNR, dB (mean over frames)")
        axis.set_title(f"{family}: objects (dark) and background (light)")
    figure.savefig(path, dpi=110, format="png")


def _draw_sizes(path: Path, rungs: Sequence[Rung]) -> None:
    """Draw the sizes without the codecs at QRE's bytes, which are as large as QRE."""
    figure, panels = _panels(rungs)
    for axis, family in panels:
        panel = [rung for rung in shown(rungs) if rung.family in ("", family)]
        panel = [rung for rung in panel if not rung.family or rung.name in INR_RUNGS]
        _bars(axis, panel, [[rung.n_bytes / 1000 for rung in panel]])
        axis.set_ylabel("kB a frame, whole files")
        axis.set_title(f"{family}: average size")
    figure.savefig(path, dpi=110, format="png")


def _panels(rungs: Sequence[Rung]) -> tuple[Figure, list[tuple[Any, str]]]:
    """Return a figure with one panel for each family, in a row."""
    families = list(dict.fromkeys(rung.family for rung in rungs if rung.family))
    width, height = _PANEL_INCHES
    figure = Figure((width * len(families), height), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(1, len(families), squeeze=False, sharey=True)
    return figure, list(zip(axes[0], families, strict=True))


def _bars(axis: Any, rungs: Sequence[Rung], values: Sequence[Sequence[float]]) -> None:
    """Draw a group of bars for every rung, one for every item of `values`."""
    width = 0.84 / len(values)
    for shade, heights in enumerate(values):
        left = [i - 0.42 + shade * width for i in range(len(rungs))]
        colors = [(_INR if rung.name in INR_RUNGS else _OTHER)[shade] for rung in rungs]
        bars = axis.bar(left, heights, width, align="edge", color=colors)
        axis.bar_label(bars, [f"{height:.1f}" for height in heights], fontsize=_LABEL_SIZE)
    axis.set_xticks(range(len(rungs)), [rung.name for rung in rungs], rotation=30, ha="right")
    axis.margins(y=0.1)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)


# What the figure shows -> how it is drawn.
PLOTS = {"quality": _draw_quality, "sizes": _draw_sizes}

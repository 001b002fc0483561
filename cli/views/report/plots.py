"""The plots of a report, as SVG inside its page: they take the page's own ink, fonts and width.

Importing this module raises `MissingExtraError` without matplotlib.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from rinrcodec.cli.views.fog_plot import COLOURS, draw_bandwidth, draw_devices, plain_label
from rinrcodec.errors import MissingExtraError
from rinrcodec.evaluation.measure import Measured
from rinrcodec.evaluation.rows import Point
from rinrcodec.evaluation.scenario import Scenario

try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, ScalarFormatter
except ImportError as error:
    raise MissingExtraError("matplotlib", "demo") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bandwidth_plot", "colours_of", "devices_plot", "quality_plot"]

_ACCENT = COLOURS[0]
_OURS = (COLOURS[5], "#332288", "#117733", "#44aa99", "#882255")
_OTHERS = (COLOURS[4], COLOURS[2], COLOURS[1], COLOURS[3])
_GREY = "#7a7a7a"
_MARKS = "o*sPDX^v<>"
# Replaced by the text colour of the page.
_INK = "#010203"
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "none",  # text stays text
    "xtick.color": _INK,
    "ytick.color": _INK,
}
_INCHES = (4.7, 4.2)


def colours_of(measured: Measured) -> dict[str, str]:
    """Return a colour for the name of each row: the accent for the anchor, blue ones for ours."""
    ours, others = iter(_OURS), iter(_OTHERS)
    colours = {row.name: next(ours if row.is_ours else others, _GREY) for row in measured.rows}
    return colours | {measured.anchor.name: _ACCENT}


def quality_plot(measured: Measured, part: str) -> Markup:
    """Draw PSNR over bytes a frame: a mark for every row, lines for a codec's other settings.

    part: "frame", "background" or "objects".
    """

    def value(point: Point) -> float | None:
        found: float | None = getattr(point.quality, part)
        return found

    where = {"frame": "of the frame", "background": "outside the boxes"}
    what = where.get(part, "inside the boxes")
    return _rows_plot(measured, value, "PSNR, dB", f"PSNR {what} over bytes a frame")


def _rows_plot(
    measured: Measured, value: Callable[[Point], float | None], unit: str, what: str
) -> Markup:
    colours = colours_of(measured)

    def draw(axis: Axes) -> None:
        marks = cycle(_MARKS)
        for row in measured.rows:
            mark, colour = next(marks), colours[row.name]
            here = value(row.point)
            if here is None:
                continue
            line = sorted((p.n_bytes / 1000, value(p) or 0.0) for p in (row.point, *row.line))
            axis.plot(*zip(*line, strict=True), color=colour, alpha=0.5, linewidth=1.2)
            axis.plot(
                row.n_bytes / 1000, here, mark, color=colour, markersize=11 if row.is_ours else 8,
                label=plain_label(row.name), zorder=5, linestyle="none",
            )  # fmt: skip
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.minorticks_off()
        axis.set_xlabel("kB a frame")
        axis.set_ylabel(unit)
        axis.grid(alpha=0.25)

    return _svg(draw, what)


def devices_plot(scenario: Scenario, colours: Sequence[str]) -> Markup:
    """Draw data moved against devices; `colours` are those of the scenario's codecs."""
    return _svg(
        lambda axis: draw_devices(axis, scenario, colours=colours),
        "data moved against the number of devices",
        title=False,
    )


def bandwidth_plot(scenario: Scenario, colours: Sequence[str], bandwidth: float) -> Markup:
    """Draw time against bandwidth; `colours` are those of the scenario's codecs."""
    return _svg(
        lambda axis: draw_bandwidth(axis, scenario, bandwidth, colours=colours),
        "time against bandwidth",
        title=False,
    )


def _svg(draw: Callable[[Axes], None], what: str, *, title: bool = True) -> Markup:
    buffer = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": what}):
        figure = Figure(_INCHES, layout="constrained")
        axis = figure.subplots()
        draw(axis)
        if not title:
            axis.set_title("")
        handles, labels = axis.get_legend_handles_labels()
        if legend := axis.get_legend():
            legend.remove()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # What belongs to a file of its own, and ids that several plots of a page would share.
    for pattern in (
        r"<metadata>.*?</metadata>",
        r"<!--.*?-->",
        r"(?<=<svg)[^>]*?(?= viewBox)",
        r'(?<=") version="1.1"',
        r' xmlns(:\w+)?="[^"]*"',
        r' id="\w+_\d+"',
    ):
        text = re.sub(pattern, "", text, flags=re.DOTALL)
    text = text.replace(_INK, "currentColor").replace(_ACCENT, "var(--accent)")
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{what}"', 1))

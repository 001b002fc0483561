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

from rinrcodec.cli.views.fog_plot import COLOURS, GUIDE, draw_bandwidth, draw_devices, plain_label
from rinrcodec.errors import MissingExtraError
from rinrcodec.evaluation.measure import Measured
from rinrcodec.evaluation.rows import Row
from rinrcodec.evaluation.scenario import Scenario

try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, ScalarFormatter
except ImportError as error:
    raise MissingExtraError("matplotlib", "demo") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["accuracy_plot", "bandwidth_plot", "colours_of", "devices_plot", "quality_plot"]

_ACCENT = COLOURS[0]
# All of them can be seen on light and on dark pages.
_OURS = (COLOURS[5], "#44aa99", "#9467bd", "#bb5566", "#999933", "#8c6d31", "#3f7fbf")
_OTHERS = (COLOURS[4], COLOURS[2], COLOURS[1], COLOURS[3])
_GREY = "#7a7a7a"
_MARKS = "o*sPDX^v<>hp8"
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
# Of the legend: the letters of two columns that fit, and what a line takes.
_LETTERS = 50
_LINE_INCHES = 0.19


def colours_of(measured: Measured) -> dict[str, str]:
    """Return a colour for the name of each row: the accent for the anchor, blue ones for ours."""
    ours, others = iter(_OURS), iter(_OTHERS)
    return {
        row.name: _ACCENT
        if row is measured.anchor
        else next(ours if row.is_ours else others, _GREY)
        for row in measured.rows
    }


def quality_plot(measured: Measured, part: str) -> Markup:
    """Draw PSNR over bytes a frame: a mark for every row, lines for a codec's other settings.

    part: "frame", "background" or "objects".
    """

    def points(row: Row) -> list[tuple[float, float]]:
        known = ((one.n_bytes, getattr(one.quality, part)) for one in (row.point, *row.line))
        return [(n_bytes, value) for n_bytes, value in known if value is not None]

    where = {"frame": "of the frame", "background": "outside the boxes"}
    what = where.get(part, "inside the boxes")
    return _rows_plot(measured, points, "PSNR, dB", f"PSNR {what} over bytes a frame")


def accuracy_plot(measured: Measured) -> Markup:
    """Draw the mAP50-95 of a detector over bytes a frame, and that of the data as it is."""

    def points(row: Row) -> list[tuple[float, float]]:
        return [] if row.accuracy is None else [(row.n_bytes, row.accuracy.map50_95)]

    what = "accuracy of the detector over bytes a frame"
    return _rows_plot(measured, points, "mAP50-95", what, level=points(measured.source))


def _rows_plot(
    measured: Measured,
    points: Callable[[Row], list[tuple[float, float]]],
    unit: str,
    what: str,
    *,
    level: Sequence[tuple[float, float]] = (),
) -> Markup:
    """Draw the points of every row, the first of which is the row itself; level: as a line."""
    colours = colours_of(measured)

    def draw(axis: Axes) -> None:
        for _, value in level:
            axis.axhline(value, label=plain_label(measured.source.name), **GUIDE)
        for row, mark in zip(measured.rows, cycle(_MARKS), strict=False):
            known = [(n_bytes / 1000, value) for n_bytes, value in points(row)]
            if not known:
                continue
            colour = colours[row.name]
            axis.plot(*zip(*sorted(known), strict=True), color=colour, alpha=0.5, linewidth=1.2)
            axis.plot(
                *known[0], mark, color=colour, markersize=11 if row.is_ours else 8,
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


def _legend_columns(labels: Sequence[str]) -> int:
    """Two columns, or one where the labels are too long for two."""
    half = -(-len(labels) // 2)
    columns = labels[:half], labels[half:]
    letters = sum(max(map(len, column), default=0) for column in columns)
    return 2 if letters <= _LETTERS else 1


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
        columns = _legend_columns(labels)
        lines = -(-len(labels) // columns)
        figure.set_size_inches(_INCHES[0], _INCHES[1] + max(0, lines - 4) * _LINE_INCHES)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
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

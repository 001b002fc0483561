"""The plots of a report, as SVG inside its page: they take the page's own ink, fonts and width.

Importing this module raises `MissingExtraError` without matplotlib.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from rinrcodec.cli.views.fog_plot import COLOURS, draw_bandwidth, draw_devices
from rinrcodec.errors import MissingExtraError
from rinrcodec.evaluation.comparison import OURS, method_label, summary
from rinrcodec.evaluation.measure import Figures
from rinrcodec.evaluation.scenario import Scenario

try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, ScalarFormatter
except ImportError as error:
    raise MissingExtraError("matplotlib", "demo") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["METHOD_COLOURS", "bandwidth_plot", "devices_plot", "quality_plot"]

METHOD_COLOURS = dict(zip([OURS, "avif", "webp", "composite", "jpeg"], COLOURS, strict=False))
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


def quality_plot(figures: Figures, part: str) -> Markup:
    """Draw PSNR over bytes a frame: lines for the other codecs, a star for ours.

    part: "background" or "objects".
    """

    def draw(axis: Axes) -> None:
        lines: dict[str, list[tuple[float, float]]] = {}
        for comparisons in figures.curves.values():
            for method, size, _, quality in summary(comparisons):
                if (value := getattr(quality, part)) is not None:
                    lines.setdefault(method, []).append((size / 1000, value))
        for method, line in lines.items():
            style = "--" if method == "composite" else "-"
            axis.plot(
                *zip(*sorted(line), strict=True), style, marker=".", label=method_label(method),
                color=METHOD_COLOURS[method],
            )  # fmt: skip
        mine = figures.means()[OURS]
        value = mine.background_psnr if part == "background" else mine.object_psnr
        if value is not None:
            axis.plot(
                mine.n_bytes / 1000, value, "*", color=METHOD_COLOURS[OURS], markersize=15,
                label=OURS, zorder=5,
            )  # fmt: skip
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.minorticks_off()
        axis.set_xlabel("kB a frame")
        axis.set_ylabel("PSNR, dB")
        axis.grid(alpha=0.25)

    where = "outside the boxes" if part == "background" else "inside the boxes"
    return _svg(draw, f"PSNR {where} over bytes a frame")


def devices_plot(scenario: Scenario, methods: Sequence[str]) -> Markup:
    """Draw data moved against devices; `methods` are those of the scenario's codecs."""
    colours = [METHOD_COLOURS[method] for method in methods]
    return _svg(
        lambda axis: draw_devices(axis, scenario, colours=colours),
        "data moved against the number of devices",
        title=False,
    )


def bandwidth_plot(scenario: Scenario, methods: Sequence[str], bandwidth: float) -> Markup:
    """Draw time against bandwidth; `methods` are those of the scenario's codecs."""
    colours = [METHOD_COLOURS[method] for method in methods]
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
    text = text.replace(_INK, "currentColor").replace(METHOD_COLOURS[OURS], "var(--accent)")
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{what}"', 1))

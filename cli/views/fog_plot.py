"""Plots of the fog: data moved against devices, alpha and bandwidth, with the break-even points.

Importing this module raises `MissingExtraError` without matplotlib.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rinrcodec.errors import MissingExtraError
from rinrcodec.evaluation.fog import (
    Codec,
    Transfer,
    break_even_alpha,
    equal_devices,
    pays_below,
    through_fog,
)
from rinrcodec.evaluation.scenario import Scenario
from rinrcodec.printing import printable

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise MissingExtraError("matplotlib", "demo") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLOURS", "draw_alpha", "draw_bandwidth", "draw_devices", "draw_fog", "plain_label"]

# Told apart also by those who see few colours (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DIRECT = "#7a7a7a"
GUIDE: dict[str, Any] = {"color": "#7a7a7a", "linestyle": ":", "linewidth": 1.2}
MOST_DEVICES = 20


def draw_fog(path: Path, scenario: Scenario, *, bandwidth: float, kind: str) -> None:
    """Draw all three plots side by side and write them as `kind` (png, svg or pdf)."""
    figure = Figure((14, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    draw_devices(left, scenario)
    draw_alpha(middle, scenario)
    draw_bandwidth(right, scenario, bandwidth)
    figure.savefig(path, format=kind, dpi=110)


def draw_devices(axis: Axes, scenario: Scenario, *, colours: Sequence[str] = COLOURS) -> None:
    """Draw the bytes moved against the number of devices, which all have equal data."""
    device = scenario.devices[0]
    count = len(scenario.devices)
    all_the_others = device.n_receivers == count - 1
    counts = range(1, max(MOST_DEVICES, 2 * count) + 1)
    lines: dict[tuple[str, str], list[float]] = {}
    for n in counts:
        devices = equal_devices(
            n,
            n_bytes=sum(device.n_bytes for device in scenario.devices) / count,
            n_receivers=None if all_the_others else device.n_receivers,
        )
        for way in replace(scenario, devices=devices).transfers():
            lines.setdefault((way.way, way.codec), []).append(way.n_bytes)
    unit, name = _unit(max(max(values) for values in lines.values()))
    for way, style in zip(scenario.transfers(), _styles(scenario, colours), strict=True):
        values = [value / unit for value in lines[way.way, way.codec]]
        axis.plot(counts, values, label=_label(way), **style)
    axis.axvline(count, **GUIDE)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    wanted = "all others" if all_the_others else f"{device.n_receivers} receivers"
    _finish(axis, "Data moved", f"devices; each needed by {wanted}", name)
    axis.legend(fontsize=8)


def draw_alpha(axis: Axes, scenario: Scenario) -> None:
    """Draw how many times less the fog moves, against alpha, with its break-even point."""
    direct = scenario.direct().n_bytes

    def gain(alpha: float) -> float:
        devices, broadcast = scenario.devices, scenario.broadcast
        return direct / through_fog(devices, Codec("", alpha), broadcast=broadcast).n_bytes

    known = [scenario.codec, *scenario.others]
    alphas = np.geomspace(min(0.01, *(codec.alpha / 2 for codec in known)), 1.5, 100)
    axis.plot(alphas, [gain(float(alpha)) for alpha in alphas], color=DIRECT)
    for codec, colour in zip(known, cycle(COLOURS), strict=False):
        axis.plot(codec.alpha, gain(codec.alpha), "o", color=colour, label=plain_label(codec.name))
    axis.axhline(1, **GUIDE)
    even = break_even_alpha(scenario.devices, broadcast=scenario.broadcast)
    if even:
        axis.axvline(even, **GUIDE, label=f"break-even: {even:.3g}")
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    _finish(
        axis, "What the fog saves", "alpha: bytes of the codec / bytes of JPEG", "times less data"
    )
    axis.legend(fontsize=8)


def draw_bandwidth(
    axis: Axes, scenario: Scenario, bandwidth: float, *, colours: Sequence[str] = COLOURS
) -> None:
    """Time against bandwidth, and below which bandwidth the fog is sooner than JPEG."""
    direct, fog = scenario.direct(), scenario.fog()
    even = pays_below(fog, direct)
    marks = [bandwidth, *([even] if 0 < even < math.inf else [])]
    bandwidths = np.geomspace(min(marks) / 20, max(marks) * 20, 60)
    for way, style in zip(scenario.transfers(), _styles(scenario, colours), strict=True):
        seconds = [way.seconds(float(value)) for value in bandwidths]
        axis.plot(bandwidths / 1e6, seconds, label=_label(way), **style)
    axis.axvline(bandwidth / 1e6, **GUIDE)
    if 0 < even < math.inf:
        axis.axvline(
            even / 1e6, color=colours[0], linestyle=":", label=f"break-even: {even / 1e6:.3g} MB/s"
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    _finish(axis, "Time", "bandwidth, MB/s", "seconds, to the last decoded frame")
    axis.legend(fontsize=8)


def _styles(scenario: Scenario, colours: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield one style for each of `scenario.transfers()`.

    A codec has a colour; serverless is dashed.
    """
    turn = cycle(colours)
    yield {"color": DIRECT, "linewidth": 1.8}
    ours = {"color": next(turn), "linewidth": 2.4}
    yield ours
    if not scenario.at_fog:
        yield {**ours, "linestyle": "--"}
    for _ in scenario.others:
        colour = next(turn)
        yield {"color": colour}
        yield {"color": colour, "linestyle": "--"}
    yield {"color": DIRECT, "linestyle": "-."}


def _label(way: Transfer) -> str:
    return way.way if way.way.startswith("train") else plain_label(f"{way.codec}, {way.way}")


def plain_label(name: str) -> str:
    """Return a name without `$`, which begins a formula, or `_`, which hides it in a legend."""
    text = printable(name).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def _unit(most: float) -> tuple[float, str]:
    return next(
        (size, name) for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "bytes"))
        if most >= size or size == 1
    )  # fmt: skip


def _finish(axis: Axes, title: str, x: str, y: str) -> None:
    axis.set_title(title, fontweight="bold")
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(alpha=0.25)

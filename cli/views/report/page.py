"""The page of a report: plain view data for the template `report.html.j2`.

Importing this module raises `MissingExtraError` without matplotlib.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from rinrcodec import __version__
from rinrcodec.cli.views.fog_table import explain
from rinrcodec.cli.views.report.pictures import show_frame
from rinrcodec.cli.views.report.plots import bandwidth_plot, devices_plot, quality_plot
from rinrcodec.cli.views.report.tables import (
    background_table,
    fog_table,
    frame_table,
    mean_table,
)
from rinrcodec.cli.views.report.words import db, milliseconds, size, times
from rinrcodec.evaluation.comparison import OURS, method_label
from rinrcodec.evaluation.measure import Figures
from rinrcodec.evaluation.report import Report
from rinrcodec.printing import printable

__all__ = ["report_page"]

# Frames whose crops are shown: more would make the page too large to send around.
_SHOWN_FRAMES = 8


def report_page(report: Report) -> str:
    """Return the whole page as HTML, one file that needs no other."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    template = environment.from_string(_resource("report.html.j2"))
    base = files("rinrcodec.cli.views").joinpath("base.css").read_text(encoding="utf-8")
    return template.render(style=Markup(base + _resource("report.css")), **_view(report))


def _shown(value: object) -> object:
    """What the page shows of a value: texts on one line, without control characters."""
    return printable(value) if type(value) is str else value


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _view(report: Report) -> dict[str, Any]:
    """All that the template shows: words, numbers, tables, pictures and plots."""
    figures, scenario = report.figures, report.scenario
    device = scenario.devices[0]
    frames = figures.frames
    shown = frames[:: max(1, -(-len(frames) // _SHOWN_FRAMES))]
    methods = report.scenario_methods
    software = f"rinrcodec {__version__}, Python {platform.python_version()}"
    return {
        "name": report.name,
        "content": _content(report),
        "advice": report.advice,
        "tiles": _tiles(figures),
        "means": mean_table(figures),
        "backgrounds": background_table(report) if report.others else None,
        "pasted": method_label("composite") if "composite" in figures.means() else None,
        "has_objects": figures.has_objects,
        "frames": [show_frame(frame) for frame in shown],
        "n_frames": len(frames),
        "some_without_box": any(not frame.picture.boxes for frame in shown),
        "quality_plots": _quality_plots(figures),
        "ours": OURS,
        "bandwidth": f"{report.bandwidth / 1e6:g} MB/s",
        "device": report.made.get("device"),
        "bars": _bars(report),
        "n_devices": len(scenario.devices),
        "device_frames": f"{device.n_frames:,}",
        "device_bytes": size(device.n_bytes),
        "ways": fog_table(report),
        "fog_sentences": explain(scenario, report.bandwidth),
        "fog_plots": [
            ("Data moved", devices_plot(scenario, methods)),
            ("Time", bandwidth_plot(scenario, methods, report.bandwidth)),
        ],
        "every_frame": frame_table(figures),
        "made": list({**report.made, "software": software}.items()),
    }


def _content(report: Report) -> str:
    """The number of frames, their size and their boxes, in words."""
    frames = report.figures.frames
    sizes = {(frame.picture.width, frame.picture.height) for frame in frames}
    shape = "{}x{}".format(*sizes.pop()) if len(sizes) == 1 else f"{len(sizes)} sizes"
    boxes = sum(len(frame.picture.boxes) for frame in frames)
    return (
        f"{len(frames)} of {report.n_source_frames:,} frames, chosen evenly; {shape}; "
        f"{boxes} {'box' if boxes == 1 else 'boxes'}"
    )


def _tiles(figures: Figures) -> list[tuple[str, str]]:
    """The figures at the top: each a number and its meaning."""
    mean, speed = figures.means()[OURS], figures.speeds[OURS]
    tiles = [
        (size(mean.n_bytes), f"a frame as .rinr, {mean.bpp:.3f} bits a pixel"),
        _ratio(figures),
        (f"{db(mean.object_psnr)} dB", "inside the boxes"),
        (f"{db(mean.background_psnr)} dB", "outside the boxes"),
        (milliseconds(speed.encode), "to fit a frame, here"),
        (milliseconds(speed.decode), "to decode a frame, here"),
    ]
    if not figures.has_objects:
        del tiles[2]
    return tiles


def _ratio(figures: Figures) -> tuple[str, str]:
    ratio = figures.source_bytes / figures.pack_bytes
    if ratio < 1:
        return times(1 / ratio), f"larger than the {figures.source}"
    return times(ratio), f"smaller than the {figures.source}"


def _quality_plots(figures: Figures) -> Sequence[tuple[str, Markup]]:
    if not figures.has_objects:
        return [("The frame", quality_plot(figures, "background"))]
    return [
        ("Outside the boxes", quality_plot(figures, "background")),
        ("Inside the boxes", quality_plot(figures, "objects")),
    ]


@dataclass(frozen=True, slots=True)
class Bar:
    """The time of one frame in one codec; widths are percent of the longest bar."""

    name: str
    send: str
    decode: str
    total: str
    send_width: str
    decode_width: str


def _bars(report: Report) -> list[Bar]:
    """Sending and decoding one frame, in every codec and as it is."""
    figures = report.figures
    source_bytes = figures.source_bytes / len(figures.frames)
    lines = [(figures.source, source_bytes, figures.source_speed.decode)] + [
        (method_label(method), mean.n_bytes, figures.speeds[method].decode)
        for method, mean in figures.means().items()
    ]
    timed = [(name, n_bytes / report.bandwidth, decode) for name, n_bytes, decode in lines]
    longest = max(send + decode for _, send, decode in timed)
    return [
        Bar(
            name,
            milliseconds(send),
            milliseconds(decode),
            milliseconds(send + decode),
            f"{100 * send / longest:.2f}%",
            f"{100 * decode / longest:.2f}%",
        )
        for name, send, decode in timed
    ]

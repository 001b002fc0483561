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
from rinrcodec.cli.views.report.plots import (
    accuracy_plot,
    bandwidth_plot,
    colours_of,
    devices_plot,
    quality_plot,
)
from rinrcodec.cli.views.report.tables import fog_table, frame_table, row_table
from rinrcodec.cli.views.report.words import db, milliseconds, size, times
from rinrcodec.evaluation.measure import Measured
from rinrcodec.evaluation.report import Report
from rinrcodec.evaluation.rows import Row
from rinrcodec.printing import printable

__all__ = ["report_page"]


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
    """Return a value as the page shows it: texts on one line, without control characters."""
    return printable(value) if type(value) is str else value


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _view(report: Report) -> dict[str, Any]:
    """Return all that the template shows: words, numbers, tables, pictures and plots."""
    measured, scenario = report.measured, report.scenario
    device = scenario.devices[0]
    count = len(measured.pictures)
    shown = measured.shown
    colours = [colours_of(measured)[row.name] for row in report.fog_rows]
    software = f"rinrcodec {__version__}, Python {platform.python_version()}"
    crops = next((row.name for row in measured.rows if " + crops" in row.name), None)
    return {
        "name": report.name,
        "content": _content(report),
        "advice": report.advice,
        "command": report.command(report.advice.row),
        "promise": _promise(report),
        "metadata_bytes": _metadata_size(measured, exif=True),
        "added_bytes": _added_size(report),
        "tiles": _tiles(report),
        "rows": row_table(report),
        "anchor": measured.anchor.name,
        "is_tuned": any(row.tune for row in measured.rows),
        "pasted": crops,
        "left_out": list(report.left_out.items()),
        "commands": [(row.name, report.command(row)) for row in (*measured.rows, measured.source)],
        "has_detector": measured.has_accuracy,
        "source": measured.source.name,
        "has_objects": measured.has_objects,
        "frames": [show_frame(measured, number) for number in shown],
        "n_frames": count,
        "some_without_box": any(not measured.pictures[number].boxes for number in shown),
        "quality_plots": _quality_plots(measured),
        "bandwidth": f"{report.bandwidth / 1e6:g} MB/s",
        "device": report.made.get("device"),
        "bars": _bars(report),
        "n_devices": len(scenario.devices),
        "n_rounds": scenario.rounds,
        "model_bytes": size(scenario.model_bytes),
        "device_frames": f"{device.n_frames:,}",
        "device_bytes": size(device.n_bytes),
        "ways": fog_table(report),
        "fog_sentences": explain(scenario, report.bandwidth),
        "fog_plots": [
            ("Data moved", devices_plot(scenario, colours)),
            ("Time", bandwidth_plot(scenario, colours, report.bandwidth)),
        ],
        "every_frame": frame_table(measured),
        "made": list({**report.made, "software": software}.items()),
    }


def _content(report: Report) -> str:
    """Describe the number of frames, their size and their boxes."""
    pictures = report.measured.pictures
    sizes = {(picture.width, picture.height) for picture in pictures}
    shape = "{}x{}".format(*sizes.pop()) if len(sizes) == 1 else f"{len(sizes)} sizes"
    boxes = sum(len(picture.boxes) for picture in pictures)
    return (
        f"{len(pictures)} of {report.n_source_frames:,} frames, chosen evenly; {shape}; "
        f"{boxes} {'box' if boxes == 1 else 'boxes'}"
    )


def _promise(report: Report) -> str:
    """Describe the result of the advised command."""
    row = report.advice.row
    if row is report.measured.source and row.recipe.settings:
        return f"{size(row.n_bytes)} a frame, unchanged"
    quality = row.quality
    inside = "" if quality.objects is None else f", {db(quality.objects)} dB inside the boxes"
    where = "" if quality.objects is None else " outside"
    return f"{size(row.n_bytes)} a frame, {db(row.outside)} dB{where}{inside}"


def _metadata_size(measured: Measured, *, exif: bool) -> str:
    """Format the mean bytes of the frames' ICC profiles, "" for none.

    If `exif`, they include EXIF and XMP.
    """
    total = 0
    for picture in measured.pictures:
        kept = picture.metadata
        total += len(kept.icc) + (len(kept.exif) + len(kept.xmp) if exif else 0)
    return size(total / len(measured.pictures)) if total else ""


def _added_size(report: Report) -> str:
    """Format the bytes of metadata that the advised command writes and its row does not count."""
    row, source = report.advice.row, report.measured.source
    if row is source and row.recipe.settings:  # whole files are counted
        return ""
    return _metadata_size(report.measured, exif=row.is_ours)


def _tiles(report: Report) -> list[tuple[str, str]]:
    """Return the figures of the advised recipe at the top: each a number and its meaning."""
    row, source = report.advice.row, report.measured.source
    tiles = [
        (size(row.n_bytes), f"a frame, {row.bpp:.3f} bits a pixel"),
        _ratio(row, source),
        (f"{db(row.quality.objects)} dB", "inside the boxes"),
        (f"{db(row.outside)} dB", "outside the boxes"),
        (milliseconds(row.speed.encode), "to encode a frame, here"),
        (milliseconds(row.speed.decode), "to decode a frame, here"),
    ]
    if not report.measured.has_objects:
        tiles[2:4] = [(f"{db(row.quality.frame)} dB", "the frame")]
    return tiles if row is not source else tiles[:1]


def _ratio(row: Row, source: Row) -> tuple[str, str]:
    ratio = source.n_bytes / row.n_bytes
    if ratio < 1:
        return times(1 / ratio), f"larger than the {source.name}"
    return times(ratio), f"smaller than the {source.name}"


def _quality_plots(measured: Measured) -> Sequence[tuple[str, Markup]]:
    if not measured.has_objects:
        return [("The frame", quality_plot(measured, "frame"))]
    plots = [
        ("Inside the boxes", quality_plot(measured, "objects")),
        ("Outside the boxes", quality_plot(measured, "background")),
    ]
    if measured.has_accuracy:
        plots.insert(0, ("What the detector finds", accuracy_plot(measured)))
    return plots


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
    """Return bars for sending and decoding one frame, in every recipe and unchanged."""
    rows = (report.measured.source, *report.measured.rows)
    timed = [(row.name, row.n_bytes / report.bandwidth, row.speed.decode) for row in rows]
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

"""The sections of a report that have plots: quality over bytes, latency, and the fog."""

from __future__ import annotations

from collections.abc import Sequence

from rinrcodec.cli.views.fog_table import duration, explain
from rinrcodec.cli.views.html import Html, element, table
from rinrcodec.cli.views.report_figures import Report
from rinrcodec.cli.views.report_plots import bandwidth_plot, devices_plot, quality_plot
from rinrcodec.cli.views.report_words import label, milliseconds, size, times
from rinrcodec.evaluation.measure import OURS

__all__ = ["curves", "fog", "latency"]


def curves(report: Report) -> list[Html]:
    """Quality over bytes."""
    parts = [("background", "Outside the boxes")]
    if report.figures.has_objects:
        parts.append(("objects", "Inside the boxes"))
    else:
        parts = [("background", "The frame")]
    return [
        element("h2", "Quality over bytes"),
        element(
            "p",
            "The other codecs at several sizes, ours (the star) at the one that the preset gives. "
            "Further up and further left is better.",
        ),
        _plots([(title, quality_plot(report.figures, part)) for part, title in parts]),
    ]


def latency(report: Report) -> list[Html]:
    """Sending and decoding one frame."""
    figures, speed = report.figures, report.bandwidth
    lines = [
        (figures.source, figures.source_bytes / len(figures.frames), figures.source_speed.decode),
        *(
            (label(method), row.n_bytes, figures.speeds[method].decode)
            for method, row in figures.means().items()
        ),
    ]
    longest = max(n_bytes / speed + decode for _, n_bytes, decode in lines)
    bars = [_bar(name, n_bytes / speed, decode, longest) for name, n_bytes, decode in lines]
    key = element(
        "p",
        element("span", element("i", class_="send"), f"sending at {speed / 1e6:g} MB/s"),
        element("span", element("i", class_="decode"), "decoding, measured here"),
        class_="key soft",
    )
    return [
        element("h2", "From the sender to pixels"),
        element(
            "p",
            f"One frame to one receiver. {OURS} decoded on {report.made['device']}, the other "
            "codecs on one CPU core. Encoding comes before, and is paid once.",
        ),
        element("div", key, *bars, class_="bars"),
    ]


def _bar(name: str, send: float, decode: float, longest: float) -> Html:
    track = [
        element("i", class_=kind, style=f"width:{100 * seconds / longest:.2f}%")
        for kind, seconds in (("send", send), ("decode", decode))
    ]
    return element(
        "div",
        element("span", name),
        element("div", *track, class_="track", title=f"{milliseconds(send)}, then "
                f"{milliseconds(decode)}"),
        element("span", milliseconds(send + decode)),
        class_="bar",
    )  # fmt: skip


def fog(report: Report) -> list[Html]:
    """What a fog saves, and the times."""
    scenario = report.scenario
    direct = scenario.direct().n_bytes
    rows = [
        [
            way.way if way.way.startswith("train") else f"{way.codec}, {way.way}",
            size(way.n_bytes),
            times(direct / way.n_bytes),
            duration(way.seconds(report.bandwidth)),
        ]
        for way in scenario.transfers()
    ]
    device = scenario.devices[0]
    return [
        element("h2", "Through a fog"),
        element(
            "p",
            f"{len(scenario.devices)} devices hold {device.n_frames:,} such frames each "
            f"({size(device.n_bytes)}), and all the others want them, over one link of "
            f"{report.bandwidth / 1e6:g} MB/s. Serverless, a device sends to each receiver what it "
            "encodes itself; a fog node takes the frames once, encodes them, and sends those on. "
            "Time includes encoding and decoding as measured here.",
        ),
        table(["way", "moved", "times less", "time"], rows),
        element("ul", *(element("li", line) for line in explain(scenario, report.bandwidth))),
        _plots(
            [
                ("Data moved", devices_plot(scenario, report.scenario_methods)),
                ("Time", bandwidth_plot(scenario, report.scenario_methods, report.bandwidth)),
            ]
        ),
    ]


def _plots(plots: Sequence[tuple[str, Html]]) -> Html:
    shown = [element("div", element("h3", title), plot, class_="plot") for title, plot in plots]
    return element("div", *shown, class_="plots")

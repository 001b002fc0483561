"""The page of a report, section by section."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rinrcodec import __version__
from rinrcodec.advice import Advice
from rinrcodec.cli._fog_table import duration, explain
from rinrcodec.cli._html import Html, element, page, table
from rinrcodec.cli._names import shown_name
from rinrcodec.cli._report_measure import OURS, Figures, Frame
from rinrcodec.cli._report_pictures import crops
from rinrcodec.cli._report_plots import bandwidth_plot, devices_plot, quality_plot
from rinrcodec.cli._report_style import STYLE
from rinrcodec.cli._report_words import db, label, milliseconds, size, times
from rinrcodec.comparison import Row
from rinrcodec.fog import Scenario

__all__ = ["Report", "report_page"]

# Frames whose crops are shown: more would make the page too large to send around.
_SHOWN_FRAMES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """All that a page tells. scenario_methods: the methods of the scenario's codecs, in order.

    made: how, as pairs of words; bandwidth: in bytes a second.
    """

    name: str
    n_source_frames: int
    figures: Figures
    advice: Advice
    scenario: Scenario
    scenario_methods: tuple[str, ...]
    bandwidth: float
    made: Mapping[str, str]


def report_page(report: Report) -> str:
    """The whole page as HTML."""
    sections = (
        _head,
        _tiles,
        _equal_bytes,
        _pictures,
        _curves,
        _latency,
        _fog,
        _every_frame,
        _made,
    )
    body = [part for section in sections for part in section(report)]
    return page(f"rinrcodec report: {shown_name(report.name)}", body, style=STYLE)


def _head(report: Report) -> list[Html]:
    figures = report.figures
    sizes = {(f.picture.width, f.picture.height) for f in figures.frames}
    shape = "{}x{}".format(*sizes.pop()) if len(sizes) == 1 else f"{len(sizes)} sizes"
    boxes = sum(len(frame.picture.boxes) for frame in figures.frames)
    what = (
        f"{len(figures.frames)} of {report.n_source_frames:,} frames, chosen evenly; {shape}; "
        f"{boxes} {'box' if boxes == 1 else 'boxes'}"
    )
    return [
        element("p", "rinrcodec report", class_="soft"),
        element("h1", shown_name(report.name)),
        element("p", what, class_="soft"),
        element(
            "section",
            element("h2", report.advice.headline),
            element("ul", *(element("li", reason) for reason in report.advice.reasons)),
            class_="advice",
        ),
    ]


def _tiles(report: Report) -> list[Html]:
    figures = report.figures
    mine, speed = figures.means()[OURS], figures.speeds[OURS]
    tiles = [
        (size(mine.n_bytes), f"a frame as .rinr, {mine.bpp:.3f} bits a pixel"),
        _ratio(figures),
        (f"{db(mine.object_psnr)} dB", "inside the boxes"),
        (f"{db(mine.background_psnr)} dB", "outside the boxes"),
        (milliseconds(speed.encode), "to fit a frame, here"),
        (milliseconds(speed.decode), "to decode a frame, here"),
    ]
    if not figures.has_objects:
        del tiles[2]
    return [
        element(
            "div",
            *(element("div", element("b", big), element("span", small), class_="tile")
              for big, small in tiles),
            class_="tiles",
        )
    ]  # fmt: skip


def _ratio(figures: Figures) -> tuple[str, str]:
    ratio = figures.source_bytes / figures.pack_bytes
    if ratio < 1:
        return times(1 / ratio), f"larger than the {figures.source}"
    return times(ratio), f"smaller than the {figures.source}"


def _equal_bytes(report: Report) -> list[Html]:
    means, speeds = report.figures.means(), report.figures.speeds
    parts = ("psnr", "background_psnr", "object_psnr")
    best = {part: max(_key(row, part) for row in means.values()) for part in parts}
    rows = [
        [
            label(method),
            size(row.n_bytes),
            f"{row.bpp:.3f}",
            *(_best(getattr(row, part), _key(row, part) == best[part]) for part in parts),
            milliseconds(speeds[method].encode),
            milliseconds(speeds[method].decode),
        ]
        for method, row in means.items()
    ]
    header = ["codec", "bytes a frame", "bits/pixel", "frame dB", "background dB", "objects dB",
              "encode", "decode"]  # fmt: skip
    return [
        element("h2", "Quality at equal bytes"),
        element(
            "p",
            "Every codec was given the bytes that each frame has as .rinr: whole files, the best "
            "settings that Pillow offers. Quality is PSNR, the mean of the frames' dB: objects are "
            "the pixels inside any box, background all others. ",
            element("b", label("composite")),
            " is a frame of lower quality with crops of the boxes pasted in. The best of each "
            "column is in colour.",
        ),
        table(header, rows, marked=[0]),
    ]


def _key(row: Row, part: str) -> float:
    value = getattr(row, part)
    return -1.0 if value is None else float(value)


def _best(value: float | None, is_best: bool) -> str:
    return element("b", db(value)) if is_best and value is not None else db(value)


def _pictures(report: Report) -> list[Html]:
    frames = report.figures.frames
    step = max(1, -(-len(frames) // _SHOWN_FRAMES))
    shown = frames[::step]
    inside = "inside the largest box" if report.figures.has_objects else "of the frame"
    if any(not frame.picture.boxes for frame in shown) and report.figures.has_objects:
        inside += ", of the frame where it has none"
    note = "" if len(shown) == len(frames) else f" {len(shown)} of {len(frames)} frames are shown."
    return [
        element("h2", "What that looks like"),
        element(
            "p",
            "Boxes are red; the dashed part is enlarged, pixel by pixel, in every codec at about "
            f"as many bytes. Below it is the PSNR {inside}.{note}",
        ),
        *map(crops, shown),
    ]


def _curves(report: Report) -> list[Html]:
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


def _latency(report: Report) -> list[Html]:
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


def _fog(report: Report) -> list[Html]:
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


def _every_frame(report: Report) -> list[Html]:
    frames = report.figures.frames
    methods = [coded.codec for coded in frames[0].coded]
    header = ["frame", "pixels", "boxes", report.figures.source, ".rinr", *map(label, methods)]
    return [
        element("h2", "Every frame"),
        element(
            "p",
            "Background / objects in dB, all codecs at about the bytes of the .rinr. The bytes of "
            "a frame are its weights and an equal part of the rest of the file.",
        ),
        table(header, [_frame_cells(frame) for frame in frames]),
    ]


def _frame_cells(frame: Frame) -> list[str]:
    picture = frame.picture
    return [
        shown_name(picture.name),
        f"{picture.width}x{picture.height}",
        str(len(picture.boxes)),
        size(frame.source_bytes),
        size(frame.rows[0].n_bytes),
        *(f"{db(row.background_psnr)} / {db(row.object_psnr)}" for row in frame.rows),
    ]


def _made(report: Report) -> list[Html]:
    made = {
        **report.made,
        "software": f"rinrcodec {__version__}, Python {platform.python_version()}",
    }
    pairs = [element(kind, text) for key, value in made.items()
             for kind, text in (("dt", key), ("dd", shown_name(value)))]  # fmt: skip
    note = "Times are those of this machine as it was: other work on it makes them longer."
    return [element("h2", "How this was made"), element("dl", *pairs), element("p", note)]

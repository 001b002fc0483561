"""The page of a report, section by section."""

from __future__ import annotations

import platform

from rinrcodec import __version__
from rinrcodec.cli.views.html import Html, element, page, table
from rinrcodec.cli.views.report_figures import Report
from rinrcodec.cli.views.report_pictures import crops
from rinrcodec.cli.views.report_plotted import curves, fog, latency
from rinrcodec.cli.views.report_style import STYLE
from rinrcodec.cli.views.report_words import db, label, milliseconds, size, times
from rinrcodec.datasets.names import shown_name
from rinrcodec.evaluation.comparison import Row
from rinrcodec.evaluation.measure import OURS, Figures, Frame

__all__ = ["report_page"]

# Frames whose crops are shown: more would make the page too large to send around.
_SHOWN_FRAMES = 8


def report_page(report: Report) -> str:
    """The whole page as HTML."""
    sections = (
        _head,
        _tiles,
        _equal_bytes,
        _pictures,
        curves,
        latency,
        fog,
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
    pasted = [
        element("b", label("composite")),
        " is a frame of lower quality with crops of the boxes pasted in. ",
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
            *(pasted if "composite" in means else ()),
            "The best of each column is in colour.",
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

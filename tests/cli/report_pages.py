"""Frames with hostile names, `rinrcodec report` on them, and what its page shows."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image
from tiny_sets import picture, put, write

from rinrcodec.cli.main import cli
from rinrcodec.evaluation.accuracy import Accuracy
from rinrcodec.evaluation.measure import Measured
from rinrcodec.evaluation.speed import Speed

__all__ = ["BOXES", "NAMES", "QUICK", "Page", "hostile_frames", "report", "with_accuracy"]

QUICK = ("--preset", "fast", "--steps", "3", "--device", "cpu", "--frames", "2")
# What HTML gives a meaning to, as far as a file name may hold it.
NAMES = ["<img src=x onerror=alert(1)>&amp;.jpg", """b' "quoted" & <b>.jpg"""]
VOID = {"meta", "img", "br"}
# Of both frames, in pixels: x, y, width and height.
BOXES = [(22.4, 12, 19.2, 16), (9.6, 6, 6.4, 4)]


class Page(HTMLParser):
    """The text, tags and attributes of a page; a tag that closes no open one is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        # The cells of all tables; None ends a row.
        self.rows: list[str | None] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "tr":
            self.rows.append(None)

    def handle_data(self, data):
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows.append(data)

    def cells(self, name: str) -> list[str]:
        """The other cells of the first row of a table that begins with that name."""
        cells: list[str] = []
        start = next(i for i, text in enumerate(self.rows) if text == name)
        for text in self.rows[start + 1 :]:
            if text is None:
                break
            cells.append(text)
        return cells

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def report(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["report", *map(str, args)], prog_name="rinrcodec")
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def hostile_frames(folder: Path) -> None:
    """Write two small frames with two boxes each."""
    for i, name in enumerate(NAMES):
        noise = np.random.default_rng(i).integers(-20, 20, (40, 64, 3))
        pixels = np.clip(np.asarray(picture(i, 64, 40)) + noise, 0, 255).astype(np.uint8)
        put(folder / name, Image.fromarray(pixels), quality=95)
        write(folder / f"{name[:-4]}.txt", "0 0.5 0.5 0.3 0.4\n1 0.2 0.2 0.1 0.1\n")


def with_accuracy(
    measured: Measured, found: float, before: float, speed: Speed | None = None
) -> Measured:
    """All rows with the same accuracy, and the same speed if given; the data as it is with another
    accuracy."""
    rows = [
        replace(row, accuracy=Accuracy(found, found, found), speed=speed or row.speed)
        for row in measured.rows
    ]
    source = replace(measured.source, accuracy=Accuracy(before, before, before))
    anchor = rows[measured.rows.index(measured.anchor)]
    return Measured(measured.pictures, tuple(rows), anchor, source)

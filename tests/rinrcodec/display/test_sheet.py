"""Contact sheets: bounded pictures and text, everything escaped, and never an error."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import rinrcodec
from rinrcodec import Box
from rinrcodec.display.sheet import Look, contact_sheet, html_or_text
from rinrcodec.display.thumbnails import blank, class_colour, thumbnail

HOSTILE = '<script>alert("x")</script>\x1b[2J\u202e&'


class Page(HTMLParser):
    """The pictures and the text of a page; every tag must be one of a sheet, and be closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.images: list[Image.Image] = []
        self.alts: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"div", "figure", "figcaption", "img", "br", "span", "pre"}
        given = dict(attrs)
        assert given.keys() <= {"src", "width", "height", "alt", "style"}
        if tag == "img":
            kind, data = (given["src"] or "").split(",")
            assert kind == "data:image/webp;base64"
            image = Image.open(io.BytesIO(base64.b64decode(data)))
            assert image.size == (int(given["width"] or 0), int(given["height"] or 0))
            self.images.append(image.convert("RGB"))
            self.alts.append(given["alt"] or "")
        if tag not in ("img", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def look(number: int) -> Look:
    def decode(scale: float) -> NDArray[np.uint8]:
        return np.full((round(60 * scale), round(80 * scale), 3), 10, np.uint8)

    return Look(f"{number}.png", (80, 60), [Box(1, 10, 10, 30, 20)], {1: "car"}, decode)


@pytest.mark.parametrize(("n_frames", "shown"), [(0, 0), (1, 1), (8, 8), (9, 8), (10**6, 8)])
def test_a_few_frames_are_shown(n_frames: int, shown: int) -> None:
    page = Page(contact_sheet("a file", n_frames, look, clock=lambda: 0.0))
    assert len(page.images) == shown
    assert page.text.count("car") == shown
    assert (f"; {shown} of {n_frames} shown" in page.text) == (shown < n_frames)


def test_frames_are_spread_evenly() -> None:
    assert Page(contact_sheet("", 100, look, most=4, clock=lambda: 0.0)).alts == [
        "0.png",
        "25.png",
        "50.png",
        "75.png",
    ]


def test_boxes_are_drawn_in_the_colours_of_their_classes() -> None:
    black = np.zeros((60, 80, 3), np.uint8)
    image = thumbnail(black, [Box(1, 10, 10, 30, 20)], frame_size=(80, 60))
    expected = tuple(bytes.fromhex(class_colour(1)[1:]))
    assert image.getpixel((10, 10)) == image.getpixel((39, 29)) == expected
    assert image.getpixel((40, 30)) == image.getpixel((20, 20)) == (0, 0, 0)
    small = thumbnail(black, [Box(1, 10, 10, 30, 20)], frame_size=(80, 60), side=40)
    assert small.size == (40, 30)
    assert small.getpixel((5, 5)) == small.getpixel((19, 14)) == expected


@pytest.mark.parametrize(
    "box",
    [
        Box(0, -50, -50, 10, 10),
        Box(0, 1e308, 1e308, 1e308, 1e308),
        Box(0, -1e308, 0, 1e308, 1),
        Box(10**30, 0, 0, 0, 0),
    ],
)
def test_odd_boxes_can_be_drawn(box: Box) -> None:
    assert thumbnail(blank(80, 60), [box] * 1000, frame_size=(80, 60)).size == (80, 60)
    assert thumbnail(blank(9000, 1), [box], frame_size=(9000, 1)).size == (160, 1)


def test_text_is_escaped_and_bounded() -> None:
    def hostile(_: int) -> Look:
        boxes = [Box(number % 50, 0, 0, 5, 5) for number in range(500)]
        classes = dict.fromkeys(range(50), HOSTILE + 10**5 * "x")
        return Look(HOSTILE + 10**5 * "y", (80, 60), boxes, classes)

    html = contact_sheet(HOSTILE + 10**6 * "z", 1000, hostile, clock=lambda: 0.0)
    assert "<script" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert len(html) < 60_000
    page = Page(html)
    assert len(page.images) == 8
    assert r"<script>alert" in page.text
    assert "and 44 more classes" in page.text


def test_large_and_damaged_frames_are_grey() -> None:
    asked = []

    def odd(number: int) -> Look:
        def decode(_: float) -> NDArray[np.uint8]:
            asked.append(number)
            raise ValueError(HOSTILE)

        if number == 3:
            raise rinrcodec.RinrFormatError("damaged")
        return Look(str(number), (80, 60) if number else (8192, 8192), [], {}, decode)

    page = Page(contact_sheet("", 4, odd, clock=lambda: 0.0))
    assert asked == [1, 2]
    assert [image.getpixel((9, 9)) for image in page.images] == [(221, 221, 221)] * 3
    assert page.text.count("cannot be decoded: <script>") == 2
    assert "cannot be shown: damaged" in page.text


def test_slow_frames_end_the_sheet() -> None:
    times = iter([0.0, 0.0, 4.0, 6.0])
    page = Page(contact_sheet("", 8, look, clock=lambda: next(times)))
    assert len(page.images) == 2
    assert "2 of 8 shown" in page.text


def test_an_error_gives_the_text() -> None:
    def fail() -> str:
        raise RuntimeError

    assert html_or_text(fail, HOSTILE).startswith("<pre>&lt;script&gt;")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pictures = [np.full((24, 32, 3), 200, np.uint8), np.zeros((24, 32), np.uint8)]
    boxes = [[Box(0, 4, 4, 10, 10)], []]
    pack = rinrcodec.encode(pictures, boxes=boxes, classes=[HOSTILE], preset="fast", device="cpu")
    rinrcodec.save(pack, tmp_path / "x.rinr")
    return tmp_path / "x.rinr"


def test_files_frames_and_datasets_have_sheets(path: Path) -> None:
    with rinrcodec.open(path) as file:
        html = file._repr_html_()
        frame = file.frame(0)
    assert "<script" not in html
    page = Page(html)
    assert [image.size for image in page.images] == [(32, 24)] * 2
    red, green, blue = page.images[0].getpixel((25, 20))
    assert min(red, green, blue) > 180
    assert "<script>" in page.text
    assert "x.rinr" in page.text
    alone = Page(frame._repr_html_())
    assert len(alone.images) == 1
    assert "class 0" in alone.text
    dataset = rinrcodec.RinrDataset(path.parent)
    assert len(Page(dataset._repr_html_()).images) == 2
    path.unlink()
    gone = rinrcodec.RinrDataset.__new__(rinrcodec.RinrDataset)
    gone.__dict__ |= {**dataset.__dict__, "_open": None}
    assert Page(gone._repr_html_()).text.count("cannot be shown") == 2
    assert "x.rinr" in Page(file._repr_html_()).text  # which is closed


def test_texts_are_short(path: Path) -> None:
    big = np.zeros((64, 64, 3), np.uint8)
    outline = Box(0, 0, 0, 9, 9, polygons=[list(range(10_000))])
    picture = rinrcodec.Picture("a" * 3000, big, (outline,))
    pack = rinrcodec.encode([picture], preset="fast", device="cpu")
    with rinrcodec.open(path) as file:
        texts = [
            repr(one)
            for one in (
                file,
                file.frame(0),
                file.groups[0],
                file.read_rows(0, [0]),
                picture,
                pack,
                pack.frames[0],
                pack.stacks[0],
                outline,
                rinrcodec.Decoder(pack),
                rinrcodec.RinrDataset(path),
                rinrcodec.verify(path),
                rinrcodec.decompress(path, path.parent / "back", device="cpu"),
            )
        ]
    assert [text for text in texts if len(text) > 400 or "\n" in text] == []
    assert "2 frames" in texts[0]
    assert "32x24 RGB, 1 box" in texts[1]

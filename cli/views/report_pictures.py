"""The pictures of a report: frames made small, and crops around what one looks at."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rinrcodec.boxes import Region
from rinrcodec.cli.views.html import Html, data_uri, element
from rinrcodec.cli.views.report_words import db, label
from rinrcodec.datasets.names import shown_name
from rinrcodec.evaluation.baselines import Coded, available_codecs
from rinrcodec.evaluation.measure import Frame
from rinrcodec.metrics import psnr

__all__ = ["crops"]

# Crops are lossless, so their number of pixels decides the size of the page.
_LEAST_SIDE, _MOST_SIDE = 48, 176
_THUMBNAIL = (480, 360)
# Room around an object, as a share of its longer side.
_MARGIN = 0.4


def crops(frame: Frame) -> Html:
    """One frame made small with its boxes, and the same crop of it in every codec."""
    picture = frame.picture
    box = _main_box(frame)
    region = _around(box, picture.width, picture.height)
    ours, *others = frame.coded
    views = [_shown("source", picture.pixels, region, "")]
    for coded in (*others, ours):
        views.append(_shown(label(coded.codec), coded.pixels, region, _quality(frame, coded, box)))
    name = shown_name(picture.name)
    return element(
        "article",
        element("h3", name),
        element(
            "div",
            _thumbnail(frame, region),
            element("div", *views, class_="crops"),
            class_="views",
        ),
        class_="frame",
    )


def _quality(frame: Frame, coded: Coded, box: Region | None) -> str:
    reference, decoded = frame.picture.pixels, coded.pixels
    if box is None:
        return f"{db(psnr(reference, decoded))} dB"
    return f"{db(psnr(reference[box.slices], decoded[box.slices]))} dB"


def _main_box(frame: Frame) -> Region | None:
    """The largest box of the frame, as far as it lies in it."""
    width, height = frame.picture.width, frame.picture.height
    regions = [box.region(width, height) for box in frame.picture.boxes]
    return max((r for r in regions if r.area), key=lambda region: region.area, default=None)


def _around(box: Region | None, width: int, height: int) -> Region:
    """A square around a box, or in the middle of the frame; as large as the frame allows."""
    middle = box or Region(width // 2, height // 2, 1, 1)
    wanted = max(box.width, box.height) * (1 + 2 * _MARGIN) if box else _MOST_SIDE
    side = round(min(max(wanted, _LEAST_SIDE), _MOST_SIDE))
    w, h = min(side, width), min(side, height)
    x = min(max(0, (middle.x + middle.right - w) // 2), width - w)
    y = min(max(0, (middle.y + middle.bottom - h) // 2), height - h)
    return Region(x, y, w, h)


def _shown(name: str, pixels: NDArray[np.uint8], region: Region, below: str) -> Html:
    view = np.ascontiguousarray(pixels[region.slices])
    image = element(
        "img",
        src=_lossless(view),
        alt=f"{name} {below}".strip(),
        width=region.width,
        height=region.height,
        class_="crop",
    )
    caption = element("figcaption", element("b", name), element("br"), below)
    return element("figure", image, caption)


def _lossless(pixels: NDArray[np.uint8]) -> str:
    kind = "webp" if "webp" in available_codecs() else "png"
    buffer = io.BytesIO()
    options = {"lossless": True, "method": 6} if kind == "webp" else {"optimize": True}
    Image.fromarray(pixels).save(buffer, format=kind, **options)
    return data_uri(buffer.getvalue(), f"image/{kind}")


def _thumbnail(frame: Frame, region: Region) -> Html:
    picture = frame.picture
    image = Image.fromarray(picture.pixels)
    image.thumbnail(_THUMBNAIL)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=80)
    marks = [_mark(box.region(picture.width, picture.height), picture.width, picture.height, "box")
             for box in picture.boxes]  # fmt: skip
    shown = element(
        "img",
        src=data_uri(buffer.getvalue(), "image/jpeg"),
        alt="",
        width=image.width,
        height=image.height,
    )
    mark = _mark(region, picture.width, picture.height, "view")
    return element("div", shown, *marks, mark, class_="thumbnail")


def _mark(region: Region, width: int, height: int, kind: str) -> Html:
    """An outline laid over a thumbnail, in shares of its size."""
    style = (
        f"left:{100 * region.x / width:.2f}%;top:{100 * region.y / height:.2f}%;"
        f"width:{100 * region.width / width:.2f}%;height:{100 * region.height / height:.2f}%"
    )
    return element("span", class_=kind, style=style)

"""Contact sheets for notebooks: a few frames of a file, with boxes and class names, as HTML.

Everything in a file may come from a stranger: text is escaped, the number of frames, boxes and
letters is bounded, and a frame that is large, damaged or slow to decode does not stop the others.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from rinrcodec.boxes import Box
from rinrcodec.display.thumbnails import (
    blank,
    class_colour,
    encode_picture,
    fitting_scale,
    thumbnail,
)
from rinrcodec.printing import printable

__all__ = ["MOST_WORK", "Look", "contact_sheet", "html_or_text"]

# Multiplications to decode a frame for a sheet: those of a frame of 4K in any family.
MOST_WORK = 2**35
MOST_FRAMES = 8
_MOST_PIXELS = 2**24  # of a frame that is decoded
_MOST_SECONDS = 5.0
_MOST_CLASSES = 6
_LETTERS = 48
_SIDE = 160


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The contents of a sheet for one frame.

    Attributes:
        name: of the frame.
        size: its width and height.
        boxes: in its pixels.
        classes: the names of the classes by their ids.
        decode: gives its pixels at a scale, uint8 [h, w, 3]; None where nothing has them.
    """

    name: str
    size: tuple[int, int]
    boxes: Sequence[Box]
    classes: Mapping[int, str]
    decode: Callable[[float], NDArray[np.uint8]] | None = None


def contact_sheet(
    title: str,
    n_frames: int,
    look: Callable[[int], Look],
    *,
    most: int = MOST_FRAMES,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Return the HTML of a sheet of a few frames, evenly spread.

    Args:
        title: The line above.
        n_frames: How many frames there are.
        look: Gives a frame by its number.
        most: How many to show at most. Fewer are shown where they take more than five seconds.
        clock: Gives seconds.
    """
    began = clock()
    tiles: list[str] = []
    shown = min(n_frames, most)
    for place in range(shown):
        if clock() - began > _MOST_SECONDS:
            break
        tiles.append(_tile(look, place * n_frames // shown))
    more = f"; {len(tiles)} of {n_frames} shown" if len(tiles) < n_frames else ""
    flex = "display:flex;flex-wrap:wrap;gap:8px;align-items:flex-start"
    return (
        f'<div><div>{_text(title, 500)}{more}</div><div style="{flex}">{"".join(tiles)}</div></div>'
    )


def html_or_text(make: Callable[[], str], text: str) -> str:
    """Return what `make` gives or, where that fails, the text: a notebook shows no errors."""
    try:
        return make()
    except Exception:
        return f"<pre>{_text(text, 500)}</pre>"


def _tile(look: Callable[[int], Look], number: int) -> str:
    name = f"frame {number}"
    try:
        frame = look(number)
        name = frame.name
        width, height = frame.size
        caption = [f"{_text(name)}<br>{width}x{height}"]
        pixels = blank(width, height, _SIDE)
        if frame.decode is not None and width * height <= _MOST_PIXELS:
            try:
                pixels = frame.decode(fitting_scale(width, height, _SIDE))
            except Exception as error:
                caption.append(f"cannot be decoded: {_text(error)}")
        image = thumbnail(pixels, frame.boxes, frame_size=frame.size, side=_SIDE)
        caption += _legend(frame)
        picture = (
            f'<img src="{encode_picture(image).uri}" width="{image.width}" height="{image.height}" '
            f'alt="{_text(name)}">'
        )
    except Exception as error:
        picture, caption = "", [_text(name), f"cannot be shown: {_text(error)}"]
    style = f"margin:0;width:{_SIDE}px;font-size:11px;overflow-wrap:anywhere"
    return (
        f'<figure style="{style}">{picture}<figcaption>{"<br>".join(caption)}</figcaption></figure>'
    )


def _legend(frame: Look) -> list[str]:
    """List the classes of the boxes, the most frequent first, with their colours."""
    counts = Counter(box.class_id for box in frame.boxes)
    lines = []
    for class_id, count in counts.most_common(_MOST_CLASSES):
        label = _text(frame.classes.get(class_id, f"class {class_id}"))
        square = f'<span style="color:{class_colour(class_id)}">&#9632;</span>'
        lines.append(f"{square} {label}{f' x {count}' if count > 1 else ''}")
    if len(counts) > _MOST_CLASSES:
        lines.append(f"and {len(counts) - _MOST_CLASSES} more classes")
    return lines


def _text(value: object, most: int = _LETTERS) -> str:
    # Cut before it is escaped, which takes long for megabytes, and after, as escapes are longer.
    text = printable(str(value)[: most + 1])
    return escape(text if len(text) <= most else f"{text[: most - 3]}...")

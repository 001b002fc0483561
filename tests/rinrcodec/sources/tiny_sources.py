"""Small pictures and labels on disk, and what a series says of them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from rinrcodec.boxes import Box
from rinrcodec.sources.source import Series

LABEL = "2 0.5 0.5 0.5 0.5\n"
BOX = Box(2, 1.0, 1.0, 2.0, 2.0)


def put(path: Path, grey: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), grey).save(path)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def names(series: Series) -> list[str]:
    return [ref.name for ref in series.refs]


def boxes(series: Series) -> list[tuple[Box, ...]]:
    return [item.picture.boxes for item in series.read() if item.picture]

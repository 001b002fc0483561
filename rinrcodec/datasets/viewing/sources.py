"""The pictures from which packs were made, found by the names of frames."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rinrcodec.errors import RinrInputError
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.pictures.depth import DepthRange, check_depth_range
from rinrcodec.sources.readings import ImageRef, read_image
from rinrcodec.strict_json import parse_json

__all__ = ["SourcePictures"]


class SourcePictures:
    """The pictures of a folder, a data yaml or one file, by the names that frames have.

    Args:
        path: What was compressed.
        limits: For every picture.

    Raises:
        RinrInputError: There is no picture, or it is a video, whose frames have no files.
    """

    def __init__(self, path: Path, *, limits: Limits = DEFAULT_LIMITS) -> None:
        source = open_source(path, labels="none")
        if source.kind == "video":
            raise RinrInputError(
                f"{path} is a video, whose frames have no files; give a folder of pictures"
            )
        self._path = path
        self._limits = limits
        self._refs: dict[str, list[tuple[str, ImageRef]]] = defaultdict(list)
        for series in source.series:
            for ref in series.refs:
                self._refs[ref.name].append((series.name, ref))

    def pixels(self, name: str, pack: Path, info: Mapping[str, str]) -> NDArray[np.uint8]:
        """Return the pixels of the picture of a frame, uint8 [h, w, 3].

        Args:
            name: The name of the frame.
            pack: The file that holds it. Splits may have pictures of one name: its name tells.
            info: What the pack says of its making.

        Raises:
            RinrInputError: No picture has that name, or it cannot be read.
        """
        found = self._refs.get(name, [])
        if len(found) > 1:
            found = [item for item in found if pack.name.startswith(f"{item[0]}-")] or found
        if len(found) != 1:
            count = "no picture" if not found else f"{len(found)} pictures"
            raise RinrInputError(f"{self._path} has {count} of that name{self._advice(name)}")
        reading = read_image(found[0][1], depth_range=_depth_range(info), limits=self._limits)
        if reading.picture is None:
            raise RinrInputError(reading.error)
        pixels = reading.picture.pixels
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)

    def _advice(self, name: str) -> str:
        """Name a folder of the source that has a picture of a frame at the right place."""
        for known, ((_, ref), *_) in self._refs.items():
            if known.endswith(f"/{name}"):
                folder = ref.path.parents[name.count("/")]
                return f"; give the folder that contains it, such as {folder}"
        return ""


def _depth_range(info: Mapping[str, str]) -> DepthRange | None:
    """Return the values that became black and white, as `compress` notes them."""
    if "depth_range" not in info:
        return None
    try:
        return check_depth_range(parse_json(info["depth_range"], most_depth=1))
    except ValueError:  # a stranger's note; the picture then looks as with the default
        return None

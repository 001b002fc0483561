"""Frames of packs as a source of YOLO predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from ultralytics.data.loaders import LoadImagesAndVideos, autocast_list
from ultralytics.utils import LOGGER

from rinrcodec.errors import RinrError, RinrMemoryError
from rinrcodec.pack import Frame
from rinrcodec.plugins._frames import FrameRef, StrPath, decode_rgb, find_packs, is_pack, scan
from rinrcodec.printing import printable

__all__ = ["PackLoader", "open_listed"]


class PackLoader(LoadImagesAndVideos):
    """Batches of frames from packs, in order: paths, uint8 [H, W, 3] BGR arrays, and log lines.

    Damaged frames and files are reported and passed over. Raises `RinrError` where no frame can
    be read. Pictures and videos next to the packs are not part of it.
    """

    def __init__(
        self, path: StrPath | list[StrPath], batch: int = 1, vid_stride: int = 1, channels: int = 3
    ) -> None:
        self._refs: list[FrameRef] = []
        failures: list[RinrError | OSError] = []
        for pack in find_packs(path):
            failures += _add_sound(self._refs, pack)
        if not self._refs:
            raise failures[0]
        self.files = [ref.path for ref in self._refs]
        self.nf = self.ni = len(self.files)
        self.video_flag = [False] * self.nf
        self.mode = "image"
        self.vid_stride = vid_stride
        self.bs = batch
        self.cap = None
        self.channels = channels

    def __next__(self) -> tuple[list[str], list[NDArray[np.uint8]], list[str]]:
        paths: list[str] = []
        images: list[NDArray[np.uint8]] = []
        lines: list[str] = []
        while len(images) < self.bs and self.count < self.nf:
            ref = self._refs[self.count]
            self.count += 1
            try:
                images.append(self._pixels(ref))
            except RinrMemoryError:  # which says nothing of the file
                raise
            except RinrError as error:
                LOGGER.warning(printable(f"corrupt, left out: {error}"))
                continue
            paths.append(ref.path)
            lines.append(f"image {self.count}/{self.nf} {ref.path}: ")
        if not images:
            raise StopIteration
        return paths, images, lines

    def _pixels(self, ref: FrameRef) -> NDArray[np.uint8]:
        rgb = decode_rgb(ref)
        if self.channels == 1:
            return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], np.uint8)
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)


def open_listed(source: list[Any]) -> list[Any]:
    """Load as Ultralytics' `autocast_list`, where the path of a pack means all its frames."""
    opened: list[Any] = []
    for item in source:
        if not is_pack(item):
            opened += autocast_list([item])
            continue
        refs: list[FrameRef] = []
        failures = _add_sound(refs, Path(item))
        if not refs:
            raise failures[0]
        for ref in refs:
            image = Image.fromarray(decode_rgb(ref))
            image.filename = ref.path  # type: ignore[attr-defined]
            opened.append(image)
    return opened


def _add_sound(refs: list[FrameRef], pack: Path) -> list[RinrError | OSError]:
    """Add the frames of a pack that can be read; report and return what is in the way of others."""
    failures: list[RinrError | OSError] = []
    lines: list[str] = []
    try:
        for ref, outcome in scan(pack):
            if isinstance(outcome, Frame):
                refs.append(ref)
            else:
                failures.append(outcome)
                lines.append(f"{ref.path}: {outcome}")
    except RinrMemoryError:
        raise
    except (RinrError, OSError) as error:
        failures.append(error)
        lines.append(str(error))
    for line in lines:
        LOGGER.warning(printable(f"corrupt, left out: {line}"))
    return failures

"""Frames of a video file, read with PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.picture import Picture
from rinrcodec.sources.images import picture_from_array

__all__ = ["count_frames", "frame_name", "read_video"]

_THREADS = 4


def count_frames(path: str | os.PathLike[str]) -> int:
    """The number of frames a video declares or, where it declares none, holds as packets.

    Nothing is decoded. Raises `RinrInputError` for a file that is no video.
    """
    import av

    try:
        with av.open(os.fspath(path)) as container:
            stream = _video_stream(container, path)
            declared = int(stream.frames)
            if declared > 0:
                return declared
            return sum(1 for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, OSError) as error:
        raise RinrInputError(f"{path}: not a video that can be read ({error})") from error


def read_video(
    path: Path, start: int = 0, n_frames: int = 0, *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[str, Picture | None, str | None]]:
    """Decode the frames from number `start` on, as `(name, picture, error)`, one at a time.

    Frames are named `VIDEO/000001.png` (from 1) and stand upright. The bytes of the file are
    shared out evenly over `n_frames`. Damage ends the video with an item that has an error, as
    does a file that ends before the frames it declares; damage before `start` is not reported.
    Raises `OSError` where the file cannot be read.
    """
    import av

    number = 0  # of the frame to come
    problem = None
    try:
        # Of a file that Python opened, what the disk does is an `OSError`, and the rest is damage.
        with path.open("rb") as file, av.open(file) as container:
            size = os.fstat(file.fileno()).st_size
            stream = _video_stream(container, path)
            stream.thread_type = "AUTO"
            # Where damage is met depends on it, and must not depend on the machine.
            stream.codec_context.thread_count = _THREADS
            shown = None
            for frame in container.decode(stream):
                if number >= start:
                    share = 0
                    if number < n_frames:
                        share = size * (number + 1) // n_frames - size * number // n_frames
                    name = frame_name(path, number)
                    yield name, _picture(frame, name, share, limits), None
                number, shown = number + 1, frame.time
            if _is_cut(container, stream, number, shown):
                problem = f"the file ends after {number} of {stream.frames} frames"
    except (av.FFmpegError, RinrError) as error:
        problem = f"frame {number + 1}: {error}"
    # The call that read that frame, or the first that is missing, has reported it.
    if problem is not None and number >= start:
        yield frame_name(path, number), None, f"{path}: {problem}"


def frame_name(path: Path, number: int) -> str:
    """The name of the frame of that number, counted from 0."""
    return f"{path.stem}/{number + 1:06d}.png"


def _is_cut(container: Any, stream: Any, decoded: int, shown: float | None) -> bool:
    """Whether frames are missing at the end; `shown` is the time of the last one, in seconds.

    A sound file may declare more frames than it shows: an avi counts those that repeat the one
    before, an mp4 those that its edit list leaves out. Both still last as long as they declare.
    """
    if decoded >= stream.frames or not stream.average_rate:
        return False
    if shown is None or stream.time_base is None:
        return True
    length = stream.frames / stream.average_rate
    if "mp4" in container.format.name and stream.duration:
        length = stream.duration * stream.time_base
    # One frame before the end is where the last one belongs; half a frame for rounding.
    begin = (stream.start_time or 0) * stream.time_base
    return bool(shown - begin < length - 1.5 / stream.average_rate)


def _picture(frame: Any, name: str, share: int, limits: Limits) -> Picture:
    grey = frame.format.name in {"gray", "gray8"}
    pixels = frame.to_ndarray(format="gray" if grey else "rgb24")
    # The file says how far to turn, counter-clockwise, to stand upright.
    turns = round(frame.rotation / 90) % 4
    pixels = np.rot90(pixels, turns)
    return picture_from_array(pixels, name=name, source_bytes=share, limits=limits)


def _video_stream(container: Any, path: str | os.PathLike[str]) -> Any:
    if not container.streams.video:
        raise RinrInputError(f"{path}: there is no video in this file")
    return container.streams.video[0]

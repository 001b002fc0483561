"""Frames of a video file, read with PyAV.

A frame keeps its number where others are lost: labels belong to numbers. A decoder says nothing of
a packet that it cannot use, so the times of the packets are compared with those of the frames:

    packets       0   40   80  120  160      times as the container has them
    frames        0   40       120  160      the one of 80 ms is lost: it is an item with an error
    numbers       1    2    3    4    5

`discover.py` calls `probe_video` once for a file, `Series.read` calls `read_video`.
"""

from __future__ import annotations

import errno
import heapq
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rinrcodec.errors import RinrError, RinrInputError
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.memory import is_out_of_memory, memory_error
from rinrcodec.picture import Picture
from rinrcodec.sources.containers import open_container
from rinrcodec.sources.images import picture_from_array
from rinrcodec.sources.video_ends import Structure, check_structure
from rinrcodec.storage import storage_of

__all__ = [
    "VideoProbe",
    "as_picture",
    "count_frames",
    "frame_name",
    "frame_rate",
    "probe_video",
    "read_video",
    "video_stream",
]

_THREADS = 4
_MOST_AHEAD = 300
_MOST_PIXELS = 2**28  # of the first frame; `read_video` has a limit of its own
_MOST_RATE = 1000  # frames a second; more is a clock, not a rate
_MOST_GAP = 10_000  # frames; more is a clock that was set, not damage
# MPEG-4 repeats the frame before with a packet that says no more than that.
_LEAST_BYTES = 16
_NOTHING = "its data cannot be decoded"
_MARKED = "its data are damaged or incomplete"
_AFTER = "the frames up to the next key frame may show the damage"
_ADVICE = "was the recording interrupted? Record, copy or convert it again"
_LAST = "the frames after it are left out, because their numbers are not known"


@dataclass(frozen=True, slots=True)
class VideoProbe:
    """A video before it is read.

    n_frames: how many frames its packets should give. warnings: what is not used of the file.
    frame_rate: frames a second as a fraction, "30000/1001"; "" where it is not known.
    """

    n_frames: int
    warnings: tuple[str, ...] = ()
    frame_rate: str = ""


class _DecoderError(Exception):
    """A packet that the decoder refuses, while it works on several."""


def count_frames(path: str | os.PathLike[str]) -> int:
    """Count the frames that a video declares or, if it declares none, holds as packets.

    Nothing is decoded. Raises `RinrInputError` for a file that is no video.
    """
    import av

    try:
        with _file(path) as file, open_container(file, path) as container:
            stream = video_stream(container, path)
            declared = int(stream.frames)
            if declared > 0:
                return declared
            return sum(1 for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, OSError) as error:
        raise RinrInputError(f"{path}: not a video that can be read ({error})") from error


def probe_video(path: str | os.PathLike[str]) -> VideoProbe:
    """Count the packets of a video and decode its first frame.

    Raises `RinrInputError` for a file that is no video, or has no frame that can be decoded.
    """
    import av

    found, n_packets, n_frames = False, 0, 0
    try:
        with _file(path) as file, open_container(file, path) as container:
            stream = video_stream(container, path)
            stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}
            times = _Times(stream)
            for packet in container.demux(stream):
                n_packets += times.is_frame(packet)
                n_frames += times.send(packet)
                if not found:
                    try:
                        found = bool(packet.decode())
                    except av.FFmpegError:
                        continue  # `read_video` reports it
            others = len(_video_streams(container)) - 1
            rate = frame_rate(stream)
    except av.error.EOFError as error:  # before anything says what the streams are
        raise RinrInputError(f"{path}: it has no frames; {_ADVICE}") from error
    except av.error.InvalidDataError as error:
        raise RinrInputError(f"{path}: not a video that can be read; {_ADVICE}") from error
    except (av.FFmpegError, OSError) as error:
        # FFmpeg calls it an error of the disk where the file ends within its head.
        advice = f"; {_ADVICE}" if error.errno == errno.EIO else ""
        raise RinrInputError(f"{path}: not a video that can be read ({error}){advice}") from error
    if not found:
        why = f"none of its {n_packets:,} frames can be decoded"
        raise RinrInputError(f"{path}: {why if n_packets else 'it has no frames'}; {_ADVICE}")
    if not others:
        return VideoProbe(n_frames or n_packets, (), rate)
    them = "1 other is" if others == 1 else f"{others} others are"
    warning = f"{path}: only the first video stream is used; {them} left out"
    return VideoProbe(n_frames or n_packets, (warning,), rate)


def frame_rate(stream: Any) -> str:
    """Return the frames a second of a stream of PyAV, in the form of `VideoProbe`."""
    rate = stream.average_rate or stream.guessed_rate
    return str(rate) if rate and 0 < rate <= _MOST_RATE else ""


def read_video(
    path: Path, start: int = 0, n_frames: int = 0, *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[str, Picture | None, str | None]]:
    """Decode the frames from number `start` on, as `(name, picture, error)`, one at a time.

    Frames are named `VIDEO/000001.png` (from 1) and are upright. The bytes of the file are
    shared out evenly over `n_frames`. A frame that is damaged or lost is an item with an error,
    and those after it keep their numbers. Where these are not known, such an item is the last one.
    So it is where the end of the file is missing. Damage before `start` is not reported. Raises
    `OSError` where the file cannot be read.
    """
    import av

    number = 0  # of the frame to come
    problem = None
    try:
        # Python opens the file: a failing disk raises `OSError`, and all else is damage.
        with _file(path) as file:
            size = os.fstat(file.fileno()).st_size
            for item in _items(file, path, size, limits):
                if number >= start:
                    name = frame_name(path, number)
                    if isinstance(item, str):
                        yield name, None, f"{path}: {item}"
                    else:
                        share = 0
                        if number < n_frames:
                            share = size * (number + 1) // n_frames - size * number // n_frames
                        yield name, as_picture(item, name, share, limits), None
                number += 1
    except (av.FFmpegError, RinrError) as error:
        if is_out_of_memory(error):
            raise memory_error(error, f"{path}: reading frame {number + 1}") from error
        problem = f"frame {number + 1}: {_reason(error)}"
    # The call that read that frame, or the first that is missing, has reported it.
    if problem is not None and number >= start:
        yield frame_name(path, number), None, f"{path}: {problem}"


def frame_name(path: Path, number: int) -> str:
    """Return the name of the frame of a number, counted from 0."""
    return f"{path.stem}/{number + 1:06d}.png"


@contextmanager
def _file(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open a video; FFmpeg would take some names for addresses, and wait for FIFOs."""
    path = Path(path)
    try:
        opened = storage_of(path).open_file(path)
    except OSError as error:
        if storage_of(path).may_pass(path, error):
            raise
        raise RinrInputError(f"{path}: cannot be read: {error.strerror or error}") from error
    with opened as file:
        yield file


def _items(file: Any, path: Path, size: int, limits: Limits) -> Iterator[Any]:
    """Yield the frames in order, and a text for each lost one."""
    done = 0
    try:
        for item in _decoded(file, path, size, limits, threads="AUTO"):
            yield item
            done += 1
    except _DecoderError:
        # Decoding several frames at a time may drop those around the error. One after another
        # loses no other frame, and gives the same frames before it.
        file.seek(0)
        yield from islice(_decoded(file, path, size, limits, threads="SLICE"), done, None)


def _decoded(file: Any, path: Path, size: int, limits: Limits, *, threads: str) -> Iterator[Any]:
    """Decode as `_items` does; raise `_DecoderError` at a refused packet.

    With `threads` "SLICE" it does not raise.
    """
    import av

    structure = check_structure(file, size)
    with open_container(file, path) as container:
        unordered = _is_unordered(container, video_stream(container, path))
    file.seek(0)
    with open_container(file, path) as container:
        stream = video_stream(container, path)
        context = stream.codec_context
        declared = f"{context.width}x{context.height} pixels"
        limits.check("max_pixels", context.width * context.height, declared)
        context.options = {"max_pixels": str(limits.max_pixels)}  # of frames that are larger
        stream.thread_type = threads
        # Where damage is met depends on it, and must not depend on the machine.
        stream.codec_context.thread_count = _THREADS
        times = _Times(stream, damaged=structure.damage is not None, unordered=unordered)
        number, shown, reason = 0, None, ""
        for packet in container.demux(stream):
            times.send(packet)
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                if threads != "SLICE":
                    raise _DecoderError from error
                reason = _reason(error)
                if not times.known:
                    yield f"frame {number + 1}: {reason}; {_LAST}"
                    return
                continue
            for frame in frames:
                if times.is_late(frame):
                    continue
                lost = times.lost_before(frame)
                if lost is None:
                    yield f"frame {number + 1}: {reason or _NOTHING}; {_LAST}"
                    return
                for _ in range(lost):
                    number += 1
                    yield f"frame {number}: {reason or _NOTHING}; {_AFTER}"
                reason = ""
                number += 1
                yield f"frame {number}: {_MARKED}; {_AFTER}" if frame.is_corrupt else frame
                shown = frame.time
        for _ in range(times.left()):
            number += 1
            yield f"frame {number}: {reason or _NOTHING}"
        problem = _end_problem(container, stream, structure, number, shown)
        if times.uncounted():
            problem = (
                f"{times.uncounted()} frames cannot be decoded, it is not known which: labels may "
                "belong to other frames"
            )
        if problem:
            yield problem


def _is_unordered(container: Any, stream: Any) -> bool:
    """Return whether packets have times in file order, but frames are shown in another.

    An avi has no other times. Then the time of a packet is not that of its frame.
    """
    if not stream.codec_context.has_b_frames:
        return False
    packets = islice(container.demux(stream), _MOST_AHEAD)
    times = [packet.pts for packet in packets if packet.pts is not None]
    return times == sorted(times)


class _Times:
    """The times of packets whose frames are yet to come out of the decoder.

    known: whether a lost frame can be found by its time.
    damaged: whether packets may be lost, too. unordered: see `_is_unordered`.
    """

    def __init__(self, stream: Any, *, damaged: bool = False, unordered: bool = False) -> None:
        context = stream.codec_context
        self._unordered = unordered
        self.known = not unordered
        self._hides = context.name in {"vp8", "libvpx"}
        self._least_bytes = _LEAST_BYTES if context.name == "mpeg4" else 1
        self._damaged = damaged
        # There, packets are found by their content: a damaged one may end up inside another.
        self._found = "mpeg" in stream.container.format.name
        self._waiting: list[int] = []
        self._first_key: int | None = None
        self._last_dts: int | None = None
        self._last: int | None = None
        self._gone: set[int] = set()
        self._balance = 0
        rate, base = stream.average_rate or stream.guessed_rate, stream.time_base
        self._period = float(1 / (rate * base)) if rate and base else 0.0

    def is_frame(self, packet: Any) -> bool:
        """Return whether a packet should give a frame to show."""
        if packet.size < self._least_bytes or packet.is_discard:
            return False
        # The bit of a VP8 frame that says that it is to be shown.
        return not (self._hides and not bytes(packet)[0] & 0x10)

    def send(self, packet: Any) -> bool:
        """Expect the frame of a packet; returns whether there should be one."""
        self._damaged |= bool(packet.is_corrupt)
        if not self.is_frame(packet):
            return False
        if packet.dts is not None:
            if self._last_dts is not None and packet.dts < self._last_dts:
                self._forget()  # two recordings in one file
            self._last_dts = packet.dts
        if self._first_key is None and packet.is_keyframe:
            self._first_key = packet.pts
        if packet.pts is None:
            return True
        # What precedes the first key frame is what a recording began in the middle of.
        if self._first_key is None or (self.known and packet.pts < self._first_key):
            return False
        self._balance += 1
        if self.known:
            heapq.heappush(self._waiting, packet.pts)
        return True

    def is_late(self, frame: Any) -> bool:
        """Return whether a frame follows a later one, and has been counted as lost by then."""
        if not self.known or frame.pts is None or self._last is None or frame.pts >= self._last:
            return False
        if self._damaged or frame.pts in self._gone:
            return True
        self._forget()
        return False

    def lost_before(self, frame: Any) -> int | None:
        """Count the frames lost before this one; None if the number is unknown."""
        self._balance -= 1
        time: int | None = frame.pts
        if time is None or not self.known:
            return 0
        lost = 0
        while self._waiting and self._waiting[0] < time:
            self._gone.add(heapq.heappop(self._waiting))
            lost += 1
        if self._waiting and self._waiting[0] == time:
            heapq.heappop(self._waiting)
        self._damaged |= self._found and bool(lost or frame.is_corrupt)
        last, self._last = self._last, time
        if not self._damaged or last is None:
            return lost
        # Packets may be lost, too. Frames of a constant rate leave a gap of so many periods.
        gap = (time - last) / self._period if self._period else 0
        if not 0.9 < gap < _MOST_GAP or abs(gap - round(gap)) > 0.1:
            return None
        return max(lost, round(gap) - 1)

    def left(self) -> int:
        """Count the frames lost at the end."""
        return len(self._waiting)

    def uncounted(self) -> int:
        """Count the lost frames whose place is unknown."""
        return max(0, self._balance) if self._unordered else 0

    def _forget(self) -> None:
        self.known = False
        self._waiting.clear()


def _reason(error: Exception) -> str:
    """Describe an error in words; FFmpeg's own names functions of its code for damaged data."""
    import av

    return _NOTHING if isinstance(error, av.error.InvalidDataError) else str(error)


def _end_problem(
    container: Any, stream: Any, structure: Structure, decoded: int, shown: float | None
) -> str:
    if shown is None and not decoded:
        return "the file has no frame that can be decoded"
    if _is_cut(container, stream, decoded, shown):
        return f"the file ends after {decoded} of {stream.frames} frames"
    if structure.cut:
        return f"the file ends after {decoded} frames, and its end is missing: {structure.cut}"
    if structure.damage is not None:
        return f"the file is damaged from byte {structure.damage:,} on; frames may be missing"
    return ""


def _is_cut(container: Any, stream: Any, decoded: int, shown: float | None) -> bool:
    """Return whether frames are missing at the end; `shown` is the last one's time, in seconds.

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


def as_picture(frame: Any, name: str, share: int, limits: Limits) -> Picture:
    """Convert a frame of PyAV to an upright picture; `share` is its part of the source's bytes."""
    grey = frame.format.name in {"gray", "gray8"}
    pixels = frame.to_ndarray(format="gray" if grey else "rgb24")
    # The file says how far to turn, counter-clockwise, to be upright.
    turns = round(frame.rotation / 90) % 4
    pixels = np.rot90(pixels, turns)
    return picture_from_array(pixels, name=name, source_bytes=share, limits=limits)


def video_stream(container: Any, path: str | os.PathLike[str]) -> Any:
    """Return the first video of a container; raise `RinrInputError` if there is none."""
    streams = _video_streams(container)
    if not streams:
        raise RinrInputError(f"{path}: there is no video in this file; {_ADVICE}")
    if streams[0].codec_context is None:
        raise RinrInputError(
            f"{path}: its video is damaged or of a codec that FFmpeg cannot decode"
        )
    return streams[0]


def _video_streams(container: Any) -> list[Any]:
    """Return the streams that are videos; the cover of a sound file is a picture."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & still]

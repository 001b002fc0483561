"""Frames of a video on the standard input, and of a camera, as they come.

A device or address is opened only where the user's own argument names it: nothing that was found in
data comes here. What FFmpeg may open from there is bounded: a pipe may hold only the containers of
`sources/containers.py`, and an RTSP camera gets no other protocol than RTSP.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from rinrcodec.errors import RinrInputError, RinrSourceError, RinrUsageError
from rinrcodec.limits import DEFAULT_LIMITS, Limits
from rinrcodec.picture import Picture
from rinrcodec.sources.containers import PIPE_OPTIONS
from rinrcodec.sources.video import as_picture, frame_rate, video_stream

__all__ = ["Damage", "Opened", "is_stream", "open_stream", "read_stream", "shown_name"]

_DEVICE = re.compile(r"/dev/(video\d{1,4})")
_RTSP = re.compile(r"rtsps?://[^/]", re.IGNORECASE)
_PATIENCE_S = (15.0, 15.0)  # to open an RTSP camera, and between two of its packets
_PIPE = "; an mp4 whose index is at its end cannot: send mkv, ts or a fragmented mp4"
_NOT_VALID = (
    "the RTSP address is not valid: give rtsp://USER:PASSWORD@HOST:PORT/PATH. In the user and "
    "password, write # / ? @ [ ] as %23 %2F %3F %40 %5B %5D; in the path, write @ as %40"
)
_FORMATS: dict[str, tuple[str | None, dict[str, str]]] = {
    "device": ("v4l2", {"protocol_whitelist": "none"}),
    # Over the one connection that the user named: with UDP the camera could name other addresses.
    "rtsp": (None, {"rtsp_transport": "tcp", "protocol_whitelist": "rtsp,rtp,tcp,tls,crypto"}),
}


@dataclass(frozen=True, slots=True)
class Damage:
    """A packet that cannot be decoded, in place of its frames."""

    reason: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream that is open: its container and video stream of PyAV, and a name for its frames.

    check: raises what reading a pipe raised, such as `KeyboardInterrupt`.
    """

    container: Any
    stream: Any
    name: str
    check: Callable[[], None]

    @property
    def frame_rate(self) -> str:
        """Frames a second as a fraction, "" where it is not known."""
        return frame_rate(self.stream)


def is_stream(source: object) -> bool:
    """Return whether SRC is the standard input, a camera of Linux or an RTSP camera.

    Example:
        >>> is_stream("-"), is_stream("/dev/video0"), is_stream("rtsp://host/a"), is_stream("a.mp4")
        (True, True, True, False)
    """
    if not isinstance(source, str):
        return False
    return source == "-" or bool(_DEVICE.fullmatch(source) or _RTSP.match(source))


def shown_name(source: str) -> str:
    """Name a stream for messages and figures, without the password of an address.

    Raises `RinrUsageError` for an address that is not valid, and where a password could be taken
    for a part of the host or path. The message shows nothing of it.

    Example:
        >>> shown_name("rtsp://me:secret@camera:554/live?key=1")
        'rtsp://camera:554/live'
    """
    if not _RTSP.match(source):
        return "the standard input" if source == "-" else source
    try:
        parts = urlsplit(source)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text may hold a part of the password
        valid = False
    if not valid or "@" in parts.path + parts.query + parts.fragment:
        raise RinrUsageError(_NOT_VALID)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def open_stream(source: str, *, stdin: BinaryIO | None = None) -> Iterator[Opened]:
    """Open what the user named; `stdin` replaces the standard input.

    Raises `RinrInputError` where there is no video, or no camera.
    """
    import av

    where = shown_name(source)
    pipe = None
    if source == "-":
        pipe = _Pipe(stdin if stdin is not None else sys.stdin.buffer)
    check = pipe.check if pipe else _nothing
    try:
        try:
            container = _open(source, pipe)
        finally:
            check()
    except av.error.InvalidDataError as error:
        raise RinrInputError(f"{where}: not a video that can be read from a pipe{_PIPE}") from error
    except av.error.ArgumentError as error:
        raise RinrInputError(
            f"{where}: not a video container that is read; send mkv, ts, avi or a fragmented mp4"
        ) from error
    except FileNotFoundError as error:
        raise RinrUsageError(f"{where}: there is no such camera") from error
    except (av.FFmpegError, OSError) as error:
        raise RinrInputError(f"{where}: cannot be opened: {error.strerror or error}") from error
    with container:
        found = _DEVICE.fullmatch(source)
        name = "stream" if source == "-" else found[1] if found else urlsplit(source).hostname
        yield Opened(container, video_stream(container, where), name or "camera", check)


def _nothing() -> None:
    """Check nothing: FFmpeg itself reads a camera."""


def _open(source: str, pipe: _Pipe | None) -> Any:
    import av

    if pipe is not None:
        return av.open(pipe, options=PIPE_OPTIONS)
    kind, options = _FORMATS["rtsp" if _RTSP.match(source) else "device"]
    return av.open(source, format=kind, options=options, timeout=_PATIENCE_S)


class _Pipe:
    """A file that can only be read: with `seek`, PyAV would take it for one on a disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: BaseException | None = None

    def read(self, size: int) -> bytes:
        """Read what is there, at most so many bytes; b"" at the end, and after an error."""
        if self._error is not None:
            return b""
        try:
            read = getattr(self._file, "read1", self._file.read)
            return bytes(read(size))
        except BaseException as error:  # PyAV would print it and go on, also Ctrl-C
            self._error = error
            return b""

    def check(self) -> None:
        """Raise what a read raised."""
        if self._error is not None:
            raise self._error


def read_stream(
    opened: Opened, where: str, *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Picture | Damage]:
    """Decode frame after frame until the stream ends; names are `NAME/000001.png`, from 1.

    Raises `RinrLimitError` for frames of more pixels than allowed, `RinrSourceError` where a camera
    is gone or silent.
    """
    import av

    context = opened.stream.codec_context
    limits.check("max_pixels", context.width * context.height, f"pixels of a frame of {where}")
    context.options = {"max_pixels": str(limits.max_pixels)}
    number = 0
    packets = opened.container.demux(opened.stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.EOFError:
            return
        except (av.FFmpegError, OSError) as error:
            raise RinrSourceError(f"{where}: the stream broke off: {error.strerror}") from error
        finally:
            opened.check()
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            yield Damage(str(error.strerror))
            continue
        for frame in frames:
            number += 1
            if frame.is_corrupt:
                yield Damage("its data are damaged or incomplete")
                continue
            yield as_picture(frame, f"{opened.name}/{number:06d}.png", packet.size, limits)

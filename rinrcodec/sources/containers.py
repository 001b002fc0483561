"""Opens the containers of videos, and nothing else that FFmpeg reads.

FFmpeg goes by the content of a file, not by its name. Playlists (HLS, DASH), lists (concat) and
session descriptions (SDP) name other files and URLs, which it would open. `video` calls this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from rinrcodec.errors import RinrInputError

__all__ = ["PIPE_OPTIONS", "open_container"]

# Demuxers of files that hold their frames themselves.
_DEMUXERS = ("mov", "matroska", "avi", "flv", "mpegts", "mpeg", "mpegvideo", "m4v", "asf", "ogg")
PIPE_OPTIONS = {
    "format_whitelist": ",".join(_DEMUXERS),
    # Python reads the file, so that FFmpeg has no need of any protocol.
    "protocol_whitelist": "none",
}
_MOST_PROBED = 2**16
# How files begin that only name others, by what they are.
_PLAYLISTS = {
    b"#EXTM3U": "a playlist (HLS)",
    b"ffconcat": "a list of files (concat)",
    b"v=0": "a session description (SDP)",
    b"<MPD": "a playlist (DASH)",
}


@contextmanager
def open_container(file: BinaryIO, where: object) -> Iterator[Any]:
    """Open a video for reading with PyAV.

    Args:
        file: The open file, at its start; it stays open.
        where: Its path, for messages.

    Yields:
        The container of PyAV.

    Raises:
        RinrInputError: It is empty, or of another container than those listed above.
        av.FFmpegError: It is no video, or damaged.
    """
    import av

    start = file.read(_MOST_PROBED)
    file.seek(0)
    if not start:
        raise RinrInputError(f"{where}: the file is empty (0 bytes), not a video")
    for mark, what in _PLAYLISTS.items():
        if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(mark):
            raise RinrInputError(f"{where}: {what}, not a video; give the videos that it names")
    try:
        container = av.open(file, options=PIPE_OPTIONS)
    except av.error.ArgumentError as error:
        message = f"{where}: not a video container that is read; convert it to mp4, mkv or avi"
        raise RinrInputError(message) from error
    with container:
        yield container

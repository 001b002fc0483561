"""A video codec to compare with: x265 through PyAV, and what it takes to open one of its frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import av
import numpy as np
from numpy.typing import NDArray

from rinrcodec.picture import Picture

Pixels = NDArray[np.uint8]
RATE = 25
GLOBAL_HEADER = av.codec.context.Flags.global_header


@dataclass(frozen=True)
class Video:
    """A coded video without a container: its headers, and packets as (bytes, key frame or not)."""

    headers: bytes
    packets: Sequence[tuple[bytes, bool]]
    height: int
    width: int
    mode: str

    @property
    def n_bytes(self) -> int:
        return len(self.headers) + sum(len(data) for data, _ in self.packets)

    def decode(self, first: int = 0) -> Iterator[Pixels]:
        """Yield the frames in order of display, from the key frame in packet `first` on.

        Their odd last row or column, which 4:2:0 has not, repeats the one next to it.
        """
        decoder = av.CodecContext.create("hevc", "r")
        decoder.extradata = self.headers
        decoder.thread_count = 1
        pads = [(0, self.height % 2), (0, self.width % 2)]
        for data in [*(data for data, _ in self.packets[first:]), None]:
            for frame in decoder.decode(av.Packet(data) if data is not None else None):
                pixels = shown(frame, self.mode)
                yield np.pad(pixels, pads + [(0, 0)] * (pixels.ndim - 2), mode="edge")

    def open(self, index: int) -> tuple[int, int]:
        """Decode one frame alone; return how many frames and bytes that takes."""
        # With closed groups of pictures, packet and frame numbers agree at every key frame.
        first = max(i for i, (_, key) in enumerate(self.packets[: index + 1]) if key)
        later = (i for i, (_, key) in enumerate(self.packets) if key and i > index)
        stop = next(later, len(self.packets))
        frames = index - first + 1
        next(islice(self.decode(first), frames - 1, None))
        # The last frames of a group may come after others that they are not shown before.
        size = sum(len(data) for data, _ in self.packets[first : min(first + frames, stop)])
        return frames, len(self.headers) + size


def encode_video(
    pictures: Sequence[Picture], *, crf: float, key_frame: int, bits: int = 8
) -> Video:
    """Encode as x265, 4:2:0 of 8 or 10 bits, for PSNR, a key frame every `key_frame` frames."""
    height, width = pictures[0].pixels.shape[:2]
    pix_fmt = {8: "yuv420p", 10: "yuv420p10le"}[bits]
    encoder = av.CodecContext.create("libx265", "w")
    encoder.height, encoder.width = height // 2 * 2, width // 2 * 2
    encoder.pix_fmt = pix_fmt
    encoder.time_base = Fraction(1, RATE)
    encoder.framerate = Fraction(RATE)
    encoder.flags |= GLOBAL_HEADER
    settings = f"keyint={key_frame}:min-keyint={key_frame}:scenecut=0:open-gop=0:log-level=none"
    encoder.options = {
        "crf": f"{crf:.1f}",
        "preset": "medium",
        "tune": "psnr",
        "x265-params": f"{settings}:info=0:pools=none:frame-threads=1",
    }
    packets = []
    for number, picture in enumerate([*pictures, None]):
        frame = None
        if picture is not None:
            rgb = np.ascontiguousarray(picture.pixels[: encoder.height, : encoder.width])
            source = av.VideoFrame.from_ndarray(rgb, format="gray" if rgb.ndim == 2 else "rgb24")
            frame = source.reformat(format=pix_fmt, dst_colorspace="ITU601", interpolation="AREA")
            frame.pts = number
        packets += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(frame)]
    mode = pictures[0].mode
    return Video(bytes(encoder.extradata or b""), packets, height, width, mode)


def shown(frame: av.VideoFrame, mode: str) -> Pixels:
    """Return RGB, or luma alone."""
    if mode == "L":
        return np.asarray(frame.to_ndarray(format="gray"))
    rgb = frame.reformat(format="rgb24", src_colorspace="ITU601", interpolation="BICUBIC")
    return np.asarray(rgb.to_ndarray())

"""Tiny videos of any container and codec, whose frames show their own number."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 96, 64
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"g": "6", "bf": "2", "x264-params": "log-level=none"}),
    "hevc": ("libx265", {"x265-params": "log-level=none:keyint=6:pools=1:frame-threads=1"}),
    "mpeg4": ("mpeg4", {"g": "6"}),
    "mpeg4-b": ("mpeg4", {"g": "6", "bf": "2"}),
    "mjpeg": ("mjpeg", {}),
    "mpeg1": ("mpeg1video", {"g": "6", "bf": "2"}),
    "flv1": ("flv", {"g": "6"}),
    "vp8": ("libvpx", {"g": "6", "deadline": "realtime", "cpu-used": "8"}),
    "vp9": ("libvpx-vp9", {"g": "6", "deadline": "realtime", "cpu-used": "8"}),
    "wmv2": ("wmv2", {"g": "6"}),
}


def frame_pixels(number: int) -> NDArray[np.uint8]:
    """Noise with a bar as long as the number: frames that differ, and take some bytes."""
    pixels = np.random.default_rng(7).integers(0, 90, (HEIGHT, WIDTH, 3), np.uint8)
    pixels[: HEIGHT // 2, : 4 * (number + 1)] = 250
    return pixels


def number_of(pixels: NDArray[np.uint8]) -> int:
    """The number of the frame that pixels show, from 0."""
    bar = pixels[: HEIGHT // 2].mean(axis=(0, 2)) > 150
    return round(int(bar.sum()) / 4) - 1


def make_video(
    path: Path,
    codec: str,
    *,
    n: int = 18,
    sound: bool = False,
    times: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write `n` frames at 25 a second, or at `times` in milliseconds."""
    name, settings = CODECS[codec]
    form = {".m2ts": "mpegts"}.get(path.suffix)
    options = {**({"mpegts_m2ts_mode": "1"} if form else {}), **(options or {})}
    with av.open(str(path), "w", format=form, options=options) as container:
        stream: Any = container.add_stream(name, rate=25, options=settings)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        other: Any = container.add_stream("aac", rate=48000) if sound else None
        for number in range(n):
            frame = av.VideoFrame.from_ndarray(frame_pixels(number), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
            if sound:
                silence = np.zeros((2, 2048), np.float32)
                part = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
                part.sample_rate, part.pts = 48000, 2048 * number
                container.mux(other.encode(part))
        container.mux(stream.encode(None))
        if sound:
            container.mux(other.encode(None))
    return path


def packets(path: Path) -> list[Any]:
    """The packets of the first video stream that hold something."""
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def copy_packets(source: Path, target: Path, data: Sequence[bytes]) -> Path:
    """Write the packets of a video with other data."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        whole = (packet for packet in old.demux(video=0) if packet.size)
        for packet, content in zip(whole, data, strict=True):
            copy = av.Packet(content)
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            new.mux(copy)
    return target
